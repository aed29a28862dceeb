"""The command line: `freeal-hf COMMAND`."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence

import freeal_hf
from freeal_hf.cli.audit import AUDIT
from freeal_hf.cli.augment import AUGMENT
from freeal_hf.cli.command import unknown_word
from freeal_hf.cli.convert import CONVERT
from freeal_hf.cli.doctor import DOCTOR
from freeal_hf.cli.ending import Stop, stopping_on_signals
from freeal_hf.cli.hub import PULL, PUSH
from freeal_hf.cli.predict import PREDICT
from freeal_hf.cli.run import DEMO, RUN
from freeal_hf.cli.select import SELECT
from freeal_hf.cli.space import SPACE
from freeal_hf.errors import FreeALError

_DOCS = "docs/"  # of the repository; the address of the site, once there is one

_COMMANDS = {
    command.name: command
    for command in (RUN, PREDICT, AUGMENT, SELECT, DEMO, AUDIT, CONVERT, PUSH, PULL, SPACE, DOCTOR)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments (`Sequence[str]`, *optional*): The command-line arguments. Defaults to those of the process.

    Returns:
        `int`: The exit code. It is 0 only if the command has finished.

    Example:

        ```python
        exit_code = main(["run", "--data", "texts.csv", "--labels", "ham,spam"])
        ```
    """
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("freeal_hf").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").propagate = False  # it has its own handler, so messages would be repeated
    try:
        with stopping_on_signals():
            parser = _parser()
            options, rest = parser.parse_known_args(arguments)
            given = vars(options)
            command = _COMMANDS[given.pop("command")]
            if given.get("quiet") or given.get("json"):
                logging.getLogger("freeal_hf").setLevel(logging.WARNING)
            if rest and command is not RUN:
                parser.error(unknown_word(rest[0], command.option_names))
            command.run(given, rest)
    except FreeALError as error:
        print(f"freeal-hf: error: {error} (see {_DOCS}{error.docs})", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print("freeal-hf: stopped. Run the same command again to continue.", file=sys.stderr)
        return error.exit_code if isinstance(error, Stop) else 128 + signal.SIGINT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="freeal-hf", description="Labels texts with an LLM, and trains a small classifier on the labels."
    )
    parser.add_argument("--version", action="version", version=freeal_hf.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS.values():
        command.add_to(commands)
    return parser
