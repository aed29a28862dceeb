"""The batches of a training: the collator that pads both views together, and the sampler."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from freeal_hf.training.data import IGNORED

_OWN_COLUMNS = ("sample_index", "augmented_input_ids")


@dataclass
class TwoViewCollator:
    """Pads a batch to its longest row. Both views are padded together, so that one forward pass scores both.

    Args:
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer that pads. Without a tokenizer, `input_ids`
            are padded with 0 on the right.
        inner (`Callable`, *optional*): The data collator of the user, which pads instead. Second views are further
            rows for it.

    Returns:
        `dict[str, Tensor]`: `input_ids` and `attention_mask`, shape `[views * rows, length]`: all first views, then
        all second views. `labels` and `sample_index`, if the rows have them, shape `[rows]`, or `[rows, length]` in
        token classification.
    """

    tokenizer: PreTrainedTokenizerBase | None = None
    inner: Callable[[list[dict[str, Any]]], Any] | None = None

    @property
    def pads_left(self) -> bool:
        """Whether padding is on the left of the text, as for XLNet."""
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
    """Groups texts of similar length into batches. The order only depends on the seed and the epoch.

    The sampler of transformers uses the global random generator, so that a run that is resumed in the middle of an
    epoch gets different batches.

    Args:
        lengths (`Sequence[int]`): The number of tokens in each text.
        batch_size (`int`): The number of rows in an optimizer step.
        seed (`int`): The random seed.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, on which the order depends. The data loader calls it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))
