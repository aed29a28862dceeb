"""Scores as `evaluate.Metric` classes of this package, which load without a network."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score

from freeal_hf.data.human_labels import has_human_label
from freeal_hf.data.sentences import tag_names
from freeal_hf.data.spans import spans_of
from freeal_hf.tasks import NO_LABEL, OUTSIDE

_FEATURES = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}


class Accuracy(evaluate.Metric):
    """Share of predictions that equal their reference. A prediction of -1 (no label) is wrong.

    Example:

        >>> Accuracy().compute(predictions=[0, 1, -1, 1], references=[0, 1, 0, 1])
        {'accuracy': 0.75}
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


class EntityScores(evaluate.Metric):
    """Precision, recall and F1 of whole entities by seqeval's definition (its default mode), in total and per type.

    An entity is right if its bounds and its type are right. Source: Tjong Kim Sang and De Meulder, CoNLL 2003.

    Example:

        >>> scores = EntityScores().compute(predictions=[["B-PER", "O"]], references=[["B-PER", "B-LOC"]])
        >>> scores["precision"], scores["recall"], scores["PER"]["f1"]
        (1.0, 0.5, 1.0)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keep_in_memory=True, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of whole entities.",
            citation="",
            inputs_description="predictions and references: the BIO tags of each sentence.",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, Any]:
        right: Counter[str] = Counter()
        named: Counter[str] = Counter()
        true: Counter[str] = Counter()
        for predicted, reference in zip(predictions, references, strict=True):
            found, expected = set(spans_of(predicted)), set(spans_of(reference))
            right.update(span.type for span in found & expected)
            named.update(span.type for span in found)
            true.update(span.type for span in expected)
        types = sorted({*named, *true})
        return {
            **_entity_scores(right.total(), named.total(), true.total()),
            **{name: _entity_scores(right[name], named[name], true[name]) for name in types},
        }


def _entity_scores(right: int, named: int, true: int) -> dict[str, float]:
    return {
        "precision": right / named if named else 0.0,
        "recall": right / true if true else 0.0,
        "f1": 2 * right / (named + true) if named + true else 0.0,
    }


def score_entities(labels: datasets.Dataset) -> dict[str, Any]:
    """Computes the scores of a round's dataset with entities, as in `metrics.json`.

    Args:
        labels (`Dataset`): A round's dataset; without a column `gold` all scores are `None`.

    Returns:
        `dict`: The scores of `score_round`, with accuracies over words and `clean_fraction` over sentences; precision,
        recall and F1 of entities as `annotator_f1`, `student_f1`, `label_f1`, ...; and `label_f1_by_type`, ...
    """
    tags = labels.features["label"].feature.names
    all_gold = labels["gold"] if "gold" in labels.column_names else []
    rows = labels.select([i for i, gold in enumerate(all_gold) if gold and NO_LABEL not in gold])
    clean = np.asarray(labels["is_clean"][:], dtype=bool)
    types = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
    gold, annotator, final = rows["gold"][:] if len(rows) else [], rows["annotator_label"][:], rows["label"][:]
    human = [has_human_label(note) for note in rows["note"][:]]
    # A text with a human label may not have been annotated; this is not an error of the annotator.
    asked = [i for i, row in enumerate(annotator) if not human[i] or NO_LABEL not in row]
    record: dict[str, Any] = {}
    for name, found in (("annotator", annotator), ("student", rows["student_label"][:]), ("label", final)):
        places = asked if name == "annotator" else range(len(rows))
        said, truth = [found[i] for i in places], [gold[i] for i in places]
        record[f"{name}_accuracy"] = accuracy(_words(said), _words(truth))
        scores: dict[str, Any] = {}
        if said:
            predictions, references = ([tag_names(row, tags) for row in part] for part in (said, truth))
            scores = EntityScores().compute(predictions=predictions, references=references)
        for figure in ("precision", "recall", "f1"):
            record[f"{name}_{figure}"] = scores.get(figure)
        record[f"{name}_f1_by_type"] = {kind: scores.get(kind, {}).get("f1") for kind in types} if said else None
    learnt = [final[i] if human[i] else row for i, row in enumerate(annotator)]
    trusted = np.flatnonzero(rows["is_clean"][:])
    record["clean_accuracy"] = accuracy(_words([learnt[i] for i in trusted]), _words([gold[i] for i in trusted]))
    confidence = [value for value in labels["label_confidence"][:] if value is not None]
    return {
        **record,
        "estimated_label_accuracy": float(np.mean(confidence)) if confidence else None,
        "clean_fraction": float(clean.mean()),
    }


def _words(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([tag for row in rows for tag in row], dtype=int)


def accuracy(predictions: np.ndarray, gold: np.ndarray) -> float | None:
    """Computes the accuracy over the texts that have a gold label, `None` if no text has one.

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


