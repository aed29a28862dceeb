"""Scores of multi-label classification, also as `compute_metrics` of a Trainer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from transformers import EvalPrediction

from freeal_hf.training.thresholds import DEFAULT_THRESHOLD, decided


def multi_label_scores(predictions: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """Scores predicted labels.

    Args:
        predictions (`NDArray` of shape `[n, labels]`): 1 or true for each predicted label.
        labels (`NDArray` of shape `[n, labels]`): 1 for each label that applies, 0 for the others, and a negative value
            if there is no answer.

    Returns:
        `dict[str, float]`: `f1_micro` (of all pairs of a text and a label), `f1_macro` (the mean over labels), and
        `exact_match`, the share of texts whose labels are all right. Pairs without an answer do not count, and texts
        without any answer do not either. A label that no text has and that is never predicted has an F1 of 1.

    Example:

        >>> multi_label_scores(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [0, 1]]))
        {'f1_micro': 0.8, 'f1_macro': 0.8333333333333333, 'exact_match': 0.5}
    """
    known = labels >= 0
    found, true = np.where(known, predictions, 0).astype(int), np.where(known, labels, 0).astype(int)
    answered = known.any(axis=1)
    return {
        "f1_micro": float(f1_score(true.reshape(-1), found.reshape(-1), zero_division=1)),
        "f1_macro": float(
            np.mean([f1_score(*columns, zero_division=1) for columns in zip(true.T, found.T, strict=True)])
        ),
        "exact_match": float((found == true).all(axis=1)[answered].mean()) if answered.any() else 0.0,
    }


def multi_label_metrics(
    thresholds: float | Sequence[float] = DEFAULT_THRESHOLD,
) -> Callable[[EvalPrediction], dict[str, float]]:
    """Makes a `compute_metrics` that scores the logits of a multi-label student.

    Args:
        thresholds (`float` or `Sequence[float]`, *optional*, defaults to 0.5): The probability that a label must exceed
            to be predicted, for all labels or for each.

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
