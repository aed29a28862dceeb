"""A server that refuses an optional feature, in any way, is asked without that feature and with all others."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from freeal_hf.annotators.base import Annotation, AnnotationRequest, ChoiceRequest, GenerationRequest
from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.work import annotation_work, choice_work, generation_work
from freeal_hf.errors import AnnotatorError
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification
from tests.servers.chat import REFUSALS, ChatServer, by_hash

Start = Callable[..., ChatServer]

FEATURES = {
    "seed": "the field 'seed'",
    "temperature": "the field 'temperature'",
    "logprobs": "log-probabilities",
    "system": "the system role",
    "max_tokens": "max_tokens",
    "response_format": "the format of the answer",
}
"""What a server may refuse, and how that is told."""

SHOTS = (Demonstration("Where is it?", 1), Demonstration("I want my money.", 0))
TEXTS = [f"parcel {i}" for i in range(12)]


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.0001)


def annotate(
    annotator: InferenceEndpointsAnnotator, task: TextClassification, texts: list[str] = TEXTS, **options: Any
) -> list[Annotation]:
    requests = [AnnotationRequest(text, SHOTS) for text in texts]
    answers = dict(run(annotation_work(annotator, task), requests, **options))
    return [answers[i] for i in range(len(texts))]


def right(answers: list[Annotation], texts: list[str] = TEXTS) -> bool:
    return [answer.label for answer in answers] == [by_hash(text, 3) for text in texts]


def last_body(server: ChatServer) -> dict[str, Any]:
    return server.stats.bodies[-1]


def uses(body: dict[str, Any]) -> set[str]:
    """The optional features of a request."""
    used = set(FEATURES) & set(body)
    return used | {"system"} if any(message["role"] == "system" for message in body["messages"]) else used


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("feature", FEATURES)
def test_only_the_refused_feature_is_left_out(
    feature: str, refusal: str, task: TextClassification, start: Start
) -> None:
    server = start(rejected=(feature,), refusal=refusal, free_text='{"label": "B"}')
    answers = annotate(InferenceEndpointsAnnotator(server.url), task)
    assert all(answer.is_labelled for answer in answers)
    assert uses(last_body(server)) == set(FEATURES) - {feature}
    assert feature == "response_format" or right(answers)


@pytest.mark.parametrize("refusal", ["422", "404", "500", "error object", "empty"])
@pytest.mark.parametrize("feature", FEATURES)
def test_a_server_that_begins_to_refuse_during_a_run_loses_no_text(
    feature: str, refusal: str, task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(free_text='{"label": "B"}')
    annotator = InferenceEndpointsAnnotator(server.url, concurrency=4)
    assert right(annotate(annotator, task, TEXTS[:2]), TEXTS[:2])
    server.behaviour.rejected, server.behaviour.refusal = (feature,), refusal
    answers = annotate(annotator, task, TEXTS[2:])
    assert all(answer.is_labelled for answer in answers)
    assert uses(last_body(server)) == set(FEATURES) - {feature}
    assert [FEATURES[feature] in said for said in warnings(caplog)] == [True]


@pytest.mark.parametrize("feature", FEATURES)
def test_an_unsupported_feature_is_reported_once_with_the_message_of_the_server(
    feature: str, task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(rejected=(feature,), free_text='{"label": "B"}')
    annotator = InferenceEndpointsAnnotator(server.url)
    for texts in (TEXTS[:6], TEXTS[6:]):
        annotate(annotator, task, texts)
    [said] = warnings(caplog)
    assert FEATURES[feature] in said and f"unknown field {feature}" in said


def test_several_refused_features_are_all_left_out(task: TextClassification, start: Start) -> None:
    server = start(rejected=("seed", "system", "logprobs", "max_tokens"), refusal="422")
    assert right(annotate(InferenceEndpointsAnnotator(server.url), task))
    assert uses(last_body(server)) == {"temperature", "response_format"}
    assert last_body(server)["max_completion_tokens"] == 64


def test_without_a_system_role_instructions_begin_the_first_message(task: TextClassification, start: Start) -> None:
    server = start(rejected=("system",))
    annotate(InferenceEndpointsAnnotator(server.url), task)
    messages = last_body(server)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert "billing" in messages[0]["content"] and SHOTS[0].text in messages[0]["content"]


def test_refused_features_do_not_change_the_fingerprint(task: TextClassification, start: Start) -> None:
    server = start(rejected=("system", "seed"))
    annotator, request = InferenceEndpointsAnnotator(server.url), AnnotationRequest("a parcel")
    before = json.dumps(annotator.fingerprint(task, request))
    annotate(annotator, task)
    assert json.dumps(annotator.fingerprint(task, request)) == before


@pytest.mark.parametrize("enforced", ["json_object", "tgi", "structured_outputs", "regex"])
def test_a_constraint_that_is_refused_during_a_run_is_replaced_by_a_weaker_one(
    enforced: str, task: TextClassification, start: Start
) -> None:
    server = start(constraints=("json_schema", enforced), free_text="I cannot say.")
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, TEXTS[:2])
    server.behaviour.rejected = ("json_schema",)
    assert right(annotate(annotator, task, TEXTS[2:]), TEXTS[2:])


def test_a_schema_that_is_refused_for_written_texts_is_still_used_for_labels(
    task: TextClassification, start: Start
) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, TEXTS[:1])
    server.behaviour.rejected = ("json_schema",)
    [written] = in_order(run(generation_work(annotator, task), [GenerationRequest(1, ("hello",), 3)]))
    server.behaviour.rejected = ()
    annotate(annotator, task, TEXTS[1:])
    assert written.texts
    assert last_body(server)["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("refusal", ["400", "500", "error text"])
@pytest.mark.parametrize("feature", ["response_format", "seed", "system"])
def test_texts_are_written_and_chosen_without_a_refused_feature(
    feature: str, refusal: str, task: TextClassification, start: Start
) -> None:
    server = start(rejected=(feature,), refusal=refusal)
    annotator = InferenceEndpointsAnnotator(server.url)
    [written] = in_order(run(generation_work(annotator, task), [GenerationRequest(1, ("hello",), 3)]))
    choice = in_order(run(choice_work(annotator, task), [ChoiceRequest(((1, "a"), (2, "b"), (3, "c")), 2)]))[0]
    assert len(written.texts) == 3 and len(choice.numbers) == 2


def test_a_temporary_fault_removes_no_feature(
    task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, TEXTS[:1])
    server.behaviour.faults = {"500": 0.3}
    assert right(annotate(annotator, task, TEXTS))
    assert uses(last_body(server)) == set(FEATURES) and not warnings(caplog)


def test_a_text_that_is_refused_in_every_form_removes_no_feature(
    task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, TEXTS[:1])
    server.behaviour.always = "400"
    [refused] = annotate(annotator, task, ["another"])
    server.behaviour.always = None
    assert (refused.label, refused.reason) == (NO_LABEL, "request refused")
    assert right(annotate(annotator, task))
    assert uses(last_body(server)) == set(FEATURES) and not warnings(caplog)


def test_a_refused_field_of_the_user_is_reported_and_not_left_out(task: TextClassification, start: Start) -> None:
    server = start(rejected=("top_k",))
    annotator = InferenceEndpointsAnnotator(server.url, extra_body={"min_p": 0.1, "top_k": 5})
    with pytest.raises(AnnotatorError, match=r"'top_k' of your extra_body.*unknown field top_k"):
        annotate(annotator, task)


def test_calls_that_test_a_feature_are_recorded(task: TextClassification, start: Start) -> None:
    server, ledger = start(free_text='{"label": "B"}'), Ledger()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, TEXTS[:1], ledger=ledger)
    server.behaviour.rejected = ("seed", "json_schema")
    annotate(annotator, task, TEXTS[1:], ledger=ledger)
    assert ledger.calls == server.stats.answered.total()
    assert (ledger.prompt_tokens, ledger.completion_tokens) == server.stats.billed


def test_the_key_is_redacted_in_messages_of_the_server(
    task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setitem(REFUSALS, "with key", lambda said: REFUSALS["400"](f"{said}, key {key}"))
    server = start(rejected=("seed",), refusal="with key")
    annotate(InferenceEndpointsAnnotator(server.url, token=key), task)
    assert "***" in warnings(caplog)[0] and key not in caplog.text
