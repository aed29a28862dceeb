"""Scores of multi-label classification, also as `compute_metrics` of a Trainer."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import EvalPrediction

from freeal_hf.training.thresholds import DEFAULT_THRESHOLD, decided


def multi_label_scores(predictions: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """Scores predicted labels.

    Args:
        predictions (`NDArray` of shape `[n, labels]`): 1 or true for each predicted label.
        labels (`NDArray` of shape `[n, labels]`): 1 for each label that applies, 0 for the others, and a negative
            value if there is no answer.

    Returns:
        `dict[str, float]`: `micro_f1` (of all pairs of a text and a label), `macro_f1` (the mean over the labels that
        occur in predictions or labels), and `exact_match`, the share of texts whose labels are all right. Pairs
        without an answer do not count. A score of nothing is NaN.

    Example:

        >>> multi_label_scores(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [0, 1]]))
        {'micro_f1': 0.8, 'macro_f1': 0.8333333333333333, 'exact_match': 0.5}
    """
    known = labels >= 0
    found, true = (predictions > 0) & known, (labels > 0) & known
    right, named = (found & true).sum(axis=0), found.sum(axis=0) + true.sum(axis=0)
    answered = known.any(axis=1)
    occurs = named > 0
    return {
        "micro_f1": float(2 * right.sum() / named.sum()) if occurs.any() else math.nan,
        "macro_f1": float(np.mean(2 * right[occurs] / named[occurs])) if occurs.any() else math.nan,
        "exact_match": float((found == true).all(axis=1)[answered].mean()) if answered.any() else math.nan,
    }


def multi_label_metrics(
    thresholds: float | Sequence[float] = DEFAULT_THRESHOLD,
) -> Callable[[EvalPrediction], dict[str, float]]:
    """Makes a `compute_metrics` that scores the logits of a multi-label student.

    Args:
        thresholds (`float` or `Sequence[float]`, *optional*, defaults to 0.5): The probability that a label must
            exceed to be predicted, for all labels or for each.

    Returns:
        `Callable`: A function for `Trainer(compute_metrics=...)`; see `multi_label_scores`.

    Example:

        >>> compute_metrics = multi_label_metrics()
        >>> compute_metrics(EvalPrediction(np.array([[2.0, -1.0]]), np.array([[1.0, 0.0]])))["exact_match"]
        1.0
    """

    def compute_metrics(found: EvalPrediction) -> dict[str, float]:
        probabilities = 1 / (1 + np.exp(-np.asarray(found.predictions, dtype=np.float64)))
        return multi_label_scores(decided(probabilities, np.asarray(thresholds)), np.asarray(found.label_ids))

    return compute_metrics
