"""The chat annotator against a real server on loopback: constraints, probabilities, keys, faults."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._providers import get_provider_helper
from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING

from freeal_hf.annotators.base import Annotation, AnnotationRequest, GenerationRequest
from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.work import annotation_work, generation_work
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification
from tests.servers.chat import MODEL, ChatServer, by_hash

Start = Callable[..., ChatServer]
TOKEN = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.001)


def annotate(annotator: InferenceEndpointsAnnotator, task: TextClassification, *texts: str) -> list[Annotation]:
    results = dict(run(annotation_work(annotator, task), [AnnotationRequest(text) for text in texts], max_attempts=3))
    return [results[i] for i in range(len(texts))]


def bulk(server: ChatServer) -> list[dict[str, Any]]:
    """The requests after the canary's."""
    return [body for body in server.stats.bodies if body["messages"][-1]["content"].startswith("Text: ")]


# ---- Constraints ----


@pytest.mark.parametrize(
    ("enforced", "field"),
    [
        ("json_schema", "response_format"),
        ("tgi", "response_format"),
        ("structured_outputs", "structured_outputs"),
        ("guided_choice", "guided_choice"),
        ("regex", "regex"),
    ],
)
def test_the_first_constraint_that_the_server_enforces_is_used(
    enforced: str, field: str, task: TextClassification, start: Start
) -> None:
    server = start(constraints=(enforced,))
    assert annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")[0].label == by_hash("a parcel", 3)
    [body] = bulk(server)
    assert {"response_format", "structured_outputs", "guided_choice", "regex"} & set(body) == {field}


def test_the_schema_is_sent_in_the_format_of_openai(task: TextClassification, start: Start) -> None:
    server = start()
    annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    response_format = bulk(server)[0]["response_format"]
    assert response_format["type"] == "json_schema"
    assert response_format["json_schema"]["schema"]["properties"]["label"]["enum"] == ["A", "B", "C"]


@pytest.mark.parametrize(
    "refused", [(), ("json_schema", "json_object", "structured_outputs", "guided_choice", "regex")]
)
def test_answers_of_a_server_without_constraints_are_parsed(
    refused: tuple[str, ...], task: TextClassification, start: Start
) -> None:
    server = start(constraints=(), rejected=refused, free_text="Sure! It is shipping.")
    assert annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")[0].label == 1


