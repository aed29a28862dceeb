"""Repeated answers about a text: the order of the labels in each, and what they come to together."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.estimate import Interval, estimate_annotation
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.local import LocalAnnotator
from freeal_hf.annotators.prompts.label_answers import parse_answer
from freeal_hf.annotators.prompts.labels import annotation_messages, answer_text, label_codes
from freeal_hf.annotators.samples import (
    Samples,
    combined,
    combined_labels,
    combined_spans,
    label_order,
    sample_request,
)
from freeal_hf.annotators.work import annotation_work
from freeal_hf.data.spans import Span
from freeal_hf.errors import BudgetExceeded
from freeal_hf.tasks import NO_LABEL, TextClassification, TokenClassification
from tests.models import REVIEW_TASK, chat_model, chat_tokenizer
from tests.servers.chat import ChatServer

TEXTS = ["Where is my parcel?", "The invoice is wrong.", "Thank you!"]
REQUESTS = [AnnotationRequest(text, id=str(i)) for i, text in enumerate(TEXTS)]

label_counts = st.integers(2, 12)
labels_of_3 = st.integers(-1, 2)


def said(labels: Sequence[int]) -> list[Annotation]:
    return [Annotation(label, reason="not a label" if label == NO_LABEL else None) for label in labels]


def ask(
    annotator: InferenceEndpointsAnnotator | LocalAnnotator,
    task: TextClassification,
    num_samples: int,
    cache: AnswerCache | None = None,
) -> list[Annotation]:
    """What `num_samples` answers about each of `TEXTS` come to."""
    answers = run(annotation_work(annotator, task), Samples(REQUESTS, task.num_labels, num_samples), cache=cache)
    combine = partial(combined_labels, num_labels=task.num_labels)
    return [answer for _, answer in sorted(combined(answers, num_samples, combine), key=lambda pair: pair[0])]


# ---- The order of the labels ----


@given(label_counts, st.text(), st.integers(0, 40))
def test_an_order_has_each_label_once(num_labels: int, text: str, number: int) -> None:
    assert sorted(label_order(num_labels, text, number)) == list(range(num_labels))


@given(label_counts, st.text())
def test_the_first_sample_shows_the_labels_by_id(num_labels: int, text: str) -> None:
    assert label_order(num_labels, text, 0) == tuple(range(num_labels))


@given(label_counts, st.text(), st.integers(0, 3))
def test_as_many_samples_as_labels_show_each_label_once_at_each_position(
    num_labels: int, text: str, block: int
) -> None:
    orders = [label_order(num_labels, text, block * num_labels + turn) for turn in range(num_labels)]
    assert all(len(set(position)) == num_labels for position in zip(*orders, strict=True))


def test_the_order_differs_between_texts_and_is_the_same_in_every_process() -> None:
    assert label_order(5, "a plum", 7) == (3, 4, 2, 0, 1)
    assert len({label_order(5, f"text {i}", 1) for i in range(100)}) > 20


def test_a_text_with_a_lone_surrogate_has_an_order() -> None:
    assert sorted(label_order(3, "a \ud800 b", 2)) == [0, 1, 2]


# ---- The requests ----


def test_all_samples_of_a_text_follow_each_other_and_the_first_is_the_request_itself() -> None:
    samples = Samples(REQUESTS, 3, 2)
    assert len(samples) == 6
    assert [(request.text, request.sample) for request in samples] == [(text, i) for text in TEXTS for i in (0, 1)]
    assert samples[0] is REQUESTS[0]
    assert samples[2:4] == [samples[2], samples[3]]
    assert samples[-1] == samples[5]


def test_requests_at_the_start_can_be_left_unrepeated() -> None:
    samples = Samples(REQUESTS, 3, 3, once=1)
    assert [(request.id, request.sample) for request in samples] == [
        ("0", 0), ("1", 0), ("1", 1), ("1", 2), ("2", 0), ("2", 1), ("2", 2)
    ]  # fmt: skip


def test_each_instruction_is_given_with_each_order_of_the_labels() -> None:
    samples = Samples(REQUESTS, 3, 2, ["", "Say it so.", "Say it otherwise."])
    assert samples.num_answers == 6
    assert len(samples) == 18
    assert [(request.instruction, request.sample) for request in samples[6:12]] == [
        ("", 0), ("", 1), ("Say it so.", 0), ("Say it so.", 1), ("Say it otherwise.", 0), ("Say it otherwise.", 1)
    ]  # fmt: skip
    assert {request.text for request in samples[6:12]} == {TEXTS[1]}
    assert [request.order for request in samples[6:8]] == [request.order for request in samples[8:10]]


def test_an_instruction_replaces_the_description(task: TextClassification) -> None:
    plain, other = (
        annotation_messages(task, AnnotationRequest("a text", instruction=instruction))
        for instruction in ("", "Which desk of the shop is it for?")
    )
    assert other[0]["content"] == plain[0]["content"].replace(task.description, "Which desk of the shop is it for?")
    assert other[1:] == plain[1:]


def test_an_instruction_replaces_the_description_of_an_entity_task() -> None:
    task = TokenClassification({"fruit": "to eat", "tool": "to work with"}, "What is named?")
    annotator = InferenceEndpointsAnnotator("org/name")
    requests = [AnnotationRequest("a saw", words=("a", "saw"), instruction=some) for some in ("", "Find the things.")]
    plain, other = (annotator.fingerprint(task, request)["messages"][0]["content"] for request in requests)
    assert other == plain.replace("What is named?", "Find the things.")


def test_each_sample_has_its_own_fingerprint(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("org/name")
    prints = [json.dumps(annotator.fingerprint(task, sample_request(REQUESTS[0], i, 3))) for i in range(20)]
    assert len(set(prints)) == 20


@given(st.permutations(range(4)), st.integers(0, 3), st.booleans())
def test_a_label_is_shown_answered_and_read_by_its_letter_whatever_the_order(
    order: list[int], label: int, coded: bool
) -> None:
    task = TextClassification({"red": "like blood", "green": "like grass", "blue": "like the sky", "grey": ""})
    request = AnnotationRequest("a text", sample=1, order=tuple(order))
    instructions = annotation_messages(task, request, coded=coded)[0]["content"]
    assert [line.split(":")[0][-1] for line in instructions.splitlines() if "like" in line] == [
        task.label_names[i][-1] for i in order if i != 3
    ]
    code = label_codes(task, coded, tuple(order))[label]
    assert not coded or f"{code}. {task.label_names[label]}" in instructions
    assert parse_answer(answer_text(code), task, coded=coded, order=tuple(order)).label == label


def test_entity_types_are_shown_in_the_order_of_the_sample() -> None:
    task = TokenClassification({"fruit": "to eat", "tool": "to work with"})
    request = AnnotationRequest("a saw", words=("a", "saw"), sample=1, order=(1, 0))
    annotator = InferenceEndpointsAnnotator("org/name")
    instructions = annotator.fingerprint(task, request)["messages"][0]["content"]
    assert instructions.index("tool: to work") < instructions.index("fruit: to eat")


# ---- What the answers come to ----


@given(st.lists(labels_of_3, min_size=2, max_size=9))
def test_the_confidence_of_a_label_is_its_share_of_all_answers(labels: list[int]) -> None:
    found = combined_labels(said(labels), 3)
    counts = Counter(label for label in labels if label != NO_LABEL)
    if not counts:
        assert found.label == NO_LABEL
        assert found.reason == "not a label"
        return
    assert counts[found.label] == max(counts.values())
    assert found.confidence == pytest.approx(counts[found.label] / len(labels))
    assert found.probabilities == pytest.approx([counts[label] / counts.total() for label in range(3)])


@given(st.lists(labels_of_3, min_size=2, max_size=9), st.randoms())
def test_the_shares_do_not_depend_on_the_order_of_the_answers(labels: list[int], random: object) -> None:
    shuffled = list(labels)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = combined_labels(said(labels), 3), combined_labels(said(shuffled), 3)
    assert one.confidence == pytest.approx(other.confidence)
    assert one.probabilities == pytest.approx(other.probabilities)


@pytest.mark.parametrize("labels", [[2, 0], [2, 0, 0, 2], [2, 1, 0]])
def test_the_first_answered_of_labels_with_equal_shares_is_used(labels: list[int]) -> None:
    assert combined_labels(said(labels), 3).label == 2


def test_a_single_answer_is_not_changed() -> None:
    assert combined_labels(said([1]), 3) == Annotation(1)


def test_probabilities_of_answers_are_averaged() -> None:
    answers = [
        Annotation(0, confidence=0.6, probabilities=(0.6, 0.4)),
        Annotation(1, confidence=0.9, probabilities=(0.1, 0.9)),
        Annotation(0, confidence=0.5, probabilities=(0.5, 0.5)),
    ]
    found = combined_labels(answers, 2)
    assert found.label == 1
    assert found.confidence == pytest.approx(0.6)
    assert found.probabilities == pytest.approx([0.4, 0.6])


def test_without_probabilities_the_rest_of_a_confidence_is_divided_among_the_other_labels() -> None:
    found = combined_labels([Annotation(0, confidence=0.8), Annotation(1)], 3)
    assert found.probabilities == pytest.approx([0.4, 0.55, 0.05])


def test_a_label_that_no_answer_gave_can_have_the_largest_share() -> None:
    rows = [(0.5, 0.1, 0.4), (0.1, 0.5, 0.4)]
    answers = [Annotation(row.index(max(row)), max(row), row) for row in rows]
    assert combined_labels(answers, 3).label == 2


def test_no_label_is_chosen_because_of_its_id() -> None:
    rows = [(0.4, 0.35, 0.25, 0.0), (0.0, 0.35, 0.25, 0.4), (0.0, 0.05, 0.25, 0.0)]
    answers = [Annotation(-1, reason="several labels", probabilities=row) for row in rows]
    found = combined_labels(answers, 4)
    assert (found.label, found.reason) == (NO_LABEL, "several labels")


def test_tokens_are_summed_and_a_cut_is_kept() -> None:
    answers = [Annotation(1, prompt_tokens=10, completion_tokens=2), Annotation(0, prompt_tokens=7, is_cut=True)]
    found = combined_labels(answers, 2)
    assert (found.prompt_tokens, found.completion_tokens, found.is_cut) == (17, 2, True)


def test_entities_in_at_least_half_of_the_answers_are_kept() -> None:
    plum, saw, pear = Span(0, 1, "fruit"), Span(2, 3, "tool"), Span(4, 5, "fruit")
    answers = [
        Annotation(0, spans=(plum, saw)),
        Annotation(0, spans=(plum,)),
        Annotation(0, spans=(saw, pear)),
        Annotation(NO_LABEL, reason="empty answer"),
    ]
    assert combined_spans(answers).spans == (plum, saw)
    assert combined_spans(answers[1:]).spans == (plum, saw, pear)


def test_of_overlapping_entities_the_one_in_most_answers_is_kept_and_then_the_longest() -> None:
    plum, plum_tart = Span(0, 1, "fruit"), Span(0, 2, "fruit")
    said = [Annotation(0, spans=(span,)) for span in (plum, plum_tart)]
    assert combined_spans(said).spans == (plum_tart,)
    assert combined_spans([*said, said[0]]).spans == (plum,)


def test_without_a_usable_list_of_entities_there_is_no_answer() -> None:
    found = combined_spans([Annotation(NO_LABEL, reason="empty answer", prompt_tokens=3)] * 2)
    assert (found.spans, found.reason, found.prompt_tokens) == (None, "empty answer", 6)


# ---- The answers as they come ----


@given(st.permutations(range(12)))
def test_a_text_is_complete_when_all_its_answers_have_arrived_in_any_order(order: list[int]) -> None:
    answers = ((index, Annotation(index % 3)) for index in order)
    seen = list(combined(answers, 3, lambda some: Annotation(0, answer=str([answer.label for answer in some]))))
    assert sorted(place for place, _ in seen) == [0, 1, 2, 3]
    assert {answer.answer for _, answer in seen} == {"[0, 1, 2]"}


def test_single_answers_are_passed_on() -> None:
    answers = [(1, Annotation(1)), (0, Annotation(0))]
    assert list(combined(iter(answers), 1, lambda some: pytest.fail("nothing to combine"))) == answers


def test_answers_before_the_end_of_the_budget_are_used() -> None:
    def answers() -> Iterator[tuple[int, Annotation]]:
        yield from [(1, Annotation(1)), (2, Annotation(0)), (0, Annotation(1)), (4, Annotation(0))]
        raise BudgetExceeded("spent")

    results = combined(answers(), 2, partial(combined_labels, num_labels=2))
    found = [next(results) for _ in range(3)]
    assert {place: (answer.label, answer.confidence) for place, answer in found} == {
        0: (1, 1.0), 1: (0, None), 2: (0, None)
    }  # fmt: skip
    with pytest.raises(BudgetExceeded):
        next(results)


# ---- With servers and models ----


@pytest.mark.parametrize("probabilities", [True, False])
def test_a_model_that_reads_the_text_is_certain_in_every_order(
    probabilities: bool, task: TextClassification, start: Callable[..., ChatServer]
) -> None:
    right = dict(zip(TEXTS, ["shipping", "billing", "other"], strict=True))
    server = start(by_name=lambda text, names: names.index(right[text]), confidence=1 - 1e-9)
    answers = ask(InferenceEndpointsAnnotator(server.url, probabilities=probabilities), task, 6)
    assert [task.label_names[answer.label] for answer in answers] == list(right.values())
    assert [answer.confidence for answer in answers] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("probabilities", [True, False])
def test_a_model_that_always_chooses_the_first_label_gets_no_confidence(
    probabilities: bool, task: TextClassification, start: Callable[..., ChatServer]
) -> None:
    server = start(by_name=lambda text, names: 0, confidence=1 - 1e-9)
    annotator = InferenceEndpointsAnnotator(server.url, probabilities=probabilities)
    for answer in ask(annotator, task, 3):
        assert answer.label == 0  # the first answer
        assert answer.probabilities == pytest.approx([1 / 3] * 3)


def test_without_log_probabilities_the_confidence_is_the_share_of_the_answers(
    task: TextClassification, start: Callable[..., ChatServer]
) -> None:
    # Right, unless "other" is shown first: once in three samples.
    server = start(
        logprobs=False,
        by_name=lambda text, names: 0 if names[0] == "other" else names.index("billing"),
    )
    for answer in ask(InferenceEndpointsAnnotator(server.url), task, 3):
        assert answer.label == task.label2id["billing"]
        assert answer.confidence == pytest.approx(2 / 3)


def test_samples_after_the_first_have_their_own_temperature_and_seeds(
    task: TextClassification, start: Callable[..., ChatServer]
) -> None:
    server = start()
    ask(InferenceEndpointsAnnotator(server.url, seed=7), task, 3)
    asked = [body for body in server.stats.bodies if TEXTS[0] in body["messages"][-1]["content"]]
    assert sorted((body["temperature"], body["seed"]) for body in asked) == [(0.0, 7), (0.7, 8), (0.7, 9)]


def test_without_a_sample_temperature_the_label_temperature_is_used(
    task: TextClassification, start: Callable[..., ChatServer]
) -> None:
    server = start()
    ask(InferenceEndpointsAnnotator(server.url, temperature=0.3, sample_temperature=None), task, 2)
    assert {body["temperature"] for body in server.stats.bodies if "Text:" in body["messages"][-1]["content"]} == {0.3}


def test_more_samples_only_send_missing_requests(
    task: TextClassification, start: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start()
    annotator = InferenceEndpointsAnnotator(server.url)
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        ask(annotator, task, 1, cache)
        assert [server.stats.asked[text] for text in TEXTS] == [1, 1, 1]
        three = ask(annotator, task, 3, cache)
        assert [server.stats.asked[text] for text in TEXTS] == [3, 3, 3]
        assert ask(annotator, task, 3, cache) == three
    assert [server.stats.asked[text] for text in TEXTS] == [3, 3, 3]


def test_an_unusable_answer_lowers_the_share(task: TextClassification, start: Callable[..., ChatServer]) -> None:
    def spoil(completion: dict) -> None:
        if completion["choices"][0]["message"]["content"] == '{"label": "C"}':
            completion["choices"][0]["message"]["content"] = "I cannot say."

    server = start(logprobs=False, by_name=lambda text, names: names.index("billing"), spoil=spoil)
    for answer in ask(InferenceEndpointsAnnotator(server.url), task, 3):
        assert answer.label == task.label2id["billing"]
        assert answer.confidence == pytest.approx(2 / 3)
        assert answer.probabilities == pytest.approx([1, 0, 0])


def test_a_model_in_this_process_reads_the_same_prompt_once(tmp_path: Path) -> None:
    annotator = LocalAnnotator(chat_model(), chat_tokenizer())
    prints = [annotator.fingerprint(REVIEW_TASK, sample_request(REQUESTS[0], i, 2)) for i in range(6)]
    assert prints[0]["messages"] != prints[1]["messages"]
    assert len({json.dumps(fingerprint) for fingerprint in prints}) == 2


def test_a_model_in_this_process_averages_its_probabilities_over_the_orders() -> None:
    annotator = LocalAnnotator(chat_model(), chat_tokenizer())
    samples = Samples(REQUESTS[:1], 2, 2)
    one, other = (answer for _, answer in sorted(run(annotation_work(annotator, REVIEW_TASK), samples)))
    [found, *_] = ask(annotator, REVIEW_TASK, 2)
    assert one.probabilities != other.probabilities
    assert found.probabilities == pytest.approx(
        [(a + b) / 2 for a, b in zip(one.probabilities, other.probabilities, strict=True)], abs=1e-4
    )


def test_entities_in_most_samples_are_kept(start: Callable[..., ChatServer]) -> None:
    task = TokenClassification({"fruit": "to eat", "tool": "to work with"})
    answers = iter([["plum", "saw"], ["plum"], ["plum"], ["plum"]])
    types = {"plum": "fruit", "saw": "tool"}
    server = start(entities=lambda text: [{"text": word, "type": types[word]} for word in next(answers)])
    request = AnnotationRequest("a plum and a saw", words=("a", "plum", "and", "a", "saw"))
    results = run(
        annotation_work(InferenceEndpointsAnnotator(server.url, concurrency=1), task), Samples([request], 2, 4)
    )
    [(_, found)] = combined(results, 4, combined_spans)
    assert found.spans == (Span(1, 2, "fruit"),)


# ---- The estimate ----


def test_the_estimate_counts_every_sample(task: TextClassification) -> None:
    annotator = InferenceEndpointsAnnotator("m", base_url="http://127.0.0.1:9")
    one, three = (estimate_annotation(annotator, task, Samples(REQUESTS, 3, number)) for number in (1, 3))
    assert three.calls == Interval(9, 9, 9)
    assert three.prompt_tokens.expected == pytest.approx(3 * one.prompt_tokens.expected)
