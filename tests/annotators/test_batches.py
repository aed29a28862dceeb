"""Batches of OpenAI's and Anthropic's protocols: half the price, faults, and runs that are killed at each step."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from freeal_hf.annotators import batches
from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.budget import Ledger, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.estimate import estimate_annotation
from freeal_hf.annotators.openai_batches import OpenAIBatches
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.annotators.rest import JsonApi
from freeal_hf.annotators.work import annotation_work
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import TextClassification
from tests.servers import anthropic as messages
from tests.servers import openai_batches as chat
from tests.servers.batching import BatchBehaviour
from tests.servers.chat import MODEL, Behaviour, by_hash

pytestmark = pytest.mark.skipif(
    huggingface_hub.__version__ < "1", reason="the annotator needs huggingface_hub 1.0, and says so"
)

ROOT = Path(__file__).parents[2]
COUNT = 6
REQUESTS = [AnnotationRequest(f"message {i}") for i in range(COUNT)]
LABELS = [by_hash(request.text, 3) for request in REQUESTS]
CREATE = {"openai": "POST /v1/batches", "anthropic": "POST /v1/messages/batches"}
STATE = {"openai": "GET /v1/batches/{id}", "anthropic": "GET /v1/messages/batches/{id}"}
RESULTS = {"openai": "GET /v1/files/{id}/content", "anthropic": "GET /v1/messages/batches/{id}/results"}


@dataclass
class Provider:
    """A server of one protocol, and the annotator for it."""

    protocol: str
    server: Any

    @property
    def behaviour(self) -> BatchBehaviour:
        return self.server.behaviour

    @property
    def spec(self) -> str:
        model = MODEL if self.protocol == "openai" else "claude-test"
        kind = "endpoint" if self.protocol == "openai" else "anthropic"
        return f"batch:{kind}:{model}@{self.server.url}"

    @property
    def options(self) -> dict[str, Any]:
        return {"api_key_env": "TEST_KEY"} | ({"probabilities": False} if self.protocol == "openai" else {})

    def annotator(self, **options: Any) -> Annotator:
        return build_annotator(self.spec, options={**self.options, **options})

    def direct(self) -> Annotator:
        return build_annotator(self.spec.removeprefix("batch:"), options=self.options)

    @property
    def sizes(self) -> list[int]:
        return [batch["count"] for batch in self.server.batches.values()]

    def fail(self, routes: dict[str, str], *faults: str) -> None:
        self.behaviour.faults[routes[self.protocol]] = list(faults)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(batches, "POLL_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(batches, "SMALLEST_BATCH", 2)
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.001)
    monkeypatch.setenv("TEST_KEY", messages.KEY)


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with ExitStack() as stack:
        if request.param == "openai":
            server: Any = stack.enter_context(chat.serve(chat.OpenAIServer(Behaviour(token=messages.KEY))))
        else:
            server = stack.enter_context(messages.serve(messages.AnthropicServer()))
        yield Provider(request.param, server)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    with AnswerCache(tmp_path / "cache.sqlite") as cache:
        yield cache


def annotate(
    annotator: Annotator, task: TextClassification, cache: AnswerCache | None, **how: Any
) -> list[Annotation]:
    return in_order(run(annotation_work(annotator, task), REQUESTS, cache=cache, **how))


def labels(answers: list[Annotation]) -> list[int]:
    return [answer.label for answer in answers]


def test_all_texts_are_answered_in_one_batch_at_half_the_price(
    provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    ledger = Ledger(price=Price(1.0, 1.0))
    answers = annotate(provider.annotator(), task, cache, ledger=ledger)
    assert labels(answers) == LABELS
    assert provider.sizes == [COUNT]
    in_batch = sum(answer.prompt_tokens + answer.completion_tokens for answer in answers)
    assert ledger.cost == pytest.approx((ledger.tokens - in_batch / 2) / 1e6)


def test_a_batch_and_direct_calls_share_their_answers(
    provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    annotate(provider.annotator(), task, cache)
    ledger = Ledger(owner="another run")
    assert labels(annotate(provider.direct(), task, cache, ledger=ledger)) == LABELS
    assert (ledger.calls, ledger.cached) == (0, COUNT)


def test_few_requests_are_direct_calls_at_the_full_price(
    provider: Provider, task: TextClassification, cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SMALLEST_BATCH", COUNT + 1)
    answers = annotate(provider.annotator(), task, cache)
    assert labels(answers) == LABELS
    assert provider.sizes == []
    assert {answer.discount for answer in answers} == {0.0}


@pytest.mark.parametrize("limit", ["requests", "bytes"])
def test_requests_are_divided_into_batches_that_the_provider_accepts(
    limit: str, provider: Provider, task: TextClassification, cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    if limit == "bytes":
        for service in ("openai_batches.OpenAIBatches", "anthropic_batches.AnthropicBatches"):
            monkeypatch.setattr(f"freeal_hf.annotators.{service}.most_bytes", 3500)
    annotator = provider.annotator(batch_requests=4 if limit == "requests" else 100)
    assert labels(annotate(annotator, task, cache)) == LABELS
    assert sum(provider.sizes) == COUNT
    assert len(provider.sizes) > 1


def test_the_estimate_has_half_the_price(provider: Provider, task: TextClassification) -> None:
    batch, direct = (
        estimate_annotation(annotator, task, REQUESTS, price=Price(1.0, 1.0))
        for annotator in (provider.annotator(), provider.direct())
    )
    assert batch.cost is not None and direct.cost is not None
    assert batch.cost.expected == pytest.approx(direct.cost.expected / 2)
    assert batch.prompt_tokens == direct.prompt_tokens


def test_requests_that_expire_or_have_no_result_are_sent_again(
    provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    provider.behaviour.expired, provider.behaviour.missing = 2, 1
    provider.behaviour.on_created = lambda: vars(provider.behaviour).update(
        {} if len(provider.sizes) < 2 else {"expired": 0, "missing": 0}
    )
    assert labels(annotate(provider.annotator(), task, cache)) == LABELS
    assert provider.sizes[:2] == [COUNT, 3]
    assert set(provider.server.paid.values()) == {1}


@pytest.mark.parametrize("fault", ["500", "429", "reset", "broken", "lost"])
@pytest.mark.parametrize("routes", [CREATE, STATE, RESULTS], ids=["create", "state", "results"])
def test_a_fault_of_the_batch_api_loses_nothing_and_pays_nothing_twice(
    routes: dict[str, str], fault: str, provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    provider.fail(routes, fault)
    assert labels(annotate(provider.annotator(), task, cache)) == LABELS
    assert provider.behaviour.faults == {routes[provider.protocol]: []}
    assert provider.sizes == [COUNT]
    assert set(provider.server.paid.values()) == {1}


def test_a_lost_batch_is_found_beside_a_later_one_of_another_run_that_does_not_end(
    task: TextClassification, cache: AnswerCache
) -> None:
    with messages.serve(messages.AnthropicServer()) as server:

        def other_run() -> None:
            [own] = server.batches.values()
            server.batches["msgbatch_other"] = {**own, "id": "msgbatch_other"}

        server.behaviour.on_created = other_run
        server.behaviour.faults["POST /v1/messages/batches"] = ["lost"]
        assert labels(annotate(Provider("anthropic", server).annotator(), task, cache)) == LABELS
        assert server.calls["POST /v1/messages/batches"] == 1
        assert set(server.paid.values()) == {1}


def test_a_batch_that_an_earlier_run_could_not_create_is_created_by_the_next_one(
    provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    provider.fail(CREATE, *["500"] * 10)
    with pytest.raises(AnnotatorError, match="Nothing is lost"):
        annotate(provider.annotator(), task, cache)
    assert labels(annotate(provider.annotator(), task, cache)) == LABELS
    assert provider.sizes == [COUNT]
    assert set(provider.server.paid.values()) == {1}


def test_an_upload_that_fails_is_repeated(task: TextClassification, cache: AnswerCache) -> None:
    with chat.serve(chat.OpenAIServer(Behaviour(token=messages.KEY))) as server:
        server.behaviour.faults["POST /v1/files"] = ["500", "lost", "broken"]
        assert labels(annotate(Provider("openai", server).annotator(), task, cache)) == LABELS
        assert set(server.paid.values()) == {1}


def test_a_batch_that_the_provider_refuses_ends_the_run_with_its_message(
    provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    provider.behaviour.accepts = "Enqueued token limit reached."
    with pytest.raises(AnnotatorError, match="Enqueued token limit reached"):
        annotate(provider.annotator(), task, cache)
    provider.behaviour.accepts = None
    provider.server.batches.clear()
    assert labels(annotate(provider.annotator(), task, cache)) == LABELS


def test_a_cancelled_batch_ends_the_run_and_the_next_one_sends_the_rest(
    provider: Provider, task: TextClassification, cache: AnswerCache
) -> None:
    def cancel() -> None:
        [batch] = provider.server.batches.values()
        batch |= {"status": "cancelled", "cancelled": "2026-11-28T00:00:00Z"}
        provider.behaviour.on_created = lambda: provider.behaviour.__setattr__("missing", 0)

    provider.behaviour.missing, provider.behaviour.on_created = 2, cancel
    with pytest.raises(AnnotatorError, match="was cancelled"):
        annotate(provider.annotator(), task, cache)
    assert labels(annotate(provider.annotator(), task, cache)) == LABELS
    assert provider.sizes == [COUNT, 2]
    assert set(provider.server.paid.values()) == {1}


def test_a_refused_text_has_its_reason(task: TextClassification, cache: AnswerCache) -> None:
    behaviour = Behaviour(token=messages.KEY, context=1500)
    with chat.serve(chat.OpenAIServer(behaviour)) as server:
        annotator = Provider("openai", server).annotator(max_text_length=3000)
        long = [AnnotationRequest("long " * 600 + str(i)) for i in range(3)]
        answers = in_order(run(annotation_work(annotator, task), [*REQUESTS, *long], cache=cache))
    assert labels(answers[:COUNT]) == LABELS
    assert all(answer.is_cut for answer in answers[COUNT:])


def test_a_batch_needs_a_cache_that_is_found_again(provider: Provider, task: TextClassification) -> None:
    with pytest.raises(AnnotatorError, match="answer cache"):
        annotate(provider.annotator(), task, None)


def test_a_request_that_stopped_waiting_is_found_in_its_batch(cache: AnswerCache) -> None:
    async def ask(url: str) -> list[Any]:
        async with JsonApi(url, {}, None) as api:
            collected = batches.Batches(OpenAIBatches(api), most_requests=10)
            collected.cache = cache
            collected.open()
            bodies = [{"model": MODEL, "messages": [{"role": "user", "content": text}]} for text in ("one", "two")]
            first = [asyncio.create_task(collected.answer(body, body)) for body in bodies]
            await asyncio.wait(first, timeout=0.3)
            for task in first:
                task.cancel()
            found = await asyncio.gather(*(collected.answer(body, body) for body in bodies))
            await collected.close()
            return found

    with chat.serve(chat.OpenAIServer(batches=BatchBehaviour(delay=0.6))) as server:
        assert all("choices" in found for found in asyncio.run(ask(server.url)))
        assert [batch["count"] for batch in server.batches.values()] == [2]


def test_finished_batches_are_forgotten(provider: Provider, task: TextClassification, cache: AnswerCache) -> None:
    annotate(provider.annotator(), task, cache)
    with sqlite3.connect(cache.path) as connection:
        assert connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("batch:endpoint:org/name", "needs the address of a server"),
        ("batch:local:org/name", "has no batch API"),
        ("batch:", "no annotator"),
    ],
)
def test_a_batch_of_another_annotator_is_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        build_annotator(spec)


# ---- kill -9 ----

_RUN = """
import json, sys
from pathlib import Path
from freeal_hf.annotators import batches
from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.annotators.work import annotation_work
from freeal_hf.tasks import TextClassification

