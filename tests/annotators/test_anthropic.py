"""The annotator for Anthropic's messages against a server on loopback."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from freeal_hf.annotators.anthropic import AnthropicAnnotator
from freeal_hf.annotators.base import Annotation, AnnotationRequest, GenerationRequest
from freeal_hf.annotators.budget import Ledger, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.annotators.work import annotation_work, generation_work
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification
from tests.servers.anthropic import KEY, AnthropicServer, MessagesBehaviour, serve
from tests.servers.chat import by_hash

pytestmark = pytest.mark.skipif(
    huggingface_hub.__version__ < "1", reason="the annotator needs huggingface_hub 1.0, and says so"
)

Start = Callable[..., AnthropicServer]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.001)


@pytest.fixture
def serving() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(serve(AnthropicServer(MessagesBehaviour(**behaviour))))


def annotate(
    server: AnthropicServer, task: TextClassification, *texts: str, shots: tuple[Demonstration, ...] = (), **how: Any
) -> list[Annotation]:
    annotator = AnthropicAnnotator("claude-test", base_url=server.url)
    requests = [AnnotationRequest(text, shots) for text in texts]
    return in_order(run(annotation_work(annotator, task), requests, max_attempts=3, **how))


def bulk(server: AnthropicServer) -> list[dict[str, Any]]:
    """The requests after those that test the server."""
    return [body for body in server.stats.bodies if "Text: " in json.dumps(body["messages"][-1])]


def test_a_text_gets_the_label_of_the_model(task: TextClassification, serving: Start) -> None:
    [answer] = annotate(serving(), task, "a parcel")
    assert (answer.label, answer.confidence) == (by_hash("a parcel", 3), None)
    assert answer.prompt_tokens > 50 and answer.completion_tokens == 8


@pytest.mark.parametrize(
    ("schemas", "field"), [(("output", "tool"), "output_config"), (("tool",), "tool_choice"), ((), None)]
)
def test_the_answer_is_constrained_as_the_model_supports_it(
    schemas: tuple[str, ...], field: str | None, task: TextClassification, serving: Start
) -> None:
    server = serving(schemas=schemas)
    [answer] = annotate(server, task, "a parcel")
    assert set(bulk(server)[-1]) & {"output_config", "tool_choice"} == ({field} if field else set())
    assert answer.label == (by_hash("a parcel", 3) if field else NO_LABEL)


def test_the_instructions_are_the_system_prompt(task: TextClassification, serving: Start) -> None:
    server = serving()
    annotate(server, task, "a parcel")
    [body] = bulk(server)
    assert "Labels:" in body["system"][0]["text"]
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_prefix_is_marked_for_the_prompt_cache_from_its_second_request(
    task: TextClassification, serving: Start
) -> None:
    server = serving()
    shots = (Demonstration("an old bill", 0), Demonstration("a late parcel", 1))
    ledger = Ledger(price=Price(prompt=1.0, completion=5.0, cached=0.1))
    annotate(server, task, *(f"text {i}" for i in range(20)), shots=shots, ledger=ledger)
    first, *others = bulk(server)
    assert "cache_control" not in json.dumps(first)
    assert all("cache_control" in body["system"][0] for body in others)
    assert all("cache_control" in body["messages"][-2]["content"][0] for body in others)
    assert ledger.cached_tokens > 0.5 * ledger.prompt_tokens
    assert ledger.cost is not None and ledger.cost < Price(1.0, 5.0).of(ledger.prompt_tokens, ledger.completion_tokens)


def test_demonstrations_of_one_text_are_not_marked(task: TextClassification, serving: Start) -> None:
    server = serving()
    requests = [AnnotationRequest(f"text {i}", (Demonstration(f"shot {i}", 0),)) for i in range(5)]
    list(run(annotation_work(AnthropicAnnotator("claude-test", base_url=server.url), task), requests))
    assert not any("cache_control" in json.dumps(body["messages"]) for body in bulk(server))


def test_the_model_writes_texts(task: TextClassification, serving: Start) -> None:
    annotator = AnthropicAnnotator("claude-test", base_url=serving().url)
    [written] = in_order(run(generation_work(annotator, task), [GenerationRequest(0, ("a bill",), 3)]))
    assert written.texts == ("written 0", "written 1", "written 2")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("refusal", "content filter"), ("max_tokens", "cut-off answer"), ("broken", "broken response"),
     ("500", "server error"), ("529", "server error"), ("429", "rate limited"), ("error", "server error"),
     ("text", "broken response"), ("long", "text too long")],
)  # fmt: skip
def test_a_text_without_an_answer_has_the_reason(
    fault: str, reason: str, task: TextClassification, serving: Start
) -> None:
    server = serving()
    annotator = AnthropicAnnotator("claude-test", base_url=server.url)
    list(run(annotation_work(annotator, task), [AnnotationRequest("warm up")]))

    async def ask() -> object:
        async with annotator:
            server.messages.always = fault
            try:
                [answer] = await annotator.annotate(task, [AnnotationRequest("a parcel")])
                return answer.reason
            except Exception as error:
                assert KEY not in str(error)
                return getattr(error, "reason", error)

    assert asyncio.run(ask()) == reason


def test_a_used_up_credit_ends_the_run(task: TextClassification, serving: Start) -> None:
    with pytest.raises(AnnotatorError, match="used up"):
        annotate(serving(always="credit"), task, "a parcel")


def test_a_wrong_key_ends_the_run_and_is_not_shown(
    task: TextClassification, serving: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-wrong-0123456789")
    with pytest.raises(AnnotatorError, match=r"refused the key \(401\)") as error:
        annotate(serving(), task, "a parcel")
    assert "sk-ant-wrong" not in str(error.value)


def test_a_missing_key_is_reported_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(AnnotatorError, match="'ANTHROPIC_API_KEY' is not set"):
        AnthropicAnnotator("claude-test")


def test_the_key_is_in_no_cache_and_no_description(task: TextClassification, serving: Start, tmp_path: Path) -> None:
    server = serving()
    with AnswerCache(tmp_path / "cache.sqlite") as cache:
        annotate(server, task, "a parcel", cache=cache)
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert KEY not in str(AnthropicAnnotator("claude-test").describe())


def test_it_is_named_on_the_command_line(serving: Start) -> None:
    annotator = build_annotator("anthropic:claude-test@http://127.0.0.1:9/v1", options={"max_tokens": 100})
    assert annotator.describe() == {
        "class": "AnthropicAnnotator",
        "model": "claude-test",
        "base_url": "http://127.0.0.1:9",
    }
    with pytest.raises(InputError, match="no annotator 'anthropic'"):
        build_annotator("anthropic")


def test_the_server_speaks_the_protocol_of_the_official_client(serving: Start) -> None:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key=KEY, base_url=serving().url)
    schema = {"type": "object", "properties": {"label": {"type": "string", "enum": ["A", "B"]}}}
    message = client.messages.create(
        model="claude-test",
        max_tokens=20,
        messages=[{"role": "user", "content": 'Text: "a plum"'}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(message.content[0].text)["label"] in ("A", "B")
    assert message.usage.output_tokens == 8
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(api_key="wrong", base_url=client.base_url).messages.create(
            model="claude-test", max_tokens=20, messages=[{"role": "user", "content": "a plum"}]
        )
