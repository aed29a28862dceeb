"""Labels that another system put into a column."""

import pytest

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.annotators.work import annotation_work
from freeal_hf.data.spans import Span
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, TextClassification, TokenClassification


def annotated(task: TextClassification, value: str, sample: str | None = "1") -> Annotation:
    annotator = ColumnAnnotator({"1": value}, "gpt_label")
    [(_, annotation)] = run(annotation_work(annotator, task), [AnnotationRequest("a text", id=sample)])
    return annotation


@pytest.mark.parametrize("value", ["shipping", "Shipping ", " SHIPPING\n"])
def test_a_label_name_in_the_column_is_read(value: str, task: TextClassification) -> None:
    assert annotated(task, value).label == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "column 'gpt_label' is empty"),
        ("  ", "column 'gpt_label' is empty"),
        ("nan", "column 'gpt_label' is empty"),
        ("None", "column 'gpt_label' is empty"),
        ("shipping or billing", "column 'gpt_label': not a label"),
        ("The label is: shipping.", "column 'gpt_label': not a label"),
        ("non-shipping", "column 'gpt_label': not a label"),
    ],
)
def test_a_value_that_is_not_a_label_has_a_reason(value: str, reason: str, task: TextClassification) -> None:
    annotation = annotated(task, value)
    assert (annotation.label, annotation.reason) == (NO_LABEL, reason)


@pytest.mark.parametrize("sample", ["2", None])
def test_a_sample_without_a_value_has_no_label(sample: str | None, task: TextClassification) -> None:
    assert annotated(task, "shipping", sample).label == NO_LABEL


def test_equal_texts_keep_their_own_values(task: TextClassification) -> None:
    annotator = ColumnAnnotator({"1": "shipping", "2": "billing"}, "gpt_label")
    requests = [AnnotationRequest("same text", id=sample) for sample in ("1", "2")]
    assert {i: annotation.label for i, annotation in run(annotation_work(annotator, task), requests)} == {0: 1, 1: 0}


ENTITIES = TokenClassification(["PER"])


def tagged(value: str) -> Annotation:
    request = AnnotationRequest("Anna sings", id="1", words=("Anna", "sings"))
    [(_, annotation)] = run(annotation_work(ColumnAnnotator({"1": value}, "ner"), ENTITIES), [request])
    return annotation


@pytest.mark.parametrize("value", ['["B-PER", "O"]', "['B-PER', 'O']"])
def test_tags_of_words_are_read_as_entities(value: str) -> None:
    assert tagged(value).spans == (Span(0, 1, "PER"),)


def test_a_sentence_without_tags_has_no_answer() -> None:
    annotation = tagged("")
    assert (annotation.spans, annotation.reason) == (None, "column 'ner' is empty")


def test_more_tags_than_words_are_refused() -> None:
    with pytest.raises(InputError, match="Column 'ner', row '1': 3 tags for 2 words"):
        tagged('["B-PER", "O", "O"]')


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("person", "'person' is not a list"),
        ("3", "'3' is not a list"),
        ('["B-ORG"]', "'B-ORG' is not a tag of the task"),
    ],
)
def test_a_column_without_tags_of_the_task_is_refused_before_a_run(value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prompts_of(ENTITIES).check_column({"1": '["O"]', "2": value}, "ner")
