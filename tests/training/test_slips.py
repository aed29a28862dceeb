"""Labels that are wrong at random are told from errors that a classifier can learn."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from freeal_hf.errors import InputError
from freeal_hf.training.data import confidences_of
from freeal_hf.training.samples import TextSamples, TrainingSet
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


def samples_of(labels, confidences):
    """A training set with these labels and confidences. Its rows are not read."""
    count = len(labels)
    trusted = np.zeros(count, dtype=bool)
    kind = TextSamples(["no", "yes"])
    return TrainingSet(kind, Dataset.from_dict({}), [], labels, trusted, confidences, np.arange(count))


@pytest.mark.parametrize(("confidence", "slips"), [(0.6, 1.0), (0.99, 0.0), (np.nan, 0.0)])
def test_an_annotator_that_is_less_sure_than_predictable_admits_errors(confidence, slips):
    held_out = np.repeat([[0.99, 0.01], [0.01, 0.99]], 100, axis=0)
    labels = np.repeat([0, 1], 100)
    labels[::20] = 1 - labels[::20]  # predictions agree with 95 % of the labels
    held_out[::20] = 0.5
    samples = samples_of(labels, np.full(200, confidence))
    assert samples.kind.slips(samples, held_out) == pytest.approx(slips, abs=0.3)


def test_confidences_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="'label_confidence' of the training set has values that are no numbers"):
        confidences_of(Dataset.from_dict({"label_confidence": ["high"]}))


def test_unknown_confidences_are_not_a_number():
    assert np.isnan(confidences_of(Dataset.from_dict({"label_confidence": [None, 0.5]}))).tolist() == [True, False]
