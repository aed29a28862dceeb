"""Thresholds of the labels in multi-label classification: a label is predicted if its probability exceeds them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_THRESHOLD = 0.5

_THRESHOLDS = np.round(np.arange(0.05, 0.951, 0.01), 2)
_PRIOR_POSITIVES = 10


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


def choose_thresholds(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> list[float]:
    """Chooses the threshold of each label that gives the highest expected F1.

    The F1 of a threshold is computed from the labels that the student has not learned and from its own probabilities,
    which count like ten texts with the label. Few labels therefore change little.

    Source: the expected F1 of calibrated probabilities (Lipton et al., ECML 2014), section 3.

    Args:
        probabilities (`NDArray` of shape `[n, labels]`): The probability of each label.
        labels (`NDArray` of shape `[n, labels]`): The noisy labels that the student has not learned; -1 for others.

    Returns:
        `list[float]`: The thresholds.

    Example:

        >>> yes = np.array([[0.1], [0.2], [0.35], [0.9]] * 10)
        >>> choose_thresholds(yes, np.array([[0], [0], [1], [1]] * 10))
        [0.34]
    """
    return [_best_threshold(*column) for column in zip(probabilities.T, labels.T, strict=True)]


def _best_threshold(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    is_known = labels >= 0
    weight = _PRIOR_POSITIVES / max(float(probabilities.sum()), 1e-9)
    exceeds = probabilities[:, None] > _THRESHOLDS
    right = (exceeds[is_known] * labels[is_known, None]).sum(0) + weight * (exceeds * probabilities[:, None]).sum(0)
    named = exceeds[is_known].sum(0) + weight * exceeds.sum(0)
    true = labels[is_known].sum() + weight * probabilities.sum()
    scores = 2 * right / (named + true)
    best = np.flatnonzero(scores >= scores.max() - 1e-9)
    return float(_THRESHOLDS[best[np.argmin(np.abs(_THRESHOLDS[best] - DEFAULT_THRESHOLD))]])
