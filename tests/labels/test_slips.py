import numpy as np

from freeal_hf.labels.slips import without_slips
from freeal_hf.training.slips import smoothed_log


def views(gold, right, sure):
    """Log predictions of a classifier that is right for the texts in `right`, and as sure of each as `sure` says."""
    guess = np.where(right, gold, 1 - gold)
    found = np.column_stack([1 - sure, 1 - sure])
    found[np.arange(len(gold)), guess] = sure
    return smoothed_log(found, len(gold))


def test_answers_that_were_flipped_at_random_are_mended():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 2000)
    labels = np.where(rng.random(2000) < 0.2, 1 - gold, gold)
    # A logistic regression is surer of easy texts than the flips allow, and less sure of hard ones.
    sure = 1 / (1 + np.exp(-np.abs(rng.normal(0, 3, 2000))))
    seen = views(gold, rng.random(2000) < sure, sure)
    found = without_slips(labels, seen, seen, np.zeros(2000)).argmax(axis=1)
    assert np.mean(found == gold) > np.mean(labels == gold) + 0.05


def test_a_classifier_that_knows_less_than_the_annotator_overrules_nothing():
    rng = np.random.default_rng(0)
    gold, sure = rng.integers(0, 2, 1000), rng.uniform(0.5, 0.99, 1000)
    seen = views(gold, rng.random(1000) < sure, sure)
    found = without_slips(gold, seen, seen, np.zeros(1000)).argmax(axis=1)
    assert (found == gold).all()


def test_slips_that_the_annotator_admits_are_replaced_without_evidence():
    seen = np.log([[0.9, 0.1]] * 20)
    labels = np.array([0] * 18 + [1] * 2)
    alone = without_slips(labels, seen, seen, np.zeros(20)).argmax(axis=1)
    admitted = without_slips(labels, seen, seen, np.zeros(20), 0.5).argmax(axis=1)
    assert (alone == labels).all()
    assert (admitted == 0).all()


def test_a_text_without_an_answer_gets_the_prediction():
    seen = np.log([[0.9, 0.1], [0.2, 0.8]] * 10)
    labels = np.array([-1, 1] * 10)
    assert without_slips(labels, seen, seen, np.zeros(20))[::2].argmax(axis=1).tolist() == [0] * 10
