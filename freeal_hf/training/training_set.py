"""The training set as the trainer sees it: rows that the student reads, samples that are labelled and selected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from freeal_hf.training.data import NO_LABEL, TRAIN_COLUMNS, tokenize
from freeal_hf.training.token_data import has_words, tokenize_words, words_and_labels
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


def prepare_training_set(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase | None,
    label_names: Mapping[Any, str],
    *,
    max_length: int,
    second_view: str,
) -> TrainingSet:
    """Turn a data set of texts, or of sentences of words, into rows and samples.

    Args:
        dataset: As [`FreeALTrainer`] takes it.
        tokenizer: Needed when there is no `input_ids`.
        label_names: The student's classes by number.
        max_length: Tokens at most in one row.
        second_view: As in [`FreeALConfig`].

    Raises:
        ValueError: A column is missing, or labels do not fit the classes.
    """
    columns = dataset.column_names
    ids = [str(i) for i in (dataset["id"] if "id" in columns else range(len(dataset)))]
    if not {"label", "labels"} & set(columns):
        raise ValueError(f"the training set needs a column `label` (-1 = none); it has {columns}")
    trusted = np.array(dataset["is_trusted"] if "is_trusted" in columns else np.zeros(len(dataset)), dtype=bool)
    words = None
    if has_words(dataset):
        labels, num_words = words_and_labels(dataset)
        trusted = np.repeat(trusted, num_words)
        _check(labels, len(label_names))
        words = group_words(labels, num_words, [label_names[i] for i in range(len(label_names))])
        rows, text_of_row = tokenize_words(dataset, tokenizer, max_length, TRAIN_COLUMNS)
    else:
        rows = tokenize(dataset, tokenizer, max_length, TRAIN_COLUMNS)
        labels, text_of_row = np.array(rows["labels"], dtype=np.int64), np.arange(len(rows))
        _check(labels, len(label_names))
    if second_view == "none" and "augmented_input_ids" in rows.column_names:
        rows = rows.remove_columns("augmented_input_ids")
    return TrainingSet(rows, ids, labels, trusted, text_of_row, words)


def _check(labels: NDArray[np.int64], num_labels: int) -> None:
    if len(labels) and not NO_LABEL <= labels.min() <= labels.max() < num_labels:
        raise ValueError(f"labels must lie between -1 (none) and {num_labels - 1}, the student's last class")
