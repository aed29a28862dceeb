"""Parsing a set of labels in the answer of an LLM: other fields of the object can contradict the labels."""

import pytest

from freeal_hf.annotators.prompts.label_set_answers import parse_labels
from freeal_hf.tasks import MultiLabelClassification

TASK = MultiLabelClassification(["toxic", "threat"])


@pytest.mark.parametrize("field", ['"negated": false', '"isCorrect": true', '"reason": "It is not toxic."', '"id": 0'])
def test_another_field_that_does_not_contradict_the_labels_is_ignored(field):
    assert parse_labels(f'{{"labels": ["threat"], {field}}}', TASK) == ((1,), None)


@pytest.mark.parametrize("field", ['"negated": true', '"is_not": "yes"', '"isCorrect": false', '"valid": "no"'])
def test_another_field_that_contradicts_the_labels_makes_the_answer_unusable(field):
    assert parse_labels(f'{{"labels": ["threat"], {field}}}', TASK) == (None, "not a label")
