"""From texts to batches: tokenising, the sample index, the collator that pads both views together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import ClassLabel, Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

NO_LABEL = -1
"""The label of a sample that has none."""

IGNORED = -100
"""The label of a sub-word that is not scored, as everywhere in transformers."""

TRAIN_COLUMNS = ("input_ids", "attention_mask", "labels", "sample_index", "augmented_input_ids")
EVAL_COLUMNS = ("input_ids", "attention_mask", "labels")


def label_names_of(dataset: Dataset) -> list[str] | None:
    """Label names of a data set's `label` column.

    Args:
        dataset: The data set.

    Returns:
        The names, by class number, or `None` when `label` is missing or no `ClassLabel`, nor a sequence of them.
    """
    feature = dataset.features.get("label")
    feature = getattr(feature, "feature", feature)
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def tokenize(
    dataset: Dataset, tokenizer: PreTrainedTokenizerBase | None, max_length: int, columns: Sequence[str]
) -> Dataset:
    """Turn a data set of texts (or of ready `input_ids`) into one that holds just what the student reads.

    Args:
        dataset: Columns `text` or `input_ids` (with `attention_mask`), and, where there are any, `label` (-1 = none)
            and `augmented_text`.
        tokenizer: Needed when there is no `input_ids`.
        max_length: Tokens at most in one text; the rest is cut off.
        columns: Which columns to keep, `TRAIN_COLUMNS` or `EVAL_COLUMNS`.

    Returns:
        The data set with those of `columns` that could be made, in the same order.

    Raises:
        ValueError: A needed column is missing or the labels are no integers.
    """
    dataset = dataset.with_format(None)
    if "label" in dataset.column_names and "labels" not in dataset.column_names:
        if "int" not in dataset.features["label"].dtype:
            raise ValueError(
                f"`label` holds {dataset.features['label'].dtype}, not integers: "
                "dataset.cast_column('label', ClassLabel(names=[...])) turns label names into them"
            )
        dataset = dataset.rename_column("label", "labels")
    if "input_ids" not in dataset.column_names:
        if "text" not in dataset.column_names:
            raise ValueError(f"the data set needs a column `text` or `input_ids`; it has {dataset.column_names}")
        if tokenizer is None:
            raise ValueError("a data set with `text` needs a tokenizer: pass processing_class=")

        def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
            encoded = tokenizer(batch["text"], truncation=True, max_length=max_length)
            result = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
            if "augmented_text" in batch and "augmented_input_ids" in columns:
                views = [other or text for text, other in zip(batch["text"], batch["augmented_text"], strict=True)]
                result["augmented_input_ids"] = tokenizer(views, truncation=True, max_length=max_length)["input_ids"]
            return result

        dataset = dataset.map(encode, batched=True, desc="Tokenizing")
    if "attention_mask" not in dataset.column_names:
        dataset = dataset.add_column("attention_mask", [[1] * len(ids) for ids in dataset["input_ids"]])
    if "sample_index" in columns:
        if "sample_index" in dataset.column_names:
            dataset = dataset.remove_columns("sample_index")
        dataset = dataset.add_column("sample_index", list(range(len(dataset))))
    return dataset.select_columns([name for name in columns if name in dataset.column_names])


@dataclass
class TwoViewCollator:
    """Pad a batch to its longest row; with two views, pad both together so that one forward scores them.

    Args:
        tokenizer: Pads; `None` pads ready `input_ids` with 0.

    Returns:
        `input_ids` and `attention_mask` of shape `[views * rows, length]` (first all first views, then all second
        ones), and whichever of `labels` and `sample_index` the rows have, of shape `[rows]`, or `[rows, length]` where
        every sub-word has its own.
    """

    tokenizer: PreTrainedTokenizerBase | None = None

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sequences = [row["input_ids"] for row in rows]
        masks = [row["attention_mask"] for row in rows]
        if "augmented_input_ids" in rows[0]:
            sequences += [row["augmented_input_ids"] for row in rows]
            masks += [[1] * len(row["augmented_input_ids"]) for row in rows]
        pad_id = self.tokenizer.pad_token_id if self.tokenizer is not None else 0
        batch = {"input_ids": _pad(sequences, pad_id), "attention_mask": _pad(masks, 0)}
        for name, padding in (("labels", IGNORED), ("sample_index", -1)):
            if name in rows[0]:
                values = [row[name] for row in rows]
                batch[name] = _pad(values, padding) if isinstance(values[0], list) else torch.tensor(values)
        return batch


def _pad(sequences: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    longest = max(len(sequence) for sequence in sequences)
    return torch.tensor([[*sequence, *[value] * (longest - len(sequence))] for sequence in sequences])


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
