"""The parts of the loss between two logs."""

from collections import defaultdict
from collections.abc import Mapping

import torch
from accelerate.utils import gather_object
from torch import Tensor


class LossParts:
    """Collects the parts of the loss, so that their means add up to the `loss` that Trainer logs."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._since = 0

    def begin(self, step: int) -> None:
        """Forget what was collected.

        Args:
            step (`int`): Optimizer steps so far.
        """
        self._values.clear()
        self._since = step

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Collect the parts of one batch.

        Args:
            parts (`Mapping[str, Tensor]`): Parts by name, divided as the loss is.
        """
        for name, value in parts.items():
            self._values[name].append(value.detach())

    def means(self, step: int, num_processes: int) -> dict[str, float]:
        """Average over the optimizer steps since the last call and over processes; all processes call it.

        Args:
            step (`int`): Optimizer steps so far.
            num_processes (`int`): Number of processes.

        Returns:
            `dict[str, float]`: Means by name. A part that only some batches have counts as 0 in the others.
        """
        steps = max(1, step - self._since)
        parts = {name: torch.stack(values).sum().item() / steps for name, values in self._values.items()}
        self.begin(step)
        if num_processes == 1:
            return parts
        # A process whose batches had no clean row has no mixup loss: the names differ.
        by_process = gather_object([parts])
        names = dict.fromkeys(name for found in by_process for name in found)
        return {name: sum(found.get(name, 0.0) for found in by_process) / num_processes for name in names}
