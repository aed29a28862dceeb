"""Estimates the share of labels that are slips: labels that do not depend on the text. The module uses NumPy only."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

SHARPNESS = np.geomspace(0.35, 4, 10)
"""Values of the exponent of predictions to average over."""

SLIPS = np.array([0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
"""Values of the share of slips to average over."""

_NO_SLIPS = 0.8  # prior probability that there are none
_LOG_SHARPNESS_SD = 0.5
_TINY = 1e-12  # added before a logarithm is taken


def smoothed_log(probabilities: Floats, count: int) -> Floats:
    """Returns the logarithms of held-out predictions, smoothed with one more text of each label.

    A classifier that has seen a label once or never gives it a probability near zero, which is not reliable.

    Args:
        probabilities (`NDArray` of shape `[n, classes]`): The predictions.
        count (`int`): The number of labelled texts that the classifier was trained on.
    """
    found: Floats = np.log((probabilities * count + 1) / (count + probabilities.shape[1]))
    return found


def text_likelihoods(labels: Integers, scores: Floats) -> Floats:
    """Returns the probability of each label given its text, for each exponent of the predictions.

    Args:
        labels (`NDArray` of shape `[n]`): The labels, none below 0.
        scores (`NDArray` of shape `[n, classes]`): Log probabilities that a classifier predicts.

    Returns:
        `NDArray` of shape `[exponents, n]`: The probabilities.
    """
    rows = np.arange(len(labels))
    return np.array([np.exp(log_softmax(sharpness * scores, axis=1)[rows, labels]) for sharpness in SHARPNESS])


def slip_likelihoods(labels: Integers, num_classes: int) -> Floats:
    """Returns the probability of each label if it is a slip. Half of the slips are uniform over the labels, and half
    follow the shares of the labels.

    Args:
        labels (`NDArray` of shape `[n]`): The labels, none below 0.
        num_classes (`int`): The number of classes.
    """
    shares = (np.bincount(labels, minlength=num_classes) + 1) / (len(labels) + num_classes)
    found: Floats = (0.5 * shares + 0.5 / num_classes)[labels]
    return found


def log_posteriors(by_text: Floats, by_slip: Floats, rates: Floats) -> Floats:
    """Returns log posteriors of the exponents (rows) given each share of slips (columns), not normalised.

    Args:
        by_text (`NDArray` of shape `[exponents, n]`): The result of `text_likelihoods`.
        by_slip (`NDArray` of shape `[n]`): The result of `slip_likelihoods`.
        rates (`NDArray` of shape `[shares, n]` or `[shares, 1]`): The probability that each label is a slip.
    """
    likelihoods = [np.log((1 - rate) * by_text + rate * by_slip + _TINY).sum(axis=1) for rate in rates]
    found: Floats = np.column_stack(likelihoods) - 0.5 * (np.log(SHARPNESS) / _LOG_SHARPNESS_SD)[:, None] ** 2
    return found


def slip_shares(posteriors: Floats, least: float = 0.0) -> Floats:
    """Returns the posterior probability of each share of slips.

    Args:
        posteriors (`NDArray` of shape `[exponents, shares]`): The result of `log_posteriors`.
        least (`float`, *optional*, defaults to 0): The smallest possible share of slips, from 0 to 1.
    """
    prior = (1 - _NO_SLIPS) * (1 - SLIPS) / (1 - SLIPS[1:]).sum()
    prior[0] = _NO_SLIPS
    prior[: np.searchsorted(SLIPS, least, side="right") - 1] = 0
    with np.errstate(divide="ignore"):
        found: Floats = softmax(logsumexp(posteriors, axis=0) + np.log(prior))
    return found


def probability_of_slips(labels: Integers, held_out: Floats) -> float:
    """Returns the probability that some labels are slips.

    If labels were flipped at random, even confident held-out predictions agree with only a part of them. Errors that a
    classifier can learn from the texts are no slips.

    Args:
        labels (`NDArray` of shape `[n]`): The labels; -1 means none.
        held_out (`NDArray` of shape `[n, classes]`): The probabilities of a classifier that has not seen the labels.

    Example:

        >>> import numpy as np
        >>> held_out = np.repeat([[0.99, 0.01], [0.01, 0.99]], 100, axis=0)
        >>> labels = np.repeat([0, 1], 100)
        >>> flipped = np.where(np.arange(200) % 4, labels, 1 - labels)
        >>> [round(probability_of_slips(found, held_out)) for found in (labels, flipped)]
        [0, 1]
    """
    labelled = labels >= 0
    labels, scores = labels[labelled], smoothed_log(held_out[labelled], int(labelled.sum()))
    by_slip = slip_likelihoods(labels, scores.shape[1])
    shares = slip_shares(log_posteriors(text_likelihoods(labels, scores), by_slip, SLIPS[:, None]))
    return float(1 - shares[0])


def admitted_slips(labels: Integers, confidences: Floats, guesses: Integers) -> float:
    """Computes the share of slips that an annotator's own confidences admit.

    If the mean confidence is below the annotator's agreement with a held-out student, the remainder to 1 is taken for
    slips. A higher mean confidence is not used, because language models claim too much.

    Args:
        labels (`NDArray` of shape `[n]`): Label ids; none below 0.
        confidences (`NDArray` of shape `[n]`): The confidences in them, NaN where there are none.
        guesses (`NDArray` of shape `[n]`): Predictions of a student that has not seen the label, -1 for none.

    Example:

        >>> import numpy as np
        >>> labels = np.array([0, 1, 1, 0])
        >>> admitted_slips(labels, np.full(4, 0.75), labels), admitted_slips(labels, np.full(4, 0.75), 1 - labels)
        (0.25, 0.0)
    """
    if np.isnan(confidences).all():
        return 0.0
    claimed = float(np.nanmean(confidences))
    return 1 - claimed if claimed < np.mean(guesses == labels) else 0.0
