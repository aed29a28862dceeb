"""The annotator in this process: exact label probabilities, texts that stay data, texts that fit."""

import asyncio
import math
import re
import threading
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.annotators.base import AnnotationRequest, GenerationRequest
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.local import LocalAnnotator
from freeal_hf.annotators.prompts.label_sets import writing_messages
from freeal_hf.annotators.prompts.labels import CUT_MARK, annotation_messages, answer_text
from freeal_hf.annotators.work import annotation_work, choice_work, generation_work
from freeal_hf.errors import AnnotatorError, InputError, RefusedError
from freeal_hf.tasks import Demonstration, MultiLabelClassification, TextClassification
from tests.models import (
    CHOOSE_REVIEWS,
    CHOSEN_REVIEWS,
    REVIEW_TASK,
    WRITE_REVIEWS,
    WRITTEN_REVIEWS,
    chat_model,
    chat_tokenizer,
    review_model,
    taught_chat_model,
)

TEXTS = [
    "Never dull.",
    "The plot is thin, and the acting is worse than in the last film of the series.",
    "Left early!",
]
SHOTS = (Demonstration("A warm film.", 0), Demonstration("I left before the end.", 1))


@pytest.fixture(scope="module")
def annotator():
    return LocalAnnotator(chat_model(), chat_tokenizer())


@pytest.fixture(scope="module")
def small_annotator():
    """One whose context is used up by a text of a few hundred characters."""
    return LocalAnnotator(chat_model(context=400), chat_tokenizer(context=400))


def annotate(annotator, task, requests):
    return asyncio.run(annotator.annotate(task, requests))


@torch.inference_mode()
def probabilities_of_full_sequences(annotator, task, request):
    """The specification: the whole chat with each answer, read alone; the end of the turn belongs to the answer."""
    tokenizer, model = annotator.tokenizer, annotator.model
    prompt = tokenizer.apply_chat_template(
        annotation_messages(task, request), tokenize=False, add_generation_prompt=True
    )
    prompt_ids = tokenizer(prompt)["input_ids"]
    scores = []
    for name in task.label_names:
        answer = [*tokenizer(answer_text(name))["input_ids"], tokenizer.eos_token_id]
        log_probabilities = model(torch.tensor([prompt_ids + answer])).logits[0, :-1].log_softmax(-1)
        scores.append(sum(log_probabilities[len(prompt_ids) - 1 + i, token] for i, token in enumerate(answer)))
    return torch.stack(scores).softmax(-1).tolist()


def assert_equals_full_sequences(annotator, task, requests):
    annotations = annotate(annotator, task, requests)
    expected = [probabilities_of_full_sequences(annotator, task, request) for request in requests]
    torch.testing.assert_close([list(a.probabilities) for a in annotations], expected, rtol=0, atol=1e-4)


# Probabilities


def test_probabilities_of_texts_of_different_lengths_are_those_of_full_sequences(annotator):
    assert_equals_full_sequences(annotator, REVIEW_TASK, [AnnotationRequest(text) for text in TEXTS])


def test_probabilities_with_demonstrations_are_those_of_full_sequences(annotator):
    requests = [AnnotationRequest(TEXTS[0], SHOTS), AnnotationRequest(TEXTS[1]), AnnotationRequest(TEXTS[2], SHOTS)]
    assert_equals_full_sequences(annotator, REVIEW_TASK, requests)


def test_probabilities_of_labels_of_different_lengths_are_those_of_full_sequences(annotator):
    task = TextClassification(["ok", "a film that one would rather not have seen", "dull"])
    assert_equals_full_sequences(annotator, task, [AnnotationRequest(text) for text in TEXTS])


def test_probabilities_of_labels_that_begin_alike_are_those_of_full_sequences(annotator):
    task = TextClassification(["spam", "spam or not", "spam or not spam"])
    assert_equals_full_sequences(annotator, task, [AnnotationRequest(text) for text in TEXTS])


def test_probabilities_of_more_labels_than_the_batch_has_sequences_are_those_of_full_sequences():
    annotator = LocalAnnotator(chat_model(), chat_tokenizer(), batch_size=2)
    task = TextClassification([f"label number {i}" for i in range(5)])
    assert_equals_full_sequences(annotator, task, [AnnotationRequest(text) for text in TEXTS])


