"""Tiny chat models with a real tokenizer, made on the spot: the real code runs, and nothing is downloaded."""

import json
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto import CONFIG_MAPPING

from freeal_hf.annotators.base import AnnotationRequest, ChoiceRequest, GenerationRequest
from freeal_hf.annotators.prompts.labels import annotation_messages, answer_text, choice_messages, generation_messages
from freeal_hf.tasks import TextClassification

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOKENIZER_LINES = [
    "You label texts. Answer with one label. The labels are positive, negative and neutral.",
    "system user assistant text label answer task json description examples",
    "A warm and funny film, with a script that is never dull.",
    "The plot is thin. The acting is worse. I left before the end!",
    '{"label": "positive"} {"label": "negative"}',
]

SMALL_BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
REVIEW_TASK = TextClassification(
    {"positive": "the reviewer liked it", "negative": "the reviewer did not"}, description="Sentiment of a review."
)
REVIEWS = {"Never dull.": 0, "The plot is thin.": 1, "A warm and funny film.": 0, "I left before the end!": 1}
WRITE_REVIEWS = GenerationRequest(label=0, examples=("Never dull.",), num_texts=2)
WRITTEN_REVIEWS = ("So warm.", "A funny script.")
CHOOSE_REVIEWS = ChoiceRequest(tuple(enumerate(REVIEWS, start=1)), num_choices=2, with_explanation=False)
CHOSEN_REVIEWS = (3, 1)


@cache
def chat_tokenizer(context: int = 2048) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens with a ChatML template, for a context of `context` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TOKENIZER_LINES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        # As the tokenizers of chat models do: `generate` takes no `token_type_ids`.
        model_input_names=["input_ids", "attention_mask"],
    )


@cache
def chat_model(
    architecture: str = "llama", *, seed: int = 0, context: int = 2048, dtype: str = "float32", **overrides: float
) -> PreTrainedModel:
    """A random causal LM of two layers that fits `chat_tokenizer`.

    Args:
        architecture (`str`): Model type as transformers names it, for example `"llama"` or `"gemma2"`.
        seed (`int`): Seed of the weights.
        context (`int`): The most positions that the model takes.
        dtype (`str`): Precision of the weights.
        overrides (`float`): Further fields of the architecture's configuration.
    """
    tokenizer = chat_tokenizer(context)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        # Wide, so that the random model has clear preferences.
        "initializer_range": 0.5,
    }
    config = CONFIG_MAPPING[architecture](
        vocab_size=len(tokenizer),
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **{**sizes, **overrides},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype)).eval()


def taught_chat_model(
    lessons: Sequence[tuple[Sequence[dict[str, str]], str]], *, steps: int = 60, context: int = 2048
) -> PreTrainedModel:
    """A tiny model that has learnt by heart to give each chat its answer.

    Args:
        lessons (`Sequence[tuple]`): Chats (messages without the answer), each with its answer.
        steps (`int`): Gradient steps over all lessons.
        context (`int`): The most positions that the model takes.
    """
    tokenizer = chat_tokenizer(context)
    model = deepcopy(chat_model(context=context, initializer_range=0.05, hidden_size=64)).train()
    prompts = [
        tokenizer.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=True) for chat, _ in lessons
    ]
    batch = tokenizer(
        [f"{prompt}{answer}<|im_end|>" for prompt, (_, answer) in zip(prompts, lessons, strict=True)],
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    )
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for row, prompt in enumerate(prompts):
        labels[row, : len(tokenizer(prompt, add_special_tokens=False)["input_ids"])] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        model(batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@cache
def review_model() -> PreTrainedModel:
    """A model that labels `REVIEWS` with letters, writes `WRITTEN_REVIEWS` and chooses `CHOSEN_REVIEWS`."""
    lessons = [
        (annotation_messages(REVIEW_TASK, AnnotationRequest(text), coded=True), answer_text("AB"[label]))
        for text, label in REVIEWS.items()
    ]
    written, chosen = json.dumps({"texts": WRITTEN_REVIEWS}), json.dumps({"ids": CHOSEN_REVIEWS})
    lessons.append((generation_messages(REVIEW_TASK, WRITE_REVIEWS), written))
    lessons.append((choice_messages(REVIEW_TASK, CHOOSE_REVIEWS), chosen))
    return taught_chat_model(lessons)


def save_nli_model(folder: Path) -> Path:
    """Saves a random NLI model. Its weights are large, so that its scores differ between texts."""
    tokenizer = chat_tokenizer()
    torch.manual_seed(0)
    ids = {"contradiction": 0, "neutral": 1, "entailment": 2}
    names = {number: name for name, number in ids.items()}
    config = BertConfig(vocab_size=len(tokenizer), label2id=ids, id2label=names, initializer_range=0.5, **SMALL_BERT)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
