"""`TaskKind`: the differences between kinds of task, so that one loop runs all of them."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from freeal_hf.config import LoopConfig
from freeal_hf.data.human_labels import HumanTable
from freeal_hf.errors import InputError
from freeal_hf.kinds.answers import Answers
from freeal_hf.kinds.labels import KindLabels
from freeal_hf.kinds.rounds import Selection
from freeal_hf.prediction.predictor import PredictionOptions, Predictor
from freeal_hf.tasks import Demonstration, Task

if TYPE_CHECKING:
    from datasets import Dataset

TaskT = TypeVar("TaskT", bound=Task)
CorpusT = TypeVar("CorpusT")
AnswersT = TypeVar("AnswersT", bound=Answers)


class TaskKind(KindLabels, Generic[TaskT, CorpusT, AnswersT]):
    """Base class of the operations of a run on the rows, answers and labels of one kind of task.

    `kind_of` returns the subclass for a task. A corpus or answers of one kind can only be used with the same kind. The
    loop, the Hub, Ray and the command line only use this class and do not depend on the type of a task.

    Args:
        task (`Task`): The task.

    Example:

        >>> from freeal_hf.kinds.registry import kind_of
        >>> from freeal_hf.tasks import TextClassification
        >>> kind = kind_of(TextClassification(["spam", "other"]))
        >>> kind.classes, kind.cell(0), kind.is_missing(-1)
        (['spam', 'other'], 'spam', True)
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
        """Collects the distinct usable texts of the result of `read_rows`."""

    human_columns: ClassVar[tuple[str, ...]]
    """Columns of human labels, except for `id` and those of the text."""

    @abstractmethod
    def read_human_rows(self, table: HumanTable) -> list[Any]:
        """Reads the rows of a table of human labels. Rows without a label are left out.

        Args:
            table (`HumanTable`): The table, with any of `human_columns`.

        Returns:
            `list[HumanAnswer]`: The human labels, for `with_human_labels`.

        Raises:
            InputError: If a column is missing, or a cell is not a label of the task.
        """

    @abstractmethod
    def with_human_labels(
        self, corpus: CorpusT, dataset: "Dataset", given: Sequence[Any], known: Sequence[Any] = ()
    ) -> CorpusT:
        """Adds human labels to a corpus.

        Texts are compared in their normal form, and all texts with the same normal form get the label. A text that is
        not in the data is added at the end if its label may be about a new text. It trains the student and can be a
        demonstration, but the output has no row for it.

        Args:
            corpus: The result of `collect`.
            dataset (`Dataset`): The dataset of the corpus.
            given (`Sequence[HumanAnswer]`): The human labels, as returned by `read_human_rows`.
            known (the same): The `human_labels` of an earlier call. Newer labels replace them.

        Raises:
            InputError: If an id is not in the data or its row has no text, if a text is not in the data and its label
                may not be about a new one, if a label does not fit its text, or if two of `given` contradict each
                other.
        """

    def kept_columns(self, names: Sequence[str], text_columns: Sequence[str]) -> list[str]:
        """Returns the columns of the output, except for `id` and `gold`, that equal the user's column of that name.

        Args:
            names (`Sequence[str]`): The columns of the user's data.
            text_columns (`Sequence[str]`): The columns of the text.
        """
        return ["text"] if list(text_columns) == ["text"] and "text" in names else []

    def has_other_words(self, stored: Path, dataset: "Dataset") -> bool:
        """Returns whether the rows of a stored input had other words, so that their answers cannot be used.

        Args:
            stored (`Path`): The file of the stored input.
            dataset (`Dataset`): The current result of `read_rows` for the same data.
        """
        return False

    def check_can_select(self, *, has_labels: bool) -> None:
        """Refuses `freeal-hf select` for a kind of task that it does not support.

        Args:
            has_labels (`bool`): Whether some of the texts are labelled.

        Raises:
            InputError: If the kind of task is not supported.
        """

    # ---- Answers of annotators ----

    @abstractmethod
    def no_answers(self, corpus: CorpusT) -> AnswersT:
        """Returns the answers for texts that are not annotated yet."""

    @abstractmethod
    def fuse(self, group: Sequence[AnswersT], human: Any) -> AnswersT:
        """Combines the answers of several annotators.

        Args:
            group (`Sequence`): The answers of each annotator.
            human (`Corpus.human_answers`): The human labels.
        """

    @abstractmethod
    def votes(self, answers: AnswersT, num_annotators: int) -> np.ndarray | None:
        """Returns the answers of each annotator that the final labels use.

        Args:
            answers: The fused answers.
            num_annotators (`int`): The number of parts by annotators of round 0. The other parts are by the refine
                annotators, whose answers replace them.

        Returns:
            `np.ndarray` of shape `(n, annotators)`, *optional*: Label ids, -1 for none; `None` if the fused answers
            say all. If a text can have several labels, the shape is `(n, annotators, num_labels)`.
        """

    @abstractmethod
    def found_labels(self, corpus: CorpusT, answers: AnswersT) -> np.ndarray:
        """Returns the ids of all labels of annotators and people."""

    def text_labels(self, corpus: CorpusT, answers: AnswersT) -> np.ndarray | None:
        """Returns the label id of each text before training, -1 for none, shape `(n,)`; `None` if texts can have
        several labels."""
        return None

    # ---- Training ----

    @abstractmethod
    def training_set(self, corpus: CorpusT, answers: AnswersT) -> "Dataset":
        """Returns the training set of the student. `is_trusted` is true for human labels."""

    @abstractmethod
    def doubt(self, dataset: "Dataset", held_out: np.ndarray | None) -> str | None:
        """Returns why the user must confirm the annotator's answers before the training.

        Args:
            dataset (`Dataset`): The result of `training_set`.
            held_out (`np.ndarray` of shape `(samples, classes)`, *optional*): The prediction of each label by a probe
                that has not seen it; `None` in token classification.

        Returns:
            `str`, *optional*: The reason; `None` if there is none.
        """

    @property
    def student_settings(self) -> Mapping[str, Any]:
        """Settings of the task that are stored in the configuration of the student, by name."""
        return {}

    @property
    def pipeline_options(self) -> Mapping[str, Any]:
        """Arguments of `transformers.pipeline` with which the student gives all of its answer, by name."""
        return {}

    # ---- Selection and demonstrations ----

    @abstractmethod
    def losses(self, corpus: CorpusT, selection: Selection) -> np.ndarray:
        """Returns the student's loss on each text, infinite if a text has no label; shape `(n,)`."""

    @abstractmethod
    def is_noisy(self, corpus: CorpusT, answers: AnswersT, selection: Selection) -> np.ndarray:
        """Returns whether the label of each text is noisy or missing; shape `(n,)`.

        Texts with a human label that were annotated too are treated as the others (`noisy_without_people`), or are
        never noisy.
        """

    @abstractmethod
    def choose_pool(
        self, corpus: CorpusT, answers: AnswersT, selection: Selection, loop: LoopConfig, seed: int
    ) -> list[Demonstration]:
        """Chooses demonstrations among human-labelled texts and clean texts with whose label the student agrees."""

    @abstractmethod
    def stand_in(self, corpus: CorpusT, index: int, label: int) -> Demonstration:
        """Returns a text of the corpus that replaces a demonstration that is not written yet, to estimate lengths.

        Args:
            corpus: The texts.
            index (`int`): The index of the text.
            label (`int`): One of `task.shot_labels`.
        """

    # ---- Final labels ----

    def selection_for(self, corpus: CorpusT, answers: AnswersT, before: AnswersT, selection: Selection) -> Selection:
        """Returns the selection for answers that were fused again after the training.

        Args:
            corpus: The texts.
            answers: The fused answers.
            before: The fused answers that the student was trained on.
            selection (`Selection`): The student's selection.
        """
        return selection

    def class_shares(self, given: "str | Mapping[str, float] | None") -> np.ndarray | None:
        """Reads the shares of the labels that the user knows.

        Args:
            given (`str` or `Mapping[str, float]`, *optional*): `LoopConfig.class_shares`.

        Returns:
            `np.ndarray` of shape `(num_labels,)`, *optional*: `None` if the user knows none.

        Raises:
            InputError: If they cannot be used, or if texts of this kind of task can have several labels.
        """
        if given is not None:
            raise InputError(
                f"class_shares is {given!r}, but texts of a {self.task.type} task do not have exactly one label. "
                "Leave class_shares out."
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
        earlier: Sequence[tuple[np.ndarray, np.ndarray | None]] = (),
    ) -> tuple["Dataset", dict[str, Any]]:
        """Makes the dataset of a round, with one row for each row of the input, in the same order.

        Args:
            dataset (`Dataset`): The input.
            corpus: The distinct texts of the input.
            answers: The annotators' answers.
            selection (`Selection`): The student's selection.
            number (`int`): The round.
            seed (`int`): Seed of the estimate.
            votes (`np.ndarray`, *optional*): The result of `votes`.
            class_shares (`np.ndarray` of shape `(num_labels,)`, *optional*): The result of `class_shares`.
            earlier (`Sequence[tuple]`): `probabilities` and `is_human` of the selections of earlier rounds, the oldest
                first.

        Returns:
            `tuple[Dataset, dict]`: The rows with their final labels, and the round's metrics with
            `student_has_learnt`.
        """

    @abstractmethod
    def test_rows(self, test: "Dataset", student: Path, number: int) -> "Dataset":
        """Makes the rows of the test split, with the columns of `label_rows`. Only the student has labelled them."""

    @abstractmethod
    def score(self, labels: "Dataset") -> dict[str, Any]:
        """Computes the scores of a round's dataset for `metrics.json`."""

    # ---- Prediction ----

    @classmethod
    @abstractmethod
    def owns_student(cls, config: Any) -> bool:
        """Returns whether a saved student was trained for this kind of task.

        Args:
            config (`PreTrainedConfig`): The configuration of the student.
        """

    @classmethod
    @abstractmethod
    def predictor(cls, student: str | Path, options: PredictionOptions) -> Predictor[Any]:
        """Loads a saved student that labels the rows of a file.

        Args:
            student (`str` or `Path`): The folder or Hub id of the student.
            options (`PredictionOptions`): The options of the output.

        Raises:
            InputError: If the student cannot be loaded, or an option is not for this kind of task.
        """
