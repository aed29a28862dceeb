"""The annotator that reads labels which another system has already put into a column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from freeal_hf.annotation.annotator import Annotation, AnnotationRequest
from freeal_hf.annotation.ledger import Price
from freeal_hf.annotation.prompts import parse_answer
from freeal_hf.tasks import NO_LABEL, TextClassification


class ColumnAnnotator:
    """Looks each text's label up by the id of its sample.

    A value is read as an LLM's answer is: a label's name, or text that names exactly one label.

    Args:
        answers (`Mapping[str, str]`): Value of the column by sample id.
        name (`str`): Name of the column, for reasons and messages.
    """

    batch_size = 1000
    concurrency = 1
    price = Price(0.0, 0.0)

    def __init__(self, answers: Mapping[str, str], name: str) -> None:
        self.answers = answers
        self.name = name

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Looks the labels up; a text without a usable value has no label."""
        return [self._annotation(task, request.id) for request in requests]

    def _annotation(self, task: TextClassification, sample: str | None) -> Annotation:
        value = self.answers.get(sample, "") if sample is not None else ""
        if not value.strip():
            return Annotation(NO_LABEL, reason=f"column {self.name!r} is empty")
        label, reason = parse_answer(value, task)
        annotation = Annotation(label, answer=value)
        return replace(annotation, reason=f"column {self.name!r}: {reason}") if reason else annotation
