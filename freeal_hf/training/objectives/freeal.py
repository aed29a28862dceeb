"""The published loss recipe of FreeAL."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from freeal_hf.training.losses import class_weights, sharpen, soft_cross_entropy, soft_targets, symmetric_kl
from freeal_hf.training.objectives.base import Batch, Evidence, Objective

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


class FreeALObjective(Objective):
    """Cross-entropy and mixup on clean samples, and consistency between two views of noisy and unlabelled samples.

    The losses are those of the last epoch (not averaged over epochs). A sample is clean if its posterior is above 0.7.
    After 3 epochs of warm-up, mixup and consistency reach their full weight in 10 epochs. The published learning rate
    of 3e-5 and dropout of 0.3 are for RoBERTa-base; pass them as `learning_rate` and `dropout`.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3, and its published code.
    """

    defaults: ClassVar[Mapping[str, Any]] = {
        "warm_up_epochs": 3,
        "prediction_momentum": 0.0,
        "clean_threshold": 0.7,
        "ramp_up_epochs": 10.0,
    }
    reads_second_view = True
    starts_with_probe = False

    def targets(self, known: Evidence, args: "FreeALConfig") -> tuple[Tensor, Tensor]:
        """See [`Objective.targets`]. The target of a clean sample is its label (or the pseudo-label, restricted to its
        candidates); other samples have a weight of 0."""
        trust = known.is_clean.float()
        distributions = soft_targets(known.labels, sharpen(known.guesses, args.guess_temperature), trust)
        return distributions, balanced_weights(distributions, known, args) * trust

    def mixes(self, args: "FreeALConfig") -> Literal["none", "clean", "all"]:
        """See [`Objective.mixes`]."""
        return "clean" if args.mixup_alpha > 0 and args.mixup_weight > 0 else "none"

    def parts(self, batch: Batch, args: "FreeALConfig") -> dict[str, Tensor]:
        """See [`Objective.parts`]."""
        views = len(batch.logits)
        weights = batch.weights * torch.where(batch.is_clean, 1.0, batch.ramp)
        supervised = sum(soft_cross_entropy(view, batch.targets) for view in batch.logits) / views
        parts = {"supervised_loss": (weights * supervised).sum()}
        if views > 1 and batch.ramp * args.consistency_weight > 0:
            divergence = symmetric_kl(batch.logits[0], batch.logits[1], args.guess_temperature)
            parts["consistency_loss"] = args.consistency_weight * batch.ramp * divergence[~batch.is_clean].sum()
        if batch.mixed is not None:
            losses = soft_cross_entropy(batch.mixed.logits, batch.mixed.targets)
            parts["mixup_loss"] = args.mixup_weight * batch.ramp * (batch.mixed.weights * losses).sum()
        return parts


def balanced_weights(distributions: Tensor, known: Evidence, args: "FreeALConfig") -> Tensor:
    """Computes weights of the samples against class imbalance. Their mean over clean labels is 1 for each question.

    Args:
        distributions (`Tensor` of shape `[n, classes]`): The targets of the samples.
        known (`Evidence`): The result of the selection. The classes are counted in its clean labels, by question.
        args (`FreeALConfig`): The training arguments; `class_balance` is the power of the inverse class frequency.

    Returns:
        `Tensor` of shape `[n]`: The weights; all 1 if `class_balance` is 0.
    """
    questions = torch.zeros_like(known.labels) if known.questions is None else known.questions
    weights = torch.ones_like(distributions[:, 0])
    for question in questions.unique():
        rows = questions == question
        clean = known.labels[rows & known.is_clean & (known.labels >= 0)]
        if len(clean):
            balance = class_weights(clean, distributions.shape[-1], args.class_balance)
            weights[rows] = distributions[rows] @ (balance / balance[clean].mean())
    return weights
