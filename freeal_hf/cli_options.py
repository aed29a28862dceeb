"""What the commands have in common: options of the data and the task, and how they are understood."""

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

import yaml

from freeal_hf.errors import InputError
from freeal_hf.tasks import TextClassification, TokenClassification, load_task, task_from_dict

READING_OPTIONS = ("id_column", "split", "delimiter", "encoding")
"""Options that go to the reader as they are, where they are given."""


def add_data_options(group: Any) -> None:
    """Adds where texts come from.

    Args:
        group: Argument group of a parser.
    """
    group.add_argument(
        "--data",
        metavar="PATH",
        help="CSV, TSV, JSON(L) or Parquet file, a folder, pattern or fsspec address of these, or a Hub data set id",
    )
    group.add_argument("--text-columns", metavar="A,B,...", help="column(s) of the text (default: text)")
    group.add_argument("--id-column", metavar="NAME", help="column of unique ids (default: made from the text)")
    group.add_argument("--split", metavar="NAME", help="split of a Hub data set (default: train)")
    group.add_argument("--delimiter", metavar="X", help="field separator of a CSV file")
    group.add_argument("--encoding", metavar="NAME", help="encoding of a text file (default: utf-8)")


def add_task_options(group: Any) -> None:
    """Adds what is to be decided about a text.

    Args:
        group: Argument group of a parser.
    """
    group.add_argument("--task", metavar="FILE", help="YAML file with labels, their descriptions, a description")
    group.add_argument("--labels", metavar="A,B,...", help="label names, in place of --task")
    group.add_argument("--description", metavar="TEXT", help="what is to be decided about a text")


def add_field(group: Any, item: Field[Any]) -> None:
    """Adds an option for the field of a configuration.

    Args:
        group: Argument group of a parser.
        item (`Field`): The field, with its `help`.
    """
    default = item.metadata.get("none", "no limit") if item.default is None else item.default
    group.add_argument(
        f"--{item.name.replace('_', '-')}",
        type=item.metadata.get("type", type(item.default)),
        choices=item.metadata.get("choices"),
        metavar=None if "choices" in item.metadata else "X",
        help=f"{item.metadata['help'].rstrip('.')} (default: {default})",
    )


def data_source(values: Mapping[str, Any]) -> Any:
    """The value of `--data`.

    Raises:
        InputError: If it is not given.
    """
    if "data" not in values:
        raise InputError("No data given; name a file or a Hub data set with --data.")
    return values["data"]


def reading(values: Mapping[str, Any], text_columns: Any = "text") -> dict[str, Any]:
    """Keyword arguments of `read_data` and `stream_texts`.

    Args:
        values (`Mapping`): Options by name.
        text_columns (`str` or `list[str]`): Columns of the text where no option names them.
    """
    columns = values.get("text_columns", text_columns)
    columns = [name.strip() for name in columns.split(",")] if isinstance(columns, str) else list(columns)
    given = {name: values[name] for name in READING_OPTIONS if values.get(name)}
    if "delimiter" in given:
        given["delimiter"] = given["delimiter"].replace("\\t", "\t")
    return {"text_columns": columns, **given}


def task_of(values: Mapping[str, Any]) -> TextClassification | TokenClassification:
    """The task that `--task`, or `--labels` and `--description`, name.

    Raises:
        InputError: If neither or both are given, or they describe no task.
    """
    given = values.get("task")
    if given is not None and values.get("labels") is not None:
        raise InputError("Give either --task or --labels, not both.")
    if isinstance(given, Mapping):
        return task_from_dict(given)
    if given is not None:
        return load_task(given)
    labels = values.get("labels")
    if labels is None:
        raise InputError("No labels given; name them with --labels positive,negative or describe them in --task FILE.")
    names = labels.split(",") if isinstance(labels, str) else labels
    return TextClassification(names, description=values.get("description", ""))


def annotator_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the annotator: those of a configuration file, then every `--annotator-option`.

    Raises:
        InputError: If one has not the form `NAME=VALUE`.
    """
    options = dict(values.get("annotator_options") or {})
    for given in values.get("annotator_option") or []:
        name, mark, value = given.partition("=")
        if not (name and mark):
            raise InputError(f"--annotator-option {given!r} must have the form NAME=VALUE.")
        options[name.strip().replace("-", "_")] = yaml.safe_load(value)
    return options


def quiet_libraries() -> None:
    """Keeps the libraries' progress bars and notes off the terminal."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
