"""The training set as the trainer sees it: rows that the student reads, samples that are labelled and selected."""

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
    """Rows and samples. A sample is a text or, in token classification, a word.

    Args:
        rows: What the student reads: `TRAIN_COLUMNS`, `r` rows.
        ids: The column `id`, or the row numbers as strings, of texts or sentences.
        labels: Noisy label of every sample, shape `[n]`; -1 = none.
        is_trusted: Whether a person gave the label, shape `[n]`; from the column `is_trusted`, if there is one.
        text_of_row: The text or sentence that each row holds, or a window of which it is, shape `[r]`.
        words: How words belong together; `None` where samples are texts.
    """

    rows: Dataset
    ids: list[str]
    labels: NDArray[np.int64]
    is_trusted: NDArray[np.bool_]
    text_of_row: NDArray[np.int64]
    words: Words | None

    @property
    def lengths(self) -> list[int]:
        """Tokens in each row."""
        return [len(ids) for ids in self.rows["input_ids"]]

    @property
    def padded_lengths(self) -> list[int]:
        """Tokens of each row's longest view, to which a batch pads both."""
        columns = [name for name in ("input_ids", "augmented_input_ids") if name in self.rows.column_names]
        return [max(map(len, row)) for row in zip(*(self.rows[name] for name in columns), strict=True)]


def checked_training_set(dataset: Any, args: FreeALConfig) -> Dataset:
    """Refuse what cannot be trained on, and give the columns their standard names.

    Args:
        dataset (`Dataset`): The training set.
        args (`FreeALConfig`): Names the columns.

    Returns:
        `Dataset`: The training set with columns `text` or `tokens`, `label` and so on.

    Raises:
        TypeError: The training set has no length or no random access.
        InputError: There is no row, or no label.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"train_dataset is a {type(dataset).__name__}: the selection needs a datasets.Dataset, whose length is "
            "known and whose rows can be had in any order; Dataset.from_generator makes one of a stream"
        )
    if not len(dataset):
        raise InputError("the training set has no rows: check how it was loaded or filtered")
    dataset = with_standard_columns(dataset, args)
    if not {"label", "labels"} & set(dataset.column_names):
        raise InputError(
            f"the training set needs a column `label` (-1 = none); it has {dataset.column_names}. Another name "
            "is given as FreeALConfig(dataset_label_field=...)"
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
    """Turn a dataset of texts, or of sentences of words, into rows and samples.

    Args:
        dataset: What `checked_training_set` returned.
        tokenizer: Needed when there is no `input_ids`.
        label_names: The student's classes by number.
        max_length: Tokens at most in one row.
        reads_second_view: Whether to keep a second view that the dataset has.
        no_label: What `labels` is in the rows of samples without a label.

    Raises:
        InputError: A column or a text is missing, or labels do not fit the classes.
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
    """Turn texts, or sentences of words, into rows to predict; those of a stream are made as they are read.

    Args:
        dataset: As [`FreeALTrainer`] takes it.
        tokenizer: Needed when there is no `input_ids`.
        max_length: Tokens at most in one row.
        num_classes: Number of classes.
        class_names: Names of the classes, if they are known.

    Returns:
        `Dataset` or `IterableDataset`: `EVAL_COLUMNS`; `labels` is -100 where there is no label.

    Raises:
        InputError: A column or a text is missing, or labels do not fit the classes.
    """
    if isinstance(dataset, Dataset) and not len(dataset):
        raise InputError("the evaluation set has no rows: check how it was loaded or filtered")
    names = label_names_of(dataset)
    if names and class_names and names != list(class_names):
        raise InputError(
            f"the dataset numbers its classes {names}, the training set {list(class_names)}: "
            "dataset.cast_column('label', ClassLabel(names=[...])) makes them alike"
        )
    if isinstance(dataset, IterableDataset) and has_words(dataset):
        prepared: Any = tokenize_word_stream(dataset, tokenizer, max_length, num_classes=num_classes)
    elif has_words(dataset):
        prepared = tokenize_words(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=num_classes)[0]
    else:
        prepared = tokenize(dataset, tokenizer, max_length, EVAL_COLUMNS, num_classes=num_classes)
    return prepared
