"""One training batch: a forward pass over its views and mixtures, and the parts of its loss."""

from typing import Any

import torch
from torch import Tensor, nn

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.losses import HiddenMixup, mixed_samples, mixup_pairs
from freeal_hf.training.objectives import Batch, Mixtures, Objective
from freeal_hf.training.samples import SampleKind
from freeal_hf.training.targets import Targets


class TrainingStep:
    """Calls the student and the objective for a batch.

    Args:
        encoder (`nn.Module`): The encoder of the student.
        objective (`Objective`): The loss recipe.
        args (`FreeALConfig`): The training arguments.
        kind (`SampleKind`): What a sample is.
        pads_left (`bool`): Whether padding is on the left.
    """

    def __init__(
        self, encoder: nn.Module, objective: Objective, args: FreeALConfig, *, kind: SampleKind, pads_left: bool
    ) -> None:
        self.objective, self.args = objective, args
        self._kind, self._pads_left = kind, pads_left
        self._mixup = HiddenMixup(encoder)

    @property
    def reads_second_view(self) -> bool:
        """Whether the student reads the second views of the dataset."""
        return self.args.second_view != "none" and self.objective.reads_second_view

    def __call__(
        self, model: nn.Module, inputs: dict[str, Tensor], targets: Targets, epoch: float
    ) -> tuple[dict[str, Tensor], Any]:
        """Scores a batch and records the predictions of the student.

        Args:
            model (`nn.Module`): The student, possibly wrapped.
            inputs (`dict[str, Tensor]`): The inputs of the student, and `sample_index`: the numbers of the samples in
                the training set, shape `[rows]`, or `[rows, length]` in token classification (-1 where no word is
                scored).
            targets (`Targets`): The targets of the samples.
            epoch (`float`): The number of epochs so far.

        Returns:
            `tuple[dict[str, Tensor], Any]`: The parts of the loss, each a sum over samples, and the output of the
            student for the first views.
        """
        numbers = inputs.pop("sample_index")
        places = self._kind.places(numbers)
        rows, is_sample = len(places), places >= 0
        index, ramp = places[is_sample], targets.ramp(epoch)
        is_clean, distributions, weights = (
            targets.is_taught[index],
            targets.distributions[index],
            targets.weights[index],
        )
        if len(inputs["input_ids"]) == rows:
            inputs = self.with_made_view(inputs, numbers, targets)
        views = len(inputs["input_ids"]) // rows
        pairs = self._pairs(is_clean, is_sample) if ramp > 0 else None
        if pairs is not None:
            inputs = self._mixup.arm(inputs, pairs)
        outputs = model(**inputs)
        self._mixup.disarm()
        scored = outputs.logits.float()
        outputs.logits, logits = scored[:rows], self._kind.logits(scored)
        by_view = logits[: views * rows].unflatten(0, (views, rows))[:, is_sample]
        targets.memory.record(index, by_view.detach().softmax(-1).mean(0))
        mixed = None
        if pairs is not None:
            first, second, share, both = mixed_samples(pairs, is_sample)
            mixtures = share[:, None] * distributions[first] + (1 - share)[:, None] * distributions[second]
            mixed = Mixtures(logits[views * rows :][both], mixtures, weights[first])
        batch = Batch(by_view, targets.labels[index], distributions, weights, is_clean, ramp, mixed)
        return self.objective.parts(batch, self.args), outputs

    def forward(self, model: nn.Module, inputs: dict[str, Tensor], targets: Targets) -> Any:
        """Scores a batch for a `compute_loss_func`, and records the predictions of the student.

        Args:
            model (`nn.Module`): The student, possibly wrapped.
            inputs (`dict[str, Tensor]`): The inputs as in `__call__`, with one view.
            targets (`Targets`): The targets, whose `memory` records the predictions.

        Returns:
            `Any`: The output of the student.
        """
        places = self._kind.places(inputs.pop("sample_index"))
        outputs = model(**inputs)
        seen = places >= 0
        logits = self._kind.logits(outputs.logits.detach().float())
        targets.memory.record(places[seen], logits[seen].softmax(-1))
        return outputs

    def with_made_view(self, inputs: dict[str, Tensor], places: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Makes a second view of the texts, if the dataset has none and `args.second_view` says so.

        Args:
            inputs (`dict[str, Tensor]`): The inputs of the student, each of shape `[rows, ...]`.
            places (`Tensor`): The `sample_index` of the rows, as in `__call__`.
            targets (`Targets`): The targets of the samples.

        Returns:
            `dict[str, Tensor]`: The inputs with one or two views.
        """
        args = self.args
        if args.second_view not in ("token_dropout", "dropout") or not self.objective.reads_second_view:
            return inputs
        doubled = {name: torch.cat([value, value]) for name, value in inputs.items()}
        if args.second_view == "token_dropout":
            mask = inputs["attention_mask"]
            hidden = torch.rand(mask.shape, device=mask.device) < args.token_dropout
            hidden[:, -1 if self._pads_left else 0] = False  # the head can read this token
            if places.dim() > 1:
                word = places.cummax(dim=1).values  # `places` is -1 at all but the first sub-word of a word
                tags = targets.distributions[word.clamp_min(0)].argmax(-1)
                hidden &= ~((tags != self._kind.outside) & (word >= 0))  # no token of an entity
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
