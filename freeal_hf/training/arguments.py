"""Training arguments from a configuration."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from freeal_hf.config import DEFAULT_OUTPUT_DIR
from freeal_hf.errors import InputError
from freeal_hf.training.config import FreeALConfig


def configured_arguments(values: Mapping[str, Any]) -> FreeALConfig:
    """Creates the training arguments of a run.

    Args:
        values (`Mapping[str, Any]`): The values by name, as in `RunConfig.training`.

    Returns:
        `FreeALConfig`: The arguments. The default of `output_dir` is `runs/freeal`.

    Raises:
        InputError: If there is no such argument, or a value cannot be used.

    Example:

        >>> configured_arguments({"learning_speed": 1})
        Traceback (most recent call last):
        freeal_hf.errors.InputError: There is no option 'learning_speed'; see freeal-hf run --help and --help-training.
    """
    unknown = sorted(set(values) - {item.name for item in fields(FreeALConfig) if item.init})
    if unknown:
        raise InputError(f"There is no option {unknown[0]!r}; see freeal-hf run --help and --help-training.")
    try:
        return FreeALConfig(**{"output_dir": DEFAULT_OUTPUT_DIR, **values})
    except ValueError as error:
        raise InputError(f"These training options cannot be used: {error}") from error