def test_tested_constraints_are_logged(
    task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(constraints=("structured_outputs",), rejected=("json_object",))
    with caplog.at_level(logging.INFO, logger="freeal_hf"):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    said = [record.getMessage() for record in caplog.records if "onstraint" in record.getMessage()]
    assert said[0] == "Constraint json_schema: accepted but not enforced."
    assert said[1].startswith("Constraint json_object: refused")
    assert said[2].startswith("Constraint tgi_schema: refused")
    assert said[3] == "Constraint choice: enforced."


def test_the_features_are_tested_once_for_each_annotator(task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, "a parcel")
    before = len(server.stats.bodies)
    annotate(annotator, task, "another parcel")
    assert len(server.stats.bodies) == before + 1


def test_an_answer_that_is_not_a_label_has_no_label(task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, "warm up the canary")
    server.behaviour.always = "outside"
    [annotation] = annotate(annotator, task, "a parcel")
    assert (annotation.label, annotation.reason) == (NO_LABEL, "not a label")
    assert annotation.answer == '{"label": "none of these"}'


# ---- Inference providers ----


@pytest.mark.skipif(
    huggingface_hub.__version__ < "1", reason="huggingface_hub 0.36 asks the Hub which provider has a model"
)
def test_a_model_id_is_sent_to_the_router_of_hugging_face_with_its_token(
    task: TextClassification, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(models=("user/model",))
    monkeypatch.setattr("huggingface_hub.inference._providers.CONVERSATIONAL_AUTO_ROUTER.base_url", server.url)
    annotate(InferenceEndpointsAnnotator("user/model", token="hf_not_a_real_token"), task, "a parcel")
    assert server.stats.headers[-1]["Authorization"] == "Bearer hf_not_a_real_token"
    assert bulk(server)[0]["response_format"]["type"] == "json_schema"


def test_a_provider_gets_its_own_name_of_the_model(
    task: TextClassification, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(models=("name-at-provider",))
    mapping = InferenceProviderMapping(
        provider="together",
        hf_model_id="user/model",
        providerId="name-at-provider",
        task="conversational",
        status="live",
    )
    monkeypatch.setitem(HARDCODED_MODEL_INFERENCE_MAPPING["together"], "user/model", mapping)
    helper = get_provider_helper("together", task="conversational", model="user/model")
    monkeypatch.setattr(helper, "base_url", server.url)
    annotator = InferenceEndpointsAnnotator("user/model", provider="together", token="key-of-the-provider")
    assert annotate(annotator, task, "a parcel")[0].label == by_hash("a parcel", 3)


# ---- Probabilities ----


def test_the_probability_of_every_label_is_computed_from_the_tokens(task: TextClassification, start: Start) -> None:
    server = start(oracle=lambda text, n: 2, confidence=0.8)
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert annotation.probabilities == pytest.approx((0.05 / 0.9, 0.05 / 0.9, 0.8 / 0.9))
    assert annotation.confidence == pytest.approx(0.8 / 0.9)


@pytest.mark.parametrize("behaviour", [{"logprobs": False}, {"rejected": ("logprobs",)}], ids=["ignored", "refused"])
def test_labels_have_no_probability_without_log_probabilities(
    behaviour: dict[str, Any], task: TextClassification, start: Start
) -> None:
    server = start(**behaviour)
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert (annotation.label, annotation.probabilities) == (by_hash("a parcel", 3), None)
    assert "logprobs" not in bulk(server)[0]


def of_first_choice(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda completion: change(completion["choices"][0])


def tokens(choice: dict[str, Any]) -> list[dict[str, Any]]:
    return choice.get("logprobs", {"content": [{}]})["content"]


@pytest.mark.parametrize(
    "change",
    [
        lambda choice: choice.update(logprobs=[]),
        lambda choice: choice.update(logprobs={"tokens": ["A"], "token_logprobs": [0.0]}),
        lambda choice: tokens(choice)[0].update(logprob=math.nan),
        lambda choice: tokens(choice)[0].pop("token", None),
        lambda choice: [token.pop("top_logprobs", None) for token in tokens(choice)],
        lambda choice: [
            other.update(logprob="low") for one in tokens(choice) for other in one.get("top_logprobs", ())
        ],
    ],
    ids=["list", "as of completions", "not a number", "without text", "without alternatives", "alternatives in words"],
)
def test_log_probabilities_in_another_format_are_ignored(
    change: Callable[[dict[str, Any]], object], task: TextClassification, start: Start
) -> None:
    server = start(spoil=of_first_choice(change))
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert (annotation.label, annotation.confidence) == (by_hash("a parcel", 3), None)


def test_a_log_probability_can_be_null(task: TextClassification, start: Start) -> None:
    impossible = {"token": "Z", "logprob": None}
    server = start(
        spoil=of_first_choice(
            lambda choice: [token.setdefault("top_logprobs", []).append(impossible) for token in tokens(choice)]
        )
    )
    assert annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")[0].probabilities is not None


def before_the_mask(letter_mass: float) -> Callable[[dict[str, Any]], object]:
    """Makes a server report the log-probabilities of a model that wanted to say something else than a letter."""

    def change(choice: dict[str, Any]) -> None:
        for token in tokens(choice):
            if len(token.get("top_logprobs", ())) > 1:
                token["logprob"] = math.log(letter_mass)
                wanted = {"token": "Sure", "logprob": math.log(1 - letter_mass)}
                token["top_logprobs"] = [{"token": token["token"], "logprob": token["logprob"]}, wanted]

    return of_first_choice(change)


@pytest.mark.parametrize(("mass", "confidence"), [(0.0006, None), (0.3, None), (0.9, 1.0)])
def test_a_letter_that_only_the_grammar_forced_has_no_confidence(
    mass: float, confidence: float | None, task: TextClassification, start: Start
) -> None:
    server = start(spoil=before_the_mask(mass))
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert (annotation.label, annotation.confidence) == (by_hash("a parcel", 3), confidence)


def test_reasoning_in_the_content_changes_neither_label_nor_confidence(task: TextClassification, start: Start) -> None:
    thought = '<think>{"label": "A"} or {"label": "B"}?</think>'

    def think(choice: dict[str, Any]) -> None:
        choice["message"]["content"] = thought + choice["message"]["content"]
        if "logprobs" in choice:
            shown = [{"token": piece, "logprob": -9.0, "top_logprobs": []} for piece in thought]
            choice["logprobs"]["content"] = shown + choice["logprobs"]["content"]

    server = start(spoil=of_first_choice(think), confidence=0.8)
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert annotation.label == by_hash("a parcel", 3)
    assert annotation.confidence == pytest.approx(0.8 / 0.9)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_answer_in_a_reasoning_field_is_used(field: str, task: TextClassification, start: Start) -> None:
    def move(choice: dict[str, Any]) -> None:
        choice["message"] = {"role": "assistant", "content": None, field: choice["message"]["content"]}

    server = start(spoil=of_first_choice(move))
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert annotation.label == by_hash("a parcel", 3)


def test_a_refusal_is_a_filtered_answer(task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, "warm up the canary")
    server.behaviour.spoil = of_first_choice(
        lambda choice: choice.update(message={"content": None, "refusal": "I cannot help with that."})
    )
    [annotation] = annotate(annotator, task, "a parcel")
    assert (annotation.label, annotation.reason) == (NO_LABEL, "content filter")


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": 64}}, 64),
        ({"prompt_tokens": 90, "prompt_cache_hit_tokens": 32}, 32),
        ({"prompt_tokens": 90, "prompt_tokens_details": None}, 0),
        ({"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": "x"}}, 0),
    ],
    ids=["openai", "deepseek", "null", "no number"],
)
def test_the_tokens_from_the_prompt_cache_of_the_server_are_counted(
    usage: dict[str, Any], cached: int, task: TextClassification, start: Start
) -> None:
    server = start(spoil=lambda completion: completion.update(usage=usage))
    assert annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")[0].cached_tokens == cached


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "12", "completion_tokens": None}], ids=str)
def test_an_invalid_token_count_is_estimated(usage: object, task: TextClassification, start: Start) -> None:
    server = start(spoil=lambda completion: completion.update(usage=usage))
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert annotation.prompt_tokens > 50


