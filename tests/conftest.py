"""What the tests of the whole loop share: a tiny student, a small corpus, an annotator that errs on purpose."""

import os
import signal

# Before any Hugging Face library is imported: no test may depend on a network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tiny models gain nothing from threads, and processes that share two cores wait for each other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background job ignores SIGINT, and every process that a test starts would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, settings

from freeal_hf import Annotation, AnnotationRequest, Annotator, TextClassification
from freeal_hf.tasks import NO_LABEL

# Fixed seeds, and no limit on time: a busy machine fails no test.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

FRUIT = ["apple", "pear", "plum", "cherry", "grape", "melon"]
TOOLS = ["hammer", "saw", "drill", "chisel", "file", "wrench"]
FILLERS = ["the", "a", "my", "old", "new", "big", "small", "red", "blue", "on", "table", "is", "was", "near", "door"]

CONTRACT = [
    "id",
    "text",
    "label",
    "label_confidence",
    "annotator_label",
    "annotator_confidence",
    "student_label",
    "student_confidence",
    "loss",
    "is_clean",
    "round",
    "note",
]
"""Columns of a round's dataset, without gold."""

QUICK_TRAINING = {
    "num_train_epochs": 7,
    "warm_up_epochs": 4,
    "per_device_train_batch_size": 8,
    "learning_rate": 2e-3,
    "bf16": False,  # the same labels on each machine
    "disable_tqdm": True,
}


def save_student(folder: Path, more_words: Sequence[str] = ()) -> Path:
    """Saves a two-layer BERT with random weights that knows the words of the corpus, and more."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *FRUIT, *TOOLS, *FILLERS, *more_words]
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    set_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = BertModel(config)
    # What pretraining gives: words of a kind are alike.
    direction = torch.randn(config.hidden_size)
    with torch.no_grad():
        for word, row in backend.get_vocab().items():
            sign = (word in FRUIT) - (word in TOOLS)
            model.embeddings.word_embeddings.weight[row] += sign * direction
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def student_folder(tmp_path_factory) -> Path:
    """The folder of a saved tiny student."""
    return save_student(tmp_path_factory.mktemp("tiny-student"))


@pytest.fixture(scope="session")
def task() -> TextClassification:
    return TextClassification({"fruit": "something to eat", "tool": "something to work with"}, "What is it about?")


def make_corpus() -> Dataset:
    """80 short texts about fruit or tools, with gold."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(80):
        words = [*rng.choice(FILLERS, 4), *rng.choice(FRUIT if i % 2 else TOOLS, 2)]
        rows.append({"text": " ".join(rng.permutation(words)), "gold": "fruit" if i % 2 else "tool"})
    return Dataset.from_list(rows)


@pytest.fixture(scope="session")
def corpus() -> Dataset:
    """What `make_corpus` makes."""
    return make_corpus()


class KeywordAnnotator(Annotator):
    """Knows one label's words, errs on a fixed tenth of the texts, and remembers what it was asked."""

    batch_size = 8

    def __init__(self) -> None:
        self.asked: list[AnnotationRequest] = []

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        self.asked.extend(requests)
        return [self._answer(request.text) for request in requests]

    @staticmethod
    def _answer(text: str) -> Annotation:
        if "unsure" in text:
            return Annotation(NO_LABEL, reason="not a label")
        label = 0 if any(word in text for word in FRUIT) else 1
        errs = sum(map(ord, text)) % 10 == 0
        return Annotation(1 - label if errs else label, confidence=0.7)


@pytest.fixture
def annotator() -> KeywordAnnotator:
    return KeywordAnnotator()


@pytest.fixture
def online(monkeypatch):
    """Lets huggingface_hub call the servers on loopback, which HF_HUB_OFFLINE=1 forbids."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
