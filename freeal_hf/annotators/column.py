"""The annotator that reads labels from a column of the data."""

from collections.abc import Mapping, Sequence

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.prompts.registry import PROMPTS, prompts_of
from freeal_hf.tasks import Task


class ColumnAnnotator(Annotator):
    """Looks up the label of each text by the id of its sample.

    A value is the name of a label (see `Task.label_of`); a label is never searched for inside a value. In an entity
    task it is the BIO tags of the words, as a JSON list.

    Args:
        answers (`Mapping[str, str]`): Value of the column by sample id.
        name (`str`): Name of the column, for reasons and messages.
    """

    batch_size = 1000
    concurrency = 1
    is_free = True
    kinds = frozenset(PROMPTS)

    def __init__(self, answers: Mapping[str, str], name: str) -> None:
        self.answers = answers
        self.column = name

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Looks up the labels. A text without a usable value gets no label."""
        prompts = prompts_of(task)
        return [prompts.from_column(self._value(request.id), self.column, request) for request in requests]

    def _value(self, sample: str | None) -> str:
        return (self.answers.get(sample) if sample is not None else None) or ""