@pytest.mark.parametrize(
    "change",
    [
        lambda completion: completion.update(choices=[]),
        lambda completion: completion.clear(),
        lambda completion: completion["choices"][0].update(message=None),
    ],
    ids=["no choice", "nothing", "no message"],
)
def test_an_answer_that_is_not_a_chat_completion_ends_the_run_with_the_problem(
    change: Callable[[dict[str, Any]], object], task: TextClassification, start: Start
) -> None:
    with pytest.raises(AnnotatorError, match="not a chat completion"):
        annotate(InferenceEndpointsAnnotator(start(spoil=change).url), task, "a parcel")


def test_labels_are_answered_by_name_without_probabilities(task: TextClassification, start: Start) -> None:
    server = start(oracle=lambda text, n: 1)
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url, probabilities=False), task, "a parcel")
    assert (annotation.label, annotation.answer) == (1, '{"label": "shipping"}')
    assert "logprobs" not in bulk(server)[0]


# ---- Request ----


def test_the_ledger_includes_the_tokens_of_feature_tests(task: TextClassification, start: Start) -> None:
    server, ledger = start(), Ledger()
    list(run(annotation_work(InferenceEndpointsAnnotator(server.url), task), [AnnotationRequest("x")], ledger=ledger))
    assert ledger.calls == server.stats.answered.total() > 1
    assert (ledger.prompt_tokens, ledger.completion_tokens) == server.stats.billed


