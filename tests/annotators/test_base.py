"""What `run` promises of any annotator, however it behaves."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import freeal_hf
from freeal_hf.annotators.base import (
    Annotation,
    AnnotationRequest,
    Annotator,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
    TextChooser,
    TextGenerator,
)
from freeal_hf.annotators.budget import Budget, Ledger, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import in_order, run, session
from freeal_hf.annotators.work import annotation_work, choice_work, generation_work
from freeal_hf.annotators.worker import DRAIN_SECONDS
from freeal_hf.errors import AnnotatorError, BudgetExceeded, InputError, RefusedError, RunError, TransientError
from freeal_hf.tasks import NO_LABEL, Demonstration, Task, TextClassification

TASK = TextClassification(["even", "odd"])


class LengthAnnotator(Annotator):
    """Labels a text by whether its length is odd, for ten tokens in and two out; `trouble` may act in its place."""

    concurrency = 4

    def __init__(self, trouble: Callable[[str, int], Annotation | None] = lambda text, number: None) -> None:
        self.trouble = trouble
        self.asked: Counter[str] = Counter()
        self.batches: list[list[str]] = []
        self.under_way = 0
        self.most_under_way = 0

    def fingerprint(self, task: TextClassification, request: AnnotationRequest) -> Mapping[str, Any]:
        return {"text": request.text, "shown": [shot.text for shot in request.demonstrations], "max_tokens": 2}

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        self.batches.append([request.text for request in requests])
        self.asked.update(request.text for request in requests)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0.001)
            return [
                self.trouble(request.text, self.asked[request.text]) or answer_for(request.text)
                for request in requests
            ]
        finally:
            self.under_way -= 1


class Plain(Annotator):
    """Implements nothing but `annotate`."""

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        return [answer_for(request.text) for request in requests]


def answer_for(text: str) -> Annotation:
    return Annotation(len(text) % 2, confidence=0.9, prompt_tokens=10, completion_tokens=2, answer="so it is")


def requests_for(*texts: str) -> list[AnnotationRequest]:
    return [AnnotationRequest(text) for text in texts]


def numbered(count: int) -> list[AnnotationRequest]:
    return requests_for(*(f"text {i}" for i in range(count)))


def labels(results: Iterator[tuple[int, Annotation]]) -> list[int]:
    return [annotation.label for _, annotation in sorted(results, key=lambda result: result[0])]


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.001)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    with AnswerCache(tmp_path / "cache.sqlite") as cache:
        yield cache


# ---- Answers ----


def test_every_request_is_answered_once_under_its_index() -> None:
    requests = numbered(500)
    assert labels(run(annotation_work(LengthAnnotator(), TASK), requests)) == [len(r.text) % 2 for r in requests]


def test_no_requests_give_no_answers_and_make_no_call() -> None:
    annotator = LengthAnnotator()
    assert list(run(annotation_work(annotator, TASK), [])) == []
    assert not annotator.asked


def test_identical_requests_are_asked_once_and_all_answered() -> None:
    annotator = LengthAnnotator()
    assert labels(run(annotation_work(annotator, TASK), requests_for("a", "bb", "a", "a"))) == [1, 0, 1, 1]
    assert annotator.asked == {"a": 1, "bb": 1}


def test_a_text_with_other_demonstrations_is_another_request(cache: AnswerCache) -> None:
    annotator = LengthAnnotator()
    shown = AnnotationRequest("a", (Demonstration("b", 1),))
    list(run(annotation_work(annotator, TASK), requests_for("a"), cache=cache))
    list(run(annotation_work(annotator, TASK), [shown], cache=cache))
    assert annotator.asked["a"] == 2


def test_requests_are_read_at_most_a_window_ahead() -> None:
    read = 0

    def endless() -> Iterator[AnnotationRequest]:
        nonlocal read
        while True:
            read += 1
            yield AnnotationRequest(f"text {read}")

    results = run(annotation_work(LengthAnnotator(), TASK), endless())
    next(results)
    results.close()
    assert read <= 4 * LengthAnnotator.concurrency


def test_batches_have_the_batch_size_of_the_annotator() -> None:
    annotator = LengthAnnotator()
    annotator.batch_size = 8
    annotator.concurrency = 1
    list(run(annotation_work(annotator, TASK), numbered(32)))
    assert [len(batch) for batch in annotator.batches] == [8, 8, 8, 8]


def test_texts_with_the_same_demonstrations_are_sent_together() -> None:
    annotator = LengthAnnotator()
    annotator.concurrency = 1
    one, two = (Demonstration("one", 0),), (Demonstration("two", 1),)
    requests = [AnnotationRequest(f"{i}", one if i % 2 else two) for i in range(4)]
    list(run(annotation_work(annotator, TASK), requests))
    assert [batch[0] for batch in annotator.batches] == ["0", "2", "1", "3"]


def test_simultaneous_calls_increase_to_the_limit_of_the_annotator() -> None:
    class Patient(LengthAnnotator):
        concurrency = 40

        async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            for _ in range(50):  # turns of the event loop, not seconds: a busy machine changes nothing
                await asyncio.sleep(0)
            self.under_way -= 1
            return [answer_for(request.text) for request in requests]

    annotator = Patient()
    list(run(annotation_work(annotator, TASK), numbered(160)))
    assert annotator.most_under_way == 40


def test_it_works_if_an_event_loop_is_already_running() -> None:
    async def notebook() -> list[int]:
        return labels(run(annotation_work(LengthAnnotator(), TASK), requests_for("a")))

    assert asyncio.run(notebook()) == [1]


@pytest.mark.parametrize("limit", ["concurrency", "batch_size"])
def test_an_annotator_with_an_invalid_batch_size_or_concurrency_is_refused(limit: str) -> None:
    annotator = LengthAnnotator()
    setattr(annotator, limit, 0)
    with pytest.raises(InputError, match=f"{limit} is 0"):
        labels(run(annotation_work(annotator, TASK), requests_for("a")))


@pytest.mark.parametrize("confidence", [-0.1, 1.5, 87.0, float("nan"), float("inf")])
def test_a_confidence_that_is_not_a_probability_is_refused(confidence: float) -> None:
    with pytest.raises(AnnotatorError, match="must be a probability between 0 and 1"):
        Annotation(1, confidence=confidence)


@pytest.mark.parametrize("label", [-2, len(TASK.label_names)])
def test_an_unknown_label_id_ends_the_run(label: int) -> None:
    class Wrong(LengthAnnotator):
        async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
            return [Annotation(label) for _ in requests]

    with pytest.raises(AnnotatorError, match=f"label id {label};"):
        labels(run(annotation_work(Wrong(), TASK), requests_for("a")))


def test_progress_is_reported_for_every_text() -> None:
    told: list[int] = []
    list(run(annotation_work(LengthAnnotator(), TASK), requests_for("a", "a", "b"), progress=told.append))
    assert sum(told) == 3


# ---- Failures ----


def test_a_failed_call_is_repeated_and_counted() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        if number == 1:
            raise TransientError("server error", "500")
        return None

    ledger = Ledger()
    assert labels(run(annotation_work(LengthAnnotator(trouble), TASK), requests_for("a"), ledger=ledger)) == [1]
    assert (ledger.calls, ledger.retries) == (1, 1)


def test_a_refused_text_gets_no_label_and_does_not_stop_the_others() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        if text == "bad":
            raise RefusedError("content filter", "400")
        return None

    annotator = LengthAnnotator(trouble)
    results = dict(run(annotation_work(annotator, TASK), requests_for("a", "bad", "bb")))
    assert [results[i].label for i in range(3)] == [1, NO_LABEL, 0]
    assert results[1].reason == "content filter"
    assert annotator.asked["bad"] == 1


def test_a_refused_text_does_not_affect_the_others_of_its_batch() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        if text == "bad":
            raise RefusedError("content filter", "400")
        return None

    annotator = LengthAnnotator(trouble)
    annotator.batch_size = 3
    assert labels(run(annotation_work(annotator, TASK), requests_for("a", "bad", "bb"))) == [1, NO_LABEL, 0]


def test_a_failing_text_is_sent_at_most_max_attempts_times() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        if text == "bad":
            raise TransientError("timeout", "no answer")
        return None

    annotator = LengthAnnotator(trouble)
    results = dict(run(annotation_work(annotator, TASK), requests_for("a", "bad", "bb"), max_attempts=3))
    assert results[1].reason == "timeout"
    assert annotator.asked["bad"] == 3


def test_a_request_with_an_unusable_answer_is_sent_once_more() -> None:
    annotator = LengthAnnotator(lambda text, number: unusable() if number == 1 else None)
    ledger = Ledger()
    assert labels(run(annotation_work(annotator, TASK), requests_for("a"), ledger=ledger)) == [1]
    assert (ledger.calls, ledger.prompt_tokens) == (1, 20)


def test_a_text_with_unusable_answers_has_no_label_and_a_reason() -> None:
    annotator = LengthAnnotator(lambda text, number: unusable())
    [(_, annotation)] = run(annotation_work(annotator, TASK), requests_for("a"))
    assert (annotation.label, annotation.reason, annotator.asked["a"]) == (NO_LABEL, "not a label", 2)


def unusable() -> Annotation:
    return Annotation(NO_LABEL, reason="not a label", prompt_tokens=10, completion_tokens=2)


def test_a_server_that_never_answers_ends_the_run_with_its_message() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        raise TransientError("connection failed", "http://localhost:1 cannot be reached")

    with pytest.raises(AnnotatorError, match=r"not answered a single request.*localhost:1"):
        list(run(annotation_work(LengthAnnotator(trouble), TASK), numbered(50), max_attempts=2))


def test_a_server_that_refuses_everything_ends_the_run() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        raise RefusedError("request refused", "unknown field")

    with pytest.raises(AnnotatorError, match="unknown field"):
        list(run(annotation_work(LengthAnnotator(trouble), TASK), numbered(50)))


def test_a_server_that_stops_during_a_run_ends_it_and_the_answers_are_kept(cache: AnswerCache) -> None:
    annotator = LengthAnnotator()

    def trouble(text: str, number: int) -> Annotation | None:
        if len(annotator.asked) > 20:
            raise TransientError("rate limited", "429", overloaded=True)
        return None

    annotator.trouble = trouble
    with pytest.raises(AnnotatorError, match=r"stopped answering.*rate limited"):
        list(run(annotation_work(annotator, TASK), numbered(200), cache=cache, max_attempts=2))
    assert len(cache) >= 15


def test_a_wrong_key_ends_the_run_at_once() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        raise AnnotatorError("wrong key")

    annotator = LengthAnnotator(trouble)
    with pytest.raises(AnnotatorError, match="wrong key"):
        list(run(annotation_work(annotator, TASK), numbered(100)))
    assert sum(annotator.asked.values()) <= 2 * annotator.concurrency


def test_an_unexpected_error_of_an_annotator_is_raised_unchanged() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        list(run(annotation_work(LengthAnnotator(trouble), TASK), numbered(5)))


def test_an_annotator_that_cancels_its_own_call_does_not_block_the_run() -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        raise asyncio.CancelledError

    with pytest.raises(AnnotatorError, match="cancelled one of its own calls"):
        list(run(annotation_work(LengthAnnotator(trouble), TASK), numbered(5)))


def test_too_few_answers_of_an_annotator_are_an_error() -> None:
    class Forgetful(LengthAnnotator):
        async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
            return []

    with pytest.raises(AnnotatorError, match="Forgetful gave 0 answers to 1 requests"):
        list(run(annotation_work(Forgetful(), TASK), requests_for("a")))


def test_a_call_that_takes_longer_than_the_timeout_is_cancelled() -> None:
    class Slow(LengthAnnotator):
        timeout = 0.02

        async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
            if requests[0].text == "slow":
                await asyncio.sleep(60)
            return await super().annotate(task, requests)

    results = dict(run(annotation_work(Slow(), TASK), requests_for("a", "slow"), max_attempts=2))
    assert results[1].reason == "timeout"


def test_answers_of_active_calls_are_kept_if_the_caller_stops_early(cache: AnswerCache) -> None:
    annotator = LengthAnnotator()
    results = run(annotation_work(annotator, TASK), numbered(1000), cache=cache)
    next(results)
    results.close()
    assert len(cache) == sum(annotator.asked.values()) < 1000


# ---- Cache and ledger ----


def test_a_cached_request_is_not_sent_again(cache: AnswerCache) -> None:
    first = dict(run(annotation_work(LengthAnnotator(), TASK), numbered(50), cache=cache))
    annotator = LengthAnnotator()
    assert dict(run(annotation_work(annotator, TASK), numbered(50), cache=cache)) == first
    assert not annotator.asked


def test_probabilities_are_restored_from_the_cache(cache: AnswerCache) -> None:
    soft = Annotation(1, confidence=0.75, probabilities=(0.25, 0.75))
    for _ in range(2):
        [(_, annotation)] = run(
            annotation_work(LengthAnnotator(lambda *_: soft), TASK), requests_for("a"), cache=cache
        )
        assert annotation == soft


def test_a_failure_is_not_cached(cache: AnswerCache) -> None:
    def trouble(text: str, number: int) -> Annotation | None:
        raise RefusedError("request refused", "400")

    list(run(annotation_work(LengthAnnotator(trouble), TASK), requests_for("a"), cache=cache))
    assert labels(run(annotation_work(LengthAnnotator(), TASK), requests_for("a"), cache=cache)) == [1]


def test_an_unusable_answer_that_was_paid_for_is_cached(cache: AnswerCache) -> None:
    list(run(annotation_work(LengthAnnotator(lambda *_: unusable()), TASK), requests_for("a"), cache=cache))
    annotator = LengthAnnotator()
    [(_, annotation)] = run(annotation_work(annotator, TASK), requests_for("a"), cache=cache)
    assert (annotation.reason, annotator.asked) == ("not a label", Counter())


def test_an_annotator_has_no_fingerprints_by_default() -> None:
    class Able(Plain, TextGenerator, TextChooser):
        async def generate(self, task: Any, request: Any) -> Generation:
            return Generation(())

        async def choose(self, task: Any, request: Any) -> Choice:
            return Choice(())

    assert Able().fingerprint(TASK, AnnotationRequest("a")) is None
    assert Able().generation_fingerprint(TASK, GenerationRequest(0, (), 1)) is None
    assert Able().choice_fingerprint(TASK, ChoiceRequest((), 1)) is None


def test_an_annotator_is_a_subclass_that_implements_annotate() -> None:
    with pytest.raises(TypeError, match="annotate"):
        Annotator()  # type: ignore[abstract]


@pytest.mark.parametrize(
    "use",
    [
        lambda annotator: list(run(annotation_work(annotator, TASK), requests_for("a"))),
        lambda annotator: in_order(run(generation_work(annotator, TASK), [GenerationRequest(0, (), 1)])),
        lambda annotator: in_order(run(choice_work(annotator, TASK), [ChoiceRequest(((1, "a"),), 1)])),
        lambda annotator: freeal_hf.FreeAL(TASK, annotator),
        lambda annotator: freeal_hf.FreeAL(TASK, "embedding", refine_annotator=annotator),
    ],
    ids=["annotation", "generation", "choice", "loop", "refine annotator"],
)
def test_an_object_that_is_not_an_annotator_is_refused_with_the_base_class(use: Callable[[Any], object]) -> None:
    class Duck:
        async def annotate(self, task: Any, requests: Any) -> list[Annotation]:
            raise AssertionError

    with pytest.raises(InputError, match=r"Duck.*Derive its class from freeal_hf\.(Annotator|Text)"):
        use(Duck())
    with pytest.raises(InputError, match=r"the class Plain.*instance"):
        use(Plain)


@pytest.mark.parametrize(("base", "method"), [(TextGenerator, "generate"), (TextChooser, "choose")])
def test_generators_and_choosers_must_implement_their_method(base: type, method: str) -> None:
    with pytest.raises(TypeError, match=method):
        type("Incomplete", (Plain, base), {})()


def test_unknown_values_are_left_out_of_the_description() -> None:
    annotator = Plain()
    annotator.name = "my-model"
    assert annotator.describe() == {"class": "Plain", "model": "my-model"}


def test_answers_without_a_fingerprint_are_not_cached(cache: AnswerCache) -> None:
    assert labels(run(annotation_work(Plain(), TASK), requests_for("a", "a"), cache=cache)) == [1, 1]
    assert len(cache) == 0


def test_the_ledger_counts_calls_cached_answers_and_tokens() -> None:
    ledger = Ledger(price=Price(prompt=1.0, completion=10.0))
    list(run(annotation_work(LengthAnnotator(), TASK), requests_for("a", "bb", "a"), ledger=ledger))
    assert (ledger.calls, ledger.cached, ledger.prompt_tokens, ledger.completion_tokens) == (2, 1, 20, 4)
    assert ledger.cost == pytest.approx(60e-6)


def test_tokens_from_the_prompt_cache_of_the_server_have_their_own_price() -> None:
    ledger = Ledger(price=Price(prompt=1.0, completion=10.0, cached=0.1))
    ledger.record(b"a", prompt_tokens=1000, completion_tokens=0, cached_tokens=900)
    assert ledger.cost == pytest.approx((100 * 1.0 + 900 * 0.1) / 1e6)


def test_the_discount_of_a_call_is_not_charged() -> None:
    ledger = Ledger(price=Price(prompt=1.0, completion=10.0))
    ledger.record(b"in a batch", prompt_tokens=1000, completion_tokens=10, discount=0.5)
    ledger.record(b"directly", prompt_tokens=1000, completion_tokens=10)
    assert ledger.cost == pytest.approx(1.5 * 1100 / 1e6)


def test_an_answer_from_the_cache_keeps_its_discount(cache: AnswerCache) -> None:
    class HalfPrice(LengthAnnotator):
        async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
            return [replace(answer, discount=0.5) for answer in await super().annotate(task, requests)]

    ledgers = [Ledger(owner="round-0", price=Price(prompt=1.0, completion=10.0)) for _ in range(2)]
    for ledger in ledgers:
        list(run(annotation_work(HalfPrice(), TASK), numbered(3), cache=cache, ledger=ledger))
    assert ledgers[0].cost == ledgers[1].cost == pytest.approx(0.5 * 3 * 30e-6)


def test_the_ledger_of_a_resumed_round_equals_that_of_an_uninterrupted_one(cache: AnswerCache) -> None:
    before = run(annotation_work(LengthAnnotator(), TASK), numbered(40), cache=cache, ledger=Ledger(owner="round-0"))
    next(before)
    before.close()
    resumed = Ledger(owner="round-0")
    list(run(annotation_work(LengthAnnotator(), TASK), [*numbered(40), *numbered(3)], cache=cache, ledger=resumed))
    assert (resumed.calls, resumed.cached, resumed.tokens) == (40, 3, 480)


def test_answers_that_another_owner_paid_for_cost_nothing(cache: AnswerCache) -> None:
    list(run(annotation_work(LengthAnnotator(), TASK), numbered(5), cache=cache, ledger=Ledger(owner="round-0")))
    ledger = Ledger(owner="round-1")
    list(run(annotation_work(LengthAnnotator(), TASK), numbered(5), cache=cache, ledger=ledger))
    assert (ledger.calls, ledger.cached, ledger.tokens) == (0, 5, 0)


def test_a_full_disk_ends_the_run_with_the_remedy(cache: AnswerCache) -> None:
    cache._connection.execute("PRAGMA max_page_count = 20")
    annotator = LengthAnnotator(lambda *_: Annotation(0, answer="x" * 3000))
    with pytest.raises(RunError, match=r"full.*free space"):
        list(run(annotation_work(annotator, TASK), numbered(200), cache=cache))


# ---- Budget ----


@pytest.mark.parametrize("budget", [Budget(max_tokens=600), Budget(max_cost=0.0006)], ids=["tokens", "dollars"])
def test_a_budget_ends_the_run_shortly_before_its_limit(budget: Budget, cache: AnswerCache) -> None:
    ledger = Ledger(price=Price(1.0, 1.0))
    answered = []
    with pytest.raises(BudgetExceeded, match="the same command with a higher limit"):
        for index, _ in run(
            annotation_work(LengthAnnotator(), TASK), numbered(200), cache=cache, ledger=ledger, budget=budget
        ):
            answered.append(index)
    assert 500 < ledger.tokens <= 600
    assert len(answered) == ledger.calls == len(cache)


def test_one_budget_limits_the_ledgers_of_all_rounds_together() -> None:
    budget, first, second = Budget(max_tokens=600), Ledger(), Ledger()
    list(run(annotation_work(LengthAnnotator(), TASK), numbered(30), ledger=first, budget=budget))
    with pytest.raises(BudgetExceeded):
        list(run(annotation_work(LengthAnnotator(), TASK), numbered(30), ledger=second, budget=budget))
    assert 500 < first.tokens + second.tokens <= 600


def test_the_costs_of_an_earlier_process_are_counted() -> None:
    budget, ledger = Budget(max_tokens=600, spent_tokens=500), Ledger()
    with pytest.raises(BudgetExceeded):
        list(run(annotation_work(LengthAnnotator(), TASK), numbered(30), ledger=ledger, budget=budget))
    assert ledger.tokens <= 100


def test_a_run_that_spent_its_budget_continues_with_a_higher_one(cache: AnswerCache) -> None:
    annotator = LengthAnnotator()
    with pytest.raises(BudgetExceeded):
        list(run(annotation_work(annotator, TASK), numbered(50), cache=cache, budget=Budget(max_tokens=300)))
    assert (
        len(dict(run(annotation_work(annotator, TASK), numbered(50), cache=cache, budget=Budget(max_tokens=10**6))))
        == 50
    )
    assert set(annotator.asked.values()) == {1}


def test_a_budget_counts_the_paid_answers_of_texts_that_come_later(cache: AnswerCache) -> None:
    requests, ledger = numbered(400), Ledger(owner="round-0")
    list(run(annotation_work(LengthAnnotator(), TASK), requests[200:], cache=cache, ledger=Ledger(owner="round-0")))
    annotator = LengthAnnotator()
    with pytest.raises(BudgetExceeded):
        list(
            run(
                annotation_work(annotator, TASK),
                requests,
                cache=cache,
                ledger=ledger,
                budget=Budget(max_tokens=12 * 250),
            )
        )
    assert 200 + annotator.asked.total() <= 250
    assert (ledger.tokens, ledger.cached) == (12 * ledger.calls, 0)


def test_cached_answers_are_returned_although_the_budget_is_spent(cache: AnswerCache) -> None:
    list(run(annotation_work(LengthAnnotator(), TASK), numbered(50), cache=cache))
    mixed = [*requests_for("new one"), *numbered(50)]
    results = run(annotation_work(LengthAnnotator(), TASK), mixed, cache=cache, budget=Budget(max_tokens=1))
    seen = []
    with pytest.raises(BudgetExceeded):
        for index, _ in results:
            seen.append(index)
    assert len(seen) == 50


def test_a_budget_in_dollars_without_a_price_is_refused_before_the_first_call() -> None:
    annotator = LengthAnnotator()
    with pytest.raises(InputError, match="price"):
        list(run(annotation_work(annotator, TASK), numbered(5), budget=Budget(max_cost=1.0)))
    assert not annotator.asked


@pytest.mark.parametrize("limit", [{"max_cost": 0.0}, {"max_tokens": -1}])
def test_a_budget_of_zero_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(limit))):
        Budget(**limit)


# ---- Sessions ----


class Sleeper(LengthAnnotator):
    """Notes when it is opened, entered, left and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def open(self) -> None:
        self.seen.append("open")

    def close(self) -> None:
        self.seen.append("close")

    async def __aenter__(self) -> None:
        self.seen.append("enter")

    async def __aexit__(self, *_: object) -> None:
        self.seen.append("leave")


