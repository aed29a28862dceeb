"""From texts to batches: tokenising, the sample index, the collator that pads both views together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, IterableDataset
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from freeal_hf.errors import InputError
from freeal_hf.training.config import FreeALConfig

NO_LABEL = -1
"""The label of a sample that has none."""

IGNORED = -100
"""The label of a sub-word that is not scored, as everywhere in transformers."""

TRAIN_COLUMNS = ("input_ids", "attention_mask", "labels", "sample_index", "augmented_input_ids")
EVAL_COLUMNS = ("input_ids", "attention_mask", "labels")
_OWN_COLUMNS = ("sample_index", "augmented_input_ids")


def label_names_of(dataset: Dataset | IterableDataset) -> list[str] | None:
    """Label names of a dataset's `label` column.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset.

    Returns:
        `list[str]` or `None`: The names, by class number, or `None` when `label` is missing or no `ClassLabel`, nor a
        sequence of them.
    """
    feature = (dataset.features or {}).get("label")
    feature = getattr(feature, "feature", feature)
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def with_standard_columns(dataset: Dataset, args: FreeALConfig) -> Dataset:
    """Give the columns that the configuration names the names that everything else uses.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset.
        args (`FreeALConfig`): Names the columns, `dataset_text_field` and the like.

    Returns:
        The dataset with columns `text`, `label`, `augmented_text` and `tokens`, as far as it has them.

    Raises:
        InputError: A column that is named is missing, but there is one of the usual name.
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
                f"the dataset has no column {old!r}, which dataset_{new}_field names, but it has {new!r}: rename the "
                "column, or leave the option out"
            )
    renamed = {old: new for old, new in named.items() if old != new and old in columns}
    # A column that another one replaces is not read, such as `text` beside the `review` that was asked for.
    hidden = [new for new in renamed.values() if new in columns and new not in renamed]
    return dataset.remove_columns(hidden).rename_columns(renamed) if renamed else dataset


def columns_of(dataset: Dataset | IterableDataset) -> list[str]:
    """Column names of a dataset; those of its first row if a stream does not know them.

    Args:
        dataset (`Dataset` or `IterableDataset`): The dataset.
    """
    return list(dataset.column_names if dataset.column_names is not None else next(iter(dataset), {}))


