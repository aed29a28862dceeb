"""Checks the datasets that a user passes to the trainer."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from freeal_hf.errors import InputError
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import label_column_of, label_names_of, with_standard_columns


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
    if label_column_of(dataset) is None:
        raise InputError(
            f"the training set needs a column `label` (-1 = none); it has {dataset.column_names}. If the column has "
            "another name, use FreeALConfig(dataset_label_field=...)"
        )
    return dataset


def checked_evaluation_set(dataset: Any, class_names: Sequence[str]) -> None:
    """Checks an evaluation set.

    Args:
        dataset (`Dataset` or `IterableDataset`): The evaluation set, with the standard column names.
        class_names (`Sequence[str]`): The names of the classes; empty if they are not known.

    Raises:
        InputError: If it has no rows, or its classes are not those of the student.
    """
    if isinstance(dataset, Dataset) and not len(dataset):
        raise InputError("the evaluation set has no rows: check how it was loaded or filtered")
    names = label_names_of(dataset)
    if names and class_names and names != list(class_names):
        raise InputError(
            f"the classes of the evaluation set are {names}, those of the training set {list(class_names)}: "
            "dataset.cast_column('label', ClassLabel(names=[...])) gives them the same order"
        )