def test_an_annotator_is_opened_entered_left_and_closed_around_its_calls() -> None:
    annotator = Sleeper()
    list(run(annotation_work(annotator, TASK), requests_for("a")))
    assert annotator.seen == ["open", "enter", "leave", "close"]


def test_an_annotator_is_closed_when_the_run_fails() -> None:
    annotator = Sleeper()
    annotator.trouble = lambda *_: (_ for _ in ()).throw(AnnotatorError("wrong key"))
    with pytest.raises(AnnotatorError):
        list(run(annotation_work(annotator, TASK), requests_for("a")))
    assert annotator.seen[-1] == "close"


def test_an_annotator_whose_answers_are_all_cached_is_not_entered(cache: AnswerCache) -> None:
    list(run(annotation_work(LengthAnnotator(), TASK), requests_for("a"), cache=cache))
    annotator = Sleeper()
    list(run(annotation_work(annotator, TASK), requests_for("a"), cache=cache))
    assert "enter" not in annotator.seen


def test_an_error_on_entering_is_raised_to_the_caller() -> None:
    class Broken(Sleeper):
        async def __aenter__(self) -> None:
            raise AnnotatorError("no such model")

    with pytest.raises(AnnotatorError, match="no such model"):
        list(run(annotation_work(Broken(), TASK), requests_for("a")))


