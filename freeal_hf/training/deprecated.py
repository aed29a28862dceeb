"""Deprecated arguments of [`FreeALTrainer`], which still work with a warning."""

import warnings
from collections.abc import Sequence
from typing import Any

from datasets import Dataset, IterableDataset


def data_in_former_order(data_collator: Any, train_dataset: Any, eval_dataset: Any) -> tuple[Any, Any, Any]:
    """Accepts the former call `FreeALTrainer(model, args, train_dataset, eval_dataset)`.

    Args:
        data_collator (`Any`): The third argument.
        train_dataset (`Any`): The fourth argument.
        eval_dataset (`Any`): The fifth argument.

    Returns:
        `tuple`: The data collator, the training set and the evaluation set.
    """
    if not isinstance(data_collator, (Dataset, IterableDataset)):
        return data_collator, train_dataset, eval_dataset
    warnings.warn(
        "FreeALTrainer takes its arguments in the order of Trainer: pass train_dataset= and eval_dataset= by name",
        DeprecationWarning,
        stacklevel=3,
    )
    return None, data_collator, eval_dataset if train_dataset is None else train_dataset


def class_names_of(class_names: Sequence[str] | None, label_names: Sequence[str] | None) -> list[str]:
    """Accepts the former argument `label_names` for the names of the classes.

    Args:
        class_names (`Sequence[str]`, *optional*): The names of the classes.
        label_names (`Sequence[str]`, *optional*): The former name of the argument.

    Returns:
        `list[str]`: The names of the classes; empty if none were given.
    """
    if label_names is not None:
        warnings.warn(
            "label_names= of FreeALTrainer is now class_names=; TrainingArguments(label_names=...) has the meaning "
            "that it has in Trainer",
            DeprecationWarning,
            stacklevel=3,
        )
    return list(class_names or label_names or [])
