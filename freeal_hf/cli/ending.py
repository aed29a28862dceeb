"""How a run ends: signals stop it like Ctrl-C, and a file says whether it finished, failed or was stopped."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from freeal_hf.data.files import read_json, remove, write_json
from freeal_hf.errors import DoubtfulAnswersError, FreeALError

FINISHED, FAILED, STOPPED, BUDGET_SPENT = "finished", "failed", "stopped", "budget spent"
DOUBTFUL = "doubtful answers"

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_REQUEST = 1.0  # seconds within which several signals are one request to stop


class Stop(KeyboardInterrupt):
    """A signal asked this process to stop.

    Args:
        number (`int`): Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raises `Stop` in the main thread when SIGINT or SIGTERM arrives.

    A signal that the caller ignores (`nohup`, a shell's background job) stays ignored. Outside of the main thread,
    which alone receives signals in Python, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped_at = -math.inf

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped_at
        # A terminal and a launcher (`torchrun`) may both pass on one Ctrl-C; the second must not disturb the cleanup.
        if time.monotonic() - stopped_at < _ONE_REQUEST:
            return
        stopped_at = time.monotonic()
        raise Stop(number)

    replaced = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in replaced.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class End:
    """How a run ended.

    Args:
        state (`str`): `FINISHED`, `FAILED`, `STOPPED`, `BUDGET_SPENT` or `DOUBTFUL`.
        message (`str`): What went wrong and what to do about it, of `DOUBTFUL` what looks wrong; empty if nothing did.
    """

    state: str
    message: str = ""


def record_end(path: Path, work: Callable[[], End]) -> None:
    """Does the work of a run and writes how it ended to a file.

    The record of an earlier attempt is deleted first. A process that is killed leaves no record.

    Args:
        path (`Path`): The file.
        work (`Callable`): Does the work and returns how it ended, or raises.
    """
    remove(path)
    try:
        end = work()
    except BaseException as error:
        with suppress(OSError):  # on a full disk the error of the run is the one to show
            write_json(path, asdict(_end_by(error)))
        raise
    write_json(path, asdict(end))


def read_end(path: Path) -> End | None:
    """How a run ended; `None` if it is not over, or if its process was killed.

    Args:
        path (`Path`): The file that `record_end` wrote.
    """
    return End(**read_json(path)) if path.is_file() else None


def _end_by(error: BaseException) -> End:
    if isinstance(error, KeyboardInterrupt):
        return End(STOPPED)
    if isinstance(error, DoubtfulAnswersError):
        return End(DOUBTFUL, error.reason)
    if isinstance(error, FreeALError):
        return End(FAILED, str(error))
    # The text of any other error was not written for users, and nobody has checked it for secrets.
    return End(FAILED, f"The run ended with an unexpected error ({type(error).__name__}).")
