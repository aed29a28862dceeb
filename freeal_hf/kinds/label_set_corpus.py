"""The distinct texts of a task with any number of labels for each text, and sets of labels as rows of a matrix."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from freeal_hf.kinds.corpus import Corpus
from freeal_hf.tasks import NO_LABEL, Demonstration

LabelSet = tuple[int, ...]
"""The ids of the labels of a text in ascending order; empty for none of the labels."""


@dataclass(frozen=True)
class LabelSetCorpus(Corpus):
    """The distinct usable texts of a dataset.

    `human` has the shape `(n, num_labels)`: 1 for each label that applies, 0 for the others, and -1 in the whole row
    if a text has no human label.
    """

    @property
    def is_human(self) -> np.ndarray:
        """Whether a text has a human label, shape `[n]`."""
        return self.human[:, 0] != NO_LABEL

    def human_row(self, label: Any) -> np.ndarray:
        """Returns the row of `human` for a set of labels."""
        return row_of(label, self.human.shape[1])

    def human_demonstrations(self) -> dict[int, Demonstration]:
        """Returns the texts with human labels by index, as demonstrations for the annotator."""
        shown = shown_labels(self.human)
        return {
            i: Demonstration(self.texts[i], int(shown[i]), "human", self.ids[i], labels=labels)
            for i, labels in enumerate(sets_of(self.human))
            if labels is not None
        }


def row_of(labels: Iterable[int], num_labels: int) -> np.ndarray:
    """Returns a set of labels as a row of zeros and ones, shape `(num_labels,)`."""
    row = np.zeros(num_labels, dtype=int)
    row[list(labels)] = 1
    return row


def sets_of(rows: np.ndarray) -> list[LabelSet | None]:
    """Returns the set of labels of each row of a matrix of shape `(n, num_labels)`; `None` for a row with -1."""
    return [None if row[0] == NO_LABEL else tuple(np.flatnonzero(row).tolist()) for row in rows]


def rows_of(sets: Sequence[Iterable[int] | None], num_labels: int) -> np.ndarray:
    """Returns the inverse of `sets_of`, shape `(n, num_labels)`."""
    rows = np.full((len(sets), num_labels), NO_LABEL)
    for row, labels in zip(rows, sets, strict=True):
        if labels is not None:
            row[:] = row_of(labels, num_labels)
    return rows


def shown_labels(rows: np.ndarray) -> np.ndarray:
    """Returns the label for which each text is shown as a demonstration: its rarest, -1 for none, shape `(n,)`."""
    counts = np.where((rows == 1).any(axis=0), (rows == 1).sum(axis=0), len(rows) + 1)
    ranked = np.where(rows == 1, counts, len(rows) + 2)
    return np.where((rows == 1).any(axis=1), ranked.argmin(axis=1), NO_LABEL)


def groups_of(rows: np.ndarray, most: int) -> np.ndarray:
    """Groups texts by their sets of labels, so that demonstrations show each label, combinations, and none.

    Args:
        rows (`np.ndarray` of shape `(n, num_labels)`): The sets of labels, -1 for none.
        most (`int`): The maximum number of groups of combinations.

    Returns:
        `np.ndarray` of shape `(n,)`: The number of the group; -1 for a text without an answer. Each label has a group
        of the texts whose rarest label it is, the texts with none have a group, and so has each of the most frequent
        combinations that occur at least twice.
    """
    num_labels = rows.shape[1]
    sets, rarest = sets_of(rows), shown_labels(rows)
    counts = Counter(labels for labels in sets if labels is not None and len(labels) > 1)
    frequent = [labels for labels, count in counts.most_common(most) if count > 1]
    number = {labels: num_labels + 1 + i for i, labels in enumerate(sorted(frequent))}
    own = np.where(rarest == NO_LABEL, num_labels, rarest)
    return np.array(
        [NO_LABEL if labels is None else number.get(labels, own[i]) for i, labels in enumerate(sets)], dtype=int
    )
