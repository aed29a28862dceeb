"""Finds the `TaskPrompts` of a task."""

from typing import Any

from freeal_hf.annotators.prompts.base import TaskPrompts
from freeal_hf.annotators.prompts.entities import EntityPrompts
from freeal_hf.annotators.prompts.multi_label import MultiLabelPrompts
from freeal_hf.annotators.prompts.single_label import SingleLabelPrompts
from freeal_hf.tasks import MultiLabelClassification, Task, TextClassification, TokenClassification

PROMPTS: dict[str, type[TaskPrompts[Any]]] = {
    TextClassification.type: SingleLabelPrompts,
    MultiLabelClassification.type: MultiLabelPrompts,
    TokenClassification.type: EntityPrompts,
}
"""The prompts of each type of task."""


def prompts_of(task: Task) -> TaskPrompts[Any]:
    """Returns the prompts of a task.

    Args:
        task (`Task`): What is labelled.

    Example:

        >>> type(prompts_of(TextClassification(["ham", "spam"]))).__name__
        'SingleLabelPrompts'
    """
    return PROMPTS[task.type](task)
