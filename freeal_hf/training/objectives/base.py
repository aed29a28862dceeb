"""What a loss recipe is given, and what it has to return."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


@dataclass(frozen=True)
class Evidence:
    """What is known of all `n` training samples after a selection.

    Args:
        labels (`Tensor` of shape `[n]`): Noisy labels; -1 = none.
        guesses (`Tensor` of shape `[n, classes]`): The student's predictions, averaged over epochs.
        posterior (`Tensor` of shape `[n]`): Probability that the label is clean; 0 without a label.
        is_clean (`Tensor` of shape `[n]`): Whether the selection trusts the label.
        is_trusted (`Tensor` of shape `[n]`): Whether the label must not be doubted, such as a person's.
    """

    labels: Tensor
    guesses: Tensor
    posterior: Tensor
    is_clean: Tensor
    is_trusted: Tensor


@dataclass(frozen=True)
class Mixtures:
    """`m` mixtures of two samples each (mixup).

    Args:
        logits (`Tensor` of shape `[m, classes]`): The student's logits for the mixtures.
        targets (`Tensor` of shape `[m, classes]`): The mixed targets.
        weights (`Tensor` of shape `[m]`): Weight of the first sample of each mixture.
    """

    logits: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Batch:
    """The `k` samples (texts, or words) of one batch, after the student's forward.

    Args:
        logits (`Tensor` of shape `[views, k, classes]`): The student's logits for each view.
        labels (`Tensor` of shape `[k]`): Noisy labels; -1 = none.
        targets (`Tensor` of shape `[k, classes]`): What the samples are taught, see [`Objective.targets`].
        weights (`Tensor` of shape `[k]`): Weights of the samples, see [`Objective.targets`].
        is_clean (`Tensor` of shape `[k]`): Whether the last selection trusts the label; before it, whether it exists.
        ramp (`float`): Weight in [0, 1] of all that rests on the selection; 0 in warm-up.
        mixed (`Mixtures`, *optional*): Mixtures of the batch's samples, if the objective asks for them.
    """

    logits: Tensor
    labels: Tensor
    targets: Tensor
    weights: Tensor
    is_clean: Tensor
    ramp: float
    mixed: Mixtures | None = None


class Objective(ABC):
    """A loss recipe.

    Attributes:
        defaults (`Mapping[str, Any]`): Values for fields of [`FreeALConfig`] that are `None`, when the recipe is named
            in the configuration.
        reads_second_view (`bool`): Whether the student reads a second view of each text, which doubles the cost of a
            step.
        starts_with_probe (`bool`): Whether the averaged predictions may begin with those of a probe.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    reads_second_view: ClassVar[bool] = False
    starts_with_probe: ClassVar[bool] = True

    @abstractmethod
    def parts(self, batch: Batch, args: "FreeALConfig") -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            batch (`Batch`): The samples and the student's logits for them.
            args (`FreeALConfig`): The training arguments.

        Returns:
            `dict[str, Tensor]`: Parts of the loss by the name under which they are logged, each a sum over samples.
            The trainer adds them and divides by the number of samples in the optimizer step.
        """

    def targets(self, known: Evidence, args: "FreeALConfig") -> tuple[Tensor, Tensor]:
        """Decide what each sample is taught until the next selection; by default its label, if it has one.

        Args:
            known (`Evidence`): What the selection found.
            args (`FreeALConfig`): The training arguments.

        Returns:
            `tuple[Tensor, Tensor]`: Distributions over the classes, shape `[n, classes]`, and weights, shape `[n]`.
        """
        one_hot = F.one_hot(known.labels.clamp_min(0), known.guesses.shape[-1]).to(known.guesses.dtype)
        return one_hot, (known.labels >= 0).to(known.guesses.dtype)

    def mixes(self, args: "FreeALConfig") -> Literal["none", "clean", "all"]:
        """Say which samples take part in mixup once the selection has begun; by default none.

        Args:
            args (`FreeALConfig`): The training arguments.
        """
        return "none"
