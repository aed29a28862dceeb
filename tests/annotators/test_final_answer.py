"""Extracting the final answer: reasoning is never an answer, in any format."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.annotators.final_answer import final_answer, said_in
from freeal_hf.annotators.prompts.entities import parse_entities
from freeal_hf.annotators.prompts.label_answers import parse_answer
from freeal_hf.annotators.prompts.labels import parse_numbers, parse_texts
from freeal_hf.tasks import NO_LABEL, TextClassification, TokenClassification

TASK = TextClassification(["ham", "spam"])
HAM, SPAM = range(2)
HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}"

WRAPPED = [
    "<think>{}</think>{}",
    "<think>\n{}\n</think>\n\n{}",
    "{}</think>{}",
    "<THINK>{}</THINK>{}",
    "<thinking>{}</thinking>{}",
    "{}</thinking>{}",
    "<thought>{}</thought>{}",
    "<reasoning>{}</reasoning>{}",
    "<reflection>{}</reflection>\n<answer>{}</answer>",
    "<think>{}</think><answer>\n{}\n</answer>",
    '<think time="3">{}</think>{}',
    "<seed:think>{}</seed:think>{}",
    "[THINK]{}[/THINK]{}",
    "◁think▷{}◁/think▷{}",
    "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<|begin_of_thought|>{}<|end_of_thought|>{}",
    "<|inner_prefix|>{}<|inner_suffix|>{}",
    "<|channel>thought\n{}<channel|>{}",
    HARMONY,
    HARMONY + "<|return|>",
    "<|start|>assistant" + HARMONY + "<|end|>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{}",
    "<|channel|>commentary<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "analysisWell, {}assistantfinal{}",
    "analysis well, {}assistantfinal{}",
    "assistantanalysiswell, {}assistantcommentaryHm.assistantfinal{}",
    "Here is my thought process: {}\n\nHere is my response: {}",
    "<think>{}</think><|begin_of_box|>{}<|end_of_box|>",
    "<think>{}</think>{}<|im_end|>",
    "<think>{}</think>{}<|eot_id|><|start_header_id|>user<|end_header_id|>ham",
]
THOUGHTS = [
    "It looks like ham.",
    'We must output {"label": "ham"} or {"label": "spam"}.',
    '{"label": "ham"}',
    "ham",
    "1. ham\n2. ham",
]


@given(st.sampled_from(WRAPPED), st.sampled_from(THOUGHTS), st.sampled_from(["spam", '{"label": "spam"}']))
def test_the_answer_follows_the_reasoning(form: str, thought: str, answer: str) -> None:
    said = form.replace("{}", thought, 1).replace("{}", answer, 1)
    assert final_answer(said) == (answer, False)
    assert parse_answer(said, TASK) == (SPAM, None)


# Forms whose beginning tells the reasoning from an answer.
OPENINGS = [form.partition("{}")[0] for form in WRAPPED if not form.startswith(("{}", "analysis well"))]


@given(st.sampled_from(OPENINGS), st.sampled_from(THOUGHTS))
def test_incomplete_reasoning_is_a_cut_off_answer(opening: str, thought: str) -> None:
    assert final_answer(opening + thought) == ("", True)
    assert parse_answer(opening + thought, TASK) == (NO_LABEL, "cut-off answer")


@pytest.mark.parametrize(
    "said",
    [
        "<think>It is ham.</think>",
        "ham?</think>\n",
        "[THINK]ham[/THINK]",
        "<|channel|>analysis<|message|>ham<|end|>",
        "ham <think>or not?</think>",
    ],
)
def test_reasoning_without_an_answer_is_an_empty_answer(said: str) -> None:
    assert parse_answer(said, TASK) == (NO_LABEL, "empty answer")


@pytest.mark.parametrize(
    "said",
    [
        "<|deliberate|>ham or spam<|answer|>spam",
        "%%THOUGHTS%% I think it is ham %%END%% spam",
        "Thought process: ham\n\nAnswer: spam",
    ],
)
def test_an_unknown_form_of_reasoning_has_no_label(said: str) -> None:
    assert parse_answer(said, TASK).label == NO_LABEL


@given(st.dictionaries(st.text(), st.sampled_from(["<think>x</think>", "</think>", "[THINK]", "assistantfinal", "a"])))
def test_json_is_not_changed(fields: dict[str, str]) -> None:
    said = json.dumps(fields)
    assert final_answer(said).text == said


@given(st.text())
def test_any_text_has_a_final_answer(said: str) -> None:
    assert isinstance(final_answer(said).text, str)


def test_written_texts_numbers_and_entities_are_read_from_the_final_answer() -> None:
    said = HARMONY.replace("{}", '1. a thought\n2. [7, 8] {"texts": ["no"], "ids": [9]}', 1)
    assert parse_texts(said.replace("{}", '{"texts": ["yes"]}')) == ("yes",)
    assert parse_numbers(said.replace("{}", '{"ids": [1, 2]}')) == (1, 2)
    task = TokenClassification(["PER"])
    entities = '{"entities": [{"text": "Ann", "type": "PER"}]}'
    assert parse_entities(said.replace("{}", entities), task).entities == (("Ann", "PER"),)
    assert parse_entities("<think>Ann", task).reason == "cut-off answer"


# ---- The message of a chat completion ----


def label_in(message: dict[str, Any], *, is_cut_off: bool = False) -> int:
    return parse_answer(said_in(message, is_cut_off=is_cut_off).text, TASK).label


ANSWER = '{"label": "spam"}'


@pytest.mark.parametrize(
    "message",
    [
        {"content": ANSWER},
        {"content": ANSWER, "reasoning_content": "It is ham."},
        {"content": [{"type": "text", "text": ANSWER}]},
        {"content": [{"type": "text", "text": '{"label": '}, {"type": "text", "text": '"spam"}'}]},
        {"content": [ANSWER]},
        {"content": {"label": "spam"}},
        {"content": [{"type": "output_text", "text": ANSWER, "annotations": []}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "It is ham."}], "closed": True},
                {"type": "text", "text": ANSWER},
            ]
        },
        {"content": [{"type": "thinking", "thinking": "ham", "signature": "x"}, {"type": "text", "text": ANSWER}]},
        {"content": [{"type": "reasoning", "summary": [{"text": "ham"}]}, {"type": "text", "text": ANSWER}]},
        {"content": "", "reasoning_content": ANSWER},
        {"content": None, "reasoning_content": f"```json\n{ANSWER}\n```"},
        {"content": None, "reasoning": ANSWER},
        {"content": None, "reasoning": "spam"},
        {"content": None, "reasoning_content": f"I think it is ham.\nOr not.</think>{ANSWER}"},
        {"reasoning_details": [{"type": "reasoning.text", "text": ANSWER}]},
        {"content": None, "tool_calls": [{"type": "function", "function": {"name": "label", "arguments": ANSWER}}]},
        {"content": "", "tool_calls": [{"function": {"name": "label", "arguments": {"label": "spam"}}}]},
        {"content": None, "function_call": {"name": "label", "arguments": ANSWER}},
        {"content": [{"type": "tool_use", "name": "label", "input": {"label": "spam"}}]},
    ],
)
def test_the_answer_is_found_in_each_field_that_servers_use(message: dict[str, Any]) -> None:
    assert label_in(message) == SPAM


@pytest.mark.parametrize(
    "message",
    [
        {"content": None},
        {},
        {"content": [], "reasoning_content": "I think that it is ham, because the sender is known."},
        {"content": None, "reasoning": f"We could output {ANSWER}, but first look at the text."},
        {"content": None, "reasoning": "One line.\nham"},
        {"content": [{"type": "blob", "label": "ham"}]},
        {"content": 7},
    ],
)
def test_reasoning_and_unknown_content_have_no_label(message: dict[str, Any]) -> None:
    assert label_in(message) == NO_LABEL


def test_reasoning_that_ends_at_the_token_limit_is_a_cut_off_answer() -> None:
    said = said_in({"content": "", "reasoning_content": ANSWER}, is_cut_off=True)
    assert parse_answer(said.text, TASK) == (NO_LABEL, "cut-off answer")


def test_reasoning_is_not_read_as_a_list_of_texts() -> None:
    said = said_in({"content": "", "reasoning_content": "1. Think.\n2. Write."}, is_cut_off=False)
    assert parse_texts(said.text) == ()


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot help with that."},
        {"content": [{"type": "refusal", "refusal": "I cannot help with that."}]},
    ],
)
def test_a_refusal_is_distinguished_from_an_answer(message: dict[str, Any]) -> None:
    assert said_in(message, is_cut_off=False) == ("I cannot help with that.", True)
