"""Makes the calls of a run in an event loop in its own thread, with pacing, retries and a budget."""

import asyncio
import gc
import queue
import threading
from collections.abc import AsyncIterator, Hashable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple

from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.pacing import Pace, ask
from freeal_hf.annotators.requests import usage_of
from freeal_hf.annotators.work import Answer, Request, Work
from freeal_hf.errors import AnnotatorError, BudgetExceeded, RefusedError, RunError, TransientError

DRAIN_SECONDS = 1.0
"""How long a run waits for active calls when it ends. Their answers are kept."""

_GIVE_UP_AFTER = 10  # texts in a row without an answer: the server is probably down


@dataclass
class Job(Generic[Request]):
    """A request that is being sent.

    Args:
        request (`Request`): The request.
        indexes (`list[int]`): Indexes of all requests that are equal to it.
        key (`bytes`, *optional*): Its key in the cache.
        characters (`int`): Length of its fingerprint.
        max_tokens (`int`, *optional*): Maximum number of tokens of its answer.
    """

    request: Request
    indexes: list[int]
    key: bytes | None = None
    characters: int = 0
    max_tokens: int | None = None

    @property
    def id(self) -> Hashable:
        """An id that equal requests share."""
        return self.key or self.indexes[0]


class Outcome(NamedTuple):
    """The result of a request: an answer or an exception."""

    job: "Job[Any]"
    answer: Any
    is_paid: bool


