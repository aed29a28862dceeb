"""Estimates calls, tokens, dollars and time of a run before it starts, each with an interval."""

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from freeal_hf.annotators.base import AnnotationRequest, Annotator, GenerationRequest, TextGenerator, check_annotator
from freeal_hf.annotators.budget import Ledger, Price
from freeal_hf.annotators.cache import AnswerCache, canonical_json, request_key
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.annotators.work import annotation_work
from freeal_hf.tasks import Task

# UTF-8 bytes per token: 4 in English, and 2.5 to 5 for nearly all texts of other scripts and vocabularies.
_BYTES_PER_TOKEN = (5.0, 4.0, 2.5)
_TOKENS_PER_MESSAGE = 5  # added by a chat template
_SECONDS_PER_CALL = (0.2, 1.0, 5.0)
_SECONDS_PER_BATCH = (60.0, 3600.0, 24 * 3600.0)
_SECONDS_PER_WRITING = (2.0, 10.0, 60.0)
_TOKENS_AROUND_TEXT = 4  # quotes and commas of a list
_Z = 1.96  # of a 95 % interval


class Interval(NamedTuple):
    """An estimated number with a lower and an upper bound.

    Example:

        >>> Interval(1, 2, 4).times(10)
        Interval(low=10, expected=20, high=40)
    """

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> "Interval":
        """Returns the interval multiplied by `factor`."""
        return Interval(*(factor * value for value in self))


@dataclass(frozen=True)
class Estimate:
    """The estimated calls, tokens, cost and time of annotating texts.

    Args:
        texts (`int`): Number of texts to label.
        calls (`Interval`): Number of calls, including those that write demonstrations. Equal and cached texts need no
            call.
        prompt_tokens (`Interval`): Number of input tokens.
        completion_tokens (`Interval`): Number of output tokens.
        cost (`Interval`, *optional*): Cost in dollars; `None` if the price is not known.
        seconds (`Interval`): Time in seconds.
        is_measured (`bool`): Whether tokens and time are estimated from calls that were made, or from the length of
            the requests.
        writing_calls (`int`): Number of calls that write demonstrations.
        writing_tokens (`Interval`, *optional*): Input and output tokens of these calls.
    """

    texts: int
    calls: Interval
    prompt_tokens: Interval
    completion_tokens: Interval
    cost: Interval | None
    seconds: Interval
    is_measured: bool
    writing_calls: int = 0
    writing_tokens: Interval | None = None

    def __str__(self) -> str:
        unknown = "not known; give the price of the model with --prices FILE"
        cost = _shown(self.cost, lambda dollars: f"${dollars:,.2f}") if self.cost else unknown
        writing = []
        if self.writing_tokens is not None and self.writing_calls:
            tokens = _shown(self.writing_tokens, _count)
            writing = [f"of that, writing   {self.writing_calls:,} calls, {tokens} tokens"]
        return "\n".join(
            [
                f"texts              {self.texts:,}",
                f"calls              {_shown(self.calls, _count)}",
                f"prompt tokens      {_shown(self.prompt_tokens, _count)}",
                f"completion tokens  {_shown(self.completion_tokens, _count)}",
                *writing,
                f"cost               {cost}",
                f"time               {_shown(self.seconds, _duration)}",
                f"from               {'calls that were made' if self.is_measured else 'the length of the requests'}",
            ]
        )


