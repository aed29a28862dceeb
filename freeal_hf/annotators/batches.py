"""Collects calls into batches of a provider, which cost half as much and take minutes to hours.

Each batch is written to the answer cache before it is submitted, and its id as soon as it is known. A run that was
killed finds its batches again, waits for them, and submits only what is in none of them.
"""

import asyncio
import json
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from freeal_hf.annotators.cache import AnswerCache, PendingBatch, canonical_json, request_key
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.question import Question
from freeal_hf.data.counting import counted
from freeal_hf.errors import AnnotatorError, RefusedError, RejectedError, TransientError

logger = logging.getLogger(__name__)

DISCOUNT = 0.5
"""Share of the price that OpenAI, Anthropic and others do not charge for a batch."""

SMALLEST_BATCH = 100
"""Fewer calls are made directly, at the full price, because a batch can take a day."""

QUIET_SECONDS = 1.0
"""A batch is submitted if no further call arrives for this time."""

POLL_SECONDS = (5.0, 60.0)
"""The first and the longest time between two questions about the state of a batch."""

_MOST_FAILURES = 10  # of questions about a batch, one after the other
_MOST_READS = 3  # of results that are incomplete
_KEPT_SECONDS = 29 * 24 * 3600.0  # for which providers keep the results
_KEY_LENGTH = 32
_MALFORMED = (KeyError, IndexError, TypeError, AttributeError, ValueError)

Result = Mapping[str, Any] | Exception
"""The answer to a request of a batch, as the provider's answer to a direct call, or the error of the request."""

_T = TypeVar("_T")


class State(NamedTuple):
    """The state of a batch.

    Args:
        has_ended (`bool`): Whether it is complete, expired or cancelled.
        is_cancelled (`bool`): Whether a person cancelled it.
        refusal (`str`, *optional*): Why the provider refused the whole batch. Nothing of it was then answered.
    """

    has_ended: bool
    is_cancelled: bool = False
    refusal: str | None = None


class BatchService(ABC):
    """The batch API of a provider.

    Attributes:
        most_bytes (`int`): The maximum size of a batch.
    """

    most_bytes: int

    @property
    @abstractmethod
    def server(self) -> str:
        """The name of the API and its address, by which a batch is found again."""

    @abstractmethod
    async def submit(self, name: str, requests: Mapping[str, Mapping[str, Any]]) -> str:
        """Submits a batch.

        Args:
            name (`str`): The name of the batch.
            requests (`Mapping[str, Mapping]`): The body of each request by its id.

        Returns:
            `str`: The id of the batch.
        """

    @abstractmethod
    async def find(self, batch: PendingBatch) -> str | None:
        """Returns the id of a batch of which it is not known whether it was submitted; `None` if it was not."""

    @abstractmethod
    async def state(self, id: str) -> State:
        """Returns whether a batch has ended."""

    @abstractmethod
    async def results(self, id: str) -> dict[str, Result]:
        """Reads the results of a batch that has ended, by the id of the request. They can be incomplete."""