class Worker(Generic[Request, Answer]):
    """Makes calls in an event loop in its own thread, which starts with the first call.

    Args:
        work (`Work`): The work of the annotator.
        cache (`AnswerCache`, *optional*): The cache. Answers are written to it before they are returned.
        ledger (`Ledger`): The ledger that records calls and tokens.
        budget (`Budget`, *optional*): Limits in dollars or tokens.
        max_attempts (`int`): Maximum number of calls for a request.
    """

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
        self._pace = Pace(work.concurrency, starts_full=work.annotator.sends_batches)
        self._thread = threading.Thread(target=self._run, name="freeal-annotation", daemon=True)
        self._ready: Future[None] = Future()
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[Outcome] = []
        self._outbox: queue.SimpleQueue[list[Outcome] | BaseException] = queue.SimpleQueue()
        self._reserved = [0, 0]  # estimated input and output tokens of active calls
        self._num_started = 0
        self._freed = asyncio.Event()
        self._has_answered = False
        self._failed_in_a_row = 0

    def submit(self, jobs: Sequence[Job[Request]]) -> None:
        """Starts calls for jobs. The first call of the method waits until the annotator is ready."""
        if not self._thread.is_alive():
            self._thread.start()
        self._ready.result()
        self._loop.call_soon_threadsafe(self._start, jobs)

    def results(self) -> list[Outcome]:
        """Waits until some jobs end, and returns their outcomes. Raises an error that ends the run."""
        outcomes = self._outbox.get()
        if isinstance(outcomes, BaseException):
            raise outcomes
        return outcomes

    def stop(self) -> None:
        """Waits `DRAIN_SECONDS` for active calls, then cancels them and ends the thread."""
        if self._thread.ident is None:
            self._loop.close()
            return
        with suppress(RuntimeError):  # the loop has closed already, after an error
            self._loop.call_soon_threadsafe(self._begin_end)
        self._thread.join(DRAIN_SECONDS + 1.0)

    def _run(self) -> None:
        # Active calls have so many objects that the garbage collector often looks through all objects of the process.
        gc.freeze()
        try:
            self._main_task = self._loop.create_task(self._main())
            self._loop.run_until_complete(self._main_task)
        finally:
            self._loop.close()
            gc.unfreeze()

    async def _main(self) -> None:
        try:
            self.work.annotator.use_cache(self.cache)
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
            self.ledger.record(None, **usage_of([answer]))

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

    def _start(self, jobs: Sequence[Job[Request]]) -> None:
        for start in range(0, len(jobs), self.work.batch_size):
            self._num_started += 1
            task = self._loop.create_task(self._answer(jobs[start : start + self.work.batch_size], self._num_started))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() and not self._end.is_set():  # the annotator cancelled it, so that no answer would come
            name = type(self.work.annotator).__name__
            self._fail(AnnotatorError(f"{name} cancelled one of its own calls; its `annotate` must return or raise."))

    async def _answer(self, jobs: Sequence[Job[Request]], order: int) -> None:
        try:
            for job, answer in zip(jobs, await self._ask(jobs, order), strict=True):
                self._finish(job, answer, is_paid=True)
        except BudgetExceeded as error:
            for job in jobs:
                self._finish(job, error, is_paid=False)
        except RefusedError as error:
            if len(jobs) > 1:  # the other texts of the batch may be accepted
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

    async def _ask(self, jobs: Sequence[Job[Request]], order: int) -> list[Answer]:
        answers, attempts = await self._attempt(jobs, order, self.max_attempts)
        unusable = [i for i, answer in enumerate(answers) if self.work.is_unusable(answer)]
        if not unusable or attempts >= self.max_attempts:
            return answers
        self.ledger.retries += len(unusable)
        try:
            again, _ = await self._attempt([jobs[i] for i in unusable], order, self.max_attempts - attempts)
        except (TransientError, RefusedError, BudgetExceeded):
            return answers  # the first answers were paid for, so they are kept
        for i, answer in zip(unusable, again, strict=True):
            answers[i] = replace(
                answer,  # type: ignore[type-var]
                **usage_of([answer, answers[i]]),
            )
        return answers

    async def _attempt(self, jobs: Sequence[Job[Request]], order: int, max_attempts: int) -> tuple[list[Answer], int]:
        async with self._reservation(jobs):
            return await ask(
                lambda: self._call(jobs),
                pace=self._pace,
                order=order,
                timeout=self.work.timeout,
                max_attempts=max_attempts,
                on_retry=self._count_retry,
            )

    async def _call(self, jobs: Sequence[Job[Request]]) -> list[Answer]:
        try:
            answers = list(await self.work.call([job.request for job in jobs]))
        finally:
            self._book_own_calls()
        if len(answers) != len(jobs):
            name = type(self.work.annotator).__name__
            raise AnnotatorError(
                f"{name} gave {len(answers)} answers to {len(jobs)} requests; it must give one answer to each request."
            )
        self._has_answered = True
        self._failed_in_a_row = 0
        for job, answer in zip(jobs, answers, strict=True):
            self.ledger.record(job.key, **usage_of([answer]))
            if self.budget is not None:
                self.budget.learn(job.characters, answer.prompt_tokens, answer.completion_tokens)
        return answers

    @asynccontextmanager
    async def _reservation(self, jobs: Sequence[Job[Request]]) -> AsyncIterator[None]:
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
                await self._freed.wait()  # active calls may need fewer tokens than estimated
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

    def _give_up(self, jobs: Sequence[Job[Request]], error: TransientError | RefusedError) -> None:
        self._failed_in_a_row += len(jobs)
        if not self._has_answered and (isinstance(error, TransientError) or self._failed_in_a_row >= _GIVE_UP_AFTER):
            self._fail(
                AnnotatorError(
                    f"The annotator has not answered a single request: {str(error).rstrip('.')}. Check the annotator "
                    "and its options, then start the same command again."
                )
            )
        elif isinstance(error, TransientError) and self._failed_in_a_row >= _GIVE_UP_AFTER:
            self._fail(
                AnnotatorError(
                    f"The annotator stopped answering: {self._failed_in_a_row} texts in a row have no answer (last: "
                    f"{error}). All answers are kept; start the same command again to continue."
                )
            )
        for job in jobs:
            self._finish(job, self.work.unanswered(error.reason), is_paid=False)

    def _finish(self, job: Job[Request], answer: Any, *, is_paid: bool) -> None:
        if not self._done:
            self._loop.call_soon(self._flush)  # answers of one iteration of the loop are written in one transaction
        self._done.append(Outcome(job, answer, is_paid))

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
