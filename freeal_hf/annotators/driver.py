"""Puts any number of requests to an annotator: cached, paced, retried, budgeted, in bounded memory."""

import asyncio
import queue
import threading
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache, canonical_json, request_key
from freeal_hf.annotators.pacing import Pace, Reason, ask
from freeal_hf.errors import AnnotatorError, BudgetExceeded, InputError, RefusedError, RunError, TransientError

if TYPE_CHECKING:
    from freeal_hf.annotators.base import Annotator

DRAIN_SECONDS = 1.0
"""How long calls that are under way may still be answered (and kept) when a run is ended."""

_LOOK_UP = 1000  # requests looked up in the cache at once
_GIVE_UP_AFTER = 10  # texts in a row without an answer: the server is gone, more texts would only become "no label"


class PaidAnswer(Protocol):
    """An answer that says what it took."""

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...


Request = TypeVar("Request")
Answer = TypeVar("Answer", bound=PaidAnswer)


@dataclass(frozen=True)
class Work(Generic[Request, Answer]):
    """What the driver needs to know of an annotator to put one kind of request to it.

    Args:
        annotator (`Annotator`): Entered as an asynchronous context manager in the driver's event loop.
        call (`Callable`): Answers some requests, in their order.
        fingerprint (`Callable`): The full request as JSON-able values; `None` for an answer that is not cached.
        restore (`Callable`): The answer from what the cache holds.
        unanswered (`Callable`): The answer of a request that got none, from the reason.
        is_unusable (`Callable`): Whether an answer should be asked for once more.
        group (`Callable`): Requests of equal group are sent in a row, which serves a prefix cache.
        concurrency (`int`): Most calls under way at once.
        batch_size (`int`): Requests per call.
        timeout (`float`, *optional*): Seconds that one call may take.
    """

    annotator: "Annotator"
    call: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]]
    fingerprint: Callable[[Request], Mapping[str, Any] | None]
    restore: Callable[[dict[str, Any]], Answer]
    unanswered: Callable[[Reason], Answer]
    is_unusable: Callable[[Answer], bool]
    group: Callable[[Request], Hashable]
    concurrency: int
    batch_size: int
    timeout: float | None

    def __post_init__(self) -> None:
        for name in ("concurrency", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"The annotator's {name} is {value!r}; it must be a whole number of at least 1.")


@dataclass
class _Job(Generic[Request]):
    """A request that is under way, with the places where it is asked."""

    request: Request
    indexes: list[int]
    key: bytes | None = None
    characters: int = 0
    max_tokens: int | None = None

    @property
    def id(self) -> Hashable:
        return self.key or self.indexes[0]


class _Outcome(NamedTuple):
    job: "_Job[Any]"
    answer: Any
    is_paid: bool


@contextmanager
def session(annotator: "Annotator") -> Iterator[None]:
    """Keeps an annotator ready from the first call in it to the last: a sleeping server is woken once.

    Calls `annotator.open()` and `annotator.close()`, also in nested sessions.

    Args:
        annotator (`Annotator`): Any annotator.
    """
    annotator.open()
    try:
        yield
    finally:
        annotator.close()


def run(
    work: Work[Request, Answer],
    requests: Iterable[Request],
    *,
    cache: AnswerCache | None,
    ledger: Ledger | None,
    budget: Budget | None,
    max_attempts: int,
    progress: Callable[[int], Any] | None = None,
) -> Generator[tuple[int, Answer], None, None]:
    """Puts requests of one kind to an annotator, in a session, and yields the answers in the order in which they come.

    `requests` is read in the caller's thread, a window ahead of the answers; the calls run in an event loop of a
    thread of their own, so that this works where a loop is running already (Jupyter, Gradio). Ended early, it waits
    `DRAIN_SECONDS` for the calls under way, keeps their answers and cancels the rest.

    Yields:
        Index of a request, and its answer.

    Raises:
        AnnotatorError: If the annotator cannot work at all. What was answered is in the cache.
        BudgetExceeded: When everything that the budget allowed is answered.
        RunError: If the cache cannot be written.
    """
    with session(work.annotator):
        yield from _driven(
            work, requests, cache, ledger if ledger is not None else Ledger(), budget, max_attempts, progress
        )


