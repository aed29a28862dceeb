"""Which `TaskKind` belongs to which task."""

from typing import Any

from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.entities import EntityKind
from freeal_hf.kinds.single_label import SingleLabelKind
from freeal_hf.tasks import Task, TextClassification, TokenClassification

_KINDS: dict[str, type[TaskKind[Any, Any, Any]]] = {
    TextClassification.type: SingleLabelKind,
    TokenClassification.type: EntityKind,
}


def kind_of(task: Task) -> TaskKind[Any, Any, Any]:
    """The kind of a task, bound to it.

    Args:
        task (`Task`): What is labelled.
    """
    return _KINDS[task.type](task)
