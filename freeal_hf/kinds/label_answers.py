"""The answers of annotators in a task with one label for each text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.base import Annotation
from freeal_hf.annotators.pacing import with_answer
from freeal_hf.kinds.answers import Answers
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class LabelAnswers(Answers):
    """The current answers of one annotator, or of several fused, with an entry for each distinct text.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): The annotator's confidences, NaN for none.
        reasons (`list[str | None]`): Why there is no label.
        parts (`list[LabelAnswers]`): The answers of each annotator if there are several.
    """

    labels: np.ndarray
    confidences: np.ndarray
    reasons: list[str | None]
    parts: list["LabelAnswers"] = field(default_factory=list)

    @classmethod
    def none(cls, count: int) -> "LabelAnswers":
        return cls(np.full(count, NO_LABEL), np.full(count, np.nan), [None] * count)

    def extended_to(self, count: int) -> "LabelAnswers":
        more = LabelAnswers.none(count - len(self.labels))
        return LabelAnswers(
            np.concatenate([self.labels, more.labels]),
            np.concatenate([self.confidences, more.confidences]),
            [*self.reasons, *more.reasons],
            [part.extended_to(count) for part in self.parts],
        )

    def take(self, index: int, answer: Annotation) -> None:
        if answer.is_labelled:
            self.labels[index] = answer.label
            self.confidences[index] = np.nan if answer.confidence is None else answer.confidence
            self.reasons[index] = None
        elif self.labels[index] == NO_LABEL:
            self.reasons[index] = with_answer(answer.reason, answer.answer)

    def refined_by(self, other: "LabelAnswers") -> "LabelAnswers":
        has = other.labels != NO_LABEL
        return LabelAnswers(
            np.where(has, other.labels, self.labels),
            np.where(has, other.confidences, self.confidences),
            [None if found else reason for found, reason in zip(has, self.reasons, strict=True)],
        )

    @property
    def is_missing(self) -> np.ndarray:
        return self.labels == NO_LABEL

    def _columns(self) -> dict[str, "pa.Array"]:
        import pyarrow as pa

        return {
            "label": pa.array(self.labels, pa.int64()),
            "confidence": pa.array(self.confidences, pa.float64(), from_pandas=True),  # null for NaN
            "reason": pa.array(self.reasons, pa.string()),
        }

    @classmethod
    def _from_columns(cls, table: "pa.Table", suffix: str) -> "LabelAnswers":
        return cls(
            np.array(table[f"label{suffix}"], dtype=int),
            np.array(table[f"confidence{suffix}"], dtype=float),
            table[f"reason{suffix}"].to_pylist(),
        )

    @classmethod
    def _from_former(cls, values: Mapping[str, Any]) -> "LabelAnswers":
        labels, confidences = np.array(values["labels"], dtype=int), np.array(values["confidences"], dtype=float)
        return cls(labels, confidences, values["reasons"])
