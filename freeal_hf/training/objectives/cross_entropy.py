"""Plain cross-entropy on all labels."""

from typing import TYPE_CHECKING

from torch import Tensor

from freeal_hf.training.losses import soft_cross_entropy
from freeal_hf.training.objectives.base import Batch, Objective

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


class CrossEntropy(Objective):
    """Cross-entropy on all labelled samples.

    The selection is still made, but has no effect on the training.
    """

    starts_with_probe = False

    def parts(self, batch: Batch, args: "FreeALConfig") -> dict[str, Tensor]:
        """See [`Objective.parts`]."""
        return {"supervised_loss": (batch.weights * soft_cross_entropy(batch.logits[0], batch.targets)).sum()}
