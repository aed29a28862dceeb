"""The answers of annotators in a task with one label for each text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        candidates (`dict[int, tuple[int, ...]]`): The plausible labels, by index of the text, of texts without a label
            for which the annotator gave several.
    """

    candidates: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def extended_to(self, count: int) -> "Self":
        return replace(super().extended_to(count), candidates=dict(self.candidates))

    def refined_by(self, other: "Self") -> "Self":
        found = super().refined_by(other)
        both = {**self.candidates, **other.candidates}
        found.candidates = {index: some for index, some in both.items() if found.is_missing[index]}
        return found

    def copied(self) -> "Self":
        return replace(super().copied(), candidates=dict(self.candidates))

    def with_candidates_of(self, group: "Sequence[LabelAnswers]") -> "Self":
        """Adds the candidates of several annotators for the texts that none of them gave a label.

        These are the candidates that all of them name, or all candidates if there are no such ones.
        """
        for index in sorted({index for part in group for index in part.candidates}):
            if self.is_missing[index]:
                named = [set(part.candidates[index]) for part in group if index in part.candidates]
                self._take_candidates(index, tuple(sorted(set.intersection(*named) or set.union(*named))))
        return self

    def allowed(self, num_labels: int) -> np.ndarray | None:
        """Returns which labels each text can have, shape `(n, num_labels)`; `None` if no text has candidates."""
        if not self.candidates:
            return None
        found = np.ones((len(self.labels), num_labels), dtype=bool)
        for index, some in self.candidates.items():
            found[index] = False
            found[index, list(some)] = True
        return found

    @property
    def figures(self) -> dict[str, Any]:
        return {"texts_with_candidates": len(self.candidates)} if self.candidates else {}

    def _take_candidates(self, index: int, some: tuple[int, ...]) -> None:
        if len(some) == 1:
            self.labels[index], self.reasons[index] = some[0], None
        elif some:
            self.candidates[index] = some

    def take(self, index: int, answer: Annotation) -> None:
        if answer.is_labelled:
            self.candidates.pop(index, None)
            self.labels[index] = answer.label
            self.confidences[index] = np.nan if answer.confidence is None else answer.confidence
            self.reasons[index] = None
        elif self.labels[index] == NO_LABEL:
            self.reasons[index] = with_answer(answer.reason, answer.answer)
            self._take_candidates(index, answer.candidates)

    @property
    def is_missing(self) -> np.ndarray:
        return self.labels == NO_LABEL

    def _columns(self) -> dict[str, "pa.Array"]:
        import pyarrow as pa

        candidates = [self.candidates.get(index) for index in range(len(self.labels))] if self.candidates else []
        return {
            **({"candidates": pa.array(candidates, pa.list_(pa.int64()))} if candidates else {}),
            "label": pa.array(self.labels, pa.int64()),
            "confidence": pa.array(self.confidences, pa.float64(), from_pandas=True),  # null for NaN
            "reason": pa.array(self.reasons, pa.string()),
        }

    @classmethod
    def _from_columns(cls, table: "pa.Table", suffix: str) -> "LabelAnswers":
        name = f"candidates{suffix}"
        candidates = table[name].to_pylist() if name in table.column_names else []
        return cls(
            np.array(table[f"label{suffix}"], dtype=int),
            np.array(table[f"confidence{suffix}"], dtype=float),
            table[f"reason{suffix}"].to_pylist(),
            candidates={index: tuple(some) for index, some in enumerate(candidates) if some is not None},
        )

    @classmethod
    def _from_former(cls, values: Mapping[str, Any]) -> "LabelAnswers":
        labels, confidences = np.array(values["labels"], dtype=int), np.array(values["confidences"], dtype=float)
        return cls(labels, confidences, values["reasons"])
