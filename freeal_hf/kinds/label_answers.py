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
    from typing_extensions import Self


@dataclass
class ArrayAnswers(Answers):
    """Base class of answers whose labels are an array with an entry or a row for each distinct text.

    Args:
        labels (`np.ndarray`): The answers, -1 for none. The first dimension has the texts.
        confidences (`np.ndarray` of the same shape): The annotator's confidences, NaN for none.
        reasons (`list[str | None]`): The reasons of missing answers.
        parts (`list[ArrayAnswers]`): The answers of each annotator if there are several.
    """

    labels: np.ndarray
    confidences: np.ndarray
    reasons: list[str | None]
    parts: list[Any] = field(default_factory=list)

    @classmethod
    def none(cls, count: int, *shape: int) -> "Self":
        """Returns the answers for `count` texts that are not annotated yet, of this shape for each text."""
        return cls(np.full((count, *shape), NO_LABEL), np.full((count, *shape), np.nan), [None] * count)

    def empty(self) -> "Self":
        return self.none(*self.labels.shape)

    def extended_to(self, count: int) -> "Self":
        more = self.none(count - len(self.labels), *self.labels.shape[1:])
        return type(self)(
            np.concatenate([self.labels, more.labels]),
            np.concatenate([self.confidences, more.confidences]),
            [*self.reasons, *more.reasons],
            [part.extended_to(count) for part in self.parts],
        )

    def refined_by(self, other: "Self") -> "Self":
        has = other.labels != NO_LABEL
        return type(self)(
            np.where(has, other.labels, self.labels),
            np.where(has, other.confidences, self.confidences),
            [None if is_new else reason for is_new, reason in zip(~other.is_missing, self.reasons, strict=True)],
        )

    def copied(self) -> "Self":
        """Returns a copy without `parts`."""
        return type(self)(self.labels.copy(), self.confidences.copy(), list(self.reasons))

    def fused(self, labels: np.ndarray) -> "Self":
        """Returns fused answers with these labels, without confidences, and with the reasons of these answers.

        The fused probabilities are not used as confidences: correlated errors of annotators make them too high.
        """
        found = type(self)(labels, np.full(labels.shape, np.nan), self.reasons)
        pairs = zip(found.is_missing, self.reasons, strict=True)
        found.reasons = [reason if is_missing else None for is_missing, reason in pairs]
        return found

    @property
    def sources(self) -> np.ndarray:
        """The number of the annotator of each answer, the last one that has answered, shape `(n,)`."""
        found = np.zeros(len(self.labels), dtype=int)
        for number, part in enumerate(self.parts):
            found[~part.is_missing] = number
        return found


@dataclass
class LabelAnswers(ArrayAnswers):
    """The current answers of one annotator, or of several fused, with an entry for each distinct text.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): The annotator's confidences, NaN for none.
        reasons (`list[str | None]`): The reasons of missing labels.
        parts (`list[LabelAnswers]`): The answers of each annotator if there are several.
    """

    def take(self, index: int, answer: Annotation) -> None:
        if answer.is_labelled:
            self.labels[index] = answer.label
            self.confidences[index] = np.nan if answer.confidence is None else answer.confidence
            self.reasons[index] = None
        elif self.labels[index] == NO_LABEL:
            self.reasons[index] = with_answer(answer.reason, answer.answer)

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
