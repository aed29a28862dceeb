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
    probability that exactly these labels apply, as if they were independent.

    Args:
        thresholds (`np.ndarray` of shape `[labels]`): The threshold of each label.
        max_labels (`int`, *optional*): The maximum number of labels of a text.

    Example:

        >>> columns = LabelSetColumns(["toxic", "threat"], thresholds=np.array([0.5, 0.5]))
        >>> columns.predicted(np.array([0.9, 0.2]))
        ['toxic', '0.720000']
    """

    thresholds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    max_labels: int | None = None

    def predicted(self, probabilities: np.ndarray) -> list[str]:
        """Returns the cells `label` and `confidence` for the probabilities of a text, shape `[labels]`."""
        [applies] = student_sets(probabilities[None], self.thresholds, self.max_labels)
        confidence = np.where(applies == 1, probabilities, 1 - probabilities).prod()
        return [MultiLabelClassification(self.names).joined(np.flatnonzero(applies)), f"{confidence:.6f}"]