def _driven(
    work: Work[Request, Answer],
    requests: Iterable[Request],
    cache: AnswerCache | None,
    ledger: Ledger,
    budget: Budget | None,
    max_attempts: int,
    progress: Callable[[int], Any] | None,
) -> Iterator[tuple[int, Answer]]:
    started = time.monotonic()
    if budget is not None:
        budget.watch(ledger)
    window = 4 * work.concurrency * work.batch_size
    if budget is not None and budget.is_limited and cache is not None and isinstance(requests, Sequence):
        _record_ahead(work, requests, cache, ledger)
    source = together(requests, work.group)
    jobs: dict[Hashable, _Job[Request]] = {}
    over: BudgetExceeded | None = None
    worker = _Worker(work, cache=cache, ledger=ledger, budget=budget, max_attempts=max_attempts)
    try:
        while True:
            if len(jobs) <= window // 2:
                chunk = [_job(work, index, request) for index, request in islice(source, window - len(jobs))]
                fresh: list[_Job[Request]] = []
                for job, answer in _from_cache(work, chunk, cache, ledger):
                    if answer is not None:
                        _tell(progress)
                        yield job.indexes[0], answer
                    elif job.id in jobs:
                        jobs[job.id].indexes.extend(job.indexes)
                    elif over is None:
                        jobs[job.id] = job
                        fresh.append(job)
                if fresh:
                    worker.submit(fresh)
                elif chunk:
                    continue
            if not jobs:
                break
            for job, answer, _ in worker.results():
                del jobs[job.id]
                if isinstance(answer, BudgetExceeded):
                    over = answer
                    continue
                ledger.cached += len(job.indexes) - 1
                for index in job.indexes:
                    _tell(progress)
                    yield index, answer
        if over is not None:
            raise over
    finally:
        worker.stop()
        ledger.seconds += time.monotonic() - started


def _job(work: Work[Request, Answer], index: int, request: Request) -> _Job[Request]:
    fingerprint = work.fingerprint(request)
    if fingerprint is None:
        return _Job(request, [index])
    text = canonical_json(fingerprint)
    return _Job(request, [index], request_key(text), len(text), fingerprint.get("max_tokens"))


def _from_cache(
    work: Work[Request, Answer], chunk: Sequence[_Job[Request]], cache: AnswerCache | None, ledger: Ledger
) -> Iterator[tuple[_Job[Request], Answer | None]]:
    known = cache.read([job.key for job in chunk if job.key is not None]) if cache is not None else {}
    for job in chunk:
        if job.key is None or job.key not in known:
            yield job, None
            continue
        answer = work.restore(known[job.key].answer)
        if known[job.key].owner == ledger.owner and not ledger.has(job.key):
            ledger.record(job.key, answer.prompt_tokens, answer.completion_tokens)
        elif not ledger.was_recorded_ahead(job.key):
            ledger.cached += 1
        yield job, answer


def _record_ahead(
    work: Work[Request, Answer], requests: Sequence[Request], cache: AnswerCache, ledger: Ledger
) -> None:
    """Records the answers that the owner has paid for before the first call: a budget must count all of them."""
    for start in range(0, len(requests), _LOOK_UP):
        jobs = [_job(work, start, request) for request in requests[start : start + _LOOK_UP]]
        for key, found in cache.read([job.key for job in jobs if job.key is not None]).items():
            if found.owner == ledger.owner and not ledger.has(key):
                answer = work.restore(found.answer)
                ledger.record(key, answer.prompt_tokens, answer.completion_tokens, ahead=True)


