"""GLiNER on a tiny random model on disk. It is skipped without gliner, which does not allow every transformers."""

import asyncio
from copy import deepcopy
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.gliner import GLiNERAnnotator
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import TokenClassification
from tests.models import SMALL_BERT, chat_tokenizer

gliner = pytest.importorskip("gliner")
TASK = TokenClassification({"person": "who", "written_work": "a book or an article"}, "What is named?")
WORDS = ("Ada", "Lovelace", "wrote", "a", "note", ".")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("gliner")
    tokenizer = deepcopy(chat_tokenizer())
    tokenizer.save_pretrained(folder)
    encoder = BertConfig(vocab_size=len(tokenizer), **SMALL_BERT)
    BertModel(encoder).save_pretrained(folder)
    config = gliner.GLiNERConfig(
        model_name=str(folder),
        hidden_size=16,
        max_width=4,
        max_types=10,
        max_len=24,
        span_mode="markerV0",
        encoder_config=encoder.to_dict(),
    )
    gliner.GLiNER.from_config(config).save_pretrained(folder)
    return str(folder)


def annotate(annotator: GLiNERAnnotator, *texts: tuple[str, ...]) -> list[Annotation]:
    requests = [AnnotationRequest(" ".join(words), words=words) for words in texts]
    return asyncio.run(annotator.annotate(TASK, requests))


def test_entities_are_spans_of_words_with_the_names_of_the_types(model: str) -> None:
    [answer] = annotate(GLiNERAnnotator(model, threshold=0.01), WORDS)
    assert answer.label == 0
    assert answer.spans
    assert {span.type for span in answer.spans} <= set(TASK.label_names)
    assert all(0 <= span.start < span.end <= len(WORDS) for span in answer.spans)


def test_a_text_without_entities_is_answered(model: str) -> None:
    [answer] = annotate(GLiNERAnnotator(model, threshold=0.999), WORDS)
    assert (answer.label, answer.spans) == (0, ())


def test_a_long_text_is_divided_into_passages(model: str) -> None:
    [answer] = annotate(GLiNERAnnotator(model, threshold=0.01), WORDS * 10)
    assert answer.spans
    assert max(span.end for span in answer.spans) > 40


def test_the_answer_depends_on_threshold_and_types(model: str) -> None:
    request = AnnotationRequest(" ".join(WORDS), words=WORDS)
    plain = GLiNERAnnotator(model).fingerprint(TASK, request)
    assert plain["types"] == ["person", "written work"]
    assert GLiNERAnnotator(model, described=True).fingerprint(TASK, request)["types"] == [
        "who",
        "a book or an article",
    ]


def test_what_cannot_be_used_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        build_annotator(f"gliner:{model}", options={"threshold": 1.5})
    with pytest.raises(AnnotatorError, match="cannot be loaded"):
        build_annotator(f"gliner:{tmp_path}/missing")
