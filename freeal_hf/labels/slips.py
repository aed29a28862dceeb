"""Finds slips of an annotator without a person: answers that do not depend on the text as its other answers do."""

import numpy as np
from scipy.special import expit, log_softmax, softmax

from freeal_hf.tasks import NO_LABEL

# Values to average over: the exponent of the held-out predictions, and the share of slips.
_SHARPNESS = np.geomspace(0.35, 4, 10)
_SLIPS = np.array([0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
_NO_SLIPS = 0.5  # prior probability that there are none
_LOG_SHARPNESS_SD = 0.5
_NEGLIGIBLE = 1e-5


def smoothed_log(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Returns the logarithms of held-out predictions, smoothed with one more text of each label.

    A classifier that has seen a label once or never gives it a probability near zero, which is not reliable.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The predictions.
        count (`int`): The number of labelled texts that the classifier was trained on.
    """
    found: np.ndarray = np.log((probabilities * count + 1) / (count + probabilities.shape[1]))
    return found


def without_slips(labels: np.ndarray, held_out: np.ndarray, views: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Computes the labels of an annotator without its slips.

    The model assumes that a classifier on the texts can learn the annotator's own definition of each label. With
    probability `e` an answer is a slip and does not depend on the text: half of the slips are uniform over the labels,
    and half follow the shares of the answers. So `P(answer | text) = (1 - e) * s(answer | text) + e * q(answer)`,
    where `s` are the held-out predictions to the power of `b`, normalised. `e` and `b` are averaged over their
    posterior.

    If labels were flipped at random, even confident held-out predictions agree with only a part of them. Then `e` is
    large, and a confident prediction replaces an answer. If a classifier disagrees because it knows less than the
    annotator, the agreement increases with its confidence. Then `e` is near zero, and all answers are kept. An error
    in the annotator's definition of a label is learnt by the classifier and cannot be found.

    The mixture is the model of label noise of Lawrence and Schölkopf (ICML 2001), with partly random noise.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        held_out (`np.ndarray` of shape `(n, num_labels)`): Log probabilities of a student that has not seen the label.
        views (`np.ndarray` of shape `(n, num_labels)`): Log probabilities from all students.
        trust (`np.ndarray` of shape `(n,)`): Log odds by which each answer is less likely a slip than the average one.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: Probabilities of the annotator's labels without slips.
    """
    n, num_labels = held_out.shape
    answered = np.flatnonzero(labels != NO_LABEL)
    given = labels[answered]
    shares = (np.bincount(given, minlength=num_labels) + 1) / (len(given) + num_labels)
    by_slip = (0.5 * shares + 0.5 / num_labels)[given]
    with np.errstate(divide="ignore"):
        rates = expit(np.log(_SLIPS / (1 - _SLIPS))[:, None] - trust[answered])

    def meant(sharpness: float, scores: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.exp(log_softmax(sharpness * scores[answered], axis=1)[np.arange(len(given)), given])
        return found

    fits = np.zeros((len(_SHARPNESS), len(_SLIPS)))
    for i, sharpness in enumerate(_SHARPNESS):
        follows = meant(sharpness, held_out)
        for j, rate in enumerate(rates):
            fits[i, j] = np.log((1 - rate) * follows + rate * by_slip + 1e-12).sum()
    prior = (1 - _NO_SLIPS) * (1 - _SLIPS) / (1 - _SLIPS[1:]).sum()
    prior[0] = _NO_SLIPS
    weights = softmax(fits - 0.5 * (np.log(_SHARPNESS) / _LOG_SHARPNESS_SD)[:, None] ** 2 + np.log(prior))

    found: np.ndarray = np.zeros((n, num_labels))
    for i, sharpness in enumerate(_SHARPNESS):
        follows, slip = meant(sharpness, views), np.zeros(len(given))
        for j, rate in enumerate(rates):
            if weights[i, j] > _NEGLIGIBLE:
                slip += weights[i, j] * rate * by_slip / ((1 - rate) * follows + rate * by_slip + 1e-12)
        share = np.full(n, weights[i].sum())
        share[answered] = slip
        found += share[:, None] * softmax(sharpness * views, axis=1)
        found[answered, given] += weights[i].sum() - slip
    return found / found.sum(axis=1, keepdims=True)