def calibration_error(confidences: np.ndarray, is_right: np.ndarray, *, bins: int = 15) -> float | None:
    """Computes the expected calibration error, the distance of confidences from the share of right predictions.

    The predictions are divided into bins of equal width by their confidence. The result is the mean over predictions
    of the distance between the mean confidence and the accuracy of their bin. It is too high for few predictions,
    because chance moves the accuracy of a small bin.

    Source: Naeini et al. (AAAI 2015); Guo et al. (ICML 2017), equation 3.

    Args:
        confidences (`np.ndarray` of shape `(n,)`): Probability that each prediction is right, NaN where it is unknown.
        is_right (`np.ndarray` of shape `(n,)`): Whether each prediction is right.
        bins (`int`, *optional*, defaults to 15): Number of bins.

    Returns:
        `float`, *optional*: A share between 0 and 1, `None` if no confidence is known.

    Example:

        >>> calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, True, False]))
        0.15
    """
    known = ~np.isnan(confidences)
    if not known.any():
        return None
    confidences, is_right = confidences[known], is_right[known]
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    surplus = np.bincount(bin_of, confidences - is_right, minlength=bins)
    return round(float(np.abs(surplus).sum() / len(confidences)), 12)


def score_round(labels: datasets.Dataset) -> dict[str, float | None]:
    """Computes the scores of a round's dataset, as in `metrics.json`.

    Args:
        labels (`Dataset`): A round's dataset. Without a column `gold`, accuracies and calibration errors are `None`.

    Returns:
        `dict`: `annotator_accuracy`, `student_accuracy`, `student_calibration_error`, `label_accuracy`,
        `label_calibration_error`, `estimated_label_accuracy`, `clean_fraction`, `clean_accuracy`.
    """
    final = np.asarray(labels["label"][:])
    clean = np.asarray(labels["is_clean"][:], dtype=bool)
    gold = np.asarray(labels["gold"][:]) if "gold" in labels.column_names else np.full(len(labels), NO_LABEL)
    annotator = np.asarray(labels["annotator_label"][:])
    human = np.array([has_human_label(note) for note in labels["note"][:]])
    # A text with a human label may not have been annotated; this is not an error of the annotator.
    asked = ~human | (annotator != NO_LABEL)
    learnt = np.where(human, final, annotator)
    confidence = np.asarray(labels["label_confidence"][:], dtype=float)[final != NO_LABEL]

    def miscalibration(of: str, found: np.ndarray, rows: np.ndarray) -> float | None:
        rows = rows & (gold != NO_LABEL) & (found != NO_LABEL)
        return calibration_error(np.asarray(labels[of][:], dtype=float)[rows], (found == gold)[rows])

    student = np.asarray(labels["student_label"][:])
    return {
        "annotator_accuracy": accuracy(annotator[asked], gold[asked]),
        "student_accuracy": accuracy(student, gold),
        "student_calibration_error": miscalibration("student_confidence", student, np.ones(len(gold), dtype=bool)),
        "label_accuracy": accuracy(final, gold),
        "label_calibration_error": miscalibration("label_confidence", final, ~human),
        "estimated_label_accuracy": float(confidence.mean()) if len(confidence) else None,
        "clean_fraction": float(clean.mean()),
        "clean_accuracy": accuracy(learnt[clean], gold[clean]),
    }
