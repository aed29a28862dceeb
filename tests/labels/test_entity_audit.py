"""Estimates of F1 from a person's answers: checked against the truth of many artificial runs."""

import numpy as np
import pytest

from freeal_hf.labels.audit import AuditSample, design_of, draw
from freeal_hf.labels.entity_audit import JudgedEntities, SentenceCounts, audit_entities

NUM = 600


class Run:
    """Sentences with true entities, found ones and right ones, and whether another system found the same."""

    def __init__(self, hit: float, spurious: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        difficulty = rng.beta(2, 2, NUM)  # errors gather in difficult sentences
        self.true = rng.poisson(2, NUM)
        self.right = rng.binomial(self.true, np.clip(hit + 0.5 - difficulty, 0, 1))
        self.found = self.right + rng.poisson(spurious * 2 * difficulty)
        self.agrees = rng.random(NUM) > difficulty
        self.entity_right = np.concatenate([np.arange(f) < r for f, r in zip(self.found, self.right, strict=True)])
        self.entity_agrees = np.where(self.entity_right, 0.8, 0.4) > rng.random(len(self.entity_right))

    def audit(self, num_sentences, num_entities, seed, answered=1.0):
        rows, sample = self._drawn(np.minimum(self.found, 4), self.agrees, num_sentences, seed, answered)
        counts = SentenceCounts(self.right[rows], self.found[rows], self.true[rows])
        judged = None
        if num_entities:
            chosen, entities = self._drawn(self.entity_agrees, self.entity_agrees, num_entities, seed + 1, answered)
            judged = JudgedEntities(entities, self.entity_right[chosen])
        return audit_entities(sample, counts, int(self.found.sum()), judged)

    def _drawn(self, labels, agrees, num, seed, answered):
        design = design_of(labels, np.zeros(len(labels)), agrees, num)
        rows = draw(design, seed=seed)[: round(answered * num)]
        return rows, AuditSample(rows, design.strata[rows], design.sizes, design.allocation)

    @property
    def scores(self):
        right, found, true = self.right.sum(), self.found.sum(), self.true.sum()
        return {"f1": 2 * right / (found + true), "precision": right / found, "recall": right / true}


@pytest.mark.parametrize(
    ("num_sentences", "num_entities", "answered"), [(20, 0, 1.0), (30, 60, 1.0), (100, 100, 1.0), (60, 60, 0.5)]
)
def test_estimates_are_unbiased_and_their_intervals_contain_the_truth_in_95_of_100_audits(
    num_sentences, num_entities, answered
):
    inside: dict[str, list[bool]] = {"f1": [], "precision": [], "recall": []}
    errors = []
    for seed in range(300):
        run = Run(0.35 + 0.1 * (seed % 5), 0.2 * (1 + seed % 4), seed)
        found = run.audit(num_sentences, num_entities, 10_000 + 2 * seed, answered)
        for name, truth in run.scores.items():
            interval = getattr(found, name)
            inside[name].append(interval.low <= truth <= interval.high)
        errors.append(found.f1.value - run.scores["f1"])
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors)) + 0.01
    # The standard error of a share of 300 is 1.3 points.
    assert all(np.mean(hits) >= 0.91 for hits in inside.values()), {k: np.mean(v) for k, v in inside.items()}


def test_single_entities_make_the_interval_narrower():
    run = Run(0.5, 0.4, 0)
    width = {
        k: np.mean([f1.high - f1.low for f1 in (run.audit(30, k, seed).f1 for seed in range(20))]) for k in (0, 60)
    }
    assert width[60] < 0.9 * width[0]


def test_an_audit_of_everything_gives_the_truth():
    run = Run(0.5, 0.4, 0)
    found = run.audit(NUM, 0, 0)
    for name, truth in run.scores.items():
        assert getattr(found, name).value == pytest.approx(truth)


def test_answers_without_an_error_have_an_interval():
    run = Run(1.5, 0.0, 0)
    found = run.audit(20, 0, 0)
    assert found.f1.value == found.precision.value == found.recall.value == 1.0
    assert 0.6 < found.f1.low < 0.97


def test_sentences_of_known_entities_move_the_estimate_towards_them():
    run = Run(0.4, 0.4, 0)
    rows, sample = run._drawn(run.found, run.agrees, 40, 0, 1.0)
    counts = SentenceCounts(run.right[rows], run.found[rows], run.true[rows])
    free = audit_entities(sample, counts, int(run.found.sum()))
    known = audit_entities(sample, counts, int(run.found.sum()), certain=(5000, 5000, 5000))
    assert free.f1.value < 0.7 < known.f1.value
    assert known.f1.high - known.f1.low < free.f1.high - free.f1.low


def test_without_any_entity_there_is_no_precision():
    rows = np.arange(4)
    sample = AuditSample(rows, np.array([0, 0, 1, 1]), np.array([10, 10]), np.array([2, 2]))
    none = np.zeros(4, dtype=int)
    found = audit_entities(sample, SentenceCounts(none, none, none), 0)
    assert (found.f1.value, found.f1.low, found.precision, found.recall) == (1.0, 0.0, None, None)
    missed = audit_entities(sample, SentenceCounts(none, none, np.array([1, 0, 2, 0])), 0)
    assert (missed.f1.value, missed.precision, missed.recall.value) == (0.0, None, 0.0)
