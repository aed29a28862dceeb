"""Coordinates the processes of a run (`accelerate launch`): the first runs the loop, the others only train."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig

# The other processes wait for the annotation, which can take days. If the first process ends, the launcher ends them.
_PATIENCE = timedelta(days=365)


class Processes:
    """The processes of `accelerate launch` or `torchrun`, or the only process.

    All processes create this object, and wait for each other. They exchange files on a shared disk.

    Args:
        args (`FreeALConfig`): The training arguments, which have the number of processes.
    """

    def __init__(self, args: "FreeALConfig") -> None:
        self._group = None
        if args.world_size > 1:
            from torch import distributed

            # Another group than that of the training, in which no process waits longer than `ddp_timeout`.
            self._group = distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def call(self, number: int) -> None:
        """Asks all other processes to train the student of a round. Called by the first process.

        Args:
            number (`int`): The number of the round.
        """
        self._broadcast(number)

    def dismiss(self) -> None:
        """Tells all other processes that the run has ended. Called by the first process."""
        self._broadcast(None)

    def calls(self) -> Iterator[int]:
        """Yields the rounds whose student the first process trains, until the run ends.

        Yields:
            `int`: The number of a round.
        """
        while (number := self._broadcast(None)) is not None:
            yield number

    def _broadcast(self, message: int | None) -> int | None:
        """Sends the message of the first process to all processes, and returns it."""
        if self._group is None:
            return message
        from torch import distributed

        box = [message]
        distributed.broadcast_object_list(box, src=0, group=self._group)
        return box[0]
