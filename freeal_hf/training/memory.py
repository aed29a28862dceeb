"""The predictions of the student for each training sample, averaged over epochs."""

from collections.abc import Callable

import torch
from torch import Tensor


class PredictionMemory:
    """Running average, over epochs, of the predictions that are made during training.

    Each prediction is recorded in the forward pass of a training step, before the student learns from the sample. Such
    predictions show wrong labels better than those of a student that has just been trained on them, and they need no
    extra pass over the data. The average over epochs reduces their variance.

    Source: temporal ensembling (Laine and Aila, ICLR 2017), section 2.2.

    Args:
        samples (`int`): The number of training samples.
        classes (`int`): The number of classes.
        momentum (`float`): The weight of earlier epochs in the average, in [0, 1).
        device (`torch.device`): The device of the training.
    """

    def __init__(self, samples: int, classes: int, momentum: float, device: torch.device) -> None:
        self.momentum = momentum
        self.average = torch.full((samples, classes), 1 / classes, device=device)
        self.sums = torch.zeros(samples, classes, device=device)
        self.counts = torch.zeros(samples, device=device)
        self.epochs = 0
        self.estimates = 0

    def begin(self, probabilities: Tensor) -> None:
        """Starts the average with the predictions of another model, which has not seen the labels that it predicts.

        Args:
            probabilities (`Tensor` of shape `[samples, classes]`): The predictions. They count as one epoch.
        """
        self.average = probabilities.to(self.average)
        self.estimates = 1

    def record(self, index: Tensor, probabilities: Tensor) -> None:
        """Records the predictions of one training step.

        Args:
            index (`Tensor` of shape `[rows]`): The positions of the samples in the training set.
            probabilities (`Tensor` of shape `[rows, classes]`): The predictions.
        """
        self.sums.index_add_(0, index, probabilities.to(self.sums.dtype))
        self.counts.index_add_(0, index, torch.ones_like(index, dtype=self.counts.dtype))

    def finish_epoch(self, reduce: Callable[[Tensor], Tensor]) -> None:
        """Adds the predictions since the last call to the average.

        A sample that was seen twice counts once (samples are repeated to give all processes the same number). A sample
        that was not seen keeps its average.

        Args:
            reduce (`Callable`): Sums a tensor over all processes.
        """
        sums, counts = reduce(self.sums), reduce(self.counts)
        fresh = sums / counts.clamp_min(1)[:, None]
        # The first epochs have equal weights. Otherwise the first one, which is the worst, would count too much.
        momentum = min(self.momentum, self.estimates / (self.estimates + 1))
        average = momentum * self.average + (1 - momentum) * fresh
        self.average = torch.where(counts[:, None] > 0, average, self.average)
        self.sums.zero_()
        self.counts.zero_()
        self.epochs += 1
        self.estimates += 1

    def state(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Returns the state that is needed to resume, also in the middle of an epoch.

        Args:
            reduce (`Callable`): Sums a tensor over all processes.

        Returns:
            `dict[str, Tensor]`: Tensors by name.
        """
        return {
            "average": self.average,
            "sums": reduce(self.sums),
            "counts": reduce(self.counts),
            "epochs": torch.tensor(self.epochs),
            "estimates": torch.tensor(self.estimates),
        }

    def load(self, state: dict[str, Tensor], is_main_process: bool) -> None:
        """Loads a state.

        Args:
            state (`dict[str, Tensor]`): The value that `state` returned.
            is_main_process (`bool`): Whether this is the main process. Only it loads the sums, which are those of all
                processes.
        """
        device = self.average.device
        self.average = state["average"].to(device)
        self.epochs, self.estimates = int(state["epochs"]), int(state["estimates"])
        if is_main_process:
            self.sums, self.counts = state["sums"].to(device), state["counts"].to(device)
