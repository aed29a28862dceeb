"""A student is as confident as it is expected to be right."""

import numpy as np
import pytest

from freeal_hf.labels.calibration import student_temperature
from freeal_hf.training.temperature import at_temperature

TEXTS = 200


@pytest.fixture
def student():
    rng = np.random.default_rng(0)
    return rng.dirichlet([0.5, 0.5, 0.5], TEXTS)


def believed(student, share):
    """The label of the student is the true one with a probability of `share`."""
    found = np.full(student.shape, (1 - share) / 2)
    found[np.arange(len(student)), student.argmax(axis=1)] = share
    return found


def mean_confidence(student, temperature):
    return at_temperature(student, temperature).max(axis=1).mean()


def found_temperature(student, share, human=None, weights=None):
    human = np.full(TEXTS, -1) if human is None else human
    return student_temperature(
        student, believed(student, share), human, np.zeros(TEXTS) if weights is None else weights
    )


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_the_mean_confidence_is_the_expected_accuracy(student, share):
    assert mean_confidence(student, found_temperature(student, share)) == pytest.approx(share, abs=1e-3)


def test_many_human_labels_outweigh_the_expectation(student):
    human, weights = np.full(TEXTS, -1), np.zeros(TEXTS)
    human[:180] = (student.argmax(axis=1)[:180] + (np.arange(180) % 2)) % 3  # the student is right in every other text
    weights[:180] = 1
    temperature = found_temperature(student, 0.9, human, weights)
    expected = (20 * 0.9 + 180 * 0.5) / 200
    assert mean_confidence(student[180:], temperature) == pytest.approx(expected, abs=1e-3)


def test_human_labels_without_a_weight_change_nothing(student):
    human = np.full(TEXTS, -1)
    human[:50] = (student.argmax(axis=1)[:50] + 1) % 3
    assert mean_confidence(student[50:], found_temperature(student, 0.7, human)) == pytest.approx(0.7, abs=1e-3)


def test_texts_that_were_drawn_more_often_count_less(student):
    human, weights = np.full(TEXTS, -1), np.zeros(TEXTS)
    human[:100] = student.argmax(axis=1)[:100]
    human[:50] = (human[:50] + 1) % 3
    weights[:100] = np.repeat([1.0, 9.0], 50)
    temperature = found_temperature(student, 0.9, human, weights)
    assert mean_confidence(student[100:], temperature) == pytest.approx(0.9, abs=1e-3)


def test_a_student_whose_probabilities_are_not_numbers_keeps_its_temperature(student):
    assert student_temperature(np.full_like(student, np.nan), student, np.full(TEXTS, -1), np.zeros(TEXTS)) == 1


def test_the_temperature_is_limited(student):
    assert found_temperature(student, 0.34) == 5
