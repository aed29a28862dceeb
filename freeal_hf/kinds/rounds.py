"""Reads and writes the selection, the demonstrations and the labelled rows of a round, for all kinds of task."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.arrow import PIECE, dataset_of, spooled
from freeal_hf.tasks import NO_LABEL, Demonstration, Task

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Selection:
    """The stored selection of a student, with an entry for each distinct text.

    In a task with any number of labels, the losses and `is_clean` have the shape `(n, num_labels)`.

    Args:
        losses (`np.ndarray` of shape `(n,)`): Loss on the annotator's label, NaN if there is none.
        is_clean (`np.ndarray` of shape `(n,)`): Whether the label is clean.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        embeddings (`np.ndarray` of shape `(n, d)`): The student's embeddings, in half precision.
        first_embeddings (`np.ndarray` of shape `(n, d)`): The embeddings before the training.
        thresholds (`np.ndarray` of shape `(num_labels,)`): The probability above which the student predicts each
            label, in a task with any number of labels; empty in other tasks.
        is_human (`np.ndarray` of shape `(n,)`, *optional*):
            Whether the student was trained on a human label of the text; `None` if an earlier version has written
            the selection.
    """

    losses: np.ndarray
    is_clean: np.ndarray
    probabilities: np.ndarray
    embeddings: np.ndarray
    first_embeddings: np.ndarray
    thresholds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    is_human: np.ndarray | None = None

    def save(self, path: Path) -> None:
        """Writes the arrays to a file."""
        with path.open("wb") as file:
            np.savez(file, **{name: array for name, array in asdict(self).items() if array is not None})

    @classmethod
    def load(cls, path: Path) -> "Selection":
        """Reads the file of `save`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


def load_probabilities(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads `probabilities` and `is_human` from the file of `Selection.save`, without the embeddings."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["probabilities"], arrays.get("is_human")


def untaught_probabilities(students: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> np.ndarray:
    """Returns the probabilities of the last student that was not trained on the human label of each text.

    Args:
        students (`Sequence[tuple]`): `probabilities` and `is_human` of the selection of each round, the oldest first.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: The probabilities; NaN if every student was trained on the label.

    Example:

        >>> first = (np.array([[0.6], [0.7]]), np.array([False, False]))
        >>> second = (np.array([[0.9], [0.8]]), np.array([True, False]))
        >>> untaught_probabilities([first, second]).tolist()
        [[0.6], [0.8]]
    """
    found = np.full_like(students[-1][0], np.nan)
    for probabilities, is_human in students:
        if is_human is not None:
            rows = np.flatnonzero(~is_human[: len(found)])
            found[rows] = probabilities[rows]
    return found


def write_pool(path: Path, pool: Sequence[Demonstration], task: Task) -> None:
    """Writes demonstrations as JSON lines with label names."""
    with path.open("w", encoding="utf-8") as file:
        for shot in pool:
            row: dict[str, Any] = {
                "text": shot.text,
                "label": None if shot.label == NO_LABEL else task.label_names[shot.label],
                "source": shot.source,
                "id": shot.id,
            }
            if shot.entities:
                row["entities"] = shot.entities
            if shot.labels is not None:
                row["labels"] = [task.label_names[label] for label in shot.labels]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def pool_table(pool: Sequence[Demonstration], task: Task) -> dict[str, tuple[list[Any], Any]]:
    """Returns the columns of a demonstration pool for all kinds of task: values and feature by name."""
    from datasets import ClassLabel, Value

    text = Value("string")
    return {
        "text": ([shot.text for shot in pool], text),
        "label": ([shot.label for shot in pool], ClassLabel(names=task.label_names)),
        "source": ([shot.source for shot in pool], text),
        "id": ([shot.id for shot in pool], text),
    }


def read_pool(path: Path, task: Task) -> list[Demonstration]:
    """Reads the file of `write_pool`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [
        Demonstration(
            **{
                **row,
                "label": NO_LABEL if row["label"] is None else task.label2id[row["label"]],
                "entities": tuple((text, name) for text, name in row.get("entities", ())),
                "labels": tuple(task.label2id[name] for name in row["labels"]) if "labels" in row else None,
            }
        )
        for row in rows
    ]


def read_labels(path: Path) -> "Dataset":
    """Reads the Parquet file of the dataset of a round."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        pieces = (pa.Table.from_batches([batch]) for batch in file.iter_batches(PIECE))
        return dataset_of(spooled(chain([file.schema_arrow.empty_table()], pieces)))
