"""The annotator that reads labels which another system has already put into a column."""

import json
from collections.abc import Mapping, Sequence

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.data.label_columns import LabelColumn, is_no_answer
from freeal_hf.data.spans import spans_of
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Task, TextClassification, TokenClassification


class ColumnAnnotator(Annotator):
    """Looks each text's label up by the id of its sample.

    A value is the name of a label (see `Task.label_of`); a label is never searched for inside a value. In an entity
    task it is the BIO tags of the words, as a JSON list.

    Args:
        answers (`Mapping[str, str]`): Value of the column by sample id.
        name (`str`): Name of the column, for reasons and messages.
    """

    batch_size = 1000
    concurrency = 1
    is_free = True
    kinds = frozenset({TextClassification.type, TokenClassification.type})

    def __init__(self, answers: Mapping[str, str], name: str) -> None:
        self.answers = answers
        self.column = name

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Looks the labels up; a text without a usable value has no label."""
        return [self._annotation(task, request.id) for request in requests]

    def _annotation(self, task: Task, sample: str | None) -> Annotation:
        value = (self.answers.get(sample) if sample is not None else None) or ""
        label = NO_LABEL if isinstance(task, TokenClassification) else task.label_of(value)
        if label == NO_LABEL and is_no_answer(value):
            return Annotation(NO_LABEL, reason=f"column {self.column!r} is empty")
        if isinstance(task, TokenClassification):
            return self._entities(task, value, sample)
        return Annotation(
            label, answer=value, reason=f"column {self.column!r}: not a label" if label == NO_LABEL else None
        )

    def _entities(self, task: TokenClassification, value: str, sample: str | None) -> Annotation:
        tags = json.loads(value)
        unknown = [tag for tag in tags if tag not in task.tags]
        if unknown:
            raise InputError(
                f"Column {self.column!r}, row {sample!r}: {unknown[0]!r} is no tag of the task; its tags are "
                f"{', '.join(task.tags)}."
            )
        return Annotation(0, answer=value, spans=tuple(spans_of(tags)))


def check_names_labels(answers: Mapping[str, str], name: str, task: Task) -> None:
    """Says which values of a column name no label, and refuses a column in which nearly none does.

    Args:
        answers (`Mapping[str, str]`): Value of the column by sample id.
        name (`str`): Name of the column.
        task (`Task`): The task; tags of entities are checked where they are read.

    Raises:
        InputError: If nearly no value names a label of the task, or the column is empty.
    """
    if isinstance(task, TokenClassification):
        return
    if all(map(is_no_answer, answers.values())):
        raise InputError(f"Column {name!r} is empty; name another one, or fill it in.")
    labels = LabelColumn(task, f"Column {name!r}")
    labels.ids(answers.values())
    labels.check()
