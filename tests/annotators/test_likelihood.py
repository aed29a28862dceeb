"""Likelihoods of answers on a shared prompt equal those of each full sequence read alone."""

import pytest
import torch
import transformers
from packaging.version import Version

from freeal_hf.annotators.likelihood import answer_log_likelihoods
from freeal_hf.errors import AnnotatorError
from tests.models import chat_model

END, OTHER_END = 2, 7
VOCABULARY = 400
NEW_LINE = Version(transformers.__version__) >= Version("5")
FULL_ATTENTION = ["llama", "qwen2", "gpt2"]
SLIDING_WINDOW = [("mistral", {"sliding_window": 16}), ("gemma2", {"sliding_window": 16})]


def tokens(length, seed):
    """Random tokens, none of them special."""
    return torch.randint(10, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.inference_mode()
def alone(model, prompt, answer, ends):
    """The specification: one full sequence, no cache, no padding."""
    log_probabilities = model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
    said = sum(log_probabilities[len(prompt) - 1 + place, token] for place, token in enumerate(answer))
    return said + log_probabilities[-1, ends].logsumexp(-1)


def each_alone(model, prompts, answers, ends):
    return torch.tensor([[alone(model, prompt, answer, ends) for answer in answers] for prompt in prompts])


def assert_equals_each_alone(model, prompts, answers, ends=(END,), tolerance=1e-4):
    together = answer_log_likelihoods(model, prompts, answers, ends)
    torch.testing.assert_close(together, each_alone(model, prompts, answers, list(ends)), rtol=0, atol=tolerance)


ANSWERS_OF_MANY_LENGTHS = [tokens(length, seed=length) for length in (1, 2, 5, 9)]
PROMPTS_OF_MANY_LENGTHS = [tokens(length, seed=length) for length in (1, 40, 7, 25)]
PROMPTS_WITH_ONE_BEGINNING = [tokens(30, seed=0) + tokens(length, seed=length) for length in (1, 40, 7, 25)]


@pytest.mark.parametrize("architecture", FULL_ATTENTION)
def test_prompts_of_different_lengths_are_scored_as_if_alone(architecture):
    assert_equals_each_alone(chat_model(architecture), PROMPTS_OF_MANY_LENGTHS, ANSWERS_OF_MANY_LENGTHS)


@pytest.mark.parametrize("architecture", FULL_ATTENTION)
def test_prompts_that_begin_alike_are_scored_as_if_alone(architecture):
    assert_equals_each_alone(chat_model(architecture), PROMPTS_WITH_ONE_BEGINNING, ANSWERS_OF_MANY_LENGTHS)


@pytest.mark.parametrize(("architecture", "window"), SLIDING_WINDOW)
def test_prompts_longer_than_a_sliding_window_are_scored_as_if_alone(architecture, window):
    assert_equals_each_alone(chat_model(architecture, **window), PROMPTS_WITH_ONE_BEGINNING, ANSWERS_OF_MANY_LENGTHS)


@pytest.mark.skipif(not NEW_LINE, reason="transformers 4 cannot go on from the cache of a hybrid model")
def test_prompts_of_a_model_with_linear_attention_are_scored_as_if_alone():
    model = chat_model("qwen3_next", num_hidden_layers=4)
    assert_equals_each_alone(model, PROMPTS_WITH_ONE_BEGINNING, ANSWERS_OF_MANY_LENGTHS, tolerance=1e-3)


def test_a_prompt_equal_to_another_or_its_beginning_is_scored_as_if_alone():
    prompt = tokens(20, seed=1)
    assert_equals_each_alone(chat_model(), [prompt, prompt, prompt[:12]], ANSWERS_OF_MANY_LENGTHS)


def test_one_prompt_and_one_answer_are_scored_as_if_in_a_batch():
    assert_equals_each_alone(chat_model(), [tokens(1, seed=1)], [tokens(1, seed=2)])


def test_an_answer_that_begins_another_is_scored_with_its_end():
    beginning = tokens(3, seed=3)
    assert_equals_each_alone(chat_model(), PROMPTS_OF_MANY_LENGTHS, [beginning, beginning + tokens(2, seed=4)])


def test_several_tokens_can_end_an_answer():
    assert_equals_each_alone(chat_model(), PROMPTS_OF_MANY_LENGTHS, ANSWERS_OF_MANY_LENGTHS, ends=(END, OTHER_END))


def test_probabilities_of_all_one_token_answers_sum_to_at_most_one():
    answers = [[token] for token in range(VOCABULARY) if token != END]
    total = answer_log_likelihoods(chat_model(), [tokens(10, seed=5)], answers, [END]).exp().sum()
    assert total <= 1


def test_half_precision_is_scored_in_single_precision():
    scores = answer_log_likelihoods(
        chat_model(dtype="bfloat16"), PROMPTS_OF_MANY_LENGTHS, ANSWERS_OF_MANY_LENGTHS, [END]
    )
    assert scores.dtype == torch.float32


def test_a_model_without_a_usable_cache_is_refused():
    with pytest.raises(AnnotatorError, match="MambaForCausalLM keeps no cache"):
        answer_log_likelihoods(chat_model("mamba"), [tokens(3, seed=6)], [tokens(1, seed=7)], [END])
