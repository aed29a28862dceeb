"""The keys of the answer cache. They must not change: answers that former runs paid for are found by them."""

from collections.abc import Callable

import pytest

from freeal_hf.annotators.base import AnnotationRequest, ChoiceRequest, GenerationRequest
from freeal_hf.annotators.cache import canonical_json, request_key
from freeal_hf.annotators.embedding import EmbeddingAnnotator
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.local import LocalAnnotator
from freeal_hf.tasks import Demonstration, TextClassification, TokenClassification
from tests.models import chat_model, chat_tokenizer

TASK = TextClassification({"good": "praise", "bad": "complaints"}, "How does the writer feel?")
ENTITIES = TokenClassification({"fruit": "something to eat", "tool": ""}, "What is named?")
SHOTS = (Demonstration("fine work", 0), Demonstration("never again", 1))
TAGGED_SHOTS = (Demonstration("an old plum", 0, entities=(("plum", "fruit"),)), Demonstration("nothing", -1))

LABEL = AnnotationRequest("It broke after a day.", SHOTS, "7")
NAMED = AnnotationRequest("The apple and the saw.", TAGGED_SHOTS, "7", ("The", "apple", "and", "the", "saw", "."))
WRITE = GenerationRequest(1, ("It broke after a day.",), 5, seed=3)
CHOOSE = ChoiceRequest(((1, "fine work"), (2, "never again")), 1, guidelines="Label the mood.")


def endpoint(**options: object) -> InferenceEndpointsAnnotator:
    return InferenceEndpointsAnnotator("org/name", **options)  # type: ignore[arg-type]


def server() -> InferenceEndpointsAnnotator:
    return InferenceEndpointsAnnotator("m", base_url="http://127.0.0.1:8000/v1", extra_body={"top_k": 1})


def key_of(fingerprint: object) -> str:
    assert isinstance(fingerprint, dict)
    return request_key(canonical_json(fingerprint)).hex()[:16]


@pytest.mark.parametrize(
    ("fingerprint", "key"),
    [
        (lambda: endpoint().fingerprint(TASK, LABEL), "6d526dc97fc3e40f"),
        (lambda: endpoint(probabilities=False).fingerprint(TASK, LABEL), "dd84e26bb89b21b7"),
        (lambda: server().fingerprint(TASK, LABEL), "408f604167c17025"),
        (lambda: endpoint().fingerprint(ENTITIES, NAMED), "5471f42586dbc704"),
        (lambda: endpoint().generation_fingerprint(TASK, WRITE), "99775de758d11fbb"),
        (lambda: endpoint().generation_fingerprint(ENTITIES, WRITE), "b8c59ffc13708683"),
        (lambda: endpoint().choice_fingerprint(TASK, CHOOSE), "6a30e61e70663be0"),
    ],
    ids=["label", "label by name", "label of a server", "entities", "texts", "sentences", "choice"],
)
def test_the_key_of_a_request_to_an_endpoint_does_not_change(fingerprint: Callable[[], object], key: str) -> None:
    assert key_of(fingerprint()) == key


@pytest.mark.parametrize(
    ("fingerprint", "key"),
    [
        (lambda tgi: tgi.fingerprint(TASK, LABEL), "6e7159c43d26f3ec"),
        (lambda tgi: tgi.generation_fingerprint(TASK, WRITE), "4b6a286fd875d551"),
        (lambda tgi: tgi.choice_fingerprint(TASK, CHOOSE), "1ef6b934b0d18f61"),
    ],
    ids=["label", "texts", "choice"],
)
def test_the_key_of_a_request_to_text_generation_inference_does_not_change(fingerprint: Callable, key: str) -> None:
    pytest.importorskip("text_generation")
    from freeal_hf.annotators.tgi import TGIAnnotator

    assert key_of(fingerprint(TGIAnnotator("http://127.0.0.1:8080"))) == key


@pytest.mark.parametrize(
    ("fingerprint", "key"),
    [
        (lambda annotator: annotator.fingerprint(TASK, LABEL), "7187cc01f9b300ce"),
        (lambda annotator: annotator.fingerprint(ENTITIES, NAMED), "dc1c283c4268cd74"),
    ],
    ids=["label", "entities"],
)
def test_the_key_of_a_request_to_the_embedding_annotator_does_not_change(fingerprint: Callable, key: str) -> None:
    assert key_of(fingerprint(EmbeddingAnnotator())) == key


@pytest.mark.parametrize(
    ("fingerprint", "key"),
    [
        (lambda local: local.fingerprint(TASK, LABEL), "64d27f249305322f"),
        (lambda local: local.generation_fingerprint(TASK, WRITE), "a5ea1dd3db79e9c3"),
        (lambda local: local.choice_fingerprint(TASK, CHOOSE), "de99ed7f37bc55b5"),
    ],
    ids=["label", "texts", "choice"],
)
def test_the_key_of_a_request_to_a_local_model_only_depends_on_its_weights(fingerprint: Callable, key: str) -> None:
    asked = fingerprint(LocalAnnotator(chat_model(), chat_tokenizer()))
    assert key_of({name: value for name, value in asked.items() if name not in ("weights", "model")}) == key