def test_tokens_are_estimated_if_the_server_does_not_count_them(task: TextClassification, start: Start) -> None:
    server = start(usage=False)
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "x")
    assert annotation.completion_tokens == 3
    assert annotation.prompt_tokens > 50


def test_the_model_name_of_the_user_is_sent(task: TextClassification, start: Start) -> None:
    server = start()
    annotate(InferenceEndpointsAnnotator(MODEL, base_url=f"{server.url}/v1"), task, "a parcel")
    assert bulk(server)[0]["model"] == MODEL


def test_without_a_model_name_the_server_is_asked_for_its_model(task: TextClassification, start: Start) -> None:
    server = start()
    annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert bulk(server)[0]["model"] == MODEL


@pytest.mark.parametrize(
    ("listed", "answering"),
    [
        (("nomic-embed-text", "whisper-1", "qwen"), "qwen"),
        (("aaa", "qwen"), "qwen"),
        (("qwen", "mistral"), "qwen"),
        (("bge-reranker", "text-embedding-chat"), "text-embedding-chat"),
    ],
    ids=str,
)
def test_the_first_of_several_models_that_answers_is_used_and_logged(
    listed: tuple[str, ...], answering: str, task: TextClassification, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(listed=listed, models=(answering,))
    annotator = InferenceEndpointsAnnotator(server.url)
    assert annotate(annotator, task, "a parcel")[0].label == by_hash("a parcel", 3)
    assert bulk(server)[0]["model"] == answering
    assert f"{answering!r} answers" in caplog.text and f"endpoint:MODEL@{server.url}" in caplog.text


def test_a_server_without_an_answering_model_is_reported_with_its_models(
    task: TextClassification, start: Start
) -> None:
    server = start(listed=("one", "two"), models=())
    with pytest.raises(AnnotatorError, match=r"2 models.*no model one.*'one', 'two'"):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")


def test_at_most_a_few_of_many_models_are_tried(task: TextClassification, start: Start) -> None:
    server = start(listed=tuple(f"m{i}" for i in range(300)), models=())
    with pytest.raises(AnnotatorError, match="300 models"):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert len(server.stats.bodies) <= 10


def test_calls_that_test_models_are_recorded(task: TextClassification, start: Start) -> None:
    server, ledger = start(listed=("one", MODEL)), Ledger()
    list(run(annotation_work(InferenceEndpointsAnnotator(server.url), task), [AnnotationRequest("x")], ledger=ledger))
    assert ledger.calls == server.stats.answered.total()


def test_answers_are_cached_under_the_name_of_the_chosen_model(task: TextClassification, start: Start) -> None:
    server, request = start(listed=("one", "two"), models=("one", "two")), AnnotationRequest("x")
    fingerprints = []
    for models in (("one", "two"), ("two",)):
        server.behaviour.models = models
        annotator = InferenceEndpointsAnnotator(server.url)
        annotate(annotator, task, "a parcel")
        fingerprints.append(annotator.fingerprint(task, request))
    assert fingerprints[0] != fingerprints[1]


def test_further_fields_are_sent(task: TextClassification, start: Start) -> None:
    server = start()
    annotate(InferenceEndpointsAnnotator(server.url, extra_body={"reasoning_effort": "low"}), task, "a parcel")
    assert bulk(server)[0]["reasoning_effort"] == "low"


def test_a_field_can_be_removed_from_requests(task: TextClassification, start: Start) -> None:
    server = start(rejected=("max_tokens", "temperature"))
    options = {"max_tokens": None, "temperature": None, "max_completion_tokens": 99}
    annotate(InferenceEndpointsAnnotator(server.url, extra_body=options), task, "a parcel")
    assert bulk(server)[0]["max_completion_tokens"] == 99


def test_a_text_that_is_too_long_is_cut_and_marked(task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url, max_text_length=100)
    long, short = annotate(annotator, task, "A sentence. " * 50, "A sentence.")
    assert (long.is_cut, short.is_cut) == (True, False)
    assert len(bulk(server)[0]["messages"][-1]["content"]) < 150


def test_a_text_too_long_for_the_context_is_cut_until_it_fits(task: TextClassification, start: Start) -> None:
    server = start(context=2000)
    [annotation] = annotate(InferenceEndpointsAnnotator(server.url), task, "A sentence. " * 900)
    assert annotation.is_cut
    assert annotation.label != NO_LABEL


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "b"},
        {"demonstrations": (Demonstration("x", 0),)},
        {"demonstrations": (Demonstration("x", 1),)},
        {"temperature": 0.5},
        {"max_tokens": 9},
        {"seed": 1},
        {"probabilities": False},
        {"extra_body": {"top_k": 1}},
        {"base_url": "http://127.0.0.1:2"},
        {"model": "n"},
        {"labels": ["billing", "shipping"]},
    ],
    ids=str,
)
def test_every_change_of_the_request_changes_its_fingerprint(changed: dict[str, Any]) -> None:
    def fingerprint(
        text: str = "a",
        demonstrations: tuple[Demonstration, ...] = (),
        model: str = "m",
        base_url: str = "http://127.0.0.1:1",
        labels: tuple[str, ...] = ("billing", "shipping", "other"),
        **options: Any,
    ) -> str:
        annotator = InferenceEndpointsAnnotator(model, base_url=base_url, **options)
        return json.dumps(
            annotator.fingerprint(TextClassification(labels), AnnotationRequest(text, demonstrations, id="1"))
        )

    assert fingerprint(**changed) != fingerprint()


