"""The parts that several commands share."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from freeal_hf.config import ReadingConfig, option
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.loop.results import RunResult


@dataclass
class TerminalOptions:
    """What a command prints."""

    quiet: bool = option(False, action="store_true", help="print warnings and the results, but no progress")
    json: bool = option(False, action="store_true", help="print the results as JSON, and no progress")


def described_result(result: "RunResult", *, as_json: bool) -> str:
    """Returns the results of a run for the terminal.

    Args:
        result (`RunResult`): The results.
        as_json (`bool`): Whether they are an object with `output_dir`, `rounds` (the records of `metrics.json`) and
            `audit_sheet` (the file that a person is to fill in, or null).
    """
    if as_json:
        sheet = result.audit_sheet and str(result.audit_sheet)
        found = {"output_dir": str(result.output_dir), "audit_sheet": sheet, "rounds": result.rounds}
        return json.dumps(found, indent=2)
    from freeal_hf.reporting.report import summary

    return f"\n{summary(result.rounds)}\n\nLabels, student and report are in {result.output_dir}/"


def output_beside(config: ReadingConfig, output: str) -> Path:
    """Returns the path of `--output`, a CSV file, which must not be the file of the data.

    Args:
        config (`ReadingConfig`): The data.
        output (`str`): The value of `--output`.

    Raises:
        InputError: If both are the same file, or if the name is that of another format.

    Example:

        >>> output_beside(ReadingConfig(data="texts.csv"), "labelled.csv").name
        'labelled.csv'
    """
    path = Path(output)
    if Path(str(config.data)).is_file() and path.exists() and path.samefile(str(config.data)):
        raise InputError(f"--output {output!r} is the file of the texts and would be overwritten; give another file.")
    if path.suffix.lower() not in (".csv", ""):
        raise InputError(f"--output {output!r} would be a CSV file; give a name that ends with .csv.")
    return path


@contextmanager
def writing(output: Path, what: str) -> Iterator[None]:
    """Raises an error with a remedy if the file of a command cannot be written in a block.

    Args:
        output (`Path`): The file.
        what (`str`): Its content, for the error.

    Raises:
        InputError: If the block raises an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"The {what} cannot be written to {str(output)!r}: {error.strerror}. Free space, or give another --output."
        ) from error


def quiet_libraries() -> None:
    """Hides progress bars and messages of libraries in the terminal, and limits the threads of torch."""
    import datasets
    import transformers

    from freeal_hf.training.hardware import limit_threads

    limit_threads()

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
