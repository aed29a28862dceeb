"""One batch in training: its views and mixtures in a single forward, and the parts of its loss."""

from typing import Any

import torch
from torch import Tensor, nn

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.losses import HiddenMixup, mixed_samples, mixup_pairs
from freeal_hf.training.objectives import Batch, Mixtures, Objective
from freeal_hf.training.targets import Targets


class TrainingStep:
    """Calls the student and the objective.

    Args:
        encoder (`nn.Module`): The part of the student whose output its head reads.
        objective (`Objective`): The loss recipe.
        args (`FreeALConfig`): The training arguments.
        outside (`int`): The tag O of a token classifier; -1 where texts are classified.
        pads_left (`bool`): Whether padding comes before the text.
    """

    def __init__(
        self, encoder: nn.Module, objective: Objective, args: FreeALConfig, *, outside: int, pads_left: bool
    ) -> None:
        self.objective, self.args = objective, args
        self._outside, self._pads_left = outside, pads_left
        self._mixup = HiddenMixup(encoder)

    @property
    def reads_second_view(self) -> bool:
        """Whether the student reads a second view that the data has."""
        return self.args.second_view != "none" and self.objective.reads_second_view

    def __call__(
        self, model: nn.Module, inputs: dict[str, Tensor], targets: Targets, epoch: float
    ) -> tuple[dict[str, Tensor], Any]:
        """Score a batch, and record what the student predicts.

        Args:
            model (`nn.Module`): The student, however wrapped.
            inputs (`dict[str, Tensor]`): The student's inputs, and `sample_index`: where the batch's samples (texts,
                or words) stand in the training set, shape `[rows]` or `[rows, length]`, -1 where there is none.
            targets (`Targets`): What the samples are taught.
            epoch (`float`): Epochs so far.

        Returns:
            `tuple[dict[str, Tensor], Any]`: Parts of the loss, each a sum over samples, and the student's output for
            the first views.
        """
        places = inputs.pop("sample_index")
        rows, is_sample = len(places), places >= 0
        index, ramp = places[is_sample], targets.ramp(epoch)
        is_clean, distributions, weights = (
            targets.is_clean[index],
            targets.distributions[index],
            targets.weights[index],
        )
        if len(inputs["input_ids"]) == rows:
            inputs = self.with_made_view(inputs, places, targets)
        views = len(inputs["input_ids"]) // rows
        pairs = self._pairs(is_clean, is_sample) if ramp > 0 else None
        if pairs is not None:
            inputs = self._mixup.arm(inputs, pairs)
        outputs = model(**inputs)
        self._mixup.disarm()
        logits = outputs.logits.float()
        by_view = logits[: views * rows].unflatten(0, (views, rows))[:, is_sample]
        targets.memory.record(index, by_view.detach().softmax(-1).mean(0))
        mixed = None
        if pairs is not None:
            first, second, share, both = mixed_samples(pairs, is_sample)
            mixtures = share[:, None] * distributions[first] + (1 - share)[:, None] * distributions[second]
            mixed = Mixtures(logits[views * rows :][both], mixtures, weights[first])
        outputs.logits = logits[:rows]
        batch = Batch(by_view, targets.labels[index], distributions, weights, is_clean, ramp, mixed)
        return self.objective.parts(batch, self.args), outputs

    def forward(self, model: nn.Module, inputs: dict[str, Tensor], targets: Targets) -> Any:
        """Score a batch for a loss that is no objective, and record what the student predicts.

        Args:
            model (`nn.Module`): The student, however wrapped.
            inputs (`dict[str, Tensor]`): As above, of one view.
            targets (`Targets`): Their `memory` records the predictions.
        """
        places = inputs.pop("sample_index")
        outputs = model(**inputs)
        seen = places >= 0
        targets.memory.record(places[seen], outputs.logits[seen].detach().float().softmax(-1))
        return outputs

    def with_made_view(self, inputs: dict[str, Tensor], places: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Append the same texts as a second view, if one is to be made where the data has none.

        Args:
            inputs (`dict[str, Tensor]`): The student's inputs, each of shape `[rows, ...]`.
            places (`Tensor`): As `sample_index` above.
            targets (`Targets`): What the samples are taught.

        Returns:
            `dict[str, Tensor]`: The inputs, with one or two views.
        """
        args = self.args
        if args.second_view not in ("token_dropout", "dropout") or not self.objective.reads_second_view:
            return inputs
        doubled = {name: torch.cat([value, value]) for name, value in inputs.items()}
        if args.second_view == "token_dropout":
            mask = inputs["attention_mask"]
            hidden = torch.rand(mask.shape, device=mask.device) < args.token_dropout
            hidden[:, -1 if self._pads_left else 0] = False  # the head may read this token
            if places.dim() > 1:
                word = places.cummax(dim=1).values  # the pieces that follow a word's first one carry -1
                tags = targets.distributions[word.clamp_min(0)].argmax(-1)
                hidden &= ~((tags != self._outside) & (word >= 0))  # never in an entity
            doubled["attention_mask"] = torch.cat([mask, mask.masked_fill(hidden, 0)])
        return doubled

    def _pairs(self, is_clean: Tensor, is_sample: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        which = self.objective.mixes(self.args)
        if which == "none":
            return None
        rows = torch.arange(len(is_sample), device=is_sample.device)
        if which == "clean":
            row_of_sample = is_sample.nonzero()[:, 0]
            rows = rows[~torch.isin(rows, row_of_sample[~is_clean])]
        return mixup_pairs(rows, self.args.mixup_alpha) if len(rows) else None
