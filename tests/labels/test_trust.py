import numpy as np
import pytest

from freeal_hf.labels.trust import calibrated


def answers(n=400, seed=0):
    """Labels, confidences that tell right answers from wrong ones, and gold."""
    rng = np.random.default_rng(seed)
    gold, confidences = rng.integers(0, 2, n), rng.uniform(0.5, 0.99, n)
    return np.where(rng.random(n) < confidences, gold, 1 - gold), confidences, gold


def trust(labels, confidences, guesses, human=None, sources=None):
    nobody = np.full(len(labels), -1)
    return calibrated(
        labels, confidences, guesses, nobody if human is None else human, 0 * nobody if sources is None else sources
    )


def test_a_constant_confidence_is_worth_nothing():
    labels, _, gold = answers()
    assert (trust(labels, np.full(len(labels), 0.95), gold) == 0).all()


def test_a_confidence_that_follows_agreement_is_used():
    labels, confidences, gold = answers()
    found = trust(labels, confidences, gold)
    assert np.corrcoef(found, confidences)[0, 1] > 0.9


def test_a_confidence_that_falls_with_agreement_is_not_used():
    labels, confidences, gold = answers()
    assert (trust(labels, 1 - confidences, gold) == 0).all()


def test_annotators_are_calibrated_apart():
    labels, confidences, gold = answers()
    first = np.arange(len(labels)) < 200
    confidences = np.where(first, confidences, 0.5)
    found = trust(labels, confidences, gold, sources=np.where(first, 0, 1))
    assert (found[~first] == 0).all()
    assert found[first] == pytest.approx(trust(labels[first], confidences[first], gold[first]))


def test_what_people_say_counts_more_than_the_student():
    labels, confidences, gold = answers()
    human = np.where(np.arange(len(labels)) < 150, gold, -1)
    misled = np.where(confidences > 0.75, 1 - labels, labels)  # a student that disputes the surest answers
    assert (trust(labels, confidences, misled) == 0).all()
    assert trust(labels, confidences, misled, human=human).max() > 0
