"""The prompt for all plausible labels of a text, and its answers."""

import pytest

from freeal_hf import AnnotationRequest, Demonstration, TextClassification
from freeal_hf.annotators.prompts.plausible import candidate_messages, parse_candidates

TASK = TextClassification({"fruit": "something to eat", "tool": "", "toy": ""}, "What is it?")


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ('{"labels": ["toy", "fruit"]}', (0, 2)),
        ('{"labels": ["toy"]}', (2,)),
        ('{"label": "toy"}', (2,)),
        ("<think>fruit?</think>tool, toy", (1, 2)),
        ('{"labels": ["toy", "toy"]}', (2,)),
        ('{"labels": []}', None),
        ('{"labels": ["toy", "weapon"]}', None),
        ("none", None),
        ("", None),
        ('{"labels": ["toy", "fru', None),
    ],
)
def test_an_answer_gives_candidates_only_if_each_of_them_is_a_label(answer, labels):
    found = parse_candidates(answer, TASK)
    assert found.labels == labels
    assert (found.reason is None) == (labels is not None)


def test_the_prompt_has_the_instruction_the_order_of_the_labels_and_answers_in_the_same_form():
    shots = (Demonstration("a plum", 0),)
    messages = candidate_messages(TASK, AnnotationRequest("a kite", shots, order=(2, 1, 0), instruction="Name it."))
    assert messages[0]["content"].split("\n")[1:6] == [
        "Name it.",
        "Labels:",
        "- toy",
        "- tool",
        "- fruit: something to eat",
    ]
    assert [message["content"] for message in messages[1:]] == [
        'Text: "a plum"',
        '{"labels": ["fruit"]}',
        'Text: "a kite"',
    ]