def test_the_id_of_a_sample_does_not_change_the_fingerprint(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("http://127.0.0.1:1")
    one, two = (annotator.fingerprint(task, AnnotationRequest("a", id=sample)) for sample in ("1", "2"))
    assert one == two


# ---- Keys ----


def test_the_key_is_read_from_the_environment_variable(
    task: TextClassification, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", TOKEN)
    server = start(token=TOKEN)
    annotation = annotate(InferenceEndpointsAnnotator(server.url, api_key_env="MY_KEY"), task, "a parcel")[0]
    assert annotation.label != NO_LABEL


def test_a_missing_environment_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(AnnotatorError, match="MY_KEY"):
        InferenceEndpointsAnnotator("http://127.0.0.1:1", api_key_env="MY_KEY")


def test_the_saved_hugging_face_token_is_not_sent_to_other_servers(
    task: TextClassification, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_saved")
    server = start()
    annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert "hf_saved" not in str(server.stats.headers)


def test_the_key_is_in_no_written_file(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("http://127.0.0.1:1", token=TOKEN)
    assert TOKEN not in str(annotator.fingerprint(task, AnnotationRequest("a")))
    assert TOKEN not in str(annotator.generation_fingerprint(task, GenerationRequest(0, (), 1)))
    assert TOKEN not in repr(annotator)


@pytest.mark.parametrize("address", [f"http://user:{TOKEN}@127.0.0.1:1", f"http://127.0.0.1:1/v1?api_key={TOKEN}"])
def test_an_address_with_a_key_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(InputError, match="api_key_env") as error:
        InferenceEndpointsAnnotator(address)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("key", ["sk-schlüssel", "two\nlines", "two words"], ids=ascii)
def test_an_invalid_key_is_refused_without_showing_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(AnnotatorError, match="MY_KEY") as error:
        InferenceEndpointsAnnotator("http://127.0.0.1:1", api_key_env="MY_KEY")
    assert key not in str(error.value)


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:99999", "http://[::1", "http://a host"])
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not the address of a server"):
        InferenceEndpointsAnnotator("model", base_url=address)


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"concurrency": "many"}, {"timeout": -1}, {"max_text_length": 0}, {"temperature": "hot"}],
    ids=str,
)
def test_an_invalid_limit_is_reported(options: dict[str, Any]) -> None:
    [name] = options
    with pytest.raises(InputError, match=name):
        InferenceEndpointsAnnotator("http://127.0.0.1:1", **options)


@pytest.mark.parametrize("options", [{"provider": "together"}, {"token": "t", "api_key_env": "K"}], ids=str)
def test_contradictory_arguments_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InputError):
        InferenceEndpointsAnnotator("http://127.0.0.1:1", **options)


