"""Estimates from an audit are unbiased, and their intervals have the stated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeal_hf.labels.audit import (
    AuditSample,
    Design,
    confusion,
    design_of,
    draw,
    label_shares,
    population_share,
    powered_share,
    precisions,
    proxies_of,
    recalls,
    wilson,
    with_certain,
)


class Corpus:
    """Texts with final labels, some of them right: the surer the model, and where the student agrees, the more."""

    def __init__(self, count, shares, accuracy, *, informative, seed=0):
        rng = np.random.default_rng(seed)
        self.num_labels = len(shares)
        self.truth = rng.choice(self.num_labels, count, p=shares)
        chance = np.clip(accuracy + rng.uniform(-0.25, 0.25, count) * informative, 0, 1)
        self.right = rng.random(count) < chance
        self.labels = np.where(self.right, self.truth, (self.truth + 1) % self.num_labels)
        self.agrees = rng.random(count) < np.where(self.right, 0.85, 0.6 if informative else 0.85)
        self.confidences = chance
        self.proxies = proxies_of(self.confidences, self.agrees)

    def samples(self, n, *, draws, answered=None):
        design = design_of(self.labels, self.confidences, self.agrees, n)
        for seed in range(draws):
            rows = draw(design, seed=seed)[:answered]
            yield AuditSample(rows, design.strata[rows], design.sizes, design.allocation)


CORPORA = {
    "skewed, sure": Corpus(2000, [0.8, 0.2], 0.9, informative=True),
    "even, weak, small": Corpus(400, [0.25] * 4, 0.55, informative=True),
    "nothing is known": Corpus(1000, [0.5, 0.5], 0.75, informative=False),
    "nearly all right": Corpus(3000, [0.5, 0.5], 0.98, informative=False),
}


def coverage(found, truth):
    return np.mean([one.low <= truth <= one.high for one in found])


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize(("n", "answered"), [(100, None), (100, 60), (30, None)])
def test_intervals_have_their_nominal_coverage(name, n, answered):
    corpus = CORPORA[name]
    found = [
        population_share(one, corpus.right[one.rows], corpus.proxies)
        for one in corpus.samples(n, draws=300, answered=answered)
    ]
    assert coverage(found, corpus.right.mean()) >= 0.93
    assert np.mean([one.value for one in found]) == pytest.approx(corpus.right.mean(), abs=0.012)


@pytest.mark.parametrize("name", CORPORA)
def test_intervals_are_on_average_no_wider_than_wilsons_of_a_simple_sample(name):
    corpus = CORPORA[name]
    widths = []
    for one in corpus.samples(100, draws=50):
        found = population_share(one, corpus.right[one.rows], corpus.proxies)
        low, high = wilson(corpus.right[one.rows].mean(), 100)
        widths.append((found.high - found.low, high - low))
    ours, plain = np.mean(widths, axis=0)
    assert ours <= plain


def test_wrong_confidences_do_not_bias_the_estimate():
    corpus = Corpus(1000, [0.5, 0.5], 0.7, informative=True, seed=1)
    false_proxies = proxies_of(1 - corpus.confidences, ~corpus.agrees)
    found = [
        population_share(one, corpus.right[one.rows], false_proxies)
        for one in corpus.samples(100, draws=300, answered=50)
    ]
    assert np.mean([one.value for one in found]) == pytest.approx(corpus.right.mean(), abs=0.012)
    assert coverage(found, corpus.right.mean()) >= 0.93


def test_informative_predictions_make_the_interval_of_few_answers_narrower():
    rng = np.random.default_rng(0)
    holds = rng.random(60) < 0.6
    proxies = (holds + rng.normal(0, 0.3, 60))[:, None]
    useful = powered_share(holds, np.ones(60), proxies, proxies.mean(axis=0), 5000)
    noise = rng.normal(size=(60, 1))
    useless = powered_share(holds, np.ones(60), noise, noise.mean(axis=0), 5000)
    low, high = wilson(holds.mean(), 60)
    assert useful.high - useful.low < 0.7 * (high - low)
    assert useless.high - useless.low == pytest.approx(high - low, rel=0.05)


@pytest.mark.parametrize("name", ["skewed, sure", "even, weak, small"])
def test_shares_of_labels_are_covered_and_sum_to_one(name):
    corpus = CORPORA[name]
    found = [
        label_shares(one, corpus.truth[one.rows], corpus.labels, corpus.confidences, corpus.num_labels)
        for one in corpus.samples(100, draws=150)
    ]
    for label, shares in enumerate(zip(*found, strict=True)):
        assert coverage(shares, np.mean(corpus.truth == label)) >= 0.92
    assert all(sum(one.value for one in shares) == pytest.approx(1) for shares in found)


@pytest.mark.parametrize("name", ["skewed, sure", "even, weak, small"])
def test_precision_and_recall_of_each_label_are_covered(name):
    corpus = CORPORA[name]
    precise, recalled = [], []
    for one in corpus.samples(100, draws=200):
        truth, right = corpus.truth[one.rows], corpus.right[one.rows]
        precise.append(precisions(one, right, corpus.labels, corpus.proxies, corpus.num_labels))
        recalled.append(recalls(one, truth, corpus.labels, corpus.num_labels))
    for label in range(corpus.num_labels):
        here, true = corpus.labels == label, corpus.truth == label
        assert coverage([row[label] for row in precise], corpus.right[here].mean()) >= 0.92
        assert coverage([row[label] for row in recalled], (corpus.labels[true] == label).mean()) >= 0.92


def test_a_label_without_answers_has_no_precision_and_no_recall():
    corpus = CORPORA["skewed, sure"]
    (one,) = corpus.samples(10, draws=1)
    labels = np.zeros(len(corpus.labels), dtype=int)
    assert precisions(one, corpus.right[one.rows], labels, corpus.proxies, 3)[2] is None
    assert recalls(one, np.zeros(10, dtype=int), labels, 3)[2] is None


def test_the_interval_has_no_width_if_all_texts_are_answered():
    corpus = Corpus(40, [0.5, 0.5], 0.8, informative=True)
    (one,) = corpus.samples(40, draws=1)
    found = population_share(one, corpus.right[one.rows], corpus.proxies)
    assert found.low == found.value == found.high == pytest.approx(corpus.right.mean())


def test_the_interval_has_a_width_if_all_answers_are_right():
    corpus = Corpus(1000, [0.5, 0.5], 1.0, informative=False)
    (one,) = corpus.samples(50, draws=1)
    found = population_share(one, corpus.right[one.rows], corpus.proxies)
    assert found.value == 1.0
    assert 0.9 < found.low < 0.95


def test_the_bounds_respect_the_answered_texts():
    corpus = Corpus(50, [0.5, 0.5], 0.5, informative=False)
    (one,) = corpus.samples(48, draws=1)
    right = corpus.right[one.rows]
    found = population_share(one, right, corpus.proxies)
    assert right.sum() / 50 <= found.low <= found.value <= found.high <= 1 - (~right).sum() / 50


@given(count=st.integers(1, 300), share=st.floats(0, 1), num_labels=st.integers(1, 9), seed=st.integers(0, 99))
def test_all_texts_have_nearly_the_same_inclusion_probability(count, share, num_labels, seed):
    rng = np.random.default_rng(seed)
    n = max(1, round(share * count))
    design = design_of(rng.integers(0, num_labels, count), rng.random(count), rng.random(count) < 0.5, n)
    assert design.sizes.sum() == count
    assert design.allocation.sum() == n
    assert (np.bincount(design.strata) == design.sizes).all()
    assert (design.allocation <= design.sizes).all()
    assert design.probabilities.sum() == pytest.approx(n)
    assert design.probabilities.min() > 0
    # A stratum is off the even share of the texts by less than one.
    assert (np.abs(design.sizes - count / n * design.allocation) < 1 + 1e-9).all()
    rows = draw(design, seed=seed)
    assert len(set(rows.tolist())) == n
    assert (np.bincount(design.strata[rows], minlength=len(design.sizes)) == design.allocation).all()


def test_texts_are_drawn_as_often_as_their_probability_says():
    design = Design(np.repeat([0, 1], [3, 9]), np.array([3, 9]), np.array([2, 3]))
    counts = sum(np.bincount(draw(design, seed=seed), minlength=12) for seed in range(3000))
    assert counts / 3000 == pytest.approx(design.probabilities, abs=0.03)


@settings(deadline=None)
@given(
    answers=st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), min_size=1, max_size=40),
    spare=st.integers(0, 100),
)
def test_an_estimate_always_lies_within_its_bounds_and_these_within_zero_and_one(answers, spare):
    count = len(answers) + spare
    holds, agrees, confidences = (np.array(column) for column in zip(*answers, strict=True))
    labels = np.zeros(count)
    design = design_of(labels, np.resize(confidences, count), np.resize(agrees, count), len(answers))
    rows = draw(design)
    one = AuditSample(rows, design.strata[rows], design.sizes, design.allocation)
    proxies = proxies_of(np.resize(confidences, count), np.resize(agrees, count))
    for found in (
        population_share(one, holds, proxies),
        powered_share(holds, one.weights, proxies[rows], proxies.mean(axis=0), count),
    ):
        assert 0 <= found.low <= found.value + 1e-9
        assert found.value <= found.high + 1e-9 <= 1 + 2e-9


def test_unknown_confidences_are_replaced_by_the_mean():
    agrees = np.array([True, False, True])
    assert proxies_of(np.array([0.6, np.nan, 0.8]), agrees).tolist() == [[0.6, 1], [0.7, 0], [0.8, 1]]
    assert proxies_of(np.full(3, np.nan), agrees)[:, 0].tolist() == [0, 0, 0]


def test_texts_with_human_labels_count_as_right():
    found = population_share(*_ten_of_hundred())
    mixed = with_certain(found, 100, 300)
    assert mixed.value == pytest.approx(0.75 + 0.25 * found.value)
    assert with_certain(found, 100, 0) == found


def _ten_of_hundred():
    design = design_of(np.zeros(100), np.full(100, 0.5), np.ones(100), 10)
    rows = draw(design)
    one = AuditSample(rows, design.strata[rows], design.sizes, design.allocation)
    return one, np.arange(10) < 7, np.zeros((100, 1))


def test_answers_without_a_label_have_a_row_of_their_own_in_the_confusion():
    found = confusion(np.array([0, 1, -1, -1]), np.array([0, 0, 1, 0]), 2)
    assert found.tolist() == [[1, 0], [1, 0], [1, 1]]
