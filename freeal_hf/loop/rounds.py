"""Reads and writes the files of a round."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.files import read_json, remove, write_atomically, write_json
from freeal_hf.data.human_labels import as_stored, from_stored
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.rounds import Selection, load_probabilities, read_labels, read_pool, write_pool
from freeal_hf.tasks import Demonstration, Task

if TYPE_CHECKING:
    from datasets import Dataset

LABELS, METRICS, STUDENT = "labels.parquet", "metrics.json", "student"
"""Names of files of each round. Those of the last round are also at the top of a run's folder."""

DEMONSTRATIONS, TEST_LABELS = "demonstrations.jsonl", "test.parquet"
_ANNOTATIONS, _HUMAN_LABELS, _SELECTION = "annotations.parquet", "human_labels.jsonl", "selection.npz"
_AUDITED_LABELS = "audited_labels.parquet"
_FORMER_ANNOTATIONS = "annotations.json"
"""Earlier versions wrote the answers and the human labels to this file."""


@dataclass(frozen=True)
class Round:
    """One round of a run.

    The files of a round are written in this order: `human_labels.jsonl` and `annotations.parquet` (its answers),
    `student/` and `selection.npz`, `labels.parquet`, `demonstrations.jsonl`, and `metrics.json`. Each file is written
    under a temporary name first. A killed run continues after the last existing file.

    Args:
        path (`Path`): The folder of the round, which is created with the first file.
        number (`int`): The number of the round, from 0.

    Example:

        >>> str(Round(Path("runs/reviews/round-1"), 1).labels_path)
        'runs/reviews/round-1/labels.parquet'
    """

    path: Path
    number: int

    @property
    def labels_path(self) -> Path:
        """The labelled rows."""
        return self.path / LABELS

    @property
    def audited_labels_path(self) -> Path:
        """The labelled rows that an audit was drawn from, if its answers have changed them."""
        return self.path / _AUDITED_LABELS

    @property
    def test_labels_path(self) -> Path:
        """The rows of the test data, labelled by the student."""
        return self.path / TEST_LABELS

    @property
    def student_path(self) -> Path:
        """The folder of the student."""
        return self.path / STUDENT

    @property
    def checkpoints_path(self) -> Path:
        """The folder of the checkpoints of the training."""
        return self.path / "training"

    @property
    def training_set_path(self) -> Path:
        """The folder of the training set; removed after the training."""
        return self.path / "training-set"

    @property
    def shards_path(self) -> Path:
        """The folder for the shards of a cluster; removed after the annotation."""
        return self.path / "shards"

    @property
    def state_paths(self) -> list[Path]:
        """The files that the next round needs, except for demonstrations and metrics."""
        names = (_ANNOTATIONS, _HUMAN_LABELS, _FORMER_ANNOTATIONS, _SELECTION)
        return [path for path in (self.path / name for name in names) if path.is_file()]

    # ---- Metrics ----

    def read_metrics(self) -> dict[str, Any] | None:
        """Reads the record of the round; `None` if the round is not complete."""
        path = self.path / METRICS
        return read_json(path) if path.is_file() else None

    @property
    def student_has_learnt(self) -> bool:
        """Whether the student has learnt its labels, so that its selection is used. Old records do not say so."""
        return (self.read_metrics() or {}).get("student_has_learnt", True)

    @property
    def uses_prompt_cache(self) -> bool:
        """Whether the server of an annotator read a part of the prompts from its prompt cache, or said it has one."""
        record = self.read_metrics() or {}
        return bool(record.get("cached_tokens") or record.get("has_prompt_cache"))

    def write_metrics(self, record: Mapping[str, Any]) -> None:
        """Writes the record of the round, which completes it."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / METRICS, record)

    # ---- Answers of the annotators ----

    @property
    def is_annotated(self) -> bool:
        """Whether the answers of the round are complete."""
        return any((self.path / name).is_file() for name in (_ANNOTATIONS, _FORMER_ANNOTATIONS))

    def read_answers(self, kind: TaskKind[Any, Any, Any]) -> tuple[Any, dict[str, Any]]:
        """Reads the answers after the round, and the costs of the annotation.

        Args:
            kind (`TaskKind`): The kind of the task.

        Returns:
            `tuple[Answers, dict]`: The answers, and the costs in the round's record.
        """
        path = self.path / _ANNOTATIONS
        if path.is_file():
            return kind.answers_type.load(path)
        return kind.answers_type.load_former(self.path / _FORMER_ANNOTATIONS)

    def write_answers(self, answers: Any, costs: Mapping[str, Any], human_labels: Sequence[Any]) -> None:
        """Writes the answers after the round.

        Args:
            answers (`Answers`): The answers.
            costs (`Mapping[str, Any]`): The costs in the round's record.
            human_labels (`Sequence[HumanLabel]` or `Sequence[HumanEntities]`): The human labels that the round was
                started with.
        """
        self.write_human_labels(human_labels)
        self._write(_ANNOTATIONS, lambda path: answers.save(path, costs))

    def write_human_labels(self, human_labels: Sequence[Any]) -> None:
        """Writes the human labels that the labels of the round were made with.

        Args:
            human_labels (`Sequence[HumanLabel]` or `Sequence[HumanEntities]`): The labels.
        """
        lines = [json.dumps(as_stored(label)) + "\n" for label in human_labels]
        self._write(_HUMAN_LABELS, lambda path: path.write_text("".join(lines), encoding="utf-8"))

    def read_human_labels(self) -> list[Any]:
        """Reads the human labels that the round was started with."""
        path = self.path / _HUMAN_LABELS
        if path.is_file():
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        else:
            rows = read_json(self.path / _FORMER_ANNOTATIONS)["human_labels"]
        return [from_stored(row) for row in rows]

    def forget(self) -> None:
        """Removes the answers of the round and all files made from them. The run's cache keeps the answers."""
        for name in (METRICS, _SELECTION, _ANNOTATIONS, _FORMER_ANNOTATIONS, _HUMAN_LABELS):
            remove(self.path / name)
        remove(self.checkpoints_path)

    # ---- The student ----

    def write_training_set(self, dataset: "Dataset") -> None:
        """Writes the training set of the student, for all processes."""
        self._write(self.training_set_path.name, lambda path: dataset.save_to_disk(str(path)))

    def read_training_set(self) -> "Dataset":
        """Reads the training set of the student, mapped from disk, so that no process has all texts in memory."""
        from datasets import load_from_disk

        return load_from_disk(str(self.training_set_path))

    @property
    def is_trained(self) -> bool:
        """Whether the student is trained and its selection is stored."""
        return (self.path / _SELECTION).is_file()

    def read_selection(self) -> Selection:
        """Reads the student's selection."""
        return Selection.load(self.path / _SELECTION)

    def read_probabilities(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Reads `probabilities` and `is_human` of the selection, which need far less memory than all of it."""
        return load_probabilities(self.path / _SELECTION)

    def write_selection(self, selection: Selection) -> None:
        """Writes the student's selection."""
        self._write(_SELECTION, selection.save)

    # ---- Labels and demonstrations ----

    def read_labels(self) -> "Dataset":
        """Reads the labelled rows."""
        return read_labels(self.labels_path)

    def write_labels(self, labels: "Dataset") -> None:
        """Writes the labelled rows."""
        self._write(LABELS, lambda path: labels.to_parquet(str(path)))

    def write_test_labels(self, labels: "Dataset") -> None:
        """Writes the rows of the test data."""
        self._write(TEST_LABELS, lambda path: labels.to_parquet(str(path)))

    def read_demonstrations(self, task: Task) -> list[Demonstration]:
        """Reads the demonstration pool that the round chose for the next round."""
        return read_pool(self.path / DEMONSTRATIONS, task)

    def write_demonstrations(self, pool: Sequence[Demonstration], task: Task) -> None:
        """Writes the demonstration pool."""
        self._write(DEMONSTRATIONS, lambda path: write_pool(path, pool, task))

    def read_generated(self, task: Task) -> list[Demonstration]:
        """Reads the demonstrations that round 0 showed; none in a run that was pulled from the Hub."""
        path = self.path / "generated.jsonl"
        return read_pool(path, task) if path.is_file() else []

    def write_generated(self, shots: Sequence[Demonstration], task: Task) -> None:
        """Writes the demonstrations that round 0 shows."""
        self._write("generated.jsonl", lambda path: write_pool(path, shots, task))

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, write)