# ---- Faults ----


def test_a_wrong_key_is_explained_without_showing_it(task: TextClassification, start: Start) -> None:
    server = start(token="another")
    with pytest.raises(AnnotatorError, match="refused the key") as error:
        annotate(InferenceEndpointsAnnotator(server.url, token=TOKEN), task, "a parcel")
    assert TOKEN not in str(error.value)
    assert len(server.stats.bodies) == 1


def test_an_unknown_model_is_explained(task: TextClassification, start: Start) -> None:
    with pytest.raises(AnnotatorError, match=r"no such model.*404"):
        annotate(InferenceEndpointsAnnotator("other/model", base_url=start().url), task, "a parcel")


def test_an_unreachable_server_is_reported(task: TextClassification) -> None:
    with pytest.raises(AnnotatorError, match=r"http://127\.0\.0\.1:9 cannot be reached.*check the address"):
        annotate(InferenceEndpointsAnnotator("m", base_url="http://127.0.0.1:9"), task, "a parcel")


@pytest.mark.parametrize("fault", ["429", "503", "500", "reset", "broken"])
def test_a_server_that_always_fails_ends_the_run_with_its_address(
    fault: str, task: TextClassification, start: Start
) -> None:
    server = start(always=fault)
    with pytest.raises(AnnotatorError, match="did not answer its first call"):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")


def test_a_server_that_refuses_all_later_calls_ends_the_run(task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, "a parcel")
    server.behaviour.always = "429"
    with pytest.raises(AnnotatorError, match=r"rate limited.*429"):
        annotate(annotator, task, *map(str, range(30)))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("400", "request refused"), ("filter", "content filter"), ("empty", "empty answer"), ("cut", "cut-off answer")],
)
def test_a_text_without_a_label_has_a_reason(fault: str, reason: str, task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, "warm up the canary")
    server.behaviour.always = fault
    assert annotate(annotator, task, "a parcel")[0].reason == reason


@pytest.mark.parametrize("fault", ["429", "500", "503", "reset", "broken", "empty", "cut", "outside", "hang"])
def test_a_temporary_fault_loses_no_label(fault: str, task: TextClassification, start: Start) -> None:
    server = start(retry_after="0.05")
    annotator = InferenceEndpointsAnnotator(server.url, timeout=1.0 if fault == "hang" else 60.0)
    annotate(annotator, task, "warm up the canary")
    server.behaviour.faults = {fault: 0.3}
    texts = [f"parcel {i}" for i in range(20)]
    results = dict(run(annotation_work(annotator, task), [AnnotationRequest(text) for text in texts], max_attempts=8))
    assert server.stats.met[fault] > 0
    assert sum(results[i].label == by_hash(text, 3) for i, text in enumerate(texts)) >= 18


def test_retry_after_is_respected(task: TextClassification, start: Start) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    annotate(annotator, task, "warm up the canary")
    server.behaviour.faults, server.behaviour.retry_after = {"429": 0.5}, "0.2"
    ledger = Ledger()
    list(run(annotation_work(annotator, task), [AnnotationRequest(str(i)) for i in range(20)], ledger=ledger))
    assert ledger.retries > 0
    assert ledger.seconds > 0.2


def test_an_error_object_with_status_200_is_shown_with_its_message(task: TextClassification, start: Start) -> None:
    server = start(spoil=error_object("You need more credits.", 402))
    with pytest.raises(AnnotatorError, match=r"quota.*You need more credits\."):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")


