"""A tiny student and a tiny task that it can learn, made from nothing."""

from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments, set_seed

WORDS = [f"w{i}" for i in range(60)]
NAMES = ["alpha", "beta", "gamma"]
LABELS = {"num_labels": 3, "id2label": dict(enumerate(NAMES)), "label2id": {name: i for i, name in enumerate(NAMES)}}


def tiny_student(
    seed: int = 0, dropout: float = 0.0, problem_type: str | None = None
) -> BertForSequenceClassification:
    """A two-layer BERT with random weights."""
    set_seed(seed)
    config = BertConfig(
        vocab_size=65,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        problem_type=problem_type,
        **LABELS,
    )
    return BertForSequenceClassification(config)


def make_texts(count: int = 48, flips: float = 0.0, seed: int = 0, augmented: bool = False) -> Dataset:
    """Texts of three classes, told apart by their words, of 3 to 12 words; some labels flipped."""
    rng = np.random.default_rng(seed)
    gold = np.arange(count) % len(NAMES)
    labels = np.where(rng.random(count) < flips, (gold + 1) % len(NAMES), gold)

    def text(label: int) -> str:
        return " ".join(rng.choice(WORDS[20 * label : 20 * label + 20], size=rng.integers(3, 13)))

    columns: dict[str, Any] = {
        "text": [text(label) for label in gold],
        "label": labels.tolist(),
        "id": [f"row-{i}" for i in range(count)],
        "gold": gold.tolist(),
    }
    if augmented:
        columns["augmented_text"] = [text(label) for label in gold]
    return Dataset.from_dict(columns).cast_column("label", ClassLabel(names=NAMES))


def make_labelled_texts(
    count: int = 48,
    flips: float = 0.0,
    seed: int = 0,
    augmented: bool = False,
    shares: tuple[float, ...] = (0.5, 0.4, 0.2),
) -> Dataset:
    """Texts with any of three labels, each told by its words among others; some labels flipped."""
    rng = np.random.default_rng(seed)
    gold = rng.random((count, len(NAMES))) < shares
    noisy = np.where(rng.random(gold.shape) < flips, ~gold, gold)

    def text(labels: np.ndarray) -> str:
        words = list(rng.choice(WORDS[45:48], size=2))
        for label in np.flatnonzero(labels):
            words += list(rng.choice(WORDS[15 * label : 15 * label + 3], size=2))
        return " ".join(rng.permutation(words))

    columns: dict[str, Any] = {
        "text": [text(labels) for labels in gold],
        "labels": noisy.astype(float).tolist(),
        "id": [f"row-{i}" for i in range(count)],
        "gold": gold.astype(int).tolist(),
    }
    if augmented:
        columns["augmented_text"] = [text(labels) for labels in gold]
    return Dataset.from_dict(columns)


def sampling(strategy: str) -> dict[str, Any]:
    """The argument that chooses how batches are made, under the name that this transformers gives it."""
    if hasattr(TrainingArguments, "train_sampling_strategy"):
        return {"train_sampling_strategy": strategy}
    return {"group_by_length": strategy == "group_by_length"}