def together(requests: Iterable[Request], group: Callable[[Request], Hashable]) -> Iterator[tuple[int, Request]]:
    """Requests with their indexes, those of one group in a row where all can be looked at."""
    if not isinstance(requests, Sequence):
        yield from enumerate(requests)
        return
    groups: dict[Hashable, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(group(request), []).append(index)
    for index in chain.from_iterable(groups.values()):
        yield index, requests[index]


def _tell(progress: Callable[[int], Any] | None) -> None:
    if progress is not None:
        progress(1)


class _Worker(Generic[Request, Answer]):
    """The event loop in which calls are made, in a thread of its own that starts with the first of them."""

    def __init__(
        self,
        work: Work[Request, Answer],
        *,
        cache: AnswerCache | None,
        ledger: Ledger,
        budget: Budget | None,
        max_attempts: int,
    ) -> None:
        self.work = work
        self.cache = cache
        self.ledger = ledger
        self.budget = budget
        self.max_attempts = max_attempts
        self._loop = asyncio.new_event_loop()
        self._pace = Pace(work.concurrency)
        self._thread = threading.Thread(target=self._run, name="freeal-annotation", daemon=True)
        self._ready: Future[None] = Future()
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[_Outcome] = []
        self._outbox: queue.SimpleQueue[list[_Outcome] | BaseException] = queue.SimpleQueue()
        self._reserved = [0, 0]  # tokens foreseen for the calls under way: to be read, to be written
        self._num_started = 0
        self._freed = asyncio.Event()
        self._has_answered = False
        self._failed_in_a_row = 0

    def submit(self, jobs: Sequence[_Job[Request]]) -> None:
        """Starts calls for these jobs; the first time, waits until the annotator is ready."""
        if not self._thread.is_alive():
            self._thread.start()
        self._ready.result()
        self._loop.call_soon_threadsafe(self._start, jobs)

    def results(self) -> list[_Outcome]:
        """Waits for some jobs to end; raises what ends the run."""
        outcomes = self._outbox.get()
        if isinstance(outcomes, BaseException):
            raise outcomes
        return outcomes

    def stop(self) -> None:
        """Lets the calls under way end within `DRAIN_SECONDS`, then cancels them and ends the thread."""
        if self._thread.ident is None:
            self._loop.close()
            return
        with suppress(RuntimeError):  # the loop has closed already, after an error
            self._loop.call_soon_threadsafe(self._begin_end)
        self._thread.join(DRAIN_SECONDS + 1.0)

    def _run(self) -> None:
        try:
            self._main_task = self._loop.create_task(self._main())
            self._loop.run_until_complete(self._main_task)
        finally:
            self._loop.close()

    async def _main(self) -> None:
        try:
            async with self.work.annotator:
                self._book_own_calls()
                self._ready.set_result(None)
                await self._end.wait()
                await self._drain()
        except (Exception, asyncio.CancelledError) as error:  # raised where the caller waits, with its traceback
            if self._ready.done():
                self._outbox.put(error)
            else:
                self._ready.set_exception(error)

    def _book_own_calls(self) -> None:
        for answer in self.work.annotator.take_own_calls():
            self.ledger.record(None, answer.prompt_tokens, answer.completion_tokens)

    def _begin_end(self) -> None:
        self._end.set()
        self._pace.stop()
        if not self._ready.done():
            self._main_task.cancel()

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._flush()

    def _start(self, jobs: Sequence[_Job[Request]]) -> None:
        for start in range(0, len(jobs), self.work.batch_size):
            self._num_started += 1
            task = self._loop.create_task(self._answer(jobs[start : start + self.work.batch_size], self._num_started))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() and not self._end.is_set():  # by the annotator: no answer would ever come
            self._fail(AnnotatorError(f"{type(self.work.annotator).__name__} cancelled one of its own calls."))

    async def _answer(self, jobs: Sequence[_Job[Request]], order: int) -> None:
        try:
            for job, answer in zip(jobs, await self._ask(jobs, order), strict=True):
                self._finish(job, answer, is_paid=True)
        except BudgetExceeded as error:
            for job in jobs:
                self._finish(job, error, is_paid=False)
        except RefusedError as error:
            if len(jobs) > 1:  # one bad text must not take the others of its batch along
                for job in jobs:
                    self._start([job])
            else:
                self._give_up(jobs, error)
        except TransientError as error:
            self._give_up(jobs, error)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._pace.stop()
        self._outbox.put(error)  # raised where the caller waits, with its traceback

    async def _ask(self, jobs: Sequence[_Job[Request]], order: int) -> list[Answer]:
        answers, attempts = await self._attempt(jobs, order, self.max_attempts)
        unusable = [i for i, answer in enumerate(answers) if self.work.is_unusable(answer)]
        if not unusable or attempts >= self.max_attempts:
            return answers
        self.ledger.retries += len(unusable)
        try:
            again, _ = await self._attempt([jobs[i] for i in unusable], order, self.max_attempts - attempts)
        except (TransientError, RefusedError, BudgetExceeded):
            return answers  # the first answers were paid for; they stand
        for i, answer in zip(unusable, again, strict=True):
            answers[i] = replace(
                answer,  # type: ignore[type-var]
                prompt_tokens=answer.prompt_tokens + answers[i].prompt_tokens,
                completion_tokens=answer.completion_tokens + answers[i].completion_tokens,
            )
        return answers

    async def _attempt(self, jobs: Sequence[_Job[Request]], order: int, max_attempts: int) -> tuple[list[Answer], int]:
        async with self._reservation(jobs):
            return await ask(
                lambda: self._call(jobs),
                pace=self._pace,
                order=order,
                timeout=self.work.timeout,
                max_attempts=max_attempts,
                on_retry=self._count_retry,
            )

    async def _call(self, jobs: Sequence[_Job[Request]]) -> list[Answer]:
        try:
            answers = list(await self.work.call([job.request for job in jobs]))
        finally:
            self._book_own_calls()
        if len(answers) != len(jobs):
            name = type(self.work.annotator).__name__
            raise AnnotatorError(f"{name} gave {len(answers)} answers to {len(jobs)} requests; it must give one each.")
        self._has_answered = True
        self._failed_in_a_row = 0
        for job, answer in zip(jobs, answers, strict=True):
            self.ledger.record(job.key, answer.prompt_tokens, answer.completion_tokens)
            if self.budget is not None:
                self.budget.learn(job.characters, answer.prompt_tokens, answer.completion_tokens)
        return answers

    @asynccontextmanager
    async def _reservation(self, jobs: Sequence[_Job[Request]]) -> AsyncIterator[None]:
        if self.budget is None:
            yield
            return
        while True:
            foreseen = [self.budget.foresee(job.characters, job.max_tokens) for job in jobs]
            prompt, completion = (sum(tokens) for tokens in zip(*foreseen, strict=True))
            try:
                self.budget.check(self.ledger.price, self._reserved[0] + prompt, self._reserved[1] + completion)
                break
            except BudgetExceeded:
                if not any(self._reserved):
                    raise
                self._freed.clear()
                await self._freed.wait()  # what is under way may take less than foreseen
        self._reserved[0] += prompt
        self._reserved[1] += completion
        try:
            yield
        finally:
            self._reserved[0] -= prompt
            self._reserved[1] -= completion
            self._freed.set()

    def _count_retry(self) -> None:
        self.ledger.retries += 1

    def _give_up(self, jobs: Sequence[_Job[Request]], error: TransientError | RefusedError) -> None:
        self._failed_in_a_row += len(jobs)
        if not self._has_answered and (isinstance(error, TransientError) or self._failed_in_a_row >= _GIVE_UP_AFTER):
            self._fail(AnnotatorError(f"The annotator has not answered a single request: {error}."))
        elif isinstance(error, TransientError) and self._failed_in_a_row >= _GIVE_UP_AFTER:
            self._fail(
                AnnotatorError(
                    f"The annotator stopped answering: {self._failed_in_a_row} texts in a row got no answer (last: "
                    f"{error}). Every answer so far is kept; start the same command again to go on."
                )
            )
        for job in jobs:
            self._finish(job, self.work.unanswered(error.reason), is_paid=False)

    def _finish(self, job: _Job[Request], answer: Any, *, is_paid: bool) -> None:
        if not self._done:
            self._loop.call_soon(self._flush)  # answers that come in one turn of the loop share a transaction
        self._done.append(_Outcome(job, answer, is_paid))

    def _flush(self) -> None:
        done, self._done = self._done, []
        paid = {job.key: _stored(answer) for job, answer, is_paid in done if is_paid and job.key is not None}
        try:
            if self.cache is not None and paid:
                self.cache.write(paid, owner=self.ledger.owner)
        except RunError as error:
            self._fail(error)
        else:
            if done:
                self._outbox.put(done)


def _stored(answer: object) -> dict[str, Any]:
    return {name: value for name, value in vars(answer).items() if value is not None}
