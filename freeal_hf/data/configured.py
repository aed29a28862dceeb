"""What a configuration says of the data and the task, as arguments of the functions that read them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from freeal_hf.config import DataConfig, HumanReadingConfig, ReadingConfig, TaskConfig
from freeal_hf.data.label_columns import load_label_map
from freeal_hf.data.layouts import split_names
from freeal_hf.errors import InputError
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification, load_task, task_from_dict


def task_of(config: TaskConfig) -> Task:
    """Creates the task from `task`, or `labels` and `description`, with `instructions` and `label_map`.

    Args:
        config (`TaskConfig`): The options.

    Returns:
        `Task`: The task.

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


def data_source(config: ReadingConfig) -> str:
    """Returns the data.

    Args:
        config (`ReadingConfig`): The options.

    Raises:
        InputError: If no data is given.
    """
    if config.data is None:
        raise InputError("There is no data; give a file or a Hub dataset with --data.")
    return config.data


def reading(config: ReadingConfig, text_columns: str | Sequence[str] = "text") -> dict[str, Any]:
    """Returns the keyword arguments of `read_data` and `stream_texts`.

    Args:
        config (`ReadingConfig`): The options.
        text_columns (`str` or `Sequence[str]`): The columns of the text if no option gives them.

    Raises:
        InputError: If the data must be opened to find the columns, and cannot be opened.

    Example:

        >>> reading(ReadingConfig(data="texts.csv", delimiter="\\\\t"))
        {'text_columns': ['text'], 'delimiter': '\\t'}
    """
    columns = config.text_columns or text_columns
    if isinstance(columns, str):
        columns = [columns]
    elif config.data is None:  # a run has recorded them
        return {"text_columns": list(columns), **layout(config)}
    names: Collection[str] = ()
    if any("," in column for column in columns) and config.data is not None:
        from freeal_hf.data.tables import open_table

        names = open_table(config.data, **layout(config)).names
    found = [name for column in columns for name in _column_names(column, names)]
    own = {"id_column": config.id_column} if config.id_column else {}
    return {"text_columns": found, **own, **layout(config)}


def layout(config: ReadingConfig) -> dict[str, Any]:
    """Returns the keyword arguments of `open_table` and `raw_table`.

    Args:
        config (`ReadingConfig`): The options.
    """
    given = {name: vars(config)[name] for name in ("split", "encoding", "quoting") if vars(config)[name]}
    return {**given, **({"delimiter": _delimiter(config.delimiter)} if config.delimiter else {})}


def reading_of_test_data(config: DataConfig) -> dict[str, Any]:
    """Returns the keyword arguments of `read_data` for the test data, which have their own layout and split.

    Args:
        config (`DataConfig`): The options, with `test_data`.

    Raises:
        InputError: If the test data is the same as the data.
    """
    split = config.test_split or config.split
    if config.test_data == config.data and split == config.split:
        raise InputError("--test-data is the same as --data; give other texts, or another split (--test-split).")
    return {
        "split": split,
        "delimiter": _delimiter(config.test_delimiter),
        "encoding": config.test_encoding,
        "quoting": config.test_quoting,
    }


def human_reading(config: HumanReadingConfig) -> dict[str, Any]:
    """Returns the keyword arguments of `read_human_labels`.

    Args:
        config (`HumanReadingConfig`): The options.
    """
    return {
        "delimiter": _delimiter(config.human_delimiter),
        "encoding": config.human_encoding,
        "quoting": config.human_quoting,
    }


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
