"""Annotation by the workers of a Ray cluster, which fill the answer cache with one budget and one rate limit.

Each worker sends the requests of one shard at a time and writes the answers to a cache file next to the shard. A shard
is complete when this file is merged into the run's cache. So a lost worker only loses calls in progress, and a killed
run merges the existing files when it is started again.
"""

import asyncio
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.budget import Budget, Ledger, Price
from freeal_hf.annotators.cache import AnswerCache, canonical_json, request_key
from freeal_hf.annotators.driver import run, together
from freeal_hf.annotators.requests import PaidAnswer
from freeal_hf.annotators.work import annotation_work
from freeal_hf.config import EngineConfig
from freeal_hf.data.files import remove, write_atomically
from freeal_hf.errors import AnnotatorError, BudgetExceeded, InputError, TransientError
from freeal_hf.loop.engines import Engine
from freeal_hf.ray.cluster import check_ray, cluster, over_shards
from freeal_hf.tasks import Demonstration, Task

logger = logging.getLogger(__name__)

_REQUESTS, _ANSWERS = ".parquet", ".sqlite"
_LOOK_UP = 1000  # requests looked up in the cache at once
_CLAIM_TOKENS = 4096  # claimed from the budget at once, so that not each call needs its own claim
_SLOTS_SECONDS = 0.5  # the calls of this time are reserved at once


def ray_engine(config: EngineConfig) -> Engine:
    """Returns the engine `ray`, which is registered under the entry point group `freeal_hf.engines`.

    Args:
        config (`EngineConfig`): The cluster and the number of workers.

    Raises:
        InputError: If Ray is not installed.
    """
    check_ray()
    return partial(fill_cache, config=config)


def fill_cache(
    annotator: Annotator,
    task: Task,
    requests: Sequence[AnnotationRequest],
    *,
    cache: AnswerCache,
    ledger: Ledger,
    budget: Budget,
    folder: Path,
    config: EngineConfig,
    make_annotator: Callable[[], Annotator],
    progress: Callable[[int], Any],
) -> None:
    """Annotates the requests that are not in the cache with the workers of a Ray cluster.

    Then `driver.run` finds the answers in the cache, with `ledger.owner` as their owner. Texts without an answer, and
    texts for which the budget was too small, are not in the cache.

    Args:
        annotator, task, requests, cache, ledger, budget, make_annotator, progress: As in [`Engine`].
        folder (`Path`): The folder of the shards, on a disk that all nodes share.
        config (`EngineConfig`): The cluster and the number of workers.

    Raises:
        InputError: If the annotator has no fingerprint for its requests, so that its answers cannot be cached.
        AnnotatorError: If the annotator fails. All received answers are kept.
    """
    if requests and annotator.fingerprint(task, requests[0]) is None:
        raise InputError(
            f"{type(annotator).__name__} cannot be used on a cluster: its answers cannot be cached, because it "
            "has no method `fingerprint`. Leave --engine ray out."
        )
    if annotator.sends_batches:
        raise InputError("Batches are answered by their provider, not by a cluster. Leave --engine ray out.")
    budget.watch(ledger)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob(f"*{_ANSWERS}")):
        _take_over(path, cache)
    spent = Ledger(owner=ledger.owner, price=ledger.price)
    missing = _missing(annotator, task, requests, cache, spent)
    shards = list(_write_shards(missing, folder, config.ray_shard_size))
    sizes = {str(path): count for path, count in shards}
    num_missing = sum(sizes.values())
    done = len(requests) - num_missing
    progress(done)
    if not shards:
        return
    logger.info("%d texts in %d shards for %d workers", num_missing, len(shards), config.ray_workers)
    with cluster(config):
        import ray

        account = ray.remote(Account).remote(budget.remaining(spent), ledger.price, config.ray_calls_per_minute)
        rows = over_shards(
            [path for path, _ in shards],
            _AnnotationWorker,
            config,
            make_annotator=make_annotator,
            task=task,
            owner=ledger.owner,
            price=ledger.price,
            account=account,
            is_limited=config.ray_calls_per_minute is not None,
        )
        with closing(rows):
            for row in rows:
                path = Path(row["shard"])
                _take_over(path.with_suffix(_ANSWERS), cache)
                ledger.retries += row["retries"]
                if row["prompt_tokens"] or row["completion_tokens"]:
                    ledger.record(None, row["prompt_tokens"], row["completion_tokens"])
                if row["error"]:
                    raise AnnotatorError(row["error"])
                remove(path)
                done += sizes[str(path)]
                progress(done)


