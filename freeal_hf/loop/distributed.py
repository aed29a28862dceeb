"""Several processes, one run: the first goes through the loop, the others train with it (`accelerate launch`)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freeal_hf.training.config import FreeALConfig

# Annotating may take days, and the others wait for it; if the first process ends, its launcher ends them.
_PATIENCE = timedelta(days=365)


class Processes:
    """The processes that `accelerate launch` or `torchrun` started, or the only one.

    Each of them makes one, which waits until all of them have. The files that they need of each other are on a disk
    that they share.

    Args:
        args (`FreeALConfig`): Knows how many there are.
    """

    def __init__(self, args: "FreeALConfig") -> None:
        self._group = None
        if args.world_size > 1:
            from torch import distributed

            # A group of its own: that of the training lets nobody wait longer than `ddp_timeout`.
            self._group = distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def call(self, number: int) -> None:
        """Has all other processes train the student of a round, too; said by the first."""
        self._broadcast(number)

    def dismiss(self) -> None:
        """Tells all other processes that the run is over; said by the first."""
        self._broadcast(None)

    def calls(self) -> Iterator[int]:
        """The rounds whose student the first process wants to train, until it says that the run is over."""
        while (number := self._broadcast(None)) is not None:
            yield number

    def _broadcast(self, message: int | None) -> int | None:
        """The first process's message, on all."""
        if self._group is None:
            return message
        from torch import distributed

        box = [message]
        distributed.broadcast_object_list(box, src=0, group=self._group)
        return box[0]
