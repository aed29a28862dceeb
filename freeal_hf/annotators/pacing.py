"""Calls to an annotator: their pace, their retries, and the reasons of failures."""

import asyncio
import heapq
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar, get_args

from freeal_hf.errors import AnnotatorError, Failure, Refusal, TransientError

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit  # comes with aiohttp

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

UnusableAnswer = Literal["empty answer", "cut-off answer", "not a label", "several labels"]
Candidates = Literal["several candidates"]
Reason = Failure | Refusal | UnusableAnswer | Candidates
"""Why a text has no label."""

_ANSWER = " (answer: "
_ANSWER_SHOWN = 60  # characters

LONGEST_WAIT = 600.0
"""The longest time in seconds that a server may ask to wait. If it asks for more, the run ends."""

_FIRST_LIMIT = 8.0
_GROWTH = 1.2
_REPORT_SECONDS = 60.0
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0


def with_answer(reason: str | None, answer: str | None) -> str | None:
    """Adds the start of the answer to the reason why it gives no label. Other reasons are not changed.

    Example:

        >>> with_answer("not a label", "Non-spam")
        "not a label (answer: 'Non-spam')"
    """
    if reason not in (*get_args(UnusableAnswer), *get_args(Candidates)) or not answer:
        return reason
    dots = "..." if len(answer) > _ANSWER_SHOWN else ""
    return f"{reason}{_ANSWER}{answer[:_ANSWER_SHOWN]!r}{dots})"


def kind_of_reason(reason: str) -> str:
    """Removes the answer that `with_answer` added, so that reasons can be counted.

    Example:

        >>> kind_of_reason("not a label (answer: 'Non-spam')")
        'not a label'
    """
    return reason.partition(_ANSWER)[0]


