"""`TaskKind`: everything that differs between kinds of task, so that there is one loop for all of them."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.data.human_labels import HumanTable
from freeal_hf.errors import InputError
from freeal_hf.kinds.answers import Answers
from freeal_hf.kinds.rounds import Selection
from freeal_hf.prediction.predictor import PredictionOptions, Predictor
from freeal_hf.tasks import Demonstration, TextClassification

if TYPE_CHECKING:
    from datasets import Dataset

TaskT = TypeVar("TaskT")
CorpusT = TypeVar("CorpusT")
AnswersT = TypeVar("AnswersT", bound=Answers)


@dataclass(frozen=True)
class AuditQuestion:
    """What a person answers about a text in an audit.

    Args:
        answers (`TextClassification`): The answers that can be given.
        are_human_labels (`bool`): Whether an answer is also a human label for a further round.
        right (`str`): What is true of a confirmed text, in the plural.
    """

    answers: TextClassification
    are_human_labels: bool
    right: str


@dataclass(frozen=True)
class Measure:
    """The score that tells how good labels are.

    A round's record has it as `annotator_KEY`, `student_KEY` and `label_KEY`.

    Args:
        key (`str`): Its name in a round's record.
        name (`str`): Its name in pictures.
        final (`str`): Its name for the final labels in a report.
    """

    key: str
    name: str
    final: str


class TaskKind(ABC, Generic[TaskT, CorpusT, AnswersT]):
    """What a run does with the rows, answers and labels of one task.

    `kind_of` returns the subclass for a task. A corpus or answers that one kind made can only be given to the same
    kind. The loop, the Hub, Ray and the command line use this class alone and never ask for the type of a task.

    Args:
        task (`Task`): What is labelled.
    """

    answers_type: type[AnswersT]
    """The answers of annotators for a task of this kind."""

    def __init__(self, task: TaskT) -> None:
        self.task = task

    # ---- Input ----

    @abstractmethod
    def read_rows(self, source: Any, **options: Any) -> "Dataset":
        """Reads the data of the task.

        Args:
            source: A file, a Hub id, a dataset or a data frame.
            **options: The options of `read_data`.

        Returns:
            `Dataset`: One row for each row of the source, with `id`, `text` and `note`.

        Raises:
            InputError: If the data or an option cannot be used.
        """

    @abstractmethod
    def collect(self, dataset: "Dataset") -> CorpusT:
        """Collects the distinct usable texts of what `read_rows` returned."""

    human_columns: ClassVar[tuple[str, ...]]
    """Columns of human labels, beside `id` and those of the text."""

    @abstractmethod
    def read_human_rows(self, table: HumanTable) -> list[Any]:
        """Reads the rows of a table of human labels; rows without a label are left out.

        Args:
            table (`HumanTable`): The table, with those of `human_columns` that it has.

        Returns:
            `list[HumanAnswer]`: What people labelled, as `with_human_labels` takes it.

        Raises:
            InputError: If a column is missing, or a cell is no label of the task.
        """

    @abstractmethod
    def with_human_labels(
        self, corpus: CorpusT, dataset: "Dataset", given: Sequence[Any], known: Sequence[Any] = ()
    ) -> CorpusT:
        """Adds what people labelled to a corpus.

        Texts are compared in their normal form, and all that have the same one get the label. A text that is not in
        the data is added at the end, if its label may be about a new text (an example from elsewhere): it trains the
        student and may be a demonstration, but the output has no row for it.

        Args:
            corpus: What `collect` returned.
            dataset (`Dataset`): The dataset that it was collected from.
            given (`Sequence[HumanAnswer]`): What people labelled, as `read_human_rows` returns it.
            known (the same): What an earlier call left in `human_labels`; a newer label takes its place.

        Raises:
            InputError: If an id is not in the data or its row has no text, if a text is not in the data and its label
                may not be about a new one, if a label does not fit its text, or if two of `given` contradict each
                other.
        """

    @abstractmethod
    def kept_columns(self, names: Sequence[str], text_columns: Sequence[str]) -> list[str]:
        """Columns of the output, beside `id` and `gold`, that hold the same as the user's column of that name.

        Args:
            names (`Sequence[str]`): The columns of the user's data.
            text_columns (`Sequence[str]`): Those that the texts were read from.
        """

    def has_other_words(self, stored: Path, dataset: "Dataset") -> bool:
        """Whether the rows of a stored input had other words, so that answers about them do not fit.

        Args:
            stored (`Path`): The file of the stored input.
            dataset (`Dataset`): What `read_rows` returns for the same data now.
        """
        return False

    def check_can_select(self) -> None:
        """Refuses `freeal-hf select` for a kind of task that it cannot choose texts for.

        Raises:
            InputError: If that is so.
        """

    # ---- Labels ----

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """Names of the ids in the label columns of a round's dataset; the student's classes."""

    @abstractmethod
    def is_missing(self, label: Any) -> bool:
        """Whether the value of a label column says that there is no label."""

    @abstractmethod
    def flat(self, column: Sequence[Any]) -> np.ndarray:
        """The ids in a label column, -1 for none, in one row; those of two columns of the same rows correspond."""

    @abstractmethod
    def cell(self, label: Any) -> str:
        """The value of a label column as a column that a `ColumnAnnotator` reads holds it, empty for none."""

    @abstractmethod
    def shown(self, label: Any, row: Mapping[str, Any]) -> str:
        """A label of a row in words.

        Args:
            label: The value of one of the row's label columns.
            row (`Mapping`): The row of a round's dataset.
        """

    @abstractmethod
    def label_counts(self, labels: "Dataset") -> Counter[str]:
        """How often each label is final.

        Args:
            labels (`Dataset`): A round's dataset; its column `label` is enough.
        """

    # ---- Answers of annotators ----

    @abstractmethod
    def no_answers(self, corpus: CorpusT) -> AnswersT:
        """Answers for texts that no annotator was asked about."""

    @abstractmethod
    def fuse(self, group: Sequence[AnswersT], human: np.ndarray) -> AnswersT:
        """Combines the answers of several annotators.

        Args:
            group (`Sequence`): The answers of each annotator.
            human (`np.ndarray` of shape `(n,)`): Labels that people gave, -1 for none.
        """

    @abstractmethod
    def votes(self, answers: AnswersT, num_annotators: int) -> np.ndarray | None:
        """What each of several annotators answered, as far as the final labels use it.

        Args:
            answers: The fused answers.
            num_annotators (`int`): How many of its parts are by annotators of round 0. The other parts are by the
                refine annotators, whose answers replace theirs.

        Returns:
            `np.ndarray` of shape `(n, annotators)`, *optional*: Label ids, -1 for none.
        """

    @abstractmethod
    def found_labels(self, corpus: CorpusT, answers: AnswersT) -> np.ndarray:
        """Ids of all labels that annotators and people gave."""

    @abstractmethod
    def text_labels(self, corpus: CorpusT, answers: AnswersT) -> np.ndarray | None:
        """Label id of each text before training, -1 for none, shape `(n,)`; `None` where a text has several labels."""

    # ---- Training ----

    @abstractmethod
    def training_set(self, corpus: CorpusT, answers: AnswersT) -> "Dataset":
        """The dataset that the student is trained on, with `is_trusted` where a person gave the label."""

    @abstractmethod
    def doubt(self, dataset: "Dataset", embeddings: np.ndarray, seed: int) -> str | None:
        """Why the user should confirm the annotator's answers before a student is trained on them.

        Args:
            dataset (`Dataset`): What `training_set` returned.
            embeddings (`np.ndarray` of shape `(n, d)`): Embeddings of its texts.
            seed (`int`): Seed of the check.

        Returns:
            `str`, *optional*: The reason; `None` if there is none.
        """

    # ---- Selection and demonstrations ----

    @abstractmethod
    def losses(self, corpus: CorpusT, selection: Selection) -> np.ndarray:
        """The student's loss on each text, infinite where a text has no label; shape `(n,)`."""

    @abstractmethod
    def is_noisy(self, corpus: CorpusT, answers: AnswersT, selection: Selection) -> np.ndarray:
        """Whether the label of a text is noisy or missing; shape `(n,)`."""

    @abstractmethod
    def choose_pool(
        self, corpus: CorpusT, answers: AnswersT, selection: Selection, loop: LoopConfig, seed: int
    ) -> list[Demonstration]:
        """Chooses demonstrations among the texts that people labelled and the clean ones that the student confirms."""

    @abstractmethod
    def stand_in(self, corpus: CorpusT, index: int, label: int) -> Demonstration:
        """A text of the corpus in place of a demonstration that is still to be written, to estimate lengths.

        Args:
            corpus: The texts.
            index (`int`): Which of them.
            label (`int`): One of `task.shot_labels`.
        """

    # ---- Final labels ----

    def class_shares(self, given: "str | Mapping[str, float] | None") -> np.ndarray | None:
        """Reads the shares of the labels that the user knows.

        Args:
            given (`str` or `Mapping[str, float]`, *optional*): `LoopConfig.class_shares`.

        Returns:
            `np.ndarray` of shape `(num_labels,)`, *optional*: `None` if the user knows none.

        Raises:
            InputError: If they cannot be used, or the texts of this kind of task have no single label.
        """
        if given is not None:
            raise InputError(
                f"class_shares is {given!r}, but texts of an entity task have no single label. Leave it out."
            )
        return None

    @abstractmethod
    def label_rows(
        self,
        dataset: "Dataset",
        corpus: CorpusT,
        answers: AnswersT,
        selection: Selection,
        number: int,
        seed: int,
        votes: np.ndarray | None,
        class_shares: np.ndarray | None = None,
    ) -> tuple["Dataset", dict[str, Any]]:
        """The dataset of a round: one row for each row of the input, in its order.

        Args:
            dataset (`Dataset`): The input.
            corpus: The distinct texts of the input.
            answers: The annotators' answers.
            selection (`Selection`): The student's judgement.
            number (`int`): The round.
            seed (`int`): Seed of the estimate.
            votes (`np.ndarray`, *optional*): What `votes` returned.
            class_shares (`np.ndarray` of shape `(num_labels,)`, *optional*): What `class_shares` returned.

        Returns:
            `tuple[Dataset, dict]`: The rows with their final labels, and the round's figures, among them
            `student_has_learnt`.
        """

    @abstractmethod
    def test_rows(self, test: "Dataset", student: Path, number: int) -> "Dataset":
        """The rows of the test split, with the columns of `label_rows`; only the student has labelled them."""

    @abstractmethod
    def score(self, labels: "Dataset") -> dict[str, Any]:
        """The scores of a round's dataset for `metrics.json`."""

    # ---- Prediction ----

    @classmethod
    @abstractmethod
    def owns_student(cls, config: Any) -> bool:
        """Whether a saved student was trained for this kind of task.

        Args:
            config (`PreTrainedConfig`): Its configuration.
        """

    @classmethod
    @abstractmethod
    def predictor(cls, student: str | Path, options: PredictionOptions) -> Predictor[Any]:
        """Loads a saved student that labels the rows of a file.

        Args:
            student (`str` or `Path`): Its folder or Hub id.
            options (`PredictionOptions`): What is written.

        Raises:
            InputError: If the student cannot be loaded, or an option is not for this kind of task.
        """

    # ---- Reports, cards and audits ----

    measure: ClassVar[Measure]
    """The score in pictures and reports."""

    card_scores: ClassVar[tuple[str, ...]]
    """Scores of the student that its card has as evaluation results, by their names on the Hub."""

    extra_figures: ClassVar[tuple[str, ...]] = ()
    """Figures of a round's record that only this kind has, in the table of the rounds on the Hub."""

    def card_facts(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Further rows of the table of facts on a card: what was measured to how much.

        Args:
            record (`Mapping`): The record of the last round.
        """
        return {}

    @abstractmethod
    def card_estimate(self, record: Mapping[str, Any]) -> str:
        """What a card says of how good the labels of a round are.

        Args:
            record (`Mapping`): The round's record.
        """

    @abstractmethod
    def demonstration_table(self, pool: Sequence[Demonstration]) -> dict[str, tuple[list[Any], Any]]:
        """The columns of a demonstration pool on the Hub: name to values and feature."""

    @property
    @abstractmethod
    def audit(self) -> "AuditQuestion":
        """What a person answers about a text in an audit."""

    @abstractmethod
    def audited_labels(self, labels: "Dataset") -> np.ndarray:
        """What an audit draws its strata from: an id for each row of a round's dataset, -1 where it has no label."""

    @abstractmethod
    def right_answer(self, audited_label: int) -> str:
        """The answer with which a person confirms one of `audited_labels`."""

    @abstractmethod
    def audit_cells(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Cells of the audit's sheet, beside `id`, `text` and `label`, for a row of a round's dataset."""
