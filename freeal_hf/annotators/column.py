"""The annotator that reads labels from a column of the data."""

from collections.abc import Mapping, Sequence

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Annotator
from freeal_hf.annotators.prompts.registry import PROMPTS, prompts_of
from freeal_hf.tasks import Task


class ColumnAnnotator(Annotator):
    """Looks up the label of each text by the id of its sample.

    A value is the name of a label (see `Task.label_of`). A label is never searched inside a value. In an entity task,
    a value is a JSON list with the BIO tag of each word.

    Args:
        answers (`Mapping[str, str]`): Value of the column by sample id.
        name (`str`): Name of the column, for reasons and messages.

    Example:

        >>> import asyncio
        >>> from freeal_hf import AnnotationRequest, TextClassification
        >>> annotator = ColumnAnnotator({"1": "spam", "2": "unsure"}, "guess")
        >>> requests = [AnnotationRequest("Win a prize", id="1"), AnnotationRequest("Hello", id="2")]
        >>> [answer.label for answer in asyncio.run(annotator.annotate(TextClassification(["ham", "spam"]), requests))]
        [1, -1]
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
        values = (self.answers.get(request.id or "") or "" for request in requests)
        return [
            prompts.from_column(value, self.column, request) for value, request in zip(values, requests, strict=True)
        ]
