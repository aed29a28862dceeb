"""The options of `freeal-hf run` that are arguments of `FreeALConfig`. They need transformers, and so torch."""

import argparse
from collections.abc import Sequence
from typing import Any

from freeal_hf.cli.command import unknown_word


class TrainingHelp(argparse.Action):
    """Prints the options of FreeALConfig, which are too many for `--help`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        training_parser().print_help()
        parser.exit()


def training_parser() -> Any:
    """A parser of the arguments of `FreeALConfig`. Only those that are given have a value there."""
    from transformers import HfArgumentParser
    from transformers.hf_argparser import string_to_bool

    from freeal_hf.training.config import FreeALConfig

    parser = HfArgumentParser(
        FreeALConfig,  # type: ignore[arg-type]
        prog="freeal-hf run",
        usage="freeal-hf run [CONFIG.yaml] [options]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for action in parser._actions:
        # Only given options are used. The others come from YAML and FreeALConfig.
        action.default, action.required = argparse.SUPPRESS, False
        if action.type is string_to_bool:  # also of those that are neither true nor false by default
            action.nargs, action.const = "?", True
    return parser


def parse_training(words: Sequence[str], others: Sequence[str]) -> dict[str, Any]:
    """The arguments of `FreeALConfig` that are given on the command line, by name.

    Args:
        words (`Sequence[str]`): The words that no other option takes.
        others (`Sequence[str]`): The names of the other options, one of which may be meant by an unknown word.
    """
    if not words:
        return {}
    parser = training_parser()
    values, unknown = parser.parse_known_args(list(words))
    if unknown:
        parser.error(unknown_word(unknown[0], [*others, *parser._option_string_actions]))
    return vars(values)
