"""Writes the sets of labels that a trained student predicts."""

from dataclasses import dataclass, field

import numpy as np

from freeal_hf.labels.label_sets import student_sets
from freeal_hf.prediction.classifier import Columns
from freeal_hf.tasks import MultiLabelClassification


@dataclass(frozen=True)
class LabelSetColumns(Columns):
    """The columns of a file of predictions, with any number of labels for each text.

    `label` has the labels whose probability exceeds their threshold, joined by `;`, or `(none)`. `confidence` is the
    probability that exactly these labels apply, as if they were independent. If `top_k` is above 1, the columns
    `label_1, confidence_1, label_2, confidence_2, ...` have the most probable labels and the probability of each,
    whether it exceeds the threshold or not.

    Args:
        thresholds (`np.ndarray` of shape `[labels]`): The threshold of each label.
        max_labels (`int`, *optional*): The maximum number of labels of a text.

    Example:

        >>> columns = LabelSetColumns(["toxic", "threat"], thresholds=np.array([0.5, 0.5]))
        >>> columns.predicted(np.array([0.9, 0.2]))
        ['toxic', '0.720000']
        >>> columns = LabelSetColumns(["toxic", "threat"], top_k=2, thresholds=np.array([0.5, 0.5]))
        >>> columns.predicted(np.array([0.1, 0.4]))
        ['(none)', '0.540000', 'threat', '0.400000', 'toxic', '0.100000']
    """

    thresholds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    max_labels: int | None = None

    @property
    def first_rank(self) -> int:
        """The number of the first of the `top_k` labels that has a column of its own."""
        return 1

    def predicted(self, probabilities: np.ndarray) -> list[str]:
        """Returns the cells from `label` to the last of `top_k`, for the probabilities of a text."""
        [applies] = student_sets(probabilities[None], self.thresholds, self.max_labels)
        confidence = np.where(applies == 1, probabilities, 1 - probabilities).prod()
        cells = [MultiLabelClassification(self.names).joined(np.flatnonzero(applies)), f"{confidence:.6f}"]
        return cells + (super().predicted(probabilities) if self.top_k > 1 else [])