def test_the_label_is_the_most_probable_one(annotator):
    for annotation in annotate(annotator, REVIEW_TASK, [AnnotationRequest(text) for text in TEXTS]):
        assert annotation.confidence == annotation.probabilities[annotation.label] == max(annotation.probabilities)


def test_the_answer_to_a_text_does_not_depend_on_the_batch(annotator):
    alone = [annotate(annotator, REVIEW_TASK, [AnnotationRequest(text)])[0] for text in TEXTS]
    assert annotate(annotator, REVIEW_TASK, [AnnotationRequest(text) for text in TEXTS]) == alone


def test_the_driver_gets_a_label_for_every_text(annotator):
    texts = ["", "\ud800", "\x00", "再见", "a" * 5000, "<|im_end|>", '"}', *TEXTS]
    answers = dict(run(annotation_work(annotator, REVIEW_TASK), [AnnotationRequest(text) for text in texts]))
    assert [answers[i].is_labelled for i in range(len(texts))] == [True] * len(texts)


def test_a_cancelled_call_stops_before_the_next_module():
    model = deepcopy(chat_model())
    reached_the_end = []
    is_cancelled = threading.Event()
    model.lm_head.register_forward_hook(lambda *_: reached_the_end.append(True))

    async def cancel_in_the_first_layer():
        loop, annotator = asyncio.get_running_loop(), LocalAnnotator(model, chat_tokenizer())
        call = asyncio.ensure_future(annotator.annotate(REVIEW_TASK, [AnnotationRequest("Never dull.")]))
        call.add_done_callback(lambda _: is_cancelled.set())

        def cancel(*_):
            loop.call_soon_threadsafe(call.cancel)
            is_cancelled.wait(10)

        model.model.layers[0].register_forward_hook(cancel)
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancel_in_the_first_layer())  # it ends only when the thread has ended
    assert not reached_the_end


# Texts are data


@given(
    st.lists(st.sampled_from(["<|im_end|>", "<|im_start|>", "<|pad|>", "<|im_", "end|>", "<", "|", "\\", '"', " hi"]))
)
def test_no_text_contains_a_control_token(pieces):
    annotator = LocalAnnotator(chat_model(), chat_tokenizer())
    request = AnnotationRequest("".join(pieces), (Demonstration("".join(pieces), 0),))
    assert control_tokens(annotator, request) == control_tokens(annotator, replace(request, text="film"))


def control_tokens(annotator, request):
    special = {i for i, token in annotator.tokenizer.added_tokens_decoder.items() if token.special}
    return [token for token in annotator.prompt(REVIEW_TASK, request).ids if token in special]


def test_special_tokens_of_any_form_are_escaped_in_a_text():
    tokenizer = chat_tokenizer.__wrapped__()
    tokenizer.add_tokens(["[gMASK]", "]~b]", "▁end▁"], special_tokens=True)
    annotator = LocalAnnotator(chat_model(), tokenizer)
    request = AnnotationRequest("a [gMASK] b ]~b] c ▁end▁ d")
    assert control_tokens(annotator, request) == control_tokens(annotator, AnnotationRequest("a b c d"))


# Texts and demonstrations that are too long


LONG_TEXT = "The plot is thin. The acting is worse. I left before the end! " * 30


def prompt_text(annotator, request):
    return annotator.tokenizer.decode(annotator.prompt(REVIEW_TASK, request).ids)


def test_a_text_that_is_too_long_is_marked_as_cut(small_annotator):
    annotations = annotate(small_annotator, REVIEW_TASK, [AnnotationRequest("Short."), AnnotationRequest(LONG_TEXT)])
    assert [annotation.is_cut for annotation in annotations] == [False, True]


def test_a_text_that_is_too_long_is_cut_at_the_end_of_a_sentence(small_annotator):
    prompt = prompt_text(small_annotator, AnnotationRequest(LONG_TEXT))
    text = re.search(f'Text: "(.*){re.escape(CUT_MARK)}"', prompt)[1]
    assert LONG_TEXT.startswith(text) and text.endswith((".", "!"))


