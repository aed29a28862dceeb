"""The default loss recipe: targets are mixtures of labels and pseudo-labels."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from freeal_hf.training.losses import sharpen, soft_targets
from freeal_hf.training.objectives.base import Evidence
from freeal_hf.training.objectives.freeal import FreeALObjective, balanced_weights

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


class SoftTargets(FreeALObjective):
    """Like [`FreeALObjective`], but noisy and unlabelled samples are also used, with pseudo-labels.

    The target of a sample is a mixture of its label and its pseudo-label (the averaged prediction of the student),
    weighted by the posterior that the label is clean. All samples are used for mixup.

    This helps if labels are wrong at random, or if the annotator is not sure of them. If held-out predictions show no
    random errors and the annotator admits none, the targets are the labels themselves: a pseudo-label cannot correct
    an error that the student can learn, and it repeats the student's own.

    Source: dynamic bootstrapping (Arazo et al., ICML 2019), equation 8; MixMatch (Berthelot et al., NeurIPS 2019).
    """

    defaults: ClassVar[Mapping[str, Any]] = {"prediction_momentum": 0.7, "clean_threshold": 0.5, "ramp_up_epochs": 2.0}
    calibration_share = 0.1
    starts_with_probe = True

    def targets(self, known: Evidence, args: "FreeALConfig") -> tuple[Tensor, Tensor]:
        """See [`Objective.targets`]."""
        trust = known.is_clean.float()
        if args.soft_targets:
            trust = torch.where(known.is_trusted, 1.0, args.label_trust * known.posterior)
            trust = torch.where(known.labels >= 0, known.slips * trust + 1 - known.slips, trust)
        distributions = soft_targets(known.labels, sharpen(known.guesses, args.guess_temperature), trust)
        weights = balanced_weights(distributions, known, args)
        return distributions, weights * torch.where(known.is_clean, 1.0, args.noisy_weight)

    def mixes(self, args: "FreeALConfig") -> Literal["none", "clean", "all"]:
        """See [`Objective.mixes`]."""
        return "all" if super().mixes(args) == "clean" and not args.mixup_clean_only else super().mixes(args)
