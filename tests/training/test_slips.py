"""Labels that are wrong at random are told from errors that a classifier can learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeal_hf.training.slips import probability_of_slips

TEXTS = 400


def corpus(seed):
    """Labels that follow the texts, and held-out predictions that are sure of most of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, TEXTS)
    held_out = rng.dirichlet([0.3, 0.3, 0.3], TEXTS)
    place = held_out.argmax(axis=1)
    rows = np.arange(TEXTS)
    held_out[rows, place], held_out[rows, labels] = held_out[rows, labels], held_out[rows, place].copy()
    return labels, held_out


@settings(max_examples=10)
@given(seed=st.integers(0, 99))
def test_labels_that_were_flipped_at_random_are_slips(seed):
    labels, held_out = corpus(seed)
    rng = np.random.default_rng(seed)
    noisy = np.where(rng.random(TEXTS) < 0.3, (labels + rng.integers(1, 3, TEXTS)) % 3, labels)
    assert probability_of_slips(noisy, held_out) > 0.95


@settings(max_examples=10)
@given(seed=st.integers(0, 99))
def test_labels_as_uncertain_as_the_predictions_say_are_no_slips(seed):
    held_out = corpus(seed)[1]
    labels = (held_out.cumsum(axis=1) < np.random.default_rng(seed).random((TEXTS, 1))).sum(axis=1)
    assert probability_of_slips(labels, held_out) < 0.5


def test_texts_without_a_label_say_nothing():
    labels, held_out = corpus(0)
    some = np.where(np.arange(TEXTS) < 300, labels, -1)
    assert probability_of_slips(some, held_out) == pytest.approx(probability_of_slips(labels[:300], held_out[:300]))


def test_without_labels_the_prior_is_kept():
    assert probability_of_slips(np.full(5, -1), np.full((5, 2), 0.5)) == pytest.approx(0.2)
