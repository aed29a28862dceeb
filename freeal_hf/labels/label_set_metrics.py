"""Scores of sets of labels as an `evaluate.Metric` class of this package, which loads without a network."""

import math
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from freeal_hf.data.human_labels import has_human_label
from freeal_hf.training.multi_label import multi_label_scores

FIGURES = ("micro_f1", "macro_f1", "exact_match", "precision", "recall")
"""The scores of annotator, student and final labels in the record of a round."""


class LabelSetScores(evaluate.Metric):
    """Micro and macro F1, micro precision and recall, exact match, and F1 of each label.

    The macro F1 is the mean over the labels that occur in predictions or references. A score whose denominator is zero
    is `None`: nothing can be said of a label that occurs nowhere.

    Example:

        LabelSetScores().compute(predictions=[[1, 0], [0, 0]], references=[[1, 1], [0, 0]])
        # {"micro_f1": 0.666..., "macro_f1": 0.5, "exact_match": 0.5, "precision": 1.0, "recall": 0.5,
        #  "f1": [1.0, 0.0]}
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keep_in_memory=True, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        row = datasets.Sequence(datasets.Value("int32"))
        return evaluate.MetricInfo(
            description="Micro and macro F1, precision, recall, exact match, and F1 of each label.",
            citation="",
            inputs_description="predictions and references: for each text, 1 or 0 for each label.",
            features=datasets.Features({"predictions": row, "references": row}),
        )

    def _compute(self, predictions: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> dict[str, Any]:
        found, true = np.array(predictions) == 1, np.array(references) == 1
        right, named, given = (found & true).sum(axis=0), found.sum(axis=0), true.sum(axis=0)
        by_label = [_ratio(2 * r, n + g) for r, n, g in zip(right, named, given, strict=True)]
        scores = multi_label_scores(found, true.astype(int))
        return {
            **{name: None if math.isnan(score) else score for name, score in scores.items()},
            "precision": _ratio(right.sum(), named.sum()),
            "recall": _ratio(right.sum(), given.sum()),
            "f1": by_label,
        }


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def score_label_sets(labels: datasets.Dataset) -> dict[str, Any]:
    """Computes the scores of the dataset of a round, as in `metrics.json`.

    A text without an answer counts as one with none of the labels in F1, and as wrong in exact match.

    Args:
        labels (`Dataset`): The dataset of a round. Without a column `gold` all scores are `None`.

    Returns:
        `dict`: For `annotator`, `student` and `label` (the final labels) each of `FIGURES`, such as `label_micro_f1`,
        the share of texts with exactly the right labels as `label_accuracy`, and `label_f1_by_label`. Further
        `clean_fraction` (texts all of whose labels are clean) and `clean_accuracy`.
    """
    names = labels.features["label"].feature.names
    gold = labels["gold"][:] if "gold" in labels.column_names else [None] * len(labels)
    human = [has_human_label(note) for note in labels["note"][:]]
    annotator, final = labels["annotator_label"][:], labels["label"][:]
    scored = [i for i, true in enumerate(gold) if true is not None]
    record: dict[str, Any] = {}
    for who, found in (("annotator", annotator), ("student", labels["student_label"][:]), ("label", final)):
        # A text with a human label may not have been annotated; this is not an error of the annotator.
        rows = [i for i in scored if who != "annotator" or not human[i] or found[i] is not None]
        scores = _scores([found[i] for i in rows], [gold[i] for i in rows], len(names))
        record |= {f"{who}_{figure}": scores.get(figure) for figure in FIGURES}
        record[f"{who}_accuracy"] = scores.get("exact_match")
        record[f"{who}_f1_by_label"] = dict(zip(names, scores["f1"], strict=True)) if scores else None
    learnt = [final[i] if human[i] else labels_ for i, labels_ in enumerate(annotator)]
    clean = np.asarray(labels["is_clean"][:], dtype=bool)
    trusted = [i for i in scored if clean[i]]
    return {
        **record,
        "clean_fraction": float(clean.mean()),
        "clean_accuracy": float(np.mean([learnt[i] == gold[i] for i in trusted])) if trusted else None,
    }


def _scores(found: Sequence[Any], gold: Sequence[Any], num_labels: int) -> dict[str, Any]:
    if not gold:
        return {}

    def rows(sets: Sequence[Any]) -> list[list[int]]:
        return [[int(label in (labels or ())) for label in range(num_labels)] for labels in sets]

    scores = LabelSetScores().compute(predictions=rows(found), references=rows(gold))
    exact = float(np.mean([some == true for some, true in zip(found, gold, strict=True)]))
    return {**scores, "exact_match": exact}
