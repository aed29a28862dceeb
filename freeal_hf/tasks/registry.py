"""The types of tasks, and how a task is read from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from freeal_hf.errors import InputError
from freeal_hf.tasks.base import Task
from freeal_hf.tasks.entities import TokenClassification
from freeal_hf.tasks.multi_label import MultiLabelClassification
from freeal_hf.tasks.single_label import TextClassification

TASKS: dict[str, type[Task]] = {
    kind.type: kind for kind in (TextClassification, MultiLabelClassification, TokenClassification)
}
"""The class of each type of task."""


def task_from_dict(values: Mapping[str, Any]) -> Task:
    """Creates a task of the kind that `type` names from the values of `Task.to_dict`.

    Args:
        values (`Mapping[str, Any]`): The values. Without `type`, the kind is text classification.

    Returns:
        `Task`: The task.

    Raises:
        InputError: If the type is unknown, or a key is missing or unknown.

    Example:

        >>> task_from_dict({"labels": ["spam", "other"]})
        TextClassification({'spam': '', 'other': ''}, description='')
    """
    kind = values.get("type", TextClassification.type)
    if kind not in TASKS:
        raise InputError(f"Task type {kind!r} is not supported; use {' or '.join(map(repr, TASKS))}.")
    return TASKS[kind].from_dict(values)


def load_task(path: str | Path) -> Task:
    """Reads a task from a YAML file.

    Args:
        path (`str` or `Path`): A file with `labels` and optionally `type`, `description` and `label_map`.

    Returns:
        `Task`: The task.

    Raises:
        InputError: If the file is missing, is not YAML, or does not describe a task.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> from freeal_hf import TextClassification
        >>> with TemporaryDirectory() as folder:
        ...     TextClassification(["spam", "other"]).save(f"{folder}/task.yaml")
        ...     load_task(f"{folder}/task.yaml").label_names
        ['spam', 'other']
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no task file {str(path)!r}; give the path of a YAML file with `labels`.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The task file {str(path)!r} is not valid YAML in UTF-8: {error}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"The task file {str(path)!r} must be a mapping with `labels`, not {type(values).__name__}.")
    try:
        return task_from_dict(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
