"""Scores as `evaluate.Metric` objects that load with no network: they are classes of this package, not Hub scripts."""

from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score

from freeal_hf.human_labels import has_human_label
from freeal_hf.tasks import NO_LABEL

_FEATURES = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}


class Accuracy(evaluate.Metric):
    """Share of predictions that equal their reference; -1, "no label", never does.

    Example:

        Accuracy().compute(predictions=[0, 1, -1], references=[0, 1, 0])  # {"accuracy": 0.666...}
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keep_in_memory=True, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Share of predictions that equal their reference.",
            citation="",
            inputs_description="predictions and references: label ids; a prediction of -1 (no label) is wrong.",
            features=datasets.Features(_FEATURES),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


def accuracy(predictions: np.ndarray, gold: np.ndarray) -> float | None:
    """Accuracy over the texts that have a gold label, `None` if none has one.

    Args:
        predictions (`np.ndarray` of shape `(n,)`): Label ids, -1 for none, which is wrong.
        gold (`np.ndarray` of shape `(n,)`): Gold label ids, -1 where there is none.

    Returns:
        `float`, *optional*: Share of right predictions.
    """
    known = gold != NO_LABEL
    if not known.any():
        return None
    scores = Accuracy().compute(predictions=predictions[known].tolist(), references=gold[known].tolist())
    return float(scores["accuracy"])


def score_round(labels: datasets.Dataset) -> dict[str, float | None]:
    """The quality figures of a round's data set, as they stand in `metrics.json`.

    Args:
        labels (`Dataset`): A round's data set; without a column `gold` the accuracies are `None`.

    Returns:
        `dict`: `annotator_accuracy`, `student_accuracy`, `label_accuracy`, `estimated_label_accuracy`,
        `clean_fraction`, `clean_accuracy`.
    """
    final = np.asarray(labels["label"][:])
    clean = np.asarray(labels["is_clean"][:], dtype=bool)
    gold = np.asarray(labels["gold"][:]) if "gold" in labels.column_names else np.full(len(labels), NO_LABEL)
    annotator = np.asarray(labels["annotator_label"][:])
    human = np.array([has_human_label(note) for note in labels["note"][:]])
    # Whoever has a person's label was perhaps never asked; that is no error of the annotator.
    asked = ~human | (annotator != NO_LABEL)
    learnt = np.where(human, final, annotator)
    confidence = np.asarray(labels["label_confidence"][:], dtype=float)[final != NO_LABEL]
    return {
        "annotator_accuracy": accuracy(annotator[asked], gold[asked]),
        "student_accuracy": accuracy(np.asarray(labels["student_label"][:]), gold),
        "label_accuracy": accuracy(final, gold),
        "estimated_label_accuracy": float(confidence.mean()) if len(confidence) else None,
        "clean_fraction": float(clean.mean()),
        "clean_accuracy": accuracy(learnt[clean], gold[clean]),
    }
