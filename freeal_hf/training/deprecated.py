"""Former ways to call [`FreeALTrainer`], which still work and warn."""

import warnings
from collections.abc import Sequence
from typing import Any

from datasets import Dataset, IterableDataset


def data_in_former_order(data_collator: Any, train_dataset: Any, eval_dataset: Any) -> tuple[Any, Any, Any]:
    """Accept `FreeALTrainer(model, args, train_dataset, eval_dataset)`, which had no `data_collator` in between.

    Args:
        data_collator (`Any`): Third argument.
        train_dataset (`Any`): Fourth argument.
        eval_dataset (`Any`): Fifth argument.

    Returns:
        `tuple`: Collator, training set and evaluation set.
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
    """Accept names of classes as `label_names`.

    Args:
        class_names (`Sequence[str]`, *optional*): Names of the classes.
        label_names (`Sequence[str]`, *optional*): Former name of the argument.

    Returns:
        `list[str]`: Names of the classes, if any were given.
    """
    if label_names is not None:
        warnings.warn(
            "label_names= of FreeALTrainer is now class_names=; TrainingArguments(label_names=...) means what it does "
            "in Trainer",
            DeprecationWarning,
            stacklevel=3,
        )
    return list(class_names or label_names or [])
