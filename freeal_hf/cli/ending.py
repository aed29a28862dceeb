"""Stops a run on signals like Ctrl-C, and writes how it ended to a file."""

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
AUDIT = "waiting for an audit"
TRIED = "tried"

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_REQUEST = 1.0  # several signals within this number of seconds count as one


class Stop(KeyboardInterrupt):
    """Raised if a signal stops the process.

    Args:
        number (`int`): The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raises `Stop` in the main thread after SIGINT or SIGTERM.

    A signal that the caller ignores (`nohup`, a background job of a shell) is still ignored. Other threads are not
    affected, because Python handles signals in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped_at = -math.inf

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped_at
        # A terminal and a launcher (`torchrun`) can both forward one Ctrl-C. The second must not stop the cleanup.
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
        state (`str`): `FINISHED`, `FAILED`, `STOPPED`, `BUDGET_SPENT`, `DOUBTFUL`, `AUDIT` or `TRIED`.
        message (`str`): The problem and the remedy, or only the problem for `DOUBTFUL`; empty if there is none.
    """

    state: str
    message: str = ""


def record_end(path: Path, work: Callable[[], End]) -> None:
    """Calls a function and writes how it ended to a file.

    The file of an earlier call is deleted first. A process that is killed writes no file.

    Args:
        path (`Path`): The file.
        work (`Callable`): The function. It returns how it ended, or raises an error.
    """
    remove(path)
    try:
        end = work()
    except BaseException as error:
        with suppress(OSError):  # if the disk is full, show the error of the run
            write_json(path, asdict(_end_by(error)))
        raise
    write_json(path, asdict(end))


def read_end(path: Path) -> End | None:
    """Reads how a run ended.

    Args:
        path (`Path`): The file of `record_end`.

    Returns:
        `End` or `None`: How it ended; `None` if it has not ended, or its process was killed.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     record_end(Path(folder, "end.json"), lambda: End(FINISHED))
        ...     read_end(Path(folder, "end.json"))
        End(state='finished', message='')
    """
    return End(**read_json(path)) if path.is_file() else None


def _end_by(error: BaseException) -> End:
    if isinstance(error, KeyboardInterrupt):
        return End(STOPPED)
    if isinstance(error, DoubtfulAnswersError):
        return End(DOUBTFUL, error.reason)
    if isinstance(error, FreeALError):
        return End(FAILED, str(error))
    # Messages of other errors are not written for users and could contain secrets.
    return End(FAILED, f"The run ended with an unexpected error ({type(error).__name__}).")