class Account:
    """The budget and the rate limit that all workers share, as a Ray actor.

    Args:
        budget (`Budget`): The remaining budget.
        price (`Price`, *optional*): The price of tokens.
        calls_per_minute (`float`, *optional*): The maximum number of calls of all workers together.
    """

    def __init__(self, budget: Budget, price: Price | None, calls_per_minute: float | None) -> None:
        self._budget = budget
        self._price = price
        self._claims: dict[str, tuple[int, int]] = {}
        self._seconds = 60.0 / (calls_per_minute or math.inf)
        self._next = time.monotonic()

    def claim(self, shard: str, prompt_tokens: int, completion_tokens: int) -> bool:
        """Sets the tokens that a shard may use in total, if all shards together stay below the limits.

        The claim of a lost worker is kept until its shard is processed again.

        Args:
            shard (`str`): The shard.
            prompt_tokens (`int`): The prompt tokens of the shard.
            completion_tokens (`int`): The completion tokens of the shard.

        Returns:
            `bool`: Whether the claim is within the limits.
        """
        claims = {**self._claims, shard: (prompt_tokens, completion_tokens)}
        prompt, completion = (sum(tokens) for tokens in zip(*claims.values(), strict=True))
        try:
            self._budget.check(self._price, prompt, completion)
        except BudgetExceeded:
            return False
        self._claims = claims
        return True

    def settle(self, shard: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Sets the tokens that a shard has used, which are fewer than it claimed."""
        self._claims[shard] = (prompt_tokens, completion_tokens)

    def slots(self) -> tuple[float, float, int]:
        """Reserves some calls, and returns the seconds until the first, the seconds between two, and their number."""
        count = max(1, int(_SLOTS_SECONDS / self._seconds))
        start = max(self._next, time.monotonic())
        self._next = start + count * self._seconds
        return start - time.monotonic(), self._seconds, count


class _SharedBudget(Budget):
    """A worker's share of the budget for one shard, which it claims from the account in steps."""

    def __init__(self, account: Any, shard: str, ledger: Ledger) -> None:
        super().__init__()
        self._account, self._shard, self._ledger = account, shard, ledger
        self._claimed = (0, 0)

    def check(self, price: Price | None, prompt_tokens: int, completion_tokens: int) -> None:
        import ray

        prompt = self._ledger.prompt_tokens + prompt_tokens
        completion = self._ledger.completion_tokens + completion_tokens
        if prompt <= self._claimed[0] and completion <= self._claimed[1]:
            return
        for ahead in (_CLAIM_TOKENS, 0):
            claim = (prompt + ahead, completion + ahead // 8)
            if ray.get(self._account.claim.remote(self._shard, *claim)):
                self._claimed = claim
                return
        raise BudgetExceeded("The budget allows no further call.")


class _Limited(Annotator):
    """An annotator that makes its calls when the account allows it. The wait does not count as time of the call."""

    def __init__(self, annotator: Annotator, account: Any) -> None:
        self._annotator, self._account = annotator, account
        self._limit = annotator.timeout
        self._times: deque[float] = deque()
        self.concurrency, self.batch_size = annotator.concurrency, annotator.batch_size

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any] | None:
        return self._annotator.fingerprint(task, request)

    def take_own_calls(self) -> Sequence[PaidAnswer]:
        return self._annotator.take_own_calls()

    def open(self) -> None:
        self._annotator.open()

    def close(self) -> None:
        self._annotator.close()

    async def __aenter__(self) -> "_Limited":
        await self._annotator.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._annotator.__aexit__(*error)

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        if not self._times:
            wait, between, count = await asyncio.wrap_future(self._account.slots.remote().future())
            self._times.extend(time.monotonic() + wait + i * between for i in range(count))
        await asyncio.sleep(self._times.popleft() - time.monotonic())
        try:
            return await asyncio.wait_for(self._annotator.annotate(task, requests), self._limit)
        except asyncio.TimeoutError as error:
            raise TransientError("timeout", f"no answer within {self._limit} s") from error


class _AnnotationWorker:
    """Annotates shards. Ray Data makes one instance in each worker process."""

    def __init__(
        self,
        make_annotator: Callable[[], Annotator],
        task: Task,
        owner: str,
        price: Price | None,
        account: Any,
        is_limited: bool,
    ) -> None:
        annotator = make_annotator()
        self._annotator: Annotator = _Limited(annotator, account) if is_limited else annotator
        self._task, self._owner, self._price, self._account = task, owner, price, account

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        path = Path(row["shard"])
        ledger = Ledger(owner=self._owner, price=self._price)
        known = [0, 0]
        error = ""
        with AnswerCache(path.with_suffix(_ANSWERS)) as cache:
            answers = run(
                annotation_work(self._annotator, self._task),
                _read_shard(path),
                cache=cache,
                ledger=ledger,
                budget=_SharedBudget(self._account, row["shard"], ledger),
            )
            try:
                for _, answer in answers:
                    known[0] += answer.prompt_tokens
                    known[1] += answer.completion_tokens
            except BudgetExceeded:
                pass  # the account refused the claim; the main process reports it
            except AnnotatorError as found:
                error = str(found)
        self._account.settle.remote(row["shard"], ledger.prompt_tokens, ledger.completion_tokens)
        return {
            "shard": row["shard"],
            "error": error,
            "retries": ledger.retries,
            # tokens without a request: canaries
            "prompt_tokens": ledger.prompt_tokens - known[0],
            "completion_tokens": ledger.completion_tokens - known[1],
        }


def _missing(
    annotator: Any,
    task: Task,
    requests: Sequence[AnnotationRequest],
    cache: AnswerCache,
    spent: Ledger,
) -> Iterator[AnnotationRequest]:
    """Yields the requests that are not in the cache, and adds what this run has paid for the others to `spent`."""
    grouped = (request for _, request in together(requests, lambda request: request.demonstrations))
    while some := list(islice(grouped, _LOOK_UP)):
        by_key = {request_key(canonical_json(annotator.fingerprint(task, request))): request for request in some}
        known = cache.read(list(by_key))
        for key, found in known.items():
            if found.owner == spent.owner:
                usage = {name: found.answer.get(name, 0) for name in ("cached_tokens", "discount")}
                tokens = found.answer.get("prompt_tokens", 0), found.answer.get("completion_tokens", 0)
                spent.record(key, *tokens, **usage)
        yield from (request for key, request in by_key.items() if key not in known)


def _write_shards(requests: Iterable[AnnotationRequest], folder: Path, size: int) -> Iterator[tuple[Path, int]]:
    """Writes requests to files of `size` requests, and yields each file with its number of requests."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in folder.glob(f"*{_REQUESTS}"):
        remove(path)
    rest, number = iter(requests), 0
    while rows := list(map(asdict, islice(rest, size))):
        path = folder / f"{number:06d}{_REQUESTS}"
        write_atomically(path, partial(pq.write_table, pa.Table.from_pylist(rows, schema=_schema())))
        yield path, len(rows)
        number += 1


def _schema() -> Any:
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    entities = ("entities", pa.list_(texts))
    labels = ("labels", pa.list_(pa.int64()))  # null in tasks with one label, an empty list for none of the labels
    shot = pa.struct([("text", text), ("label", pa.int64()), ("source", text), ("id", text), entities, labels])
    return pa.schema(
        [
            ("text", text),
            ("demonstrations", pa.list_(shot)),
            ("id", text),
            ("words", texts),
            ("sample", pa.int64()),
            ("order", pa.list_(pa.int64())),
            ("instruction", text),
        ]
    )


def _read_shard(path: Path) -> list[AnnotationRequest]:
    import pyarrow.parquet as pq

    def shot(values: dict[str, Any]) -> Demonstration:
        entities, labels = values["entities"], values["labels"]
        tuples = {
            "entities": tuple((text, name) for text, name in entities),
            "labels": None if labels is None else tuple(labels),
        }
        return Demonstration(**{**values, **tuples})

    def request(values: dict[str, Any]) -> AnnotationRequest:
        shots = tuple(map(shot, values["demonstrations"]))
        tuples = {"words": tuple(values["words"]), "order": tuple(values["order"])}
        return AnnotationRequest(**{**values, "demonstrations": shots, **tuples})

    return [request(values) for values in pq.read_table(path).to_pylist()]


def _take_over(path: Path, cache: AnswerCache) -> None:
    """Merges the answers of a shard into the run's cache, and deletes its file."""
    if not path.exists():
        return
    cache.take_over(path)
    for ending in ("", "-wal", "-shm", ".reserve"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{ending}")
