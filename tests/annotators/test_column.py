"""Labels that another system put into a column."""

import pytest

from freeal_hf.annotators.base import Annotation, AnnotationRequest, run_annotation
from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.tasks import NO_LABEL, TextClassification


def annotated(task: TextClassification, value: str, sample: str | None = "1") -> Annotation:
    annotator = ColumnAnnotator({"1": value}, "gpt_label")
    [(_, annotation)] = run_annotation(annotator, task, [AnnotationRequest("a text", id=sample)])
    return annotation


@pytest.mark.parametrize("value", ["shipping", "Shipping ", " SHIPPING\n"])
def test_a_value_that_names_a_label_has_it(value: str, task: TextClassification) -> None:
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
def test_a_value_that_names_none_is_no_label_and_says_why(value: str, reason: str, task: TextClassification) -> None:
    annotation = annotated(task, value)
    assert (annotation.label, annotation.reason) == (NO_LABEL, reason)


@pytest.mark.parametrize("sample", ["2", None])
def test_a_sample_without_a_value_is_no_label(sample: str | None, task: TextClassification) -> None:
    assert annotated(task, "shipping", sample).label == NO_LABEL


def test_equal_texts_keep_their_own_values(task: TextClassification) -> None:
    annotator = ColumnAnnotator({"1": "shipping", "2": "billing"}, "gpt_label")
    requests = [AnnotationRequest("same text", id=sample) for sample in ("1", "2")]
    assert {i: annotation.label for i, annotation in run_annotation(annotator, task, requests)} == {0: 1, 1: 0}