batches.QUIET_SECONDS, batches.POLL_SECONDS, batches.SMALLEST_BATCH = 0.2, (0.05, 0.1), 2
spec, path, options, count = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
task = TextClassification(["billing", "shipping", "other"])
ledger = Ledger(owner="round-0")
with AnswerCache(path) as cache:
    requests = [AnnotationRequest(f"message {i}") for i in range(count)]
    annotator = build_annotator(spec, options=options)
    for index, answer in run(annotation_work(annotator, task), requests, cache=cache, ledger=ledger):
        print(index, answer.label, flush=True)
"""


def start(provider: Provider, cache: Path) -> "subprocess.Popen[str]":
    words = [provider.spec, str(cache), json.dumps(provider.options), str(COUNT)]
    environment = {**os.environ, "TEST_KEY": messages.KEY, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "0"}
    return subprocess.Popen([sys.executable, "-c", _RUN, *words], stdout=subprocess.PIPE, text=True, env=environment)


def kill_in(hook: str, provider: Provider, cache: Path, *call: str) -> None:
    """Kills a run from within the server, so that the run gets no answer to the call, however slow the machine is."""
    process: Future[subprocess.Popen[str]] = Future()
    setattr(provider.behaviour, hook, lambda *arrived: arrived == call and process.result().kill())
    process.set_result(start(provider, cache))
    assert process.result().wait(240) == -signal.SIGKILL
    setattr(provider.behaviour, hook, lambda *arrived: None)


@pytest.mark.slow
def test_a_run_that_is_killed_at_each_step_of_a_batch_pays_nothing_twice(provider: Provider, tmp_path: Path) -> None:
    cache, server = tmp_path / "cache.sqlite", provider.server
    created, state, results = (routes[provider.protocol] for routes in (CREATE, STATE, RESULTS))
    kill_in("on_created", provider, cache)  # before it knows the id
    assert provider.sizes == [COUNT]
    kill_in("on_call", provider, cache, state)
    kill_in("on_call", provider, cache, results)
    output, _ = start(provider, cache).communicate(timeout=240)
    assert dict(map(int, line.split()) for line in output.splitlines()) == dict(enumerate(LABELS))
    assert server.calls[created] == 1
    assert set(server.paid.values()) == {1}
    assert all(messages.KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


# ---- The official clients ----


def test_the_server_speaks_the_batch_protocol_of_openais_client(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai")
    with chat.serve(chat.OpenAIServer()) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
        line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
        file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint=line["url"], completion_window="24h", metadata={"freeal": "x"}
        )
        while client.batches.retrieve(batch.id).status != "completed":
            time.sleep(0.01)
        [done] = client.batches.list().data
        assert done.metadata == {"freeal": "x"}
        [result] = map(json.loads, client.files.content(done.output_file_id).text.splitlines())
    assert (result["custom_id"], result["response"]["status_code"]) == ("one", 200)


def test_the_server_speaks_the_batch_protocol_of_anthropics_client() -> None:
    anthropic = pytest.importorskip("anthropic")
    with messages.serve(messages.AnthropicServer()) as server:
        client = anthropic.Anthropic(api_key=messages.KEY, base_url=server.url)
        params = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
        batch = client.messages.batches.create(requests=[{"custom_id": "one", "params": params}])
        while (done := client.messages.batches.retrieve(batch.id)).processing_status != "ended":
            time.sleep(0.01)
        assert [one.id for one in client.messages.batches.list()] == [batch.id]
    assert (done.request_counts.succeeded, done.request_counts.processing) == (1, 0)
