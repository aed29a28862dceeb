"""Encoders for zero-shot classification: tiny random models on disk, with the pipelines that real models use."""

import asyncio
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, pipeline

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.registry import build_annotator, is_free, reads_prompts
from freeal_hf.annotators.zero_shot import ZeroShotAnnotator
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification
from tests.models import SMALL_BERT, chat_tokenizer, save_nli_model

TASK = TextClassification({"fruit": "a fruit to eat", "tool": "a tool to work with", "other": ""})
TEXTS = [f"{word} {number}" for word in ("a ripe plum", "my rusty saw", "the old letter") for number in range(4)]
DESCRIBED = ["a fruit to eat", "a tool to work with", "other"]


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_nli_model(tmp_path_factory.mktemp("nli"))


@pytest.fixture(scope="module")
def gliclass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GLiClass model."""
    library = pytest.importorskip("gliclass")
    folder = tmp_path_factory.mktemp("gliclass")
    tokenizer = deepcopy(chat_tokenizer())
    tokenizer.add_tokens(["<<LABEL>>", "<<SEP>>", "<<EXAMPLE>>"], special_tokens=True)
    torch.manual_seed(0)
    config = library.GLiClassModelConfig(
        encoder_config=BertConfig(vocab_size=len(tokenizer), **SMALL_BERT),
        class_token_index=tokenizer.convert_tokens_to_ids("<<LABEL>>"),
        text_token_index=tokenizer.convert_tokens_to_ids("<<SEP>>"),
        encoder_model=str(folder),  # where it looks for an adapter
        vocab_size=len(tokenizer),
        hidden_size=16,
    )
    library.GLiClassModel(config, from_pretrained=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def annotate(annotator: ZeroShotAnnotator, task: Task = TASK, texts: list[str] = TEXTS) -> list[Annotation]:
    return asyncio.run(annotator.annotate(task, [AnnotationRequest(text) for text in texts]))


def test_a_text_gets_the_label_that_the_pipeline_of_transformers_gives(nli: Path) -> None:
    classify = pipeline("zero-shot-classification", model=str(nli), device="cpu")
    found = classify(TEXTS, candidate_labels=DESCRIBED, hypothesis_template="This text is about {}.")
    answers = annotate(ZeroShotAnnotator(str(nli)))
    assert [DESCRIBED[answer.label] for answer in answers] == [one["labels"][0] for one in found]


def test_scores_are_no_confidences_without_class_shares(nli: Path) -> None:
    assert {(answer.confidence, answer.probabilities) for answer in annotate(ZeroShotAnnotator(str(nli)))} == {
        (None, None)
    }


def test_scores_are_calibrated_to_the_class_shares(nli: Path) -> None:
    shares = {"fruit": 0.6, "tool": 0.3, "other": 0.1}
    annotator = ZeroShotAnnotator(str(nli), class_shares=shares)
    neutral = annotate(annotator, texts=["N/A", "...", "This is a text."])
    assert np.mean([answer.probabilities for answer in neutral], axis=0) == pytest.approx([0.6, 0.3, 0.1], abs=0.15)
    answers = annotate(annotator)
    assert all(sum(answer.probabilities or ()) == pytest.approx(1, abs=1e-4) for answer in answers)
    assert all(answer.confidence == max(answer.probabilities or ()) for answer in answers)


def test_a_text_can_have_any_number_of_labels(nli: Path) -> None:
    task = MultiLabelClassification(["fruit", "tool", "other"])
    classify = pipeline("zero-shot-classification", model=str(nli), device="cpu")
    found = classify(
        TEXTS, candidate_labels=task.label_names, hypothesis_template="This text is about {}.", multi_label=True
    )
    for answer, one in zip(annotate(ZeroShotAnnotator(str(nli)), task), found, strict=True):
        scores = dict(zip(one["labels"], one["scores"], strict=True))
        assert [task.label_names[label] for label in answer.labels or ()] == [
            name for name in task.label_names if scores[name] > 0.5
        ]


def test_each_label_of_several_is_calibrated_to_its_share(nli: Path) -> None:
    task = MultiLabelClassification(["fruit", "tool", "other"])
    rare, common = (
        annotate(ZeroShotAnnotator(str(nli), class_shares=dict.fromkeys(task.label_names, share)), task)
        for share in (0.01, 0.9)
    )
    assert sum(len(answer.labels or ()) for answer in rare) < sum(len(answer.labels or ()) for answer in common)


def test_a_gliclass_model_is_used_with_its_own_package(gliclass: Path) -> None:
    answers = annotate(ZeroShotAnnotator(str(gliclass), class_shares=dict.fromkeys(TASK.label_names, 1 / 3)))
    assert all(sum(answer.probabilities or ()) == pytest.approx(1, abs=1e-4) for answer in answers)
    assert (
        annotate(ZeroShotAnnotator(str(gliclass)), MultiLabelClassification(["fruit", "tool"]))[0].labels is not None
    )


@pytest.mark.parametrize("shares", [{"fruit": 1}, {"fruit": 0.5, "tool": 1.5, "other": 0}, {"a": 0.2, "b": 0.8}])
def test_class_shares_of_other_labels_are_refused(shares: dict[str, float], nli: Path) -> None:
    with pytest.raises(InputError, match="each of the labels 'fruit', 'tool', 'other'"):
        annotate(ZeroShotAnnotator(str(nli), class_shares=shares))


def test_a_model_that_cannot_be_used_is_refused(student_folder: Path, tmp_path: Path) -> None:
    for model in (str(student_folder), str(tmp_path)):
        with pytest.raises(AnnotatorError, match="cannot be loaded"):
            ZeroShotAnnotator(model)


def test_it_is_a_free_annotator_without_prompts(nli: Path) -> None:
    assert (is_free(f"zero-shot:{nli}"), reads_prompts(f"zero-shot:{nli}")) == (True, False)
    assert build_annotator(f"zero-shot:{nli}", options={"batch_size": 4}).batch_size == 4
