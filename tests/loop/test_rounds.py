"""The files of a round, as this version writes them and as former versions did."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import TextClassification
from freeal_hf.data.human_labels import HumanEntities, HumanLabel
from freeal_hf.data.spans import Span
from freeal_hf.kinds.entity_answers import EntityAnswers
from freeal_hf.kinds.label_answers import LabelAnswers
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.rounds import Round
from tests.entities import TASK as ENTITY_TASK

FORMER = Path(__file__).parents[1] / "stored_runs" / "answers"
LABELS, ENTITIES = kind_of(TextClassification(["fruit", "tool"])), kind_of(ENTITY_TASK)
COSTS = {"annotator_calls": 6, "prompt_tokens": 60, "completion_tokens": 6, "cost": None, "seconds": 1.5}


@pytest.fixture
def round_(tmp_path):
    return Round(tmp_path / "round-0", 0)


def label_answers(*labels):
    reasons = ["no label" if label < 0 else None for label in labels]
    return LabelAnswers(np.array(labels), np.where(np.array(labels) < 0, np.nan, 0.25), reasons)


def assert_same(found, wanted):
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_array_equal(found.confidences, wanted.confidences)
    assert found.reasons == wanted.reasons
    for part, wanted_part in zip(found.parts, wanted.parts, strict=True):
        assert_same(part, wanted_part)


def test_a_round_that_has_not_begun_has_no_folder(round_):
    assert not round_.is_annotated
    assert not round_.is_trained
    assert round_.read_metrics() is None
    assert not round_.path.exists()


@given(st.lists(st.lists(st.integers(-1, 1), min_size=4, max_size=4), min_size=1, max_size=3))
def test_answers_of_one_or_several_annotators_are_read_as_they_were_written(tmp_path_factory, labels):
    round_ = Round(tmp_path_factory.mktemp("run") / "round-0", 0)
    answers = label_answers(*labels[0])
    answers.parts = [label_answers(*part) for part in labels[1:]]
    round_.write_answers(answers, COSTS, [])
    found, costs = round_.read_answers(LABELS)
    assert_same(found, answers)
    assert costs == COSTS


def test_answers_are_stored_with_a_row_for_each_text(round_):
    answers = label_answers(0, -1)
    answers.parts = [label_answers(0, 1), label_answers(0, -1)]
    round_.write_answers(answers, COSTS, [])
    columns = pq.read_table(round_.path / "annotations.parquet").to_pydict()
    assert columns["label"] == [0, -1]
    assert columns["confidence"] == [0.25, None]
    assert columns["label_1"] == [0, 1]
    assert columns["reason_2"] == [None, "no label"]


@pytest.mark.parametrize(
    "label",
    [
        HumanLabel(1, id="t1"),
        HumanLabel(0, text="two\u2028lines"),
        HumanEntities(tags=("O", "B-fruit"), words=("an", "apple")),
    ],
)
def test_a_round_stores_the_human_labels_that_it_began_with(round_, label):
    round_.write_answers(label_answers(0), COSTS, [label])
    assert round_.read_human_labels() == [label]


def test_a_forgotten_round_has_no_answers(round_):
    round_.write_answers(label_answers(0), COSTS, [HumanLabel(1, id="t1")])
    round_.write_metrics({"round": 0})
    round_.forget()
    assert list(round_.path.iterdir()) == []


def test_label_answers_of_a_former_version_are_read():
    former = Round(FORMER / "labels" / "round-0", 0)
    assert former.is_annotated
    answers, costs = former.read_answers(LABELS)
    assert costs == {**COSTS, "budget_spent": False}
    assert answers.labels.tolist() == [0, -1, 1]
    assert answers.reasons == [None, "not a label", None]
    first, second = answers.parts
    np.testing.assert_array_equal(first.confidences, [0.75, np.nan, 0.5])
    assert second.labels.tolist() == [0, 1, -1]
    assert second.reasons == [None, None, "timeout"]
    assert former.read_human_labels() == [HumanLabel(1, id="t1"), HumanLabel(0, text="ein Apfel\u2028rot")]


def test_entity_answers_of_a_former_version_are_read():
    former = Round(FORMER / "entities" / "round-0", 0)
    answers, costs = former.read_answers(ENTITIES)
    assert costs["dropped_entities"] == 1
    assert answers.spans == [[Span(0, 1, "fruit"), Span(2, 4, "tool")], None, []]
    assert answers.dropped.tolist() == [1, 0, 0]
    assert former.read_human_labels() == [HumanEntities(tags=("O", "B-fruit"), words=("an", "apple"))]


def test_entity_answers_are_read_as_they_were_written(round_):
    answers = EntityAnswers([[Span(0, 1, "fruit")], None, []], [None, "not JSON", None], np.array([1, 0, 0]))
    round_.write_answers(answers, COSTS, [])
    found, _ = round_.read_answers(ENTITIES)
    assert (found.spans, found.reasons) == (answers.spans, answers.reasons)
    assert found.dropped.tolist() == [1, 0, 0]
