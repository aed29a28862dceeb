"""Sends requests to an annotator, with cache, pacing, retries and budget, in bounded memory."""

import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from freeal_hf.annotators.base import Annotator
from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache, canonical_json, request_key
from freeal_hf.annotators.requests import usage_of
from freeal_hf.annotators.work import Answer, Request, Work
from freeal_hf.annotators.worker import Job, Worker
from freeal_hf.errors import BudgetExceeded

_LOOK_UP = 1000  # number of requests that are looked up in the cache together


@contextmanager
def session(annotator: Annotator) -> Iterator[None]:
    """Opens an annotator for all calls in a block, so that a paused server is started only once.

    Calls `annotator.open()` and `annotator.close()`. Sessions can be nested.

    Args:
        annotator (`Annotator`): The annotator.

    Example:

        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> annotator = ColumnAnnotator({"a": "tool"}, "guess")
        >>> with session(annotator):
        ...     pass  # several calls of `run`, for which a paused server is only started once
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
    cache: AnswerCache | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    max_attempts: int = 8,
    progress: Callable[[int], Any] | None = None,
) -> Generator[tuple[int, Answer], None, None]:
    """Sends requests to an annotator in a session, and yields the answers as they arrive.

    Identical requests are sent once. A call that can succeed later is repeated. A request that cannot be answered gets
    a reason, and does not stop the others. The number of simultaneous calls grows as long as the server can follow,
    and falls to what it accepts if it is overloaded. Memory use does not depend on the number of requests.

    `requests` is read in the thread of the caller, a window ahead of the answers. The calls run in an event loop in
    another thread, so that the function also works if a loop is already running (Jupyter, Gradio). If the iteration is
    stopped early, the function waits `DRAIN_SECONDS` for active calls, keeps their answers and cancels the others.

    Args:
        work (`Work`): The work of the annotator: `annotation_work`, `generation_work` or `choice_work`.
        requests (`Iterable[Request]`): The requests. Those of a sequence are grouped by `work.group`.
        cache (`AnswerCache`, *optional*): The cache in which answers are looked up, and written before they are
            yielded.
        ledger (`Ledger`, *optional*): The ledger that counts calls, tokens and seconds.
        budget (`Budget`, *optional*): The limits in dollars or tokens.
        max_attempts (`int`, *optional*, defaults to 8): The maximum number of calls for a request.
        progress (`Callable`, *optional*): Called with 1 for each finished request, such as `tqdm.update`.

    Yields:
        `tuple[int, Answer]`: The index of a request and its answer; each index once, in any order.

    Raises:
        AnnotatorError: If the annotator cannot work (wrong key, unknown model, unreachable). The cache has all
            answers.
        BudgetExceeded: After the last answer that the budget allows. All yielded answers are valid.
        InputError: If a budget in dollars is given without a price.
        RunError: If the cache cannot be written.

    Example:

        >>> from freeal_hf import AnnotationRequest, TextClassification
        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> from freeal_hf.annotators.work import annotation_work
        >>> annotator = ColumnAnnotator({"a": "tool", "b": "fruit"}, "guess")
        >>> work = annotation_work(annotator, TextClassification(["fruit", "tool"]))
        >>> requests = [AnnotationRequest("a saw", id="a"), AnnotationRequest("a plum", id="b")]
        >>> [answer.label for answer in in_order(run(work, requests))]
        [1, 0]
    """
    ledger, progress = ledger or Ledger(), progress or (lambda _: None)
    with session(work.annotator):
        started = time.monotonic()
        if budget is not None:
            budget.watch(ledger)
        window = 4 * work.concurrency * work.batch_size
        if budget is not None and budget.is_limited and cache is not None and isinstance(requests, Sequence):
            _record_ahead(work, requests, cache, ledger)
        source = together(requests, work.group)
        jobs: dict[Hashable, Job[Request]] = {}
        over: BudgetExceeded | None = None
        worker = Worker(work, cache=cache, ledger=ledger, budget=budget, max_attempts=max_attempts)
        try:
            while True:
                if len(jobs) <= window // 2:
                    chunk = [_job(work, index, request) for index, request in islice(source, window - len(jobs))]
                    fresh: list[Job[Request]] = []
                    for job, answer in _from_cache(work, chunk, cache, ledger):
                        if answer is not None:
                            progress(1)
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
                        progress(1)
                        yield index, answer
            if over is not None:
                raise over
        finally:
            worker.stop()
            ledger.seconds += time.monotonic() - started


def in_order(answers: Iterable[tuple[int, Answer]]) -> list[Answer]:
    """Returns the answers of `run` in the order of the requests.

    Example:

        >>> in_order([(1, "second"), (0, "first")])
        ['first', 'second']
    """
    return [answer for _, answer in sorted(answers, key=itemgetter(0))]


def _job(work: Work[Request, Answer], index: int, request: Request) -> Job[Request]:
    fingerprint = work.fingerprint(request)
    if fingerprint is None:
        return Job(request, [index])
    text = canonical_json(fingerprint)
    return Job(request, [index], request_key(text), len(text), fingerprint.get("max_tokens"))


def _from_cache(
    work: Work[Request, Answer], chunk: Sequence[Job[Request]], cache: AnswerCache | None, ledger: Ledger
) -> Iterator[tuple[Job[Request], Answer | None]]:
    known = cache.read([job.key for job in chunk if job.key is not None]) if cache is not None else {}
    for job in chunk:
        if job.key is None or job.key not in known:
            yield job, None
            continue
        answer = work.restore(known[job.key].answer)
        if known[job.key].owner == ledger.owner and not ledger.has(job.key):
            ledger.record(job.key, **usage_of([answer]))
        elif not ledger.was_recorded_ahead(job.key):
            ledger.cached += 1
        yield job, answer


def _record_ahead(
    work: Work[Request, Answer], requests: Sequence[Request], cache: AnswerCache, ledger: Ledger
) -> None:
    """Records all answers that the owner has paid for before the first call, because a budget must count them."""
    for start in range(0, len(requests), _LOOK_UP):
        jobs = [_job(work, start, request) for request in requests[start : start + _LOOK_UP]]
        for key, found in cache.read([job.key for job in jobs if job.key is not None]).items():
            if found.owner == ledger.owner and not ledger.has(key):
                answer = work.restore(found.answer)
                ledger.record(key, **usage_of([answer]), ahead=True)


def together(requests: Iterable[Request], group: Callable[[Request], Hashable]) -> Iterator[tuple[int, Request]]:
    """Yields requests with their indices. Requests of a sequence are grouped.

    Example:

        >>> list(together(["apple", "bean", "avocado"], group=lambda word: word[0]))
        [(0, 'apple'), (2, 'avocado'), (1, 'bean')]
    """
    if not isinstance(requests, Sequence):
        yield from enumerate(requests)
        return
    groups: dict[Hashable, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(group(request), []).append(index)
    for index in chain.from_iterable(groups.values()):
        yield index, requests[index]