class Batches:
    """Collects calls into batches, and waits for their results. All methods must be called in one event loop.

    Args:
        service (`BatchService`): The batch API.
        most_requests (`int`): The maximum number of requests in a batch.

    Attributes:
        cache (`AnswerCache`, *optional*): The cache in which batches are written down.
    """

    def __init__(self, service: BatchService, most_requests: int) -> None:
        self.cache: AnswerCache | None = None
        self._service = service
        self._most_requests = most_requests
        self._waiting: list[tuple[str, Mapping[str, Any], asyncio.Future[_Batch | None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._known: dict[str, list[_Batch]] = {}  # by the keys of their requests whose results were not delivered
        self._batches: list[_Batch] = []

    def open(self) -> None:
        """Reads the batches that an earlier process submitted.

        Raises:
            AnnotatorError: If there is no cache to write batches to.
        """
        if self.cache is None:
            raise AnnotatorError("Batches need an answer cache, in which they are found again: give cache=....")
        self._known, self._batches = {}, []
        for pending in self.cache.pending_batches(self._service.server):
            if time.time() - pending.created > _KEPT_SECONDS:
                self.cache.forget_batch(pending)
                continue
            self._add(_Batch(self._service, self.cache, pending))

    async def close(self) -> None:
        """Stops waiting. Batches whose results were all delivered are forgotten, because the answers are on disk."""
        if self._timer is not None:
            self._timer.cancel()
        for batch in self._batches:
            await batch.close()

    async def answer(self, identity: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answers a request in a batch.

        Args:
            identity (`Mapping`): What the answer depends on, by which the request is found in a batch of an earlier
                process.
            body (`Mapping`): The body of the request, as in a direct call.

        Returns:
            `Mapping` or `None`: The body of the response; `None` if there are so few requests that each should be a
            direct call.

        Raises:
            TransientError: If the batch has no result for the request.
            RefusedError, AnnotatorError: As a direct call.
        """
        key = request_key(canonical_json(identity)).hex()[:_KEY_LENGTH]
        while True:
            batch = self._known[key][0] if self._known.get(key) else await self._collected(key, body)
            if batch is None:
                return None
            result = (await batch.results()).get(key)
            if batch in self._known[key]:
                self._known[key].remove(batch)
            batch.delivered.add(key)
            if isinstance(result, Exception):
                raise result
            if result is not None:
                return result
            if batch.is_new:
                raise batch.missing()

    async def _collected(self, key: str, body: Mapping[str, Any]) -> "_Batch | None":
        """Waits until the request is part of a batch."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Batch | None] = loop.create_future()
        self._waiting.append((key, body, future))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(QUIET_SECONDS, self._flush)
        return await future

    def _flush(self) -> None:
        assert self.cache is not None
        waiting = [one for one in self._waiting if not one[2].done()]
        self._waiting = []
        bodies = {key: body for key, body, _ in waiting}
        batches: dict[str, _Batch] = {}
        for part in self._parts(bodies) if len(bodies) >= SMALLEST_BATCH else ():
            pending = PendingBatch(secrets.token_hex(8), self._service.server, None, time.time(), tuple(part))
            batch = _Batch(self._service, self.cache, pending, part)
            self._add(batch)
            batches |= dict.fromkeys(part, batch)
        for key, _, future in waiting:
            future.set_result(batches.get(key))

    def _add(self, batch: "_Batch") -> None:
        self._batches.append(batch)
        for key in batch.pending.keys:
            self._known.setdefault(key, []).append(batch)

    def _parts(self, bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Mapping[str, Any]]]:
        """Divides requests into parts that the provider accepts as a batch."""
        part: dict[str, Mapping[str, Any]] = {}
        size = 0
        for key, body in bodies.items():
            length = len(json.dumps(body)) + 300  # the id and what is around it
            if part and (len(part) == self._most_requests or size + length > self._service.most_bytes):
                yield part
                part, size = {}, 0
            part[key] = body
            size += length
        yield part


def collect(annotator: LLMAnnotator, service: BatchService, most_requests: int) -> Batches:
    """Makes an annotator send its calls in batches.

    Args:
        annotator (`LLMAnnotator`): The annotator, whose attributes for the driver and the estimate are set.
        service (`BatchService`): The batch API.
        most_requests (`int`): The maximum number of requests in a batch.
    """
    annotator.sends_batches, annotator.discount, annotator.concurrency = True, DISCOUNT, most_requests
    return Batches(service, most_requests)


def identity(annotator: LLMAnnotator, question: Question) -> dict[str, Any]:
    """Returns what the answer to a question depends on, apart from the optional features of the request."""
    return {
        **annotator.source(),
        "messages": list(question.messages),
        "schema": dict(question.constrain("json_schema")),
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "seed": question.seed,
    }


class _Batch:
    """A batch: it is written down, submitted, waited for and read.

    Args:
        service (`BatchService`): The batch API.
        cache (`AnswerCache`): The cache in which it is written down.
        pending (`PendingBatch`): What is known about it.
        bodies (`Mapping[str, Mapping]`): The bodies of its requests by key; empty for a batch of an earlier process.
    """

    def __init__(
        self,
        service: BatchService,
        cache: AnswerCache,
        pending: PendingBatch,
        bodies: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.pending = pending
        self.delivered: set[str] = set()
        self.is_new = bodies is not None
        self._service, self._cache, self._bodies = service, cache, bodies or {}
        self._is_cancelled = False
        self._task: asyncio.Task[dict[str, Result]] | None = None

    async def results(self) -> dict[str, Result]:
        """Returns the results by key; none if an earlier process was killed before it submitted the batch."""
        if self._task is None:
            self._task = asyncio.create_task(self._read())
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._task)

    def missing(self) -> Exception:
        """Returns the error for a request without a result."""
        if self._is_cancelled:
            return AnnotatorError(f"Batch {self.pending.id} was cancelled. The same command sends the rest again.")
        return TransientError("broken response", f"batch {self.pending.id} has no result for the request")

    async def close(self) -> None:
        """Stops waiting."""
        if self._task is None:
            return
        if self.delivered.issuperset(self.pending.keys):
            self._cache.forget_batch(self.pending)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> dict[str, Result]:
        id = await (self._submitted() if self.is_new else self._found())
        if id is None:
            return {}
        await self._wait(id)
        found: dict[str, Result] = {}
        for _ in range(_MOST_READS):  # a response that was cut between two lines looks complete
            found |= await _persistently(lambda: self._service.results(id), f"The results of batch {id}")
            if len(found) >= len(self.pending.keys):
                break
        prefix = f"{self.pending.name}-"
        return {one.removeprefix(prefix): result for one, result in found.items()}

    async def _found(self) -> str | None:
        """Returns the id of a batch of an earlier process, which may have been killed before it wrote it down."""
        if self.pending.id is not None:
            return self.pending.id
        id = await _persistently(lambda: self._service.find(self.pending), "The batch of an earlier process")
        if id is None:
            self._cache.forget_batch(self.pending)
            return None
        return self._note(id)

    async def _submitted(self) -> str:
        """Submits the batch and returns its id.

        A call can fail after the provider has accepted the batch. It is therefore looked for before it is submitted
        again.
        """
        name, bodies = self.pending.name, self._bodies
        self._cache.write_batch(self.pending)
        requests = {f"{name}-{key}": body for key, body in bodies.items()}
        is_unclear = False

        async def submit() -> str:
            nonlocal is_unclear
            if is_unclear and (found := await self._service.find(self.pending)) is not None:
                return found
            is_unclear = True
            try:
                return await self._service.submit(name, requests)
            except (RefusedError, RejectedError):
                self._cache.forget_batch(self.pending)
                raise

        id = self._note(await _persistently(submit, f"A batch of {counted(len(bodies), 'request')}"))
        logger.info(
            "Batch %s with %s was submitted. The run waits for it. If it is stopped, the same command continues.",
            id,
            counted(len(bodies), "request"),
        )
        self._bodies = {}
        return id

    def _note(self, id: str) -> str:
        self.pending = replace(self.pending, id=id)
        self._cache.write_batch(self.pending)
        return id

    async def _wait(self, id: str) -> None:
        pause, longest = POLL_SECONDS
        while not (state := await _persistently(lambda: self._service.state(id), f"Batch {id}")).has_ended:
            await asyncio.sleep(pause)
            pause = min(longest, pause * 1.5)
        self._is_cancelled = state.is_cancelled
        if state.refusal is not None:
            self._cache.forget_batch(self.pending)
            raise AnnotatorError(
                f"Batch {id} was refused: {state.refusal} Nothing of it was paid. If it is too large, give a smaller "
                "batch_requests."
            )


async def _persistently(call: Callable[[], Awaitable[_T]], what: str) -> _T:
    """Repeats a call to the batch API that fails and can succeed later."""
    pause, longest = POLL_SECONDS
    number = 0
    while True:
        number += 1
        try:
            return await call()
        except TransientError as error:
            failure = error
        except _MALFORMED as error:
            failure = TransientError("broken response", f"{type(error).__name__}: {error}")
        except (RefusedError, RejectedError) as error:
            # Not a refusal of one text, and not because of an optional feature of its request.
            raise AnnotatorError(f"{what}: {error} If the server has no batch API, leave `batch:` out.") from error
        if number == _MOST_FAILURES:
            raise AnnotatorError(
                f"{what}: {str(failure).rstrip('.')}. Nothing is lost: start the same command again to continue."
            ) from failure
        logger.info("%s: %s", what, failure)
        await asyncio.sleep(max(pause, failure.retry_after or 0.0))
        pause = min(longest, pause * 1.5)
