"""`TaskView`: what the page shows differently for each kind of task."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from freeal_hf.kinds.base import TaskKind
from freeal_hf.tasks import Task
from freeal_hf.web.card import Question

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset


@dataclass(frozen=True)
class TaskTexts:
    """The texts of the step Task.

    Args:
        name (`str`): The name of the kind of task.
        question (`str`), placeholder (`str`): The label of the field for the description, and an example of it.
        help (`str`): Explains how to describe labels.
        label (`str`), meaning (`str`), example (`str`): The names of the fields of a label: its name, what it means,
            and examples.
        example_mark (`str`): Separates the meaning of a label from its examples.
        too_few (`str`): The error for too few labels.
    """

    name: str
    question: str
    placeholder: str
    help: str
    label: str
    meaning: str
    example: str
    example_mark: str
    too_few: str


@dataclass(frozen=True)
class ResultTexts:
    """The texts of the step Results.

    Args:
        final (`str`): The heading of the final labels.
        series (`str`): The name of their scores in a figure.
        about_losses (`str`): Explains the figure of the losses.
        colour (`str`): The meaning of the colours of the map.
        unknown (`str`): Says that nothing is known about the accuracy of the labels.
        between (`str`): Says how many labels are probably right, with the fields `low` and `high`, out of 100.
    """

    final: str
    series: str
    about_losses: str
    colour: str
    unknown: str
    between: str

    def range(self, low: float, high: float) -> str:
        """Returns how many labels are probably right, from the limits of their share."""
        return self.between.format(low=100 * low, high=100 * high)


@dataclass(frozen=True)
class Trial:
    """The components that try the student.

    Args:
        text (`str`), button (`str`): The element ids of the text and of the button.
        api_name (`str`): The name of the function.
        about (`str`): A description of the function.
        other (`str`): The error for a run whose student needs another function.
    """

    text: str
    button: str
    api_name: str
    about: str
    other: str


class TaskView(ABC):
    """What the page shows of one kind of task.

    `view_of` returns the view for a run. The steps use this class alone and never ask for the type of a task.
    """

    kind: ClassVar[type[TaskKind[Any, Any, Any]]]
    """The kind of task."""

    task_type: ClassVar[type[Task]]
    """The class of its tasks."""

    task: ClassVar[TaskTexts]
    results: ClassVar[ResultTexts]
    trial: ClassVar[Trial]

    of_words: ClassVar[bool] = False
    """Whether the true labels are tags of words."""

    of_several: ClassVar[bool] = False
    """Whether the true label of a text can be several labels."""

    refuses_words: ClassVar[str] = ""
    """The error for data with lists of words; empty if the task can use them."""

    unit: ClassVar[str] = "texts"
    """The samples that have a loss."""

    has_texts: ClassVar[bool] = False
    """Whether the tab Texts shows what was found in each text."""

    weak: ClassVar[str] = ""
    """A warning about the embedding annotator."""

    annotated_per_second: ClassVar[float | None] = None
    """The number of texts that the embedding annotator labels in a second on one core; `None` if it takes no time."""

    map_column: ClassVar[str] = "label"
    """The column of the frame that colours the map."""

    @abstractmethod
    def example(self) -> Task:
        """Returns a task for the example data."""

    # ---- Results ----

    @abstractmethod
    def frame(self, dataset: "Dataset", corrections: Mapping[str, str]) -> "pd.DataFrame":
        """Returns the rows of a round's dataset as the page shows them.

        Args:
            dataset (`Dataset`): A round's dataset.
            corrections (`Mapping[str, str]`): The results of `read_answer` by the id of the text.

        Returns:
            `DataFrame`: At least `id`, `text`, `label`, `annotator_label`, `student_label` and `correction` in words,
            `label_confidence`, `is_clean`, `differs`, `note` and `map_column`.
        """

    def headline(self, labels: "pd.DataFrame") -> list[tuple[str, str]]:
        """Returns the most important figure: its name and value.

        Args:
            labels (`DataFrame`): The result of `frame`.
        """
        return [("texts have a label", f"{int(labels['label'].notna().sum()):,}")]

    @abstractmethod
    def measured(self, last: Mapping[str, Any]) -> str:
        """Returns how many labels are right, from the true labels of the data; empty if there are none.

        Args:
            last (`Mapping`): The record of the last round.
        """

    @abstractmethod
    def counts(self, labels: "pd.DataFrame") -> Mapping[str, int]:
        """Returns how often each label is final."""

    counted: ClassVar[str] = "texts"
    """The unit of `counts`."""

    def scores(self, rounds: Sequence[Mapping[str, Any]]) -> str:
        """Returns tables of further scores as HTML."""
        return ""

    def map_names(self, names: Sequence[str]) -> list[str]:
        """Returns the values of `map_column`, from the names of the labels."""
        return list(names)

    # ---- Corrections ----

    about_sample: ClassVar[str] = "The labels are hidden, so that they do not influence you."
    """Explains what a person sees of the labels while checking a random sample."""

    @abstractmethod
    def ask(self, row: Any, names: Sequence[str], *, is_blind: bool) -> Question:
        """Returns the question of a card about a text.

        Args:
            row: A row of `frame`.
            names (`Sequence[str]`): The names of the labels.
            is_blind (`bool`): Whether the labels of the models are hidden, so that they do not influence the person.
        """

    def opinions(self, row: Any) -> list[tuple[str, str]]:
        """Returns who gave which label to a text."""
        sure = "" if math.isnan(row.label_confidence) else f" ({row.label_confidence:.0%} sure)"
        said = [
            ("Language model", row.annotator_label),
            ("Small model", row.student_label),
            ("Result", row.label and f"{row.label}{sure}"),
            ("Your answer", row.correction),
        ]
        return [(who, label) for who, label in said if label]

    def audit_cells(self, answer: str, row: Any) -> dict[str, str]:
        """Returns the cells of the sheet of an audit that contain an answer.

        Args:
            answer (`str`): The result of `read_answer`.
            row: The row of `frame`.
        """
        return {"label": answer}

    @abstractmethod
    def read_answer(self, said: str, row: Any, names: Sequence[str]) -> str:
        """Checks a correction and returns it as a file of human labels has it.

        Args:
            said (`str`): The answer, as the card or a program gives it.
            row: The row of `frame`.
            names (`Sequence[str]`): The names of the labels.

        Raises:
            InputError: If it is not a label of the task.
        """

    # ---- The student ----

    @abstractmethod
    def answer(self) -> Any:
        """Returns a component that shows a prediction."""

    def empty_answer(self, names: Sequence[str]) -> dict[str, Any]:
        """Returns an empty prediction for labels of these names, as arguments of `gr.update`."""
        return {"value": None}

    @abstractmethod
    def predict(self, student: Path, text: str) -> Any:
        """Returns the value of the component for a text.

        Args:
            student (`Path`): The folder of the student.
            text (`str`): The text.
        """
