"""Answers of an annotator that do not follow from the text as its other answers do, found without a person."""

import numpy as np
from scipy.special import expit, log_softmax, softmax

from freeal_hf.tasks import NO_LABEL

# What is averaged over: how much sharper or blunter the held-out predictions should be, and the share of slips.
_SHARPNESS = np.geomspace(0.35, 4, 10)
_SLIPS = np.array([0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
_NO_SLIPS = 0.5  # probability, before any text is seen, that there are none
_LOG_SHARPNESS_SD = 0.5
_NEGLIGIBLE = 1e-5


def smoothed_log(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Logarithms of held-out predictions, with one more text of each label.

    A classifier that has seen a label once or never gives it next to nothing. That says little.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The predictions.
        count (`int`): How many labelled texts they rest on.
    """
    found: np.ndarray = np.log((probabilities * count + 1) / (count + probabilities.shape[1]))
    return found


def without_slips(labels: np.ndarray, held_out: np.ndarray, views: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Separates what an annotator means from its slips.

    The model: an annotator has a notion of its own of each label, which a classifier on the texts can learn. With a
    probability of `e` an answer does not follow it and is some label: each with the same probability, or by the shares
    of the answers, half of the slips each. So `P(answer | text) = (1 - e) * s(answer | text) + e * q(answer)`, where
    `s` are the held-out predictions to the power of `b`, normalised. `e` and `b` are averaged over their posterior.

    Where labels were flipped at random, held-out predictions never agree with more than a part of them, however sure
    they are: `e` is large, and a sure prediction overrules an answer. Where a classifier disagrees because it knows
    less than the annotator, agreement grows with its certainty, `e` is near zero, and every answer stays. An error
    that is part of the annotator's notion is learnt like anything else, and nothing here can find it.

    The mixture is the model of label noise of Lawrence and Schölkopf (ICML 2001), with noise at random for a part.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        held_out (`np.ndarray` of shape `(n, num_labels)`): Logarithms of predictions without having seen the label.
        views (`np.ndarray` of shape `(n, num_labels)`): Logarithms of what is known from the texts, all in all.
        trust (`np.ndarray` of shape `(n,)`): Log odds by which each answer is less likely a slip than the average one.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: Probabilities of what the annotator means.
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
