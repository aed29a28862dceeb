"""A tiny student and a tiny task that it can learn, made from nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, set_seed

from freeal_hf.training.config import FreeALConfig

WORDS = [f"w{i}" for i in range(60)]
NAMES = ["alpha", "beta", "gamma"]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=32,
    )


@pytest.fixture
def student() -> BertForSequenceClassification:
    """A two-layer BERT with random weights and no dropout."""
    set_seed(0)
    return BertForSequenceClassification(tiny_bert_config())


def tiny_bert_config(**changes: Any) -> BertConfig:
    """Configuration of the tiny student."""
    settings: dict[str, Any] = {
        "vocab_size": 65,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_labels": len(NAMES),
        "id2label": dict(enumerate(NAMES)),
        "label2id": {name: i for i, name in enumerate(NAMES)},
    }
    return BertConfig(**{**settings, **changes})


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


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., FreeALConfig]:
    """Makes a quick configuration on the CPU; keywords change it."""

    def make(**changes: Any) -> FreeALConfig:
        settings: dict[str, Any] = {
            "output_dir": str(tmp_path / "student"),
            "num_train_epochs": 3,
            "warm_up_epochs": 1,
            "per_device_train_batch_size": 8,
            "learning_rate": 2e-3,
            "use_cpu": True,
            "report_to": "none",
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
            "seed": 0,
        }
        return FreeALConfig(**{**settings, **changes})

    return make
