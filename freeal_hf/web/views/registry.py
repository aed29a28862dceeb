"""Which `TaskView` belongs to which task."""

from collections.abc import Mapping
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.web.views.base import TaskView
from freeal_hf.web.views.entities import EntityView
from freeal_hf.web.views.label_sets import LabelSetView
from freeal_hf.web.views.labels import LabelView

VIEWS: dict[str, TaskView] = {view.task_type.type: view for view in (LabelView(), LabelSetView(), EntityView())}
"""The view of each type of task; the first is the default."""


def view_of(task: Mapping[str, Any]) -> TaskView:
    """Returns the view of a task.

    Args:
        task (`Mapping`): The task of a run as values; empty if it is not described yet.
    """
    return VIEWS[task["type"]] if task else next(iter(VIEWS.values()))


def view_named(name: str) -> TaskView:
    """Returns the view whose name a visitor chose.

    Args:
        name (`str`): The name.

    Raises:
        InputError: If there is no such view.
    """
    for view in VIEWS.values():
        if view.task.name == name:
            return view
    names = ", ".join(repr(view.task.name) for view in VIEWS.values())
    raise InputError(f"There is no kind of task {name!r}; choose one of {names}.")
