"""`SampleKind`, the base class of what the samples of a training set can be, and `TrainingSet`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, IterableDataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from freeal_hf.tasks import Task
from freeal_hf.training.data import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.training.selection import Selection, SelectionRules, select_clean
from freeal_hf.training.slips import admitted_slips, probability_of_slips
from freeal_hf.training.token_selection import Words

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True)
class TrainingSet:
    """A tokenized training set.

    A sample is a text. In token classification a sample is a word, and in multi-label classification a pair of a text
    and a label.

    Args:
        kind (`SampleKind`): What a sample is.
        rows (`Dataset`): The `r` rows that the student reads, with `TRAIN_COLUMNS`.
        ids (`list[str]`): The column `id` of the texts or sentences; by default the row numbers.
        labels (`NDArray` of shape `[n]`): The noisy label of each sample; -1 means none.
        is_trusted (`NDArray` of shape `[n]`): Whether the label is always clean, from the column `is_trusted`.
        confidences (`NDArray` of shape `[n]`): The annotator's confidence in each label, NaN for none, from the column
            `label_confidence`.
        text_of_row (`NDArray` of shape `[r]`): The number of the text or sentence of each row. In token classification
            a row can be a window of a sentence.
        words (`Words`, *optional*): The sentences and entities of the words, in token classification.
        candidates (`NDArray` of shape `[n, classes]`, *optional*): The plausible classes of each sample whose label is
            not known, from the column `candidates`. All are `False` if there are none.
    """

    kind: "SampleKind"
    rows: Dataset
    ids: list[str]
    labels: NDArray[np.int64]
    is_trusted: NDArray[np.bool_]
    confidences: NDArray[np.float64]
    text_of_row: NDArray[np.int64]
    words: Words | None = None
    candidates: NDArray[np.bool_] | None = None

    @property
    def lengths(self) -> list[int]:
        """The number of tokens in each row."""
        return [len(ids) for ids in self.rows["input_ids"]]

    @property
    def padded_lengths(self) -> list[int]:
        """The number of tokens in the longest view of each row. Both views are padded to it."""
        columns = [name for name in ("input_ids", "augmented_input_ids") if name in self.rows.column_names]
        return [max(map(len, row)) for row in zip(*(self.rows[name] for name in columns), strict=True)]


class SampleKind(ABC):
    """What a sample of a training set is, and everything that depends on it. By default a sample is a text.

    Args:
        label_names (`Sequence[str]`): The class names of the student, in the order of their numbers.

    Attributes:
        head (`type`): The class that adds a head to an encoder.
        problem_type (`str`, *optional*): The `problem_type` in the configuration of the student.
        starts_with_probe (`bool`): Whether the averaged predictions can start with those of a probe.
        holds_out (`bool`): Whether labels can be held out to calibrate the student.
        holds_out_by_default (`bool`): Whether they are, if the objective holds labels out by default. The loop
            calibrates students of texts with one label without held-out labels.
    """

    head: ClassVar[Any] = AutoModelForSequenceClassification
    problem_type: ClassVar[str | None] = None
    starts_with_probe: ClassVar[bool] = True
    holds_out: ClassVar[bool] = True
    holds_out_by_default: ClassVar[bool] = False

    def __init__(self, label_names: Sequence[str]) -> None:
        self.label_names = list(label_names)

    @property
    def num_classes(self) -> int:
        """The number of classes of a sample."""
        return len(self.label_names)

    @property
    def outside(self) -> int:
        """The class of words outside of entities; -1 if there is none."""
        return -1

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task of the student, for its model card."""

    # ---- Data ----

    @abstractmethod
    def training_set(
        self,
        dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase | None,
        max_length: int,
        *,
        no_label: int = NO_LABEL,
    ) -> TrainingSet:
        """Tokenizes a training set.

        Args:
            dataset (`Dataset`): The dataset that `checked_training_set` returned.
            tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer. Not needed if there is a column
                `input_ids`.
            max_length (`int`): The maximum number of tokens in a row.
            no_label (`int`, *optional*, defaults to -1): The value of `labels` in the rows for a sample without a
                label.

        Returns:
            `TrainingSet`: The rows and samples.

        Raises:
            InputError: If a column or a text is missing, or a label is not a class of the student.
        """

    @abstractmethod
    def evaluation_set(
        self, dataset: Dataset | IterableDataset, tokenizer: PreTrainedTokenizerBase | None, max_length: int
    ) -> Any:
        """Tokenizes an evaluation set. A stream is tokenized while it is read.

        Args:
            dataset (`Dataset` or `IterableDataset`): The evaluation set.
            tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer. Not needed if there is a column
                `input_ids`.
            max_length (`int`): The maximum number of tokens in a row.

        Returns:
            `Dataset` or `IterableDataset`: The rows with `EVAL_COLUMNS`. `labels` is -100 if there is no label.

        Raises:
            InputError: If a column or a text is missing, or a label is not a class of the student.
        """

    # ---- Student ----

    def logits(self, logits: Tensor) -> Tensor:
        """Returns the logits of the classes of each sample.

        Args:
            logits (`Tensor` of shape `[rows, ...]`): The logits of the student.

        Returns:
            `Tensor` of shape `[rows, ..., classes]`: The logits of the samples of each row.
        """
        return logits

    def places(self, index: Tensor) -> Tensor:
        """Returns the numbers of the samples of a batch.

        Args:
            index (`Tensor`): The column `sample_index` of the rows.

        Returns:
            `Tensor` of shape `[rows, ...]`: The number of each sample in the training set; -1 where there is none. It
            has the shape of the logits without the classes.
        """
        return index

    def conclude(self, config: Any, probabilities: Floats, held_out: Integers) -> Integers:
        """Returns the predictions of the trained student, and completes its configuration.

        Args:
            config (`PreTrainedConfig`): The configuration of the student.
            probabilities (`NDArray` of shape `[n, classes]`): The probabilities of the trained student.
            held_out (`NDArray` of shape `[n]`): The labels that were held out from the training; -1 for the others.

        Returns:
            `NDArray` of shape `[n]`: The predicted class of each sample.
        """
        return probabilities.argmax(-1)

    # ---- Selection ----

    def warm_up_epochs(self, epochs: float) -> int:
        """Returns the default of `FreeALConfig.warm_up_epochs`.

        Args:
            epochs (`float`): The number of all epochs.
        """
        return max(2, math.ceil(epochs / 3))

    def slips(self, samples: TrainingSet, held_out: Floats) -> float:
        """Returns the probability that some labels are wrong at random; 1 if it is unknown.

        It is also 1 if the annotator's mean confidence is below the share of labels that the held-out predictions
        repeat. The annotator then expects more errors than a classifier shows.

        Args:
            samples (`TrainingSet`): The training set.
            held_out (`NDArray` of shape `[n, classes]`): The result of `probe`.
        """
        labels = np.where(samples.is_trusted, NO_LABEL, samples.labels)
        known = labels != NO_LABEL
        if known.any() and admitted_slips(labels[known], samples.confidences[known], held_out[known].argmax(axis=1)):
            return 1.0
        return probability_of_slips(samples.labels, held_out)

    def groups(self, labels: Integers) -> tuple[Integers, list[str]]:
        """Divides the samples into the groups in which clean labels are selected. By default these are the classes.

        Args:
            labels (`NDArray` of shape `[n]`): The label of each sample; -1 means none.

        Returns:
            `tuple[NDArray, list[str]]`: The number of the group of each sample, shape `[n]` (-1 without a label), and
            the names of the groups for the log.
        """
        return labels, [str(number) for number in range(self.num_classes)]

    def questions(self, count: int) -> Integers:
        """Returns the question that the classes of each sample answer. By default it is the same for all samples.

        Classes are balanced within a question.

        Args:
            count (`int`): The number of samples.

        Returns:
            `NDArray` of shape `[n]`: The number of the question.
        """
        return np.zeros(count, dtype=np.int64)

    def probe(self, embeddings: NDArray[np.float32], labels: Integers, seed: int) -> Floats:
        """Predicts each label with a classifier that has not seen it.

        Args:
            embeddings (`NDArray` of shape `[texts, hidden size]`): The embeddings of the student before training.
            labels (`NDArray` of shape `[n]`): The label of each sample; -1 means none.
            seed (`int`): The random seed.

        Returns:
            `NDArray` of shape `[n, classes]`: Probabilities.
        """
        return held_out_probabilities(embeddings, labels, self.num_classes, seed=seed)

    def select(
        self, samples: TrainingSet, losses: Floats, average: Floats, rules: SelectionRules
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Divides the labelled samples into clean and noisy ones.

        Args:
            samples (`TrainingSet`): The training set.
            losses (`NDArray` of shape `[n]`): The loss of each sample for its label; ignored without a label.
            average (`NDArray` of shape `[n, classes]`): The averaged predictions of the student.
            rules (`SelectionRules`): The rules by which a sample is clean.

        Returns:
            `tuple[NDArray, NDArray]`: The posterior probability that each label is clean (0 without a label), and the
            clean mask, both of shape `[n]`.
        """
        return select_clean(losses, samples.labels, average, rules)

    def guesses(self, samples: TrainingSet, average: Tensor, posterior: Floats, correction: float) -> Tensor:
        """Returns the pseudo-labels. By default these are the averaged predictions.

        Args:
            samples (`TrainingSet`): The training set.
            average (`Tensor` of shape `[n, classes]`): The averaged predictions of the student.
            posterior (`NDArray` of shape `[n]`): The probability that each label is clean.
            correction (`float`): `FreeALConfig.guess_correction`.

        Returns:
            `Tensor` of shape `[n, classes]`: The pseudo-labels; rows sum to 1.
        """
        return average

    def selection(self, samples: TrainingSet, found: Selection) -> Selection:
        """Returns a selection of samples in the shape that users see. By default it does not change.

        Args:
            samples (`TrainingSet`): The training set.
            found (`Selection`): The selection of the `n` samples.
        """
        return found
