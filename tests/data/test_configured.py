"""What a configuration says of the data and the task."""

import pytest

from freeal_hf.config import ReadingConfig, TaskConfig
from freeal_hf.data.configured import reading, task_of

QUESTION = "What did you like, and why?"


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(f'"{QUESTION}",label,"a ""b"""\nthe food,good,x\nthe soup,bad,y\n')
    return path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (QUESTION, [QUESTION]),
        ([QUESTION], [QUESTION]),
        ([QUESTION, "label"], [QUESTION, "label"]),
        (f'"{QUESTION}", label', [QUESTION, "label"]),
        ("label, other", ["label", "other"]),
        (["label,other", "more"], ["label", "other", "more"]),
        ('a "b"', ['a "b"']),
        ('label,a "b"', ["label", 'a "b"']),
    ],
)
def test_an_existing_column_with_commas_is_not_split(given, expected, data):
    assert reading(ReadingConfig(str(data), given))["text_columns"] == expected


def test_recorded_columns_are_not_split():
    assert reading(ReadingConfig(None, [QUESTION]))["text_columns"] == [QUESTION]


def test_names_without_commas_do_not_open_the_data():
    assert reading(ReadingConfig("no such.csv", "text"))["text_columns"] == ["text"]


def test_instructions_are_added_to_those_of_the_task():
    task = {"labels": ["a1", "b1"], "description": "Which?", "instructions": ["Choose."]}
    assert task_of(TaskConfig(task, instructions=["Decide."])).instructions == ("Choose.", "Decide.")
    given = TaskConfig(labels="a1,b1", description="Which?", instructions=["Decide, please."])
    assert task_of(given).instructions == ("Decide, please.",)
