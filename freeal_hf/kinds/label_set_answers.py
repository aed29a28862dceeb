"""The answers of annotators in a task with any number of labels for each text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.base import Annotation
from freeal_hf.annotators.pacing import with_answer
from freeal_hf.errors import AnnotatorError
from freeal_hf.kinds.label_answers import ArrayAnswers
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class LabelSetAnswers(ArrayAnswers):
    """The current answers of one annotator, or of several fused, with an entry for each distinct text.

    Args:
        labels (`np.ndarray` of shape `(n, num_labels)`): 1 for each label that applies, 0 for the others, and -1 in
            the whole row if there is no answer. An answer that none of the labels applies is a row of zeros.
        confidences (`np.ndarray` of shape `(n, num_labels)`): The annotator's confidence in each of these values, NaN
            for none.
        reasons (`list[str | None]`): The reasons of missing answers.
        parts (`list[LabelSetAnswers]`): The answers of each annotator if there are several.
    """

    def take(self, index: int, answer: Annotation) -> None:
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

    @property
    def is_missing(self) -> np.ndarray:
        return self.labels[:, 0] == NO_LABEL

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
