"""Checks the datasets of the trainer, and converts them to rows and samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from freeal_hf.errors import InputError
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import (
    EVAL_COLUMNS,
    IGNORED,
    NO_LABEL,
    TRAIN_COLUMNS,
    label_names_of,
    tokenize,
    with_standard_columns,
)
from freeal_hf.training.token_data import has_words, tokenize_word_stream, tokenize_words, words_and_labels
from freeal_hf.training.token_selection import Words, group_words


@dataclass(frozen=True)
class TrainingSet:
    """A tokenized training set. A sample is a text or, in token classification, a word.

    Args:
        rows (`Dataset`): The `r` rows that the student reads, with `TRAIN_COLUMNS`.
        ids (`list[str]`): The column `id` of the texts or sentences; by default the row numbers.
        labels (`NDArray` of shape `[n]`): The noisy label of each sample; -1 means none.
        is_trusted (`NDArray` of shape `[n]`): Whether the label is always clean, from the column `is_trusted`.
        text_of_row (`NDArray` of shape `[r]`): The number of the text or sentence of each row. In token classification
            a row can be a window of a sentence.
        words (`Words`, *optional*): The sentences and entities of the words; `None` if the samples are texts.
    """

    rows: Dataset
    ids: list[str]
    labels: NDArray[np.int64]
    is_trusted: NDArray[np.bool_]
    text_of_row: NDArray[np.int64]
    words: Words | None

    @property
    def lengths(self) -> list[int]:
        """The number of tokens in each row."""
        return [len(ids) for ids in self.rows["input_ids"]]

    @property
    def padded_lengths(self) -> list[int]:
        """The number of tokens in the longest view of each row. Both views are padded to it."""
        columns = [name for name in ("input_ids", "augmented_input_ids") if name in self.rows.column_names]
        return [max(map(len, row)) for row in zip(*(self.rows[name] for name in columns), strict=True)]


def checked_training_set(dataset: Any, args: FreeALConfig) -> Dataset:
    """Checks a training set, and gives its columns their standard names.

    Args:
        dataset (`Dataset`): The training set.
        args (`FreeALConfig`): The names of the columns.

    Returns:
        `Dataset`: The training set with the columns `text` or `tokens`, `label`, ...

    Raises:
        TypeError: If the training set has no length or no random access.
        InputError: If it has no rows or no labels.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"train_dataset is a {type(dataset).__name__}: the selection needs a datasets.Dataset, which has a length "
            "and random access; Dataset.from_generator converts a stream to one"
        )
    if not len(dataset):
        raise InputError("the training set has no rows: check how it was loaded or filtered")
    dataset = with_standard_columns(dataset, args)
    if not {"label", "labels"} & set(dataset.column_names):
        raise InputError(
            f"the training set needs a column `label` (-1 = none); it has {dataset.column_names}. If the column has "
            "another name, use FreeALConfig(dataset_label_field=...)"
        )
    return dataset


def prepare_training_set(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase | None,
    label_names: Mapping[Any, str],
    *,
    max_length: int,
    reads_second_view: bool,
    no_label: int = NO_LABEL,
) -> TrainingSet:
    """Tokenizes a dataset of texts, or of sentences of words.

    Args:
        dataset (`Dataset`): The dataset that `checked_training_set` returned.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer. Not needed if there is a column `input_ids`.
        label_names (`Mapping[Any, str]`): The class names of the student by number.
        max_length (`int`): The maximum number of tokens in a row.
        reads_second_view (`bool`): Whether to keep the second views of the dataset.
        no_label (`int`, *optional*, defaults to -1): The value of `labels` for a sample without a label.

    Returns:
        `TrainingSet`: The rows and samples.

    Raises:
        InputError: If a column or a text is missing, or a label is not a class of the student.
    """
    columns, num_classes = dataset.column_names, len(label_names)
    ids = [str(i) for i in (dataset["id"] if "id" in columns else range(len(dataset)))]
    trusted = np.array(dataset["is_trusted"] if "is_trusted" in columns else np.zeros(len(dataset)), dtype=bool)
    words = None
    if has_words(dataset):
        labels, num_words = words_and_labels(dataset, num_classes)
        trusted = np.repeat(trusted, num_words)
        words = group_words(labels, num_words, [label_names[i] for i in range(num_classes)])
        rows, text_of_row = tokenize_words(
            dataset, tokenizer, max_length, TRAIN_COLUMNS, num_classes=num_classes, no_label=no_label
        )
    else:
        rows = tokenize(dataset, tokenizer, max_length, TRAIN_COLUMNS, num_classes=num_classes, no_label=no_label)
        labels, text_of_row = np.array(rows["labels"], dtype=np.int64), np.arange(len(rows))
        labels = np.where(labels == IGNORED, NO_LABEL, labels)
    if not reads_second_view and "augmented_input_ids" in rows.column_names:
        rows = rows.remove_columns("augmented_input_ids")
    return TrainingSet(rows, ids, labels, trusted, text_of_row, words)


def prepare_evaluation_set(
    dataset: Dataset | IterableDataset,
    tokenizer: PreTrainedTokenizerBase | None,
    max_length: int,
    *,
    num_classes: int,
    class_names: Sequence[str],
) -> Any:
    """Tokenizes an evaluation set of texts, or of sentences of words. A stream is tokenized while it is read.

    Args:
        dataset (`Dataset` or `IterableDataset`): The evaluation set, as in [`FreeALTrainer`].
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer. Not needed if there is a column `input_ids`.
        max_length (`int`): The maximum number of tokens in a row.
        num_classes (`int`): The number of classes.
        class_names (`Sequence[str]`): The names of the classes; empty if they are not known.

    Returns:
        `Dataset` or `IterableDataset`: The rows with `EVAL_COLUMNS`. `labels` is -100 if there is no label.

    Raises:
        InputError: If a column or a text is missing, or a label is not a class of the student.
    """
    if isinstance(dataset, Dataset) and not len(dataset):
        raise InputError("the evaluation set has no rows: check how it was loaded or filtered")
    names = label_names_of(dataset)
    if names and class_names and names != list(class_names):
        raise InputError(
            f"the classes of the evaluation set are {names}, those of the training set {list(class_names)}: "
            "dataset.cast_column('label', ClassLabel(names=[...])) gives them the same order"
        )
    if isinstance(dataset, IterableDataset) and has_words(dataset):
        prepared: Any = tokenize_word_stream(dataset, tokenizer, max_length, num_classes=num_classes)
    elif has_words(dataset):
        prepared = tokenize_words(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=num_classes)[0]
    else:
        prepared = tokenize(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=num_classes)
    return prepared
