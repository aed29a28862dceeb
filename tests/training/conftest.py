"""What the student's tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from freeal_hf.training.config import FreeALConfig
from tests.training.tiny import WORDS


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Keeps precision and compilation, which TrainingArguments hands on in the environment, from the next test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


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
def configure(tmp_path: Path) -> Callable[..., FreeALConfig]:
    """Makes a quick configuration on the CPU; keywords change it."""

    def make(**changes: Any) -> FreeALConfig:
        settings: dict[str, Any] = {
            "output_dir": str(tmp_path / "student"),
            "num_train_epochs": 3,
            "warm_up_epochs": 1,
            "per_device_train_batch_size": 8,
            "learning_rate": 2e-3,
            "bf16": False,  # the same on each machine
            "use_cpu": True,
            "report_to": "none",
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
            "seed": 0,
        }
        return FreeALConfig(**{**settings, **changes})

    return make
