"""`KindLabels`: how the labels of a kind of task are stored, shown and audited."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from freeal_hf.labels.audit import AuditSample
from freeal_hf.labels.entity_audit import EntityAudit, JudgedEntities
from freeal_hf.tasks import NO_LABEL, Demonstration, Task

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class AuditQuestion:
    """The question of an audit about a text.

    Args:
        answers (`Task`): The task of the answers.
        are_labels (`bool`): Whether the answers are labels of texts. Otherwise, they judge the labels of the run.
        right (`str`): A description of confirmed texts, in the plural.
        several (`bool`): Whether an answer can have any number of labels.
        correction (`str`, *optional*): The column in which the right labels of a wrong text are written.
    """

    answers: Task
    are_labels: bool
    right: str
    several: bool = False
    correction: str | None = None


class AuditPart(NamedTuple):
    """A part of the labels of a text that a person can judge alone, such as an entity.

    Args:
        id (`str`): The id of the part.
        cells (`dict[str, str]`): The cells that show it.
        support (`int`): Who found it. Parts with the same support are drawn in proportion to their number.
        confidence (`float`): Confidence of the label of the text; NaN if there is none.
    """

    id: str
    cells: dict[str, str]
    support: int
    confidence: float


@dataclass(frozen=True)
class Measure:
    """The score of labels.

    A round's record has it as `annotator_KEY`, `student_KEY` and `label_KEY`.

    Args:
        key (`str`): The name of the score in a round's record.
        name (`str`): The name of the score in pictures.
        final (`str`): The name of the score of the final labels in a report.
    """

    key: str
    name: str
    final: str


@dataclass(frozen=True)
class Crossed:
    """A table of counts that compares two label columns.

    Args:
        counts (`np.ndarray` of shape `(rows, columns)`): The counts.
        rows (`Sequence[str]`), columns (`Sequence[str]`): The names of its rows and columns.
        titles (`tuple[str, str]`): The titles of its rows and columns.
    """

    counts: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    titles: tuple[str, str]


def f1_facts(record: Mapping[str, Any], figure: str) -> dict[str, str]:
    """Returns the F1 of each label against gold as rows of the table of facts on a card, as names and values.

    Args:
        record (`Mapping`): The record of the last round.
        figure (`str`): The metric in the record, after `student_` and `label_`.
    """
    return {
        f"F1 of {name} by {source}, against gold": "none in gold and labels" if f1 is None else f"{100 * f1:.1f} %"
        for who, source in (("student", "the student"), ("label", "the final labels"))
        for name, f1 in (record.get(f"{who}_{figure}") or {}).items()
    }


class KindLabels(ABC):
    """Base class of the labels of one kind of task, and of what reports, cards and audits show of them.

    [`TaskKind`] is the subclass with the operations of a run.
    """

    # ---- Labels ----

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """Names of the ids in the label columns of a round's dataset, which are the student's classes."""

    @abstractmethod
    def is_missing(self, label: Any) -> bool:
        """Returns whether the value of a label column means that there is no label."""

    @abstractmethod
    def flat(self, column: Sequence[Any]) -> np.ndarray:
        """Returns the ids in a label column as one array, -1 for none, in the same order for all label columns."""

    @abstractmethod
    def cell(self, label: Any) -> str:
        """Returns the value of a label column in the format that `ColumnAnnotator` reads; empty for none."""

    @abstractmethod
    def shown(self, label: Any, row: Mapping[str, Any]) -> str:
        """Returns a label of a row as text.

        Args:
            label: The value of one of the row's label columns.
            row (`Mapping`): The row of a round's dataset.
        """

    @abstractmethod
    def label_counts(self, labels: "Dataset") -> Counter[str]:
        """Counts the final labels.

        Args:
            labels (`Dataset`): A round's dataset. Only its column `label` is used.
        """

    # ---- Reports, cards and audits ----

    measure: ClassVar[Measure]
    """The score in pictures and reports."""

    card_scores: ClassVar[tuple[str, ...]]
    """Scores of the student in the evaluation results of its card, by their names on the Hub."""

    extra_figures: ClassVar[tuple[str, ...]] = ()
    """Further metrics of this kind in the table of the rounds on the Hub."""

    def crossed(self, first: Sequence[Any], second: Sequence[Any], titles: tuple[str, str]) -> Crossed:
        """Compares two label columns, for a figure.

        Args:
            first (`Sequence`), second (`Sequence`): The label columns, with the same rows.
            titles (`tuple[str, str]`): Their names.

        Returns:
            `Crossed`: By default how often each label of the first has each label of the second.
        """
        one, other = self.flat(first), self.flat(second)
        both = (one != NO_LABEL) & (other != NO_LABEL)
        counts = np.zeros((len(self.classes), len(self.classes)), dtype=int)
        np.add.at(counts, (one[both], other[both]), 1)
        return Crossed(counts, self.classes, self.classes, titles)

    def card_facts(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Returns further rows of the table of facts on a card, as names and values.

        Args:
            record (`Mapping`): The record of the last round.
        """
        return {}

    @abstractmethod
    def card_estimate(self, record: Mapping[str, Any]) -> str:
        """Describes the accuracy of the labels of a round, for a card.

        Args:
            record (`Mapping`): The round's record.
        """

    @abstractmethod
    def demonstration_table(self, pool: Sequence[Demonstration]) -> dict[str, tuple[list[Any], Any]]:
        """Returns the columns of a demonstration pool on the Hub: values and feature by name."""

    @property
    @abstractmethod
    def audit(self) -> "AuditQuestion":
        """The question of an audit about a text."""

    @abstractmethod
    def audited_labels(self, labels: "Dataset") -> np.ndarray:
        """Returns the ids from which an audit makes its strata, one for each row; -1 if the row has no label."""

    @abstractmethod
    def right_answer(self, label: Any) -> Any:
        """Returns the answer with which a person confirms a value of a label column: an id of `audit.answers`, or
        several ids as a tuple."""

    def answer_cell(self, answer: Any) -> str:
        """Returns an answer of a person as the cell of a sheet."""
        return self.audit.answers.label_names[answer]

    def decisions(self, labels: Sequence[Any]) -> np.ndarray:
        """Returns the decisions that values of a label column make, if the answers of an audit are human labels.

        Args:
            labels (`Sequence`): The `n` values.

        Returns:
            `np.ndarray` of shape `(n, d)`: By default one decision, the label id, -1 for none.
        """
        return np.array(labels, dtype=int)[:, None]

    @property
    def decided(self) -> list[tuple[int, int]]:
        """The decision that gives each label, and its value in this decision."""
        return [(0, label) for label in range(self.audit.answers.num_labels)]

    def audit_truth(
        self,
        answers: Mapping[str, int],
        cells: Mapping[str, Mapping[str, str]],
        rows: Mapping[str, Mapping[str, Any]],
        origin: str,
    ) -> list[Any]:
        """Returns the human labels that the answers of an audit are, in the order of the answers, if they are not the
        labels of the task themselves (`AuditQuestion.are_labels`).

        Args:
            answers (`Mapping[str, int]`): The answers by id of the text, as ids of `audit.answers`.
            cells (`Mapping[str, Mapping[str, str]]`): The cells of the sheet by id.
            rows (`Mapping[str, Mapping[str, Any]]`): The audited rows by id.
            origin (`str`): The name of the sheet, for errors.

        Returns:
            `list[HumanAnswer]`: Empty if answers are no human labels of this kind of task.

        Raises:
            InputError: If an answer cannot be read.
        """
        return []

    def audit_parts(self, labels: "Dataset", rows: Sequence[int], answers: Any) -> list[AuditPart]:
        """Returns the parts of the labels of some rows that a person can judge alone; empty if there are none.

        Args:
            labels (`Dataset`): The dataset of a round.
            rows (`Sequence[int]`): The rows.
            answers (`Answers`, *optional*): The answers of the annotators after this round.
        """
        return []

    def audit_entities(
        self,
        labels: "Dataset",
        texts: Sequence[int],
        human: Sequence[int],
        sample: AuditSample,
        ids: Sequence[str],
        truth: Sequence[Any],
        judged: JudgedEntities | None,
    ) -> EntityAudit | None:
        """Estimates F1 of entities from an audit; `None` if the kind of task has no entities.

        Args:
            labels (`Dataset`): The audited dataset.
            texts (`Sequence[int]`): Its distinct rows without an earlier human label.
            human (`Sequence[int]`): Its distinct rows with one.
            sample (`AuditSample`): The answered texts.
            ids (`Sequence[str]`): Their ids.
            truth (`Sequence[HumanAnswer]`): The result of `audit_truth`.
            judged (`JudgedEntities`, *optional*): The answers about the result of `audit_parts`.
        """
        return None

    def audit_cells(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Returns further cells of a row in the audit's sheet, except for `id`, `text` and `label`."""
        return {}
