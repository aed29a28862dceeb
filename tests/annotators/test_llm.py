"""What a provider gets from `LLMAnnotator` for implementing `complete`."""

import asyncio
import json
from typing import Any

import pytest

from freeal_hf.annotators.base import AnnotationRequest, GenerationRequest
from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.work import annotation_work, generation_work
from freeal_hf.errors import InputError
from freeal_hf.tasks import TextClassification

TASK = TextClassification(["good", "bad"])


class Provider(LLMAnnotator):
    """Finds everything good, and writes two texts."""

    def __init__(self, **options: Any) -> None:
        super().__init__("my-model", **options)
        self.asked: list[Question] = []
        self.connected: list[str] = []

    async def complete(self, question: Question, form: Form) -> Completion:
        self.asked.append(question)
        texts = {"canary": "Yellow.", "texts": json.dumps({"texts": ["fine work", "well done"]})}
        return Completion(texts.get(question.kind, "good"), prompt_tokens=10, completion_tokens=2)

    async def connect(self) -> None:
        self.connected.append("connect")

    async def disconnect(self) -> None:
        self.connected.append("disconnect")


def test_a_provider_that_implements_complete_labels_and_writes() -> None:
    provider = Provider()
    answers = dict(run(annotation_work(provider, TASK), [AnnotationRequest("lovely")]))
    [written] = in_order(run(generation_work(provider, TASK), [GenerationRequest(0, ("lovely",), 2)]))
    assert (answers[0].label, written.texts) == (0, ("fine work", "well done"))
    assert provider.connected == ["connect", "disconnect"] * 2


def test_the_calls_that_test_features_are_in_the_ledger() -> None:
    provider, ledger = Provider(), Ledger()
    list(run(annotation_work(provider, TASK), [AnnotationRequest("lovely")], ledger=ledger))
    assert ledger.calls == len(provider.asked) > 1
    assert ledger.tokens == 12 * len(provider.asked)


def test_answers_of_a_provider_are_cached_by_its_model(tmp_path: Any) -> None:
    requests = [AnnotationRequest("lovely")]
    with AnswerCache(tmp_path / "cache.sqlite") as cache:
        list(run(annotation_work(Provider(), TASK), requests, cache=cache))
        again, other = Provider(), Provider()
        other.name = "another-model"
        list(run(annotation_work(again, TASK), requests, cache=cache))
        list(run(annotation_work(other, TASK), requests, cache=cache))
    assert not again.asked
    assert other.asked


def test_a_provider_is_disconnected_if_the_first_call_fails() -> None:
    class Broken(Provider):
        async def complete(self, question: Question, form: Form) -> Completion:
            raise InputError("no such thing")

    provider = Broken()

    async def enter() -> None:
        async with provider:
            pass

    with pytest.raises(InputError, match="no such thing"):
        asyncio.run(enter())
    assert provider.connected == ["connect", "disconnect"]