class Pace:
    """Limits the number of simultaneous calls, according to the share of the calls that the server refuses.

    When as many calls have ended as may be made at once (about one round trip), the limit is set: it is doubled if no
    call was refused because of an overload; otherwise it becomes 1.2 times the number of calls that were accepted.
    A refused call holds its place as long as the last answered call took, so that a server which refuses at once is
    not asked more often than one that answers. The limit therefore settles a little above what the server accepts, and
    a server that refuses one call in ten at random, because others use it too, does not slow the run down. Calls that
    began before the limit was lowered do not count again. Calls wait in the order of their texts, so that a repeated
    call does not wait behind all later texts.

    Args:
        maximum (`int`): Maximum number of simultaneous calls.
        starts_full (`bool`): Whether the first calls are already as many.
    """

    def __init__(self, maximum: int, *, starts_full: bool = False) -> None:
        self.maximum = maximum
        self.limit = float(maximum) if starts_full else min(_FIRST_LIMIT, float(maximum))
        self._num_ended = self._num_refused = 0  # calls since the limit was set
        self._latency = 0.0  # of the last call that was answered, in seconds
        self._active = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._num_asked = 0
        self._paused_until = 0.0
        self._lowered = 0.0
        self._reported: float | None = None
        self._stopped = False

    async def acquire(self, order: int) -> None:
        """Waits until a call may start. Calls with a lower `order` start first."""
        if (
            not self._stopped
            and not self._waiting
            and self._active < int(self.limit)
            and time.monotonic() >= self._paused_until
        ):
            self._active += 1
            return
        if self._stopped:
            raise asyncio.CancelledError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._num_asked += 1
        heapq.heappush(self._waiting, (order, self._num_asked, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self, *, refused: bool = False) -> None:
        """Records that a call has ended.

        Args:
            refused (`bool`, *optional*, defaults to `False`): Whether it was refused because of an overload.
        """
        if refused and self._latency:
            asyncio.get_running_loop().call_later(self._latency, self.release)
            return
        self._active -= 1
        self._admit()

    def speed_up(self, started: float) -> None:
        """Records that the server answered a call that began at `started` (`time.monotonic`)."""
        self._latency = time.monotonic() - started
        self._count(started, refused=False)

    def slow_down(self, started: float, retry_after: float | None) -> None:
        """Records that a call that began at `started` (`time.monotonic`) was refused because of an overload."""
        self._count(started, refused=True)
        now = time.monotonic()
        if retry_after:
            self._paused_until = max(self._paused_until, now + retry_after)
        if self._reported is None or now >= self._reported + _REPORT_SECONDS:
            self._reported = now
            logger.info(
                "The server is overloaded: %d simultaneous calls, pause %.1f s. The pace follows what it accepts.",
                self.limit,
                retry_after or 0.0,
            )

    def _count(self, started: float, *, refused: bool) -> None:
        if started < self._lowered:
            return
        self._num_ended += 1
        self._num_refused += refused
        if self._num_ended < int(self.limit):
            return
        before, accepted = self.limit, 1 - self._num_refused / self._num_ended
        growth = 2.0 if not self._num_refused else _GROWTH * accepted
        self.limit = min(float(self.maximum), max(1.0, before * growth))
        self._num_ended = self._num_refused = 0
        if self.limit < before:
            self._lowered = time.monotonic()

    def stop(self) -> None:
        """Cancels the calls that wait. No further call can start."""
        self._stopped = True
        for _, _, turn in self._waiting:
            turn.cancel()
        self._waiting.clear()

    def _admit(self) -> None:
        pause = self._paused_until - time.monotonic()
        if pause > 0:
            if self._waiting:
                asyncio.get_running_loop().call_later(pause, self._admit)
            return
        while self._waiting and self._active < int(self.limit):
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                self._active += 1
                turn.set_result(None)


async def ask(
    call: Callable[[], Awaitable[Answer]],
    *,
    pace: Pace,
    order: int,
    timeout: float | None,
    max_attempts: int,
    on_retry: Callable[[], None],
) -> tuple[Answer, int]:
    """Repeats a call until it is answered.

    Args:
        call (`Callable`): Makes the call.
        pace (`Pace`): The pace of all calls to the same server.
        order (`int`): Calls with a lower order start first.
        timeout (`float`, *optional*): Time limit of one attempt, in seconds.
        max_attempts (`int`): Maximum number of attempts.
        on_retry (`Callable`): Called before each attempt except the first.

    Returns:
        `tuple[Answer, int]`: The answer and the number of attempts.

    Raises:
        TransientError: If the last attempt failed too.
        RefusedError: If the call can never succeed.
        AnnotatorError: If no call can succeed, or the server asks to wait longer than `LONGEST_WAIT`.
    """
    attempt = 1
    failure: TransientError | None
    while True:
        await pace.acquire(order)
        started, failure = time.monotonic(), None
        try:
            async with time_limit(timeout):
                answer = await call()
        except TransientError as error:
            failure = error
        except asyncio.TimeoutError:
            failure = TransientError("timeout", f"no answer within {timeout} s")
        else:
            pace.speed_up(started)
            return answer, attempt
        finally:
            pace.release(refused=failure is not None and failure.overloaded)
        if failure.overloaded:
            pace.slow_down(started, failure.retry_after)
        if failure.retry_after and failure.retry_after > LONGEST_WAIT:
            raise AnnotatorError(
                f"The server asks to wait {failure.retry_after:.0f} s ({failure}). All answers are kept; start "
                "the same command again later, or use a plan with a higher rate limit."
            ) from failure
        if attempt >= max_attempts:
            raise failure
        await asyncio.sleep(_backoff(attempt, failure))
        attempt += 1
        on_retry()


def _backoff(attempt: int, failure: TransientError) -> float:
    if failure.retry_after:  # after an overload the pace already delays all calls by this time
        return 0.0 if failure.overloaded else failure.retry_after
    return random.uniform(0.5, 1.0) * min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** (attempt - 1))