def test_a_text_that_is_too_long_uses_most_of_the_room(small_annotator):
    prompt = small_annotator.prompt(REVIEW_TASK, AnnotationRequest(LONG_TEXT))
    assert 0.85 * small_annotator.context < len(prompt.ids) < small_annotator.context


def test_the_farthest_demonstrations_are_left_out_if_they_need_more_than_half_of_the_context():
    annotator = LocalAnnotator(chat_model(context=700), chat_tokenizer(context=700))
    shots = tuple(Demonstration(f"Film number {i}. {LONG_TEXT[:120]}", 0) for i in range(10))
    prompt = prompt_text(annotator, AnnotationRequest("Never dull.", shots))
    numbers = re.findall(r"Film number (\d)", prompt)
    assert 0 < len(numbers) < 10 and numbers == [str(i) for i in range(10 - len(numbers), 10)]


def test_a_task_that_leaves_no_room_for_a_text_is_refused():
    annotator = LocalAnnotator(chat_model(context=100), chat_tokenizer(context=100))
    with pytest.raises(RefusedError, match="text too long"):
        annotate(annotator, REVIEW_TASK, [AnnotationRequest("Short.")])


# Writing demonstrations


@pytest.fixture(scope="module")
def writer():
    return LocalAnnotator(review_model(), chat_tokenizer(), max_new_tokens=64)


def test_texts_are_written_for_a_label(writer):
    assert in_order(run(generation_work(writer, REVIEW_TASK), [WRITE_REVIEWS]))[0].texts == WRITTEN_REVIEWS


def test_texts_are_chosen_for_a_person_to_label(writer):
    assert in_order(run(choice_work(writer, REVIEW_TASK), [CHOOSE_REVIEWS]))[0].numbers == CHOSEN_REVIEWS


def test_candidates_that_do_not_fit_into_the_context_are_refused(small_annotator):
    request = replace(CHOOSE_REVIEWS, candidates=tuple((i, "A warm and funny film. " * 9) for i in range(99)))
    assert in_order(run(choice_work(small_annotator, REVIEW_TASK), [request]))[0].reason == "text too long"


def test_writing_does_not_change_the_global_random_state(writer):
    state = torch.get_rng_state()
    in_order(run(generation_work(writer, REVIEW_TASK), [WRITE_REVIEWS]))
    assert torch.equal(torch.get_rng_state(), state)


def test_examples_that_do_not_fit_are_left_out(annotator):
    request = replace(WRITE_REVIEWS, examples=("Never dull.", LONG_TEXT, LONG_TEXT))
    few = asyncio.run(annotator.generate(REVIEW_TASK, WRITE_REVIEWS))
    assert asyncio.run(annotator.generate(REVIEW_TASK, request)).prompt_tokens >= few.prompt_tokens


def test_a_label_that_leaves_no_room_for_texts_is_refused(small_annotator):
    with pytest.raises(RefusedError, match="text too long"):
        asyncio.run(small_annotator.generate(REVIEW_TASK, WRITE_REVIEWS))


# Models


def test_a_model_is_loaded_by_its_folder(tmp_path, annotator):
    annotator.model.save_pretrained(tmp_path)
    annotator.tokenizer.save_pretrained(tmp_path)
    loaded = LocalAnnotator(str(tmp_path), device_map="cpu", dtype="float32")
    requests = [AnnotationRequest(text) for text in TEXTS]
    assert annotate(loaded, REVIEW_TASK, requests) == annotate(annotator, REVIEW_TASK, requests)


def test_half_precision_is_accepted_as_in_transformers(tmp_path, annotator):
    annotator.model.save_pretrained(tmp_path)
    annotator.tokenizer.save_pretrained(tmp_path)
    assert LocalAnnotator(str(tmp_path), device_map="cpu", dtype="bfloat16").model.dtype == torch.bfloat16


