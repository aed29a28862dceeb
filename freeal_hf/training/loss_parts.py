"""Averages the parts of the loss between two log entries."""

from collections import defaultdict
from collections.abc import Mapping

import torch
from accelerate.utils import gather_object
from torch import Tensor


class LossParts:
    """Collects the parts of the loss. Their means sum to the `loss` that Trainer logs."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._since = 0

    def begin(self, step: int) -> None:
        """Deletes all collected parts.

        Args:
            step (`int`): The number of optimizer steps so far.
        """
        self._values.clear()
        self._since = step

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Adds the parts of one batch.

        Args:
            parts (`Mapping[str, Tensor]`): The parts by name, scaled like the loss.
        """
        for name, value in parts.items():
            self._values[name].append(value.detach())

    def means(self, step: int, num_processes: int) -> dict[str, float]:
        """Averages the parts over the optimizer steps since the last call and over processes.

        All processes must call it.

        Args:
            step (`int`): The number of optimizer steps so far.
            num_processes (`int`): The number of processes.

        Returns:
            `dict[str, float]`: The means by name. A part that a batch does not have counts as 0.
        """
        steps = max(1, step - self._since)
        parts = {name: torch.stack(values).sum().item() / steps for name, values in self._values.items()}
        self.begin(step)
        if num_processes == 1:
            return parts
        # The names differ between processes: without clean rows there is no mixup loss.
        by_process = gather_object([parts])
        names = dict.fromkeys(name for found in by_process for name in found)
        return {name: sum(found.get(name, 0.0) for found in by_process) / num_processes for name in names}
