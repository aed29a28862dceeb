"""The columns of a training set, and the tokenization of its texts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, IterableDataset
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from freeal_hf.errors import InputError
from freeal_hf.training.config import FreeALConfig

NO_LABEL = -1
"""The label of a sample that has none."""

IGNORED = -100
"""The label of a sub-word that is not scored, as in transformers."""

TRAIN_COLUMNS = ("input_ids", "attention_mask", "labels", "sample_index", "augmented_input_ids")
EVAL_COLUMNS = ("input_ids", "attention_mask", "labels")


def label_column_of(dataset: Dataset | IterableDataset) -> str | None:
    """Returns the name of the column of the labels: `labels` or `label`; `None` if there is neither.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset.
    """
    columns = columns_of(dataset)
    return next((name for name in ("labels", "label") if name in columns), None)


def has_label_lists(dataset: Dataset) -> bool:
    """Returns whether each text has a list of labels, as in multi-label classification.

    Args:
        dataset (`Dataset`): A dataset of texts. The first label that is not missing decides.

    Example:

        >>> has_label_lists(Dataset.from_dict({"labels": [None, [0.0, 1.0]]}))
        True
    """
    column = label_column_of(dataset)
    if column is None:
        return False
    values = dataset.with_format(None).select_columns(column)
    first = next((row[column] for row in values if row[column] is not None), None)
    return isinstance(first, (list, tuple))


def without_second_views(dataset: Dataset) -> Dataset:
    """Removes the second views of a dataset.

    Args:
        dataset (`Dataset`): The dataset.
    """
    return dataset.remove_columns(
        [name for name in ("augmented_text", "augmented_input_ids") if name in dataset.column_names]
    )


def ids_of(dataset: Dataset) -> list[str]:
    """Returns the column `id` of a dataset; without such a column, the row numbers.

    Args:
        dataset (`Dataset`): The dataset.
    """
    return [str(i) for i in (dataset["id"] if "id" in dataset.column_names else range(len(dataset)))]


def is_trusted_of(dataset: Dataset) -> NDArray[np.bool_]:
    """Returns the column `is_trusted` of a dataset; without such a column, false for each row.

    Args:
        dataset (`Dataset`): The dataset.
    """
    return np.array(dataset["is_trusted"] if "is_trusted" in dataset.column_names else np.zeros(len(dataset)), bool)


def confidences_of(dataset: Dataset) -> NDArray[np.float64]:
    """Returns the column `label_confidence` of a dataset, NaN for none; without such a column, NaN for each row.

    Args:
        dataset (`Dataset`): The dataset.

    Raises:
        InputError: If the column has values that are no numbers.
    """
    if "label_confidence" not in dataset.column_names:
        return np.full(len(dataset), np.nan)
    try:
        return np.array(dataset["label_confidence"][:], dtype=float)
    except (TypeError, ValueError):
        raise InputError(
            "The column 'label_confidence' of the training set has values that are no numbers. It is the annotator's "
            "confidence in each label, from 0 to 1; remove it if it is something else."
        ) from None


def candidates_of(dataset: Dataset, num_classes: int) -> NDArray[np.bool_] | None:
    """Returns the column `candidates` of a dataset: the plausible classes of texts without a label.

    Args:
        dataset (`Dataset`): The dataset.
        num_classes (`int`): The number of classes.

    Returns:
        `NDArray` of shape `[n, num_classes]` or `None`: Whether each class is a candidate; `None` without such a
        column.

    Raises:
        InputError: If a value is not a list of class numbers.

    Example:

        >>> candidates_of(Dataset.from_dict({"candidates": [[0, 2], None]}), num_classes=3).tolist()
        [[True, False, True], [False, False, False]]
    """
    if "candidates" not in dataset.column_names:
        return None
    found = np.zeros((len(dataset), num_classes), dtype=bool)
    for row, classes in enumerate(dataset.with_format(None)["candidates"]):
        if not isinstance(classes, list | None):
            raise InputError(
                f"row {row} has {classes!r} as `candidates`, which is not a list of the numbers of plausible classes: "
                "remove the column if it is something else"
            )
        found[row, [c for c in label_ids(classes or (), num_classes, row=row, column="candidates") if c >= 0]] = True
    return found


def label_names_of(dataset: Dataset | IterableDataset) -> list[str] | None:
    """Returns the class names of the column `labels` or `label` of a dataset.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset.

    Returns:
        `list[str]` or `None`: The names by class number; `None` if there is no such column, or if it is neither a
        `ClassLabel` nor a sequence of them.

    Example:

        >>> from datasets import ClassLabel, Dataset, Features
        >>> label_names_of(Dataset.from_dict({"label": [1]}, Features({"label": ClassLabel(names=["no", "yes"])})))
        ['no', 'yes']
    """
    features = dataset.features or {}
    feature = features.get("labels", features.get("label"))
    feature = getattr(feature, "feature", feature)
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def with_standard_columns(dataset: Dataset, args: FreeALConfig) -> Dataset:
    """Renames the columns that are named in the configuration to `text`, `label`, `augmented_text` and `tokens`.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset.
        args (`FreeALConfig`): The arguments `dataset_text_field`, `dataset_label_field`, ...

    Returns:
        `Dataset` or `IterableDataset`: The dataset with those of the four columns that it has.

    Raises:
        InputError: If a named column is missing, but there is a column with the standard name.
    """
    named = {
        args.dataset_text_field: "text",
        args.dataset_label_field: "label",
        args.dataset_augmented_text_field: "augmented_text",
        args.dataset_tokens_field: "tokens",
    }
    columns = columns_of(dataset)
    for old, new in named.items():
        if old not in columns and new in columns:
            raise InputError(
                f"the dataset has no column {old!r} (dataset_{new}_field), but it has a column {new!r}: rename the "
                "column, or leave the option out"
            )
    renamed = {old: new for old, new in named.items() if old != new and old in columns}
    # Ignore a column that is replaced, such as `text` if dataset_text_field is "review".
    hidden = [new for new in renamed.values() if new in columns and new not in renamed]
    return dataset.remove_columns(hidden).rename_columns(renamed) if renamed else dataset


def columns_of(dataset: Dataset | IterableDataset) -> list[str]:
    """Returns the column names of a dataset.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset. If a stream does not know its columns, its first row is
            read.

    Returns:
        `list[str]`: The column names.
    """
    return list(dataset.column_names if dataset.column_names is not None else next(iter(dataset), {}))


def label_ids(labels: Iterable[Any], num_classes: int, *, row: int | None = None, column: str = "label") -> list[int]:
    """Checks labels and converts all values that mean "no label" to -1.

    Args:
        labels (`Iterable`): Class numbers; `None`, NaN, -1 and -100 mean "no label".
        num_classes (`int`): The number of classes.
        row (`int`, *optional*): The row of all labels, for error messages. By default the labels are in row 0, 1, ...
        column (`str`, *optional*, defaults to `"label"`): The name of the column, for error messages.

    Returns:
        `list[int]`: Class numbers; -1 means no label.

    Raises:
        InputError: If a value is not a class number.

    Example:

        >>> label_ids([1, None, -100, float("nan"), 0.0], num_classes=2)
        [1, -1, -1, -1, 0]
    """
    return [
        _label_id(label, num_classes, number if row is None else row, column) for number, label in enumerate(labels)
    ]


def _label_id(value: Any, num_classes: int, row: int, column: str) -> int:
    if value is None or value != value:
        return NO_LABEL
    if isinstance(value, str):
        raise InputError(
            f"row {row} has {value!r} as `{column}`, not a class number: "
            "dataset.cast_column('label', ClassLabel(names=[...])) turns label names into numbers"
        )
    if not isinstance(value, (int, float, np.number)) or not float(value).is_integer():
        raise InputError(
            f"row {row} has {value!r} as `{column}`, which is not a class number: use whole numbers from 0, and -1 "
            "for no label"
        )
    if value in (NO_LABEL, IGNORED):
        return NO_LABEL
    if not 0 <= value < num_classes:
        raise InputError(
            f"row {row} has {value!r} as `{column}`: labels must be between -1 (no label) and {num_classes - 1}, the "
            "last class of the student; if the student is built from a name, pass all classes as class_names="
        )
    return int(value)


def check_text(value: Any, row: int, column: str = "text") -> str:
    """Checks that a value is a text.

    Args:
        value (`Any`): The value.
        row (`int`): Its row, for the error message.
        column (`str`, *optional*, defaults to `"text"`): The name of its column, for the error message.

    Returns:
        `str`: The text.

    Raises:
        InputError: If the value is missing or not a string.
    """
    if not isinstance(value, str):
        what = "no text (it is missing)" if value is None or value != value else f"{value!r}, which is not a text,"
        raise InputError(f"row {row} has {what} in `{column}`: leave the row out, or fill it with a string")
    return value


def tokenize(
    dataset: Dataset | IterableDataset,
    tokenizer: PreTrainedTokenizerBase | None,
    max_length: int,
    columns: Sequence[str],
    *,
    num_classes: int,
    no_label: int = IGNORED,
    read_label: Callable[[Any, int, str], Any] | None = None,
) -> Any:
    """Tokenizes a dataset of texts, and keeps only the columns that the student reads.

    Args:
        dataset (`Dataset` or `IterableDataset`): A dataset with the columns `text`, or `input_ids` and
            `attention_mask`, and optionally `label` (`None`, -1 or -100 for no label) and `augmented_text`.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer. Not needed if there is a column `input_ids`.
        max_length (`int`): The maximum number of tokens in a text. Longer texts are truncated.
        columns (`Sequence[str]`): The columns to keep, `TRAIN_COLUMNS` or `EVAL_COLUMNS`.
        num_classes (`int`): The number of classes.
        no_label (`int`, *optional*, defaults to -100): The value of `labels` for a sample without a label.
        read_label (`Callable`, *optional*): Converts a label; it gets the label, the number of the row and the name of
            the column. By default a label is a class number.

    Returns:
        `Dataset` or `IterableDataset`: The rows in the same order, with those of `columns` that can be made.

    Raises:
        InputError: If a column or a text is missing, or a label is not a class number.
    """
    known = columns_of(dataset)
    label_column = label_column_of(dataset)
    if "input_ids" not in known:
        if "text" not in known:
            raise InputError(f"the dataset needs a column `text` or `input_ids`; it has {known}")
        if tokenizer is None:
            raise InputError("a dataset with `text` needs a tokenizer: pass processing_class=")

    def class_of(value: Any, row: int, column: str) -> Any:
        if isinstance(value, (list, tuple)):  # labels of tokenized words: one for each sub-word already
            return list(value)
        label = _label_id(value, num_classes, row, column)
        return no_label if label == NO_LABEL else label

    label_of = read_label or class_of

    def encode(batch: dict[str, list[Any]], rows: list[int]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if "input_ids" not in batch:
            assert tokenizer is not None
            texts = [check_text(text, row) for text, row in zip(batch["text"], rows, strict=True)]
            result = dict(_token_ids(tokenizer, texts, max_length))
            if "augmented_text" in batch and "augmented_input_ids" in columns:
                views = [
                    check_text(other, row, "augmented_text") if other else text
                    for text, other, row in zip(texts, batch["augmented_text"], rows, strict=True)
                ]
                result["augmented_input_ids"] = _token_ids(tokenizer, views, max_length)["input_ids"]
        elif "attention_mask" not in batch:
            result["attention_mask"] = [[1] * len(ids) for ids in batch["input_ids"]]
        if "sample_index" in columns:
            result["sample_index"] = rows
        if label_column is not None:
            labels = zip(batch[label_column], rows, strict=True)
            result["labels"] = [label_of(value, row, label_column) for value, row in labels]
        return result

    kept = [name for name in columns if name in known and name not in ("labels", "sample_index")]
    dropped = [name for name in known if name not in kept]
    if isinstance(dataset, IterableDataset):
        return dataset.map(encode, batched=True, with_indices=True, remove_columns=dropped)
    return dataset.with_format(None).map(
        encode, batched=True, with_indices=True, remove_columns=dropped, desc="Tokenizing"
    )


def _token_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int) -> dict[str, Any]:
    encoded = tokenizer(texts, truncation=True, max_length=max_length)
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
