"""Plain cross-entropy on every label, as without this library."""

from typing import TYPE_CHECKING

from torch import Tensor

from freeal_hf.training.losses import soft_cross_entropy
from freeal_hf.training.objectives.base import Batch, Objective

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig


class CrossEntropy(Objective):
    """Cross-entropy on all labelled samples to the end.

    The selection is still made and reported, but the student does not learn from it.
    """

    starts_with_probe = False

    def parts(self, batch: Batch, args: "FreeALConfig") -> dict[str, Tensor]:
        """See [`Objective.parts`]."""
        return {"supervised_loss": (batch.weights * soft_cross_entropy(batch.logits[0], batch.targets)).sum()}
