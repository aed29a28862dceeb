"""The answers of annotators in a task with any number of labels for each text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.base import Annotation
from freeal_hf.annotators.pacing import with_answer
from freeal_hf.errors import AnnotatorError
from freeal_hf.kinds.answers import Answers
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class LabelSetAnswers(Answers):
    """The current answers of one annotator, or of several fused, with an entry for each distinct text.

    Args:
        labels (`np.ndarray` of shape `(n, num_labels)`): 1 for each label that applies, 0 for the others, and -1 in
            the whole row if there is no answer. An answer that none of the labels applies is a row of zeros.
        confidences (`np.ndarray` of shape `(n, num_labels)`): The annotator's confidence in each of these values, NaN
            for none.
        reasons (`list[str | None]`): Why there is no answer.
        parts (`list[LabelSetAnswers]`): The answers of each annotator if there are several.
    """

    labels: np.ndarray
    confidences: np.ndarray
    reasons: list[str | None]
    parts: list["LabelSetAnswers"] = field(default_factory=list)

    @classmethod
    def none(cls, count: int, num_labels: int = 0) -> "LabelSetAnswers":
        """Returns the answers for `count` texts that are not annotated yet."""
        shape = (count, num_labels)
        return cls(np.full(shape, NO_LABEL), np.full(shape, np.nan), [None] * count)

    def empty(self) -> "LabelSetAnswers":
        """Returns missing answers for the same texts."""
        return LabelSetAnswers.none(*self.labels.shape)

    def extended_to(self, count: int) -> "LabelSetAnswers":
        """Returns the same answers for more texts. The new texts have no answer."""
        more = LabelSetAnswers.none(count - len(self.labels), self.labels.shape[1])
        return LabelSetAnswers(
            np.concatenate([self.labels, more.labels]),
            np.concatenate([self.confidences, more.confidences]),
            [*self.reasons, *more.reasons],
            [part.extended_to(count) for part in self.parts],
        )

    def take(self, index: int, answer: Annotation) -> None:
        """Enters an answer. An answer without labels does not replace one of an earlier round."""
        if answer.is_labelled:
            if answer.labels is None:
                raise AnnotatorError(
                    f"An annotation has the label id {answer.label} and no `labels`; in a task with any number of "
                    "labels give Annotation(0, labels=(...)), with () for none of the labels."
                )
            applies = np.zeros(self.labels.shape[1], dtype=int)
            applies[list(answer.labels)] = 1
            self.labels[index], self.reasons[index] = applies, None
            self.confidences[index] = np.nan
            if answer.probabilities is not None:
                yes = np.asarray(answer.probabilities, dtype=float)
                self.confidences[index] = np.where(applies == 1, yes, 1 - yes)
        elif self.labels[index, 0] == NO_LABEL:
            self.reasons[index] = with_answer(answer.reason, answer.answer)

    def refined_by(self, other: "LabelSetAnswers") -> "LabelSetAnswers":
        """Returns the same answers, replaced by those of another annotator for the texts that it has labelled."""
        has = ~other.is_missing
        return LabelSetAnswers(
            np.where(has[:, None], other.labels, self.labels),
            np.where(has[:, None], other.confidences, self.confidences),
            [None if found else reason for found, reason in zip(has, self.reasons, strict=True)],
        )

    @property
    def is_missing(self) -> np.ndarray:
        """Whether a text has no answer, shape `(n,)`."""
        return self.labels[:, 0] == NO_LABEL

    @property
    def sources(self) -> np.ndarray:
        """The number of the annotator of each answer, which is the last one with an answer to the text; `(n,)`."""
        found = np.zeros(len(self.labels), dtype=int)
        for number, part in enumerate(self.parts):
            found[~part.is_missing] = number
        return found

    def _columns(self) -> dict[str, "pa.Array"]:
        import pyarrow as pa

        confidences = [None if np.isnan(row).all() else row.tolist() for row in self.confidences]
        return {
            "applies": pa.array(self.labels.tolist(), pa.list_(pa.int8())),
            "confidence": pa.array(confidences, pa.list_(pa.float64())),
            "reason": pa.array(self.reasons, pa.string()),
        }

    @classmethod
    def _from_columns(cls, table: "pa.Table", suffix: str) -> "LabelSetAnswers":
        labels = np.array(table[f"applies{suffix}"].to_pylist(), dtype=int)
        confidences = np.full(labels.shape, np.nan)
        for row, found in enumerate(table[f"confidence{suffix}"].to_pylist()):
            if found is not None:
                confidences[row] = found
        return cls(labels, confidences, table[f"reason{suffix}"].to_pylist())

    @classmethod
    def _from_former(cls, values: Mapping[str, Any]) -> "LabelSetAnswers":
        raise ValueError("Earlier versions had no task with any number of labels, and no answers in JSON for it.")
