"""Agreement of annotators with people and of people with each other, and the alternative annotator test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from freeal_hf.labels.agreement import agreement, alt_test, cohen_kappa

LABELS = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=2, max_size=60)


@given(LABELS)
def test_kappa_equals_that_of_scikit_learn(pairs):
    first, second = np.array(pairs).T
    found = cohen_kappa(first, second)
    if found is None:
        assert len(np.unique(pairs)) == 1
    else:
        assert found.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
        assert found.low <= found.value + 1e-9
        assert found.value <= found.high + 1e-9


def noisy(truth, share, rng):
    return np.where(rng.random(len(truth)) < share, truth, rng.integers(0, truth.max() + 1, len(truth)))


@pytest.mark.parametrize(("shares", "kept"), [([0.5, 0.5], 0.6), ([0.9, 0.1], 0.8), ([0.25] * 4, 0.95)])
def test_the_interval_of_kappa_has_its_nominal_coverage(shares, kept):
    rng = np.random.default_rng(0)
    many = rng.choice(len(shares), 200_000, p=shares)
    truth = cohen_kappa_score(many, noisy(many, kept, rng))
    found = []
    for _ in range(300):
        person = rng.choice(len(shares), 80, p=shares)
        found.append(cohen_kappa(person, noisy(person, kept, rng)))
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


def test_kappa_is_none_if_both_give_one_label():
    assert cohen_kappa(np.zeros(5), np.zeros(5)) is None
    assert cohen_kappa(np.zeros(0), np.zeros(0)) is None


def test_agreement_has_the_bounds_of_wilson():
    found = agreement(np.zeros(100), np.repeat([0, 1], [90, 10]))
    assert (found.value, round(found.low, 3), round(found.high, 3)) == (0.9, 0.826, 0.945)


def test_a_model_as_good_as_the_people_passes():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 100)
    found = alt_test(noisy(truth, 0.9, rng), [noisy(truth, 0.8, rng) for _ in range(3)])
    assert found.passed
    assert found.winning_rate == 1.0
    assert found.advantage > 0.8


def test_a_model_that_guesses_does_not_pass():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 100)
    found = alt_test(rng.integers(0, 3, 100), [noisy(truth, 0.8, rng) for _ in range(3)])
    assert not found.passed
    assert found.winning_rate == 0.0


def test_a_model_without_answers_agrees_with_nobody():
    truth = np.arange(60) % 2
    found = alt_test(np.full(60, -1), [truth, truth])
    assert not found.passed
    assert found.advantage == 0.0


def test_a_model_that_is_worse_by_just_the_allowance_rarely_passes():
    rng = np.random.default_rng(0)
    passed = []
    for _ in range(300):
        truth = np.zeros(100, dtype=int)
        # Of 100 texts the person alone is right in 20 % and the model alone in 5 %.
        who = rng.choice(3, 100, p=[0.75, 0.2, 0.05])
        person, model = np.where(who == 2, 1, 0), np.where(who == 1, 1, 0)
        passed.append(alt_test(model, [person, truth]).p_values[0] < 0.05)
    assert np.mean(passed) <= 0.08


def test_the_test_reproduces_the_t_test_of_its_paper():
    # Model against the first of two people: it alone agrees in 10 texts, the person alone in 14, both in 36.
    second = np.zeros(60, dtype=int)
    first = np.repeat([1, 0, 0], [10, 14, 36])
    model = np.repeat([0, 1, 0], [10, 14, 36])
    loss = np.repeat([-1.0, 1.0, 0.0], [10, 14, 36])
    t = (loss.mean() - 0.15) / (loss.std(ddof=1) / np.sqrt(60))
    from scipy.stats import t as student

    found = alt_test(model, [first, second])
    assert found.p_values[0] == pytest.approx(student.cdf(t, 59))
    assert found.advantage == pytest.approx(np.mean([46 / 60, np.mean((first == model) >= (first == second))]))


def test_few_texts_can_hardly_pass():
    truth = np.array([0, 1, 0])
    assert not alt_test(truth, [truth, truth]).passed
