"""What the student predicted for each training sample, averaged over epochs."""

from collections.abc import Callable

import torch
from torch import Tensor


class PredictionMemory:
    """Running average of the predictions that training makes anyway.

    Each prediction is recorded in the forward of a training step, before the step learns from the sample: an epoch's
    predictions are never fresher than one epoch, which says more about a wrong label than the losses of a student that
    has just been shown it, and needs no pass of its own. The average over epochs damps flicker.

    Source: temporal ensembling (Laine and Aila, ICLR 2017), section 2.2.

    Args:
        samples: Number of training samples.
        classes: Number of classes.
        momentum: Weight of the past in the average, in [0, 1).
        device: Where training runs.
    """

    def __init__(self, samples: int, classes: int, momentum: float, device: torch.device) -> None:
        self.momentum = momentum
        self.average = torch.full((samples, classes), 1 / classes, device=device)
        self.sums = torch.zeros(samples, classes, device=device)
        self.counts = torch.zeros(samples, device=device)
        self.epochs = 0
        self.estimates = 0

    def begin(self, probabilities: Tensor) -> None:
        """Start the average with what another model, which has not seen a sample's label, says of it.

        Args:
            probabilities: Its predictions, shape `[samples, classes]`; they weigh as much as an epoch's.
        """
        self.average = probabilities.to(self.average)
        self.estimates = 1

    def record(self, index: Tensor, probabilities: Tensor) -> None:
        """Note what one training step predicted.

        Args:
            index: Positions of the batch's samples in the training set, shape `[rows]`.
            probabilities: Predictions for them, shape `[rows, classes]`.
        """
        self.sums.index_add_(0, index, probabilities.to(self.sums.dtype))
        self.counts.index_add_(0, index, torch.ones_like(index, dtype=self.counts.dtype))

    def finish_epoch(self, reduce: Callable[[Tensor], Tensor]) -> None:
        """Fold the predictions since the last call into the average.

        A sample that was seen twice (processes that share an epoch are given the same number of samples) counts once;
        one that was not seen keeps its average.

        Args:
            reduce: Sums a tensor over all processes.
        """
        sums, counts = reduce(self.sums), reduce(self.counts)
        fresh = sums / counts.clamp_min(1)[:, None]
        # Early on all epochs weigh alike: the first, when the student knew least, must not linger.
        momentum = min(self.momentum, self.estimates / (self.estimates + 1))
        average = momentum * self.average + (1 - momentum) * fresh
        self.average = torch.where(counts[:, None] > 0, average, self.average)
        self.sums.zero_()
        self.counts.zero_()
        self.epochs += 1
        self.estimates += 1

    def state(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Everything needed to go on, also from the middle of an epoch.

        Args:
            reduce: Sums a tensor over all processes.

        Returns:
            Tensors by name.
        """
        return {
            "average": self.average,
            "sums": reduce(self.sums),
            "counts": reduce(self.counts),
            "epochs": torch.tensor(self.epochs),
            "estimates": torch.tensor(self.estimates),
        }

    def load(self, state: dict[str, Tensor], is_main_process: bool) -> None:
        """Go on from a saved state.

        Args:
            state: What `state` returned.
            is_main_process: The sums are those of all processes, so just one of them takes them over.
        """
        device = self.average.device
        self.average = state["average"].to(device)
        self.epochs, self.estimates = int(state["epochs"]), int(state["estimates"])
        if is_main_process:
            self.sums, self.counts = state["sums"].to(device), state["counts"].to(device)
