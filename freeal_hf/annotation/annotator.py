"""What an annotator is asked and what it answers, and the driver that puts a corpus to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification


@dataclass(frozen=True)
class AnnotationRequest:
    """One text to be labelled.

    Args:
        text (`str`): The text.
        demonstrations (`tuple[Demonstration, ...]`, *optional*): Labelled texts to show with it, the nearest last.
        id (`str`, *optional*): Id of the sample; annotators that look answers up use it, no prompt contains it.
    """

    text: str
    demonstrations: tuple[Demonstration, ...] = ()
    id: str | None = None


@dataclass(frozen=True)
class Annotation:
    """An annotator's answer for one text.

    Args:
        label (`int`): Label id, or -1 for "no label".
        confidence (`float`, *optional*): Probability in [0, 1] that the annotator gives to `label`.
        probabilities (`tuple[float, ...]`, *optional*): Probability of every label, in the order of their ids.
        reason (`str`, *optional*): Why there is no label; set if and only if `label` is -1.
        prompt_tokens (`int`): Tokens that were read for this answer.
        completion_tokens (`int`): Tokens that were written for it.
    """

    label: int
    confidence: float | None = None
    probabilities: tuple[float, ...] | None = None
    reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def is_labelled(self) -> bool:
        """Whether there is a label."""
        return self.label != NO_LABEL


@dataclass(frozen=True)
class GenerationRequest:
    """A request to write texts for one label.

    Args:
        label (`int`): Id of the label that the new texts should have.
        examples (`tuple[str, ...]`): Unlabelled texts of the corpus that show its style, not its labels.
        num_texts (`int`): How many texts to write.
        seed (`int`): Distinguishes repeated requests for the same label.
    """

    label: int
    examples: tuple[str, ...]
    num_texts: int
    seed: int = 0


class Annotator(Protocol):
    """Anything that labels texts: a class with this one method.

    Optional attributes that the driver reads: `batch_size` (requests per call, default 1) and `concurrency` (calls
    under way at once, default 8). An optional method `fingerprint(task, request) -> Mapping` returns the full request
    (messages, schema, model, sampling; never a key or token) as JSON-able values: it is the key of the answer cache.
    """

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts of `requests`, one answer each, in their order."""
        ...


@runtime_checkable
class TextGenerator(Protocol):
    """An annotator that can also write texts for a label, which become the demonstrations of round 0."""

    async def generate(self, task: TextClassification, request: GenerationRequest) -> list[str]:
        """Writes `request.num_texts` texts for the label (fewer if the model gave fewer)."""
        ...
