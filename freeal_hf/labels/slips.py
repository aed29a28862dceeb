"""Finds slips of an annotator without a person: answers that do not depend on the text as its other answers do."""

import numpy as np
from scipy.special import expit, softmax

from freeal_hf.labels.evidence import reliability
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.slips import (
    SHARPNESS,
    SLIPS,
    log_posteriors,
    slip_likelihoods,
    slip_shares,
    text_likelihoods,
)

_NEGLIGIBLE = 1e-5
# The weight of the texts beside an answer that is no slip.
_TEXTS = 0.25
_TINY = 1e-12  # added before a logarithm is taken


def without_slips(
    labels: np.ndarray, held_out: np.ndarray, student: np.ndarray, trust: np.ndarray, least: float = 0.0
) -> np.ndarray:
    """Computes the labels of an annotator without its slips.

    The model assumes that a classifier on the texts can learn the annotator's own definition of each label. With
    probability `e` an answer is a slip and does not depend on the text: half of the slips are uniform over the labels,
    and half follow the shares of the answers. So `P(answer | text) = (1 - e) * s(answer | text) + e * q(answer)`,
    where `s` are predictions to the power of `b`, normalised.

    The posterior of `e` rests on the held-out predictions alone. A student that has seen the label may have memorised
    it, so its agreement shows nothing. Given `e`, the student decides which answers are slips: `b` is fitted to its
    predictions, and what it memorised is kept.

    If labels were flipped at random, even confident held-out predictions agree with only a part of them. Then `e` is
    large, and a confident prediction replaces an answer. If a classifier disagrees because it knows less than the
    annotator, the agreement increases with its confidence. Then `e` is near zero, and all answers are kept. An error
    in the annotator's definition of a label is learnt by the classifier and cannot be found.

    The mixture is the model of label noise of Lawrence and Schölkopf (ICML 2001), with partly random noise.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        held_out (`np.ndarray` of shape `(n, num_labels)`): Log probabilities of a student that has not seen the label.
        student (`np.ndarray` of shape `(n, num_labels)`): Log probabilities of the student that chooses the labels.
        trust (`np.ndarray` of shape `(n,)`): Log odds by which each answer is less likely a slip than the average one.
        least (`float`, *optional*, defaults to 0): The smallest possible share of slips, from 0 to 1.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: Probabilities of the annotator's labels without slips.
    """
    n, num_labels = held_out.shape
    answered = np.flatnonzero(labels != NO_LABEL)
    given = labels[answered]
    by_slip = slip_likelihoods(given, num_labels)
    with np.errstate(divide="ignore"):
        rates = expit(np.log(SLIPS / (1 - SLIPS))[:, None] - trust[answered])
    of_slips = slip_shares(log_posteriors(text_likelihoods(given, held_out[answered]), by_slip, rates), least)
    by_text = text_likelihoods(given, student[answered])
    weights = softmax(log_posteriors(by_text, by_slip, rates), axis=0) * of_slips

    found: np.ndarray = np.zeros((n, num_labels))
    for i, sharpness in enumerate(SHARPNESS):
        slip = np.zeros(len(given))
        for j, rate in enumerate(rates):
            if weights[i, j] > _NEGLIGIBLE:
                slip += weights[i, j] * rate * by_slip / ((1 - rate) * by_text[i] + rate * by_slip + _TINY)
        share = np.full(n, weights[i].sum())
        share[answered] = slip
        found += share[:, None] * softmax(sharpness * student, axis=1)
        found[answered, given] += weights[i].sum() - slip
    return found / found.sum(axis=1, keepdims=True)


def at_usual_reliability(meant: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Returns the probabilities of the true labels, if annotators mean them as often as they usually do."""
    right = reliability(trust)[:, None]
    found: np.ndarray = right * meant + (1 - right) * (1 - meant) / (meant.shape[1] - 1)
    return found


def cautious(believed: np.ndarray, student: np.ndarray) -> np.ndarray:
    """Combines the result of `at_usual_reliability` with a small weight of the texts."""
    found: np.ndarray = softmax(np.log(believed + _TINY) + _TEXTS * student, axis=1)
    return found
