"""Finds the `TaskKind` of a task or of a student."""

from pathlib import Path
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.entities import EntityKind
from freeal_hf.kinds.multi_label import MultiLabelKind
from freeal_hf.kinds.single_label import SingleLabelKind
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification, TokenClassification

KINDS: dict[str, type[TaskKind[Any, Any, Any]]] = {
    TextClassification.type: SingleLabelKind,
    MultiLabelClassification.type: MultiLabelKind,
    TokenClassification.type: EntityKind,
}
"""The kind of each type of task."""


def kind_of(task: Task) -> TaskKind[Any, Any, Any]:
    """Returns the kind of a task.

    Args:
        task (`Task`): The task.

    Returns:
        `TaskKind`: The kind, with the task.

    Example:

        >>> kind_of(TextClassification(["spam", "other"])).measure.name
        'accuracy'
    """
    return KINDS[task.type](task)


def kind_of_student(student: str | Path) -> type[TaskKind[Any, Any, Any]]:
    """Returns the kind of task that a saved student was trained for.

    Args:
        student (`str` or `Path`): The folder or Hub id of the student.

    Raises:
        InputError: If there is no such student, or if it does not belong to any kind of task.
    """
    from transformers import AutoConfig

    remedy = "Give the folder of a student (OUTPUT_DIR/student) or a Hub id."
    try:
        config = AutoConfig.from_pretrained(str(student))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The student {str(student)!r} cannot be loaded. {remedy} {str(error).splitlines()[0]}"
        ) from error
    for kind in KINDS.values():
        if kind.owns_student(config):
            return kind
    names = ", ".join(config.architectures or ()) or "a model without a head"
    raise InputError(f"{str(student)!r} is {names}, which belongs to no kind of task of this version. {remedy}")
