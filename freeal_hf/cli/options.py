"""What the options of data, task and annotators mean: the arguments of the functions that read them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from freeal_hf.config import DataConfig, HumanReadingConfig, ReadingConfig, TaskConfig
from freeal_hf.data.label_columns import load_label_map
from freeal_hf.data.layouts import split_names
from freeal_hf.errors import InputError
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification, load_task, task_from_dict


def data_source(config: ReadingConfig) -> Any:
    """Returns the value of `--data`.

    Raises:
        InputError: If it is not given.
    """
    if config.data is None:
        raise InputError("There are no data; give a file or a Hub dataset with --data.")
    return config.data


def output_beside(config: ReadingConfig, output: str) -> Path:
    """The path of `--output`, which may not be the file of the data.

    Args:
        config (`ReadingConfig`): The data.
        output (`str`): The value of `--output`.

    Raises:
        InputError: If both are the same file.
    """
    path = Path(output)
    if Path(str(config.data)).is_file() and path.exists() and path.samefile(str(config.data)):
        raise InputError(f"--output {output!r} is the file of the texts and would be overwritten; give another.")
    return path


def reading(
    config: ReadingConfig, text_columns: str | Sequence[str] = "text", *, is_read: bool = True
) -> dict[str, Any]:
    """Returns the keyword arguments of `read_data` and `stream_texts`.

    Args:
        config (`ReadingConfig`): Which data there are and how they are read.
        text_columns (`str` or `Sequence[str]`): The columns of the text if no option gives them.
        is_read (`bool`, defaults to `True`): Whether the data will be read. Otherwise a list of columns is not
            checked.

    Raises:
        InputError: If the data must be opened to find the columns, and cannot be opened.

    Example:

        >>> reading(ReadingConfig(data="texts.csv", delimiter="\\\\t"))
        {'text_columns': ['text'], 'delimiter': '\\t'}
    """
    layout = {item.name for item in fields(ReadingConfig)} - {"data", "text_columns"}
    given = {name: value for name, value in vars(config).items() if name in layout and value}
    if "delimiter" in given:
        given["delimiter"] = _delimiter(given["delimiter"])
    columns = config.text_columns or text_columns
    if isinstance(columns, str):
        columns = [columns]
    elif not is_read:
        return {"text_columns": list(columns), **given}
    names: Collection[str] = ()
    if any("," in column for column in columns) and config.data is not None:
        from freeal_hf.data.tables import open_table

        names = open_table(config.data, **{name: given[name] for name in given if name != "id_column"}).names
    return {"text_columns": [name for column in columns for name in _column_names(column, names)], **given}


def test_reading(config: DataConfig) -> dict[str, Any]:
    """Returns the keyword arguments of `read_data` for the test data, which have their own layout and split.

    Args:
        config (`DataConfig`): The data, with `test_data`.

    Raises:
        InputError: If the test data are the same as the data.
    """
    split = config.test_split or config.split
    if config.test_data == config.data and split == config.split:
        raise InputError("--test-data are the same texts as --data; give others, or another split (--test-split).")
    return {
        "split": split,
        "delimiter": _delimiter(config.test_delimiter),
        "encoding": config.test_encoding,
        "quoting": config.test_quoting,
    }


def human_reading(config: HumanReadingConfig) -> dict[str, Any]:
    """Returns the keyword arguments of `read_human_labels`.

    Args:
        config (`HumanReadingConfig`): How human labels are read.
    """
    return {
        "delimiter": _delimiter(config.human_delimiter),
        "encoding": config.human_encoding,
        "quoting": config.human_quoting,
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


def task_of(config: TaskConfig) -> Task:
    """Creates the task from `--task`, or `--labels` and `--description`, with `--instructions` and `--label-map`.

    Args:
        config (`TaskConfig`): The options.

    Raises:
        InputError: If neither or both are given, or they do not describe a task.

    Example:

        >>> task_of(TaskConfig(labels="ham,spam")).label_names
        ['ham', 'spam']
    """
    task, label_map = _named_task(config), config.label_map
    if config.label_separator is not None:
        task = task_from_dict({**task.to_dict(), "label_separator": config.label_separator.replace("\\t", "\t")})
    if config.instructions:
        task = task.with_instructions(config.instructions)
    if label_map is None:
        return task
    return task.with_label_map(label_map if isinstance(label_map, Mapping) else load_label_map(label_map))


def annotator_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of the annotator, from a configuration file and from `--annotator-option`.

    Args:
        values (`Mapping`): Options by name.

    Raises:
        InputError: If an option does not have the form `NAME=VALUE`.

    Example:

        >>> annotator_options({"annotator_option": ["concurrency=8", "api-key-env=MY_KEY"]})
        {'concurrency': 8, 'api_key_env': 'MY_KEY'}
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


def _column_names(given: str, names: Collection[str]) -> list[str]:
    """Returns the columns for `A,B`: the column with this name if there is one, or several, quoted as in CSV."""
    return [given] if given in names else split_names(given)


def _delimiter(given: str | None) -> str | None:
    return given.replace("\\t", "\t") if given else None


def _named_task(config: TaskConfig) -> Task:
    given = config.task
    if given is not None and config.labels is not None:
        raise InputError("Give either --task or --labels, not both.")
    if given is not None and config.multi_label:
        raise InputError(
            f"--multi-label is for --labels; in the task, write `type: {MultiLabelClassification.type}` instead."
        )
    if isinstance(given, Mapping):
        return task_from_dict(given)
    if given is not None:
        return load_task(given)
    if config.labels is None:
        raise InputError("There are no labels; give --labels positive,negative or describe them in --task FILE.")
    names = config.labels.split(",") if isinstance(config.labels, str) else config.labels
    kind = MultiLabelClassification if config.multi_label else TextClassification
    return kind.from_dict({"labels": names, "description": config.description})
