"""`Objective`, the base class of loss recipes, and the data that it gets."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from freeal_hf.training.losses import soft_targets

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


@dataclass(frozen=True)
class Evidence:
    """The result of a selection for all `n` training samples.

    Args:
        labels (`Tensor` of shape `[n]`): The noisy labels; -1 means none.
        guesses (`Tensor` of shape `[n, classes]`): The pseudo-labels: the predictions of the student, averaged over
            epochs, and restricted to the candidates of a sample that has candidates instead of a label.
        posterior (`Tensor` of shape `[n]`): The probability that the label is clean; 0 without a label.
        is_clean (`Tensor` of shape `[n]`): Whether the label was selected as clean. Samples with candidates instead
            of a label are clean too: their pseudo-labels are their targets.
        is_trusted (`Tensor` of shape `[n]`): Whether the label is always clean, such as a human label.
        slips (`float`, *optional*, defaults to 1): The probability that some labels are wrong at random; 1 if it is
            unknown. Errors that can be learnt from the texts do not count.
        questions (`Tensor` of shape `[n]`, *optional*): The number of the question that the classes answer: the number
            of the label in multi-label classification. By default there is only one question.
    """

    labels: Tensor
    guesses: Tensor
    posterior: Tensor
    is_clean: Tensor
    is_trusted: Tensor
    slips: float = 1.0
    questions: Tensor | None = None


@dataclass(frozen=True)
class Mixtures:
    """The `m` mixtures of two samples each (mixup).

    Args:
        logits (`Tensor` of shape `[m, classes]`): The logits of the student for the mixtures.
        targets (`Tensor` of shape `[m, classes]`): The mixed targets.
        weights (`Tensor` of shape `[m]`): The weight of the first sample of each mixture in the loss.
    """

    logits: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Batch:
    """The `k` samples (texts or words) of one batch, after the forward pass.

    Args:
        logits (`Tensor` of shape `[views, k, classes]`): The logits of the student for each view.
        labels (`Tensor` of shape `[k]`): The noisy labels; -1 means none.
        targets (`Tensor` of shape `[k, classes]`): The targets of the samples, see [`Objective.targets`].
        weights (`Tensor` of shape `[k]`): The weights of the samples, see [`Objective.targets`].
        is_clean (`Tensor` of shape `[k]`): Whether the label was selected as clean; before the first selection,
            whether there is a label.
        ramp (`float`): The weight in [0, 1] of the terms that depend on the selection; 0 in warm-up.
        mixed (`Mixtures`, *optional*): Mixtures of samples of the batch, if the objective uses mixup.
    """

    logits: Tensor
    labels: Tensor
    targets: Tensor
    weights: Tensor
    is_clean: Tensor
    ramp: float
    mixed: Mixtures | None = None


class Objective(ABC):
    """Abstract base class of loss recipes.

    Attributes:
        defaults (`Mapping[str, Any]`): Defaults of fields of [`FreeALConfig`] that are `None`. They are used if the
            recipe is selected by name.
        reads_second_view (`bool`): Whether the student reads a second view of each text, which doubles the cost of a
            step.
        starts_with_probe (`bool`): Whether the averaged predictions can start with those of a probe.
        calibration_share (`float`): The default of [`FreeALConfig.calibration_share`] in multi-label classification;
            with 0 all labels are taught.

    Example:

        >>> from freeal_hf.training.losses import soft_cross_entropy
        >>> class HalfNoisy(Objective):
        ...     def parts(self, batch, args):
        ...         weights = batch.weights * batch.is_clean.float().clamp_min(0.5)
        ...         return {"loss": (weights * soft_cross_entropy(batch.logits[0], batch.targets)).sum()}
        >>> HalfNoisy().reads_second_view
        False
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    reads_second_view: ClassVar[bool] = False
    starts_with_probe: ClassVar[bool] = True
    calibration_share: ClassVar[float] = 0.0

    @abstractmethod
    def parts(self, batch: Batch, args: "FreeALConfig") -> dict[str, Tensor]:
        """Computes the loss of a batch.

        Args:
            batch (`Batch`): The samples and their logits.
            args (`FreeALConfig`): The training arguments.

        Returns:
            `dict[str, Tensor]`: The parts of the loss by the name for the log, each a sum over samples. The trainer
            sums them and divides by the number of samples in the optimizer step.
        """

    def targets(self, known: Evidence, args: "FreeALConfig") -> tuple[Tensor, Tensor]:
        """Computes the targets of all samples until the next selection.

        By default a target is the label, or the pseudo-label of a sample with candidates.

        Args:
            known (`Evidence`): The result of the selection.
            args (`FreeALConfig`): The training arguments.

        Returns:
            `tuple[Tensor, Tensor]`: Distributions over the classes, shape `[n, classes]`, and weights, shape `[n]`.
        """
        distributions = soft_targets(known.labels, known.guesses, torch.ones_like(known.posterior))
        return distributions, ((known.labels >= 0) | known.is_clean).to(known.guesses.dtype)

    def mixes(self, args: "FreeALConfig") -> Literal["none", "clean", "all"]:
        """Returns which samples are used for mixup after the first selection. By default none are.

        Args:
            args (`FreeALConfig`): The training arguments.

        Returns:
            `str`: `"none"`, `"clean"` or `"all"`.
        """
        return "none"
