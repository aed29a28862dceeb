"""Thresholds of the labels in multi-label classification: a label is predicted if its probability exceeds them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_THRESHOLD = 0.5

_THRESHOLDS = np.round(np.arange(0.05, 0.951, 0.01), 2)


def thresholds_of(config: Any) -> NDArray[np.float64]:
    """Returns the threshold of each label of a student.

    Args:
        config (`PreTrainedConfig`): The configuration of the student.

    Returns:
        `NDArray` of shape `[labels]`: The `thresholds` of the configuration; 0.5 for each label if it has none.

    Example:

        >>> from transformers import BertConfig
        >>> thresholds_of(BertConfig(num_labels=2, thresholds=[0.3, 0.6])).tolist()
        [0.3, 0.6]
    """
    found = config.to_dict().get("thresholds")
    return np.array([DEFAULT_THRESHOLD] * config.num_labels if found is None else found)


def decided(probabilities: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Returns the labels that are predicted.

    Args:
        probabilities (`NDArray` of shape `[n, labels]`): The probability of each label.
        thresholds (`NDArray` of shape `[labels]`): The thresholds.

    Returns:
        `NDArray` of shape `[n, labels]`: Whether each probability exceeds its threshold.
    """
    return probabilities > thresholds


def choose_threshold(probabilities: NDArray[np.floating]) -> float:
    """Chooses the threshold of a label that gives the highest expected F1.

    The expectation is that of the student: a text counts as having a label with the probability that the student gives
    it. Noisy labels would move the threshold towards the errors of the annotator, and too few of those that the
    student has not learned are about a rare label. They choose the temperature of the probabilities instead.

    Source: the F1 of calibrated probabilities (Lipton et al., ECML 2014), section 3.

    Args:
        probabilities (`NDArray` of shape `[n]`): The probability of the label in each text.

    Returns:
        `float`: The threshold, from 0.05 to 0.95. Among equal ones the closest to 0.5 is chosen.

    Example:

        >>> choose_threshold(np.array([0.1, 0.2, 0.45, 0.9])), choose_threshold(np.array([0.1, 0.1, 0.1, 0.9]))
        (0.44, 0.5)
    """
    ordered = np.sort(probabilities.astype(np.float64))[::-1]
    named = np.searchsorted(-ordered, -_THRESHOLDS)  # the probabilities above each threshold
    right = np.concatenate([[0.0], np.cumsum(ordered)])[named]
    scores = 2 * right / np.maximum(named + ordered.sum(), 1e-9)
    best = _THRESHOLDS[scores >= scores.max() - 1e-9]
    return float(best[np.argmin(np.abs(best - DEFAULT_THRESHOLD))])