def label_ids(labels: Iterable[Any], num_classes: int, *, row: int | None = None, column: str = "label") -> list[int]:
    """Check labels, and give all that means "no label" one form.

    Args:
        labels (`Iterable`): Class numbers; `None`, NaN, -1 and -100 mean "no label".
        num_classes (`int`): Number of classes.
        row (`int`, *optional*): Row that all labels stand in; by default each stands in a row of its own.
        column (`str`, *optional*, defaults to `"label"`): Name of the column, for error messages.

    Returns:
        `list[int]`: Class numbers; -1 = none.

    Raises:
        InputError: A value is no class number.

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
        raise InputError(f"row {row} has {value!r} as `{column}`, which is no class number (whole, from 0; -1 = none)")
    if value in (NO_LABEL, IGNORED):
        return NO_LABEL
    if not 0 <= value < num_classes:
        raise InputError(
            f"row {row} has {value!r} as `{column}`: labels must lie between -1 (none) and {num_classes - 1}, the "
            "student's last class; name all classes with class_names= if the student is built from a name"
        )
    return int(value)


def check_text(value: Any, row: int, column: str = "text") -> str:
    """Refuse what is no text, naming its row.

    Args:
        value (`Any`): What the column holds.
        row (`int`): The row, for the error message.
        column (`str`, *optional*, defaults to `"text"`): Name of the column, for the error message.

    Returns:
        `str`: The text.

    Raises:
        InputError: The value is missing or no string.
    """
    if not isinstance(value, str):
        what = "no text (it is missing)" if value is None or value != value else f"{value!r}, which is no text,"
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
) -> Any:
    """Turn a dataset of texts (or of ready `input_ids`) into one that holds just what the student reads.

    Args:
        dataset (`Dataset` or `IterableDataset`): Columns `text` or `input_ids` (with `attention_mask`), and, where
            there are any, `label` (`None`, -1 or -100 = none) and `augmented_text`.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Needed when there is no `input_ids`.
        max_length (`int`): Tokens at most in one text; the rest is cut off.
        columns (`Sequence[str]`): Which columns to keep, `TRAIN_COLUMNS` or `EVAL_COLUMNS`.
        num_classes (`int`): Number of classes.
        no_label (`int`, *optional*, defaults to -100): What `labels` is where there is no label.

    Returns:
        `Dataset` or `IterableDataset`: The dataset with those of `columns` that could be made, in the same order.

    Raises:
        InputError: A needed column is missing, a text is missing, or a label is no class number.
    """
    known = columns_of(dataset)
    label_column = next((name for name in ("labels", "label") if name in known), None)
    if "input_ids" not in known:
        if "text" not in known:
            raise InputError(f"the dataset needs a column `text` or `input_ids`; it has {known}")
        if tokenizer is None:
            raise InputError("a dataset with `text` needs a tokenizer: pass processing_class=")

    def label_of(value: Any, row: int) -> Any:
        if isinstance(value, (list, tuple)):  # of words that were tokenized already: as the student reads them
            return list(value)
        label = _label_id(value, num_classes, row, str(label_column))
        return no_label if label == NO_LABEL else label

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
            result["labels"] = [label_of(value, row) for value, row in zip(batch[label_column], rows, strict=True)]
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


@dataclass
class TwoViewCollator:
    """Pad a batch to its longest row; with two views, pad both together so that one forward scores them.

    Args:
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Says how to pad; without one, ready `input_ids` are padded
            with 0 on the right.
        inner (`Callable`, *optional*): A collator of the user's, which pads and adds what the student reads; it is
            given second views as rows of their own.

    Returns:
        `input_ids` and `attention_mask` of shape `[views * rows, length]` (first all first views, then all second
        ones), and whichever of `labels` and `sample_index` the rows have, of shape `[rows]`, or `[rows, length]` where
        every sub-word has its own.
    """

    tokenizer: PreTrainedTokenizerBase | None = None
    inner: Callable[[list[dict[str, Any]]], Any] | None = None

    @property
    def pads_left(self) -> bool:
        """Whether padding comes before the text, as XLNet reads it."""
        return self.tokenizer is not None and self.tokenizer.padding_side == "left"

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        views = [{name: value for name, value in row.items() if name not in _OWN_COLUMNS} for row in rows]
        if "augmented_input_ids" in rows[0]:
            second = [row["augmented_input_ids"] for row in rows]
            views += [
                {**view, "input_ids": ids, "attention_mask": [1] * len(ids)}
                for view, ids in zip(views, second, strict=True)
            ]
        batch = dict(self.inner(views)) if self.inner is not None else self._padded(views)
        if "labels" in batch:
            batch["labels"] = batch["labels"][: len(rows)]
        if "sample_index" in rows[0]:
            batch["sample_index"] = self._tensor(
                [row["sample_index"] for row in rows], -1, batch["input_ids"].shape[1]
            )
        return batch

    def _padded(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        pad_id = self.tokenizer.pad_token_id if self.tokenizer is not None else 0
        padding = {"input_ids": pad_id, "attention_mask": 0, "labels": IGNORED}
        return {name: self._tensor([row[name] for row in rows], padding[name]) for name in rows[0] if name in padding}

    def _tensor(self, values: Sequence[Any], padding: int, length: int = 0) -> torch.Tensor:
        if not isinstance(values[0], (list, torch.Tensor)) or (
            isinstance(values[0], torch.Tensor) and values[0].dim() == 0
        ):
            return torch.tensor(values)
        length = max(length, *map(len, values))
        return torch.tensor(
            [
                [*[padding] * (length - len(row)), *row]
                if self.pads_left
                else [*row, *[padding] * (length - len(row))]
                for row in values
            ]
        )


class LengthGroupedSampler(Sampler[int]):
    """Batches of texts of like length, in an order that depends on seed and epoch alone.

    transformers' sampler of that name draws from the global generator, so that a run resumed in the middle of an
    epoch sees other batches than the run that was stopped.

    Args:
        lengths: Tokens in each text.
        batch_size: Rows in one optimizer step.
        seed: Start of the sequence of orders.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; the data loader calls it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))