def test_answers_before_the_quota_is_used_up_are_kept(task: TextClassification, start: Start, tmp_path: Path) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url, concurrency=1)
    texts = [AnnotationRequest(f"parcel {i}") for i in range(20)]

    def spoil(completion: dict[str, Any]) -> None:
        if server.stats.answered.total() > 12:
            error_object("Daily limit reached.", 429)(completion)

    server.behaviour.spoil = spoil
    with AnswerCache(tmp_path / "cache.sqlite") as cache:
        with pytest.raises(AnnotatorError, match="Daily limit reached"):
            list(run(annotation_work(annotator, task), texts, cache=cache))
        assert len(cache) > 5


def test_a_rate_limit_with_status_200_is_respected(task: TextClassification, start: Start) -> None:
    server = start()
    annotator, ledger = InferenceEndpointsAnnotator(server.url, concurrency=2), Ledger()
    annotate(annotator, task, "warm up the canary")
    limited = iter([True] * 3)

    def spoil(completion: dict[str, Any]) -> None:
        if next(limited, False):
            error_object("Rate limit reached. Please try again in 200ms.", 429)(completion)

    server.behaviour.spoil = spoil
    results = dict(run(annotation_work(annotator, task), [AnnotationRequest(str(i)) for i in range(9)], ledger=ledger))
    assert all(answer.is_labelled for answer in results.values())
    assert ledger.retries == 3 and ledger.seconds > 0.2


def error_object(message: str, code: int) -> Callable[[dict[str, Any]], None]:
    """Makes a completion into an error."""

    def spoil(completion: dict[str, Any]) -> None:
        completion.clear()
        completion["error"] = {"message": message, "code": code}

    return spoil


def test_simultaneous_calls_stay_below_the_limit_of_the_server(task: TextClassification, start: Start) -> None:
    server = start(max_parallel=6, latency=0.01)
    annotator = InferenceEndpointsAnnotator(server.url, concurrency=64)
    requests = [AnnotationRequest(str(i)) for i in range(300)]
    results = dict(run(annotation_work(annotator, task), requests, max_attempts=12))
    assert all(annotation.is_labelled for annotation in results.values())
    assert sum(server.stats.asked.values()) < 450


def test_a_reasoning_model_with_too_few_tokens_ends_the_run(task: TextClassification, start: Start) -> None:
    server = start(always="cut", free_text="<think>Hm, let me see. The text says" * 2)
    with pytest.raises(AnnotatorError, match="max_tokens=64"):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert len(server.stats.bodies) == 1


def test_cut_off_reasoning_in_its_own_field_ends_the_run(task: TextClassification, start: Start) -> None:
    server = start(
        always="cut",
        spoil=of_first_choice(lambda choice: choice.update(message={"content": "", "reasoning": "Hm, let me see"})),
    )
    with pytest.raises(AnnotatorError, match="max_tokens=64"):
        annotate(InferenceEndpointsAnnotator(server.url), task, "a parcel")
    assert len(server.stats.bodies) == 1


# ---- Writing ----


def test_texts_are_written_for_a_label(task: TextClassification, start: Start) -> None:
    server, ledger = start(), Ledger()
    annotator = InferenceEndpointsAnnotator(server.url)
    [written] = in_order(
        run(generation_work(annotator, task), [GenerationRequest(1, ("where is it", "hello"), 3)], ledger=ledger)
    )
    assert len(set(written.texts)) == 3
    assert ledger.calls == server.stats.answered.total()


def test_requests_for_texts_have_a_list_schema_and_differ_by_seed(task: TextClassification, start: Start) -> None:
    server = start()
    requests = [GenerationRequest(1, ("hello",), 3, seed=seed) for seed in (1, 2)]
    in_order(run(generation_work(InferenceEndpointsAnnotator(server.url), task), requests))
    bodies = [body for body in server.stats.bodies if "Examples" in body["messages"][-1]["content"]]
    assert sorted(body["seed"] for body in bodies) == [1, 2]
    assert bodies[0]["response_format"]["json_schema"]["schema"]["properties"]["texts"]["type"] == "array"
