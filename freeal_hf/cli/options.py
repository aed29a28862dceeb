"""The options that commands have in common, for the data and the task, and their parsing."""

import argparse
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from typing import Any

import yaml

from freeal_hf.config import ReadingConfig
from freeal_hf.data.label_columns import load_label_map
from freeal_hf.data.layouts import split_names
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task, load_task, task_from_dict


def add_options(group: Any, config: type, *, without: Collection[str] = ()) -> None:
    """Adds an option for each field of a dataclass.

    Args:
        group (`Any`): The argument group of a parser.
        config (`type`): The dataclass, whose fields are declared with `freeal_hf.config.option`.
        without (`Collection[str]`, *optional*): The fields that are not options of this command.
    """
    for item in fields(config):
        if item.name not in without:
            _add_option(group, item)


def _add_option(group: Any, item: Field[Any]) -> None:
    known = item.metadata
    default = known.get("none") if item.default in (None, MISSING) else item.default
    shown = "" if default in (None, "", False) else f" (default: {default})"
    given = {"help": known["help"] + shown}
    flag = known.get("flag", f"--{item.name.replace('_', '-')}")
    if isinstance(item.default, bool):
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **given)
        return
    if "action" in known:
        given["action"] = known["action"]
    else:
        given |= {"type": known.get("type", str if item.default in (None, MISSING) else type(item.default))}
    if "choices" in known:
        given["choices"] = known["choices"]
    else:
        given["metavar"] = known.get("metavar", "X")
    group.add_argument(flag, **given)


def human_reading(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of `read_human_labels`.

    Args:
        values (`Mapping`): The options by name.

    Returns:
        `dict[str, Any]`: The arguments.
    """
    delimiter = values.get("human_delimiter")
    return {
        "delimiter": delimiter.replace("\\t", "\t") if delimiter else None,
        "encoding": values.get("human_encoding"),
        "quoting": values.get("human_quoting"),
    }


@contextmanager
def options_of(kind: str) -> Iterator[None]:
    """Replaces options in errors of the reader by those for a kind of file.

    Args:
        kind (`str`): The prefix of these options, such as `test` for `--test-encoding`.

    Raises:
        InputError: If the reader raises it.
    """
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"--(split|delimiter|encoding|quoting)\b", rf"--{kind}-\1", str(error))) from error


def data_source(values: Mapping[str, Any]) -> Any:
    """Returns the value of `--data`.

    Raises:
        InputError: If it is not given.
    """
    if "data" not in values:
        raise InputError("There are no data; give a file or a Hub dataset with --data.")
    return values["data"]


def reading(values: Mapping[str, Any], text_columns: Any = "text", *, is_read: bool = True) -> dict[str, Any]:
    """Returns the keyword arguments of `read_data` and `stream_texts`.

    Args:
        values (`Mapping`): The options by name.
        text_columns (`str` or `list[str]`, *optional*): The columns of the text if no option gives them.
        is_read (`bool`, *optional*, defaults to `True`): Whether the data will be read. Otherwise a list of columns is
            not checked.

    Returns:
        `dict[str, Any]`: The arguments.

    Raises:
        InputError: If the data must be opened to find the columns, and cannot be opened.
    """
    is_layout = {item.name for item in fields(ReadingConfig)} - {"data", "text_columns"}
    given = {name: values[name] for name in values if name in is_layout and values[name]}
    if "delimiter" in given:
        given["delimiter"] = given["delimiter"].replace("\\t", "\t")
    columns = values.get("text_columns", text_columns)
    if isinstance(columns, str):
        columns = [columns]
    elif not is_read:
        return {"text_columns": list(columns), **given}
    names: Collection[str] = ()
    if any("," in column for column in columns) and values.get("data") is not None:
        from freeal_hf.data.tables import open_table

        names = open_table(values["data"], **{name: given[name] for name in given if name != "id_column"}).names
    return {"text_columns": [name for column in columns for name in _column_names(column, names)], **given}


def _column_names(given: str, names: Collection[str]) -> list[str]:
    """Returns the columns for `A,B`: the column with this name if there is one, or several, quoted as in CSV."""
    return [given] if given in names else split_names(given)


def test_reading(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of `read_data` for the test data, which have their own layout and split.

    Args:
        values (`Mapping`): The options by name.

    Returns:
        `dict[str, Any]`: The arguments.

    Raises:
        InputError: If the test data are the same as the data.
    """
    given = {name: values.get(f"test_{name}") for name in ("split", "delimiter", "encoding", "quoting")}
    split = given["split"] or values.get("split")
    if values["test_data"] == values.get("data") and split == values.get("split"):
        raise InputError("--test-data are the same texts as --data; give others, or another split (--test-split).")
    delimiter = given["delimiter"]
    return {**given, "split": split, "delimiter": delimiter.replace("\\t", "\t") if delimiter else None}


def task_of(values: Mapping[str, Any]) -> Task:
    """Creates the task from `--task`, or `--labels` and `--description`, with `--instructions` and `--label-map`.

    Raises:
        InputError: If neither or both are given, or they do not describe a task.
    """
    task, label_map = _named_task(values), values.get("label_map")
    if values.get("instructions"):
        task = task.with_instructions(values["instructions"])
    if label_map is None:
        return task
    return task.with_label_map(label_map if isinstance(label_map, Mapping) else load_label_map(label_map))


def _named_task(values: Mapping[str, Any]) -> Task:
    given = values.get("task")
    if given is not None and values.get("labels") is not None:
        raise InputError("Give either --task or --labels, not both.")
    if isinstance(given, Mapping):
        return task_from_dict(given)
    if given is not None:
        return load_task(given)
    labels = values.get("labels")
    if labels is None:
        raise InputError("There are no labels; give --labels positive,negative or describe them in --task FILE.")
    names = labels.split(",") if isinstance(labels, str) else labels
    return task_from_dict({"labels": names, "description": values.get("description", "")})


def annotator_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of the annotator, from a configuration file and from `--annotator-option`.

    Raises:
        InputError: If an option does not have the form `NAME=VALUE`.
    """
    options = dict(values.get("annotator_options") or {})
    for given in values.get("annotator_option") or []:
        name, mark, value = given.partition("=")
        if not (name and mark):
            raise InputError(f"--annotator-option {given!r} must have the form NAME=VALUE.")
        options[name.strip().replace("-", "_")] = yaml.safe_load(value)
    return options


def quiet_libraries() -> None:
    """Hides progress bars and messages of libraries in the terminal."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