def test_a_session_without_anything_to_open_does_nothing() -> None:
    with session(LengthAnnotator()):
        assert True


# ---- Generation ----


class Writer(LengthAnnotator, TextGenerator):
    def generation_fingerprint(self, task: TextClassification, request: GenerationRequest) -> Mapping[str, Any]:
        return {"label": request.label, "seed": request.seed}

    async def generate(self, task: TextClassification, request: GenerationRequest) -> Generation:
        self.asked[f"label {request.label}"] += 1
        if request.label == 1:
            raise RefusedError("content filter", "400")
        return Generation(tuple(f"{request.seed}-{i}" for i in range(request.num_texts)), 100, 50)


def test_texts_are_written_for_each_request_in_order() -> None:
    written = in_order(
        run(
            generation_work(Writer(), TASK), [GenerationRequest(0, (), 2, seed=1), GenerationRequest(0, (), 1, seed=2)]
        )
    )
    assert [generation.texts for generation in written] == [("1-0", "1-1"), ("2-0",)]


def test_a_label_that_is_refused_gets_no_texts() -> None:
    assert (
        in_order(run(generation_work(Writer(), TASK), [GenerationRequest(1, (), 2), GenerationRequest(0, (), 1)]))[
            0
        ].texts
        == ()
    )


def test_written_texts_are_cached(cache: AnswerCache) -> None:
    writer, ledger = Writer(), Ledger(owner="round-0")
    for _ in range(2):
        [written] = in_order(
            run(generation_work(writer, TASK), [GenerationRequest(0, (), 2)], cache=cache, ledger=ledger)
        )
        assert written.texts == ("0-0", "0-1")
    assert (writer.asked["label 0"], ledger.calls, ledger.tokens) == (1, 1, 150)


# ---- Ctrl-C ----

_INTERRUPTED = """
import sys
sys.path.insert(0, sys.argv[2])
from test_base import LengthAnnotator, TASK, numbered
import asyncio
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.work import annotation_work
from freeal_hf.annotators.cache import AnswerCache

class Slow(LengthAnnotator):
    answered = 0

    async def annotate(self, task, requests):
        if int(requests[0].text.split()[1]) > 100:
            while self.answered < 101:
                await asyncio.sleep(0.01)
            print("slow", flush=True)
            await asyncio.sleep(3600)
        answers = await super().annotate(task, requests)
        self.answered += 1
        return answers

with AnswerCache(sys.argv[1]) as cache:
    for _ in run(annotation_work(Slow(), TASK), numbered(1000), cache=cache):
        pass
"""


def test_ctrl_c_ends_without_waiting_for_slow_calls_and_loses_no_answer(tmp_path: Path) -> None:
    """Within two seconds, that is: one to drain, and as much again to end the thread."""
    path = tmp_path / "cache.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert DRAIN_SECONDS <= 1.0
    with AnswerCache(path) as cache:
        assert len(cache) == 101