def estimate_annotation(
    annotator: Annotator,
    task: Task,
    requests: Sequence[AnnotationRequest],
    *,
    writing: Sequence[GenerationRequest] = (),
    price: Price | None = None,
    cache: AnswerCache | None = None,
    ledger: Ledger | None = None,
    sample_size: int = 200,
    probe: int = 0,
    seed: int = 0,
) -> Estimate:
    """Estimates calls, tokens, cost and time of `driver.run` from a sample of the requests.

    Without `probe`, no call is made, and the tokens are estimated from the length of the requests. With `probe`, this
    number of sampled requests is sent to the annotator, and tokens and time are estimated from these calls. The
    answers are kept in the cache.

    Args:
        annotator (`Annotator`): The annotator.
        task (`Task`): What will be labelled.
        requests (`Sequence[AnnotationRequest]`): The texts.
        writing (`Sequence[GenerationRequest]`, *optional*): The requests for demonstrations that are sent before.
        price (`Price`, *optional*): Price of the annotator's tokens.
        cache (`AnswerCache`, *optional*): The cache with answers that need no call.
        ledger (`Ledger`, *optional*): The ledger that records the calls of `probe`.
        sample_size (`int`, *optional*, defaults to 200): Number of requests whose length is measured.
        probe (`int`, *optional*, defaults to 0): Number of requests to send.
        seed (`int`, *optional*, defaults to 0): Seed of the sample.

    Returns:
        `Estimate`: The estimate with 95 % intervals of the sampling error. Without `probe` they are wider, because the
        vocabulary of the model and the length and speed of its answers are not known.

    Raises:
        AnnotatorError, RunError: As in `driver.run`, with `probe`.

    Example:

        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> from freeal_hf.tasks import TextClassification
        >>> requests = [AnnotationRequest("a plum"), AnnotationRequest("a saw"), AnnotationRequest("a plum")]
        >>> task = TextClassification(["fruit", "tool"])
        >>> estimate_annotation(ColumnAnnotator({}, "guess"), task, requests).calls.expected
        2
    """
    places: dict[int, int] = {}
    for place, request in enumerate(requests):
        places.setdefault(hash((request.text, request.demonstrations, request.sample, request.instruction)), place)
    distinct = list(places.values())
    chosen = random.Random(seed).sample(distinct, min(max(sample_size, probe), len(distinct)))
    sample = [requests[place] for place in chosen]
    check_annotator(annotator)
    fingerprints = [annotator.fingerprint(task, request) for request in sample]
    shown = [fingerprint for fingerprint in fingerprints if fingerprint is not None]
    calls = _uncached(shown, cache, len(distinct))
    concurrency = annotator.concurrency * annotator.batch_size
    if probe and sample:
        own = ledger if ledger is not None else Ledger()
        before = own.seconds
        results = run(annotation_work(annotator, task), sample[:probe], cache=cache, ledger=own)
        answers = [annotation for _, annotation in results]
        prompt = _mean([float(answer.prompt_tokens) for answer in answers])
        completion = _mean([float(answer.completion_tokens) for answer in answers])
        each = (own.seconds - before) / len(answers)
        # The first calls are slow. Later ones can be faster, because more of them are active at the same time.
        seconds = Interval(each * min(1.0, len(answers) / concurrency), each, each)
    else:
        prompt, completion = _from_lengths(shown, prompts_of(task).usual_answer_tokens)
        each_lot = _SECONDS_PER_BATCH if annotator.sends_batches else _SECONDS_PER_CALL
        seconds = Interval(*(each / concurrency for each in each_lot))
    prompt, completion, seconds = (_product(calls, each) for each in (prompt, completion, seconds))
    written: tuple[Interval, Interval] | None = None
    if writing and isinstance(annotator, TextGenerator):
        written = _from_writing(annotator, task, writing, [request.text for request in sample])
        prompt, completion = (_sum(total, own) for total, own in zip((prompt, completion), written, strict=True))
        seconds = _sum(seconds, Interval(*(each * len(writing) / concurrency for each in _SECONDS_PER_WRITING)))
        calls = Interval(*(count + len(writing) for count in calls))
    return Estimate(
        texts=len(requests),
        calls=calls,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=Interval(*map(price.of, prompt, completion)).times(1 - annotator.discount) if price else None,
        seconds=seconds,
        is_measured=bool(probe and sample),
        writing_calls=len(writing),
        writing_tokens=_sum(*written) if written else None,
    )


def _uncached(shown: Sequence[Mapping[str, Any]], cache: AnswerCache | None, count: int) -> Interval:
    if cache is None or not shown:
        return Interval(count, count, count)
    keys = [request_key(canonical_json(fingerprint)) for fingerprint in shown]
    known = cache.read(keys)
    share = sum(key not in known for key in keys) / len(keys)
    margin = _Z * math.sqrt(share * (1 - share) / len(keys)) if len(keys) < count else 0.0
    return Interval(max(0.0, share - margin), share, min(1.0, share + margin)).times(count)


def _from_lengths(shown: Sequence[Mapping[str, Any]], usual: int) -> tuple[Interval, Interval]:
    """Estimates the input and output tokens of one call from the length of the requests."""
    messages = [[message["content"] for message in fingerprint.get("messages", ())] for fingerprint in shown]
    if not any(messages):  # no chat: an annotator that counts no tokens
        return Interval(0, 0, 0), Interval(0, 0, 0)
    lengths = _mean([float(sum(len(content.encode("utf-8", "replace")) for content in chat)) for chat in messages])
    overhead = _TOKENS_PER_MESSAGE * statistics.mean(map(len, messages))
    prompt = Interval(*(length / size + overhead for length, size in zip(lengths, _BYTES_PER_TOKEN, strict=True)))
    most = max(int(fingerprint.get("max_tokens") or usual) for fingerprint in shown)
    return prompt, Interval(1, min(usual, most), most)


def _from_writing(
    annotator: TextGenerator, task: Task, writing: Sequence[GenerationRequest], texts: Sequence[str]
) -> tuple[Interval, Interval]:
    """Estimates the tokens of the calls that write texts. New texts are about as long as the given ones."""
    fingerprints = [annotator.generation_fingerprint(task, request) for request in writing]
    shown = [fingerprint for fingerprint in fingerprints if fingerprint is not None]
    prompt, _ = _from_lengths(shown, usual=0)
    length = _mean([float(len(text.encode("utf-8", "replace"))) for text in texts]).expected
    number = sum(request.num_texts for request in writing)
    low, expected, high = (number * (length / size + _TOKENS_AROUND_TEXT) for size in _BYTES_PER_TOKEN)
    limit = sum(int(fingerprint.get("max_tokens") or 0) for fingerprint in shown)
    has_tokens = prompt.high > 0
    completion = Interval(low / 2, expected, max(2 * high, limit)) if has_tokens else Interval(0, 0, 0)
    return prompt.times(len(writing)), completion


def _mean(values: Sequence[float]) -> Interval:
    if not values:
        return Interval(0.0, 0.0, 0.0)
    mean = statistics.mean(values)
    margin = _Z * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(max(0.0, mean - margin), mean, mean + margin)


def _product(one: Interval, other: Interval) -> Interval:
    return Interval(*(a * b for a, b in zip(one, other, strict=True)))


def _sum(one: Interval, other: Interval) -> Interval:
    return Interval(*(a + b for a, b in zip(one, other, strict=True)))


def _shown(interval: Interval, form: Callable[[float], str]) -> str:
    low, expected, high = map(form, interval)
    return expected if low == high else f"{expected} ({low} to {high})"


def _count(value: float) -> str:
    return f"{round(value):,}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