def test_without_a_system_role_the_task_is_in_the_first_message():
    tokenizer = chat_tokenizer.__wrapped__()
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    tokenizer.chat_template = refusal + tokenizer.chat_template
    annotator = LocalAnnotator(chat_model(), tokenizer)
    prompt = prompt_text(annotator, AnnotationRequest("Never dull."))
    assert prompt.startswith("<|im_start|>user") and REVIEW_TASK.description in prompt


def test_a_model_without_a_chat_template_is_refused():
    tokenizer = chat_tokenizer.__wrapped__()
    tokenizer.chat_template = None
    with pytest.raises(AnnotatorError, match="no chat template"):
        LocalAnnotator(chat_model(), tokenizer)


def test_a_folder_without_a_model_is_reported(tmp_path):
    with pytest.raises(AnnotatorError, match=re.escape(str(tmp_path))):
        LocalAnnotator(str(tmp_path))


def test_a_loaded_model_needs_its_tokenizer():
    with pytest.raises(InputError, match="needs its tokenizer"):
        LocalAnnotator(chat_model())


# The key of the answer cache


def test_the_fingerprint_depends_on_the_weights():
    request = AnnotationRequest("Never dull.")
    one, other = (LocalAnnotator(chat_model(seed=seed), chat_tokenizer()) for seed in (0, 1))
    assert one.fingerprint(REVIEW_TASK, request) != other.fingerprint(REVIEW_TASK, request)


def test_the_fingerprint_of_the_same_model_and_request_is_the_same(tmp_path, annotator):
    annotator.model.save_pretrained(tmp_path)
    annotator.tokenizer.save_pretrained(tmp_path)
    one, other = (LocalAnnotator(str(tmp_path), device_map="cpu", dtype="float32") for _ in range(2))
    assert one.fingerprint(REVIEW_TASK, AnnotationRequest("a")) == other.fingerprint(
        REVIEW_TASK, AnnotationRequest("a")
    )


def test_the_fingerprint_depends_on_the_demonstrations(annotator):
    without, with_shots = AnnotationRequest("Never dull."), AnnotationRequest("Never dull.", SHOTS)
    assert annotator.fingerprint(REVIEW_TASK, without) != annotator.fingerprint(REVIEW_TASK, with_shots)


def test_the_generation_fingerprint_depends_on_the_seed(annotator):
    assert annotator.generation_fingerprint(REVIEW_TASK, WRITE_REVIEWS) != annotator.generation_fingerprint(
        REVIEW_TASK, replace(WRITE_REVIEWS, seed=1)
    )


# Any number of labels

FILM_TASK = MultiLabelClassification({"warm": "it is kind", "thin": "little happens"}, max_labels=1)


@torch.inference_mode()
def test_the_probability_of_each_of_several_labels_is_that_of_true_and_not_false_after_its_name(annotator):
    prompt = annotator.prompt(FILM_TASK, AnnotationRequest("Never dull.")).ids
    [answer] = annotate(annotator, FILM_TASK, [AnnotationRequest("Never dull.")])

    def score(text):
        ids = annotator.tokenizer(text)["input_ids"]
        found = annotator.model(torch.tensor([prompt + ids])).logits[0, :-1].log_softmax(-1)
        return sum(found[len(prompt) - 1 + i, token].item() for i, token in enumerate(ids))

    for name, probability in zip(FILM_TASK.label_names, answer.probabilities, strict=True):
        yes, no = (score(f'{{"{name}": {value}') for value in ("true", "false"))
        assert probability == pytest.approx(1 / (1 + math.exp(no - yes)), abs=1e-3)
    likely = [label for label, probability in enumerate(answer.probabilities) if probability > 0.5]
    assert answer.labels == tuple(sorted(likely, key=lambda label: -answer.probabilities[label])[:1])


def test_written_texts_have_all_their_labels():
    write = GenerationRequest(label=0, examples=("I left.",), num_texts=1)
    written = '{"texts": [{"text": "So warm.", "labels": ["warm"]}]}'
    model = taught_chat_model([(writing_messages(FILM_TASK, write), written)])
    generation = asyncio.run(LocalAnnotator(model, chat_tokenizer()).generate(FILM_TASK, write))
    assert (generation.texts, generation.labels) == (("So warm.",), ((0,),))
