"""Tasks, their labels, and demonstrations."""

from freeal_hf.tasks.base import NO_LABEL, Demonstration, Named, Task
from freeal_hf.tasks.entities import OUTSIDE, TokenClassification, bio_tags
from freeal_hf.tasks.multi_label import NO_ANSWER, NONE_OF_THEM, SEPARATORS, MultiLabelClassification
from freeal_hf.tasks.registry import TASKS, load_task, task_from_dict
from freeal_hf.tasks.single_label import TextClassification

__all__ = [
    "NONE_OF_THEM",
    "NO_ANSWER",
    "NO_LABEL",
    "OUTSIDE",
    "SEPARATORS",
    "TASKS",
    "Demonstration",
    "MultiLabelClassification",
    "Named",
    "Task",
    "TextClassification",
    "TokenClassification",
    "bio_tags",
    "load_task",
    "task_from_dict",
]
