"""Requests to an annotator and its answers: labels, new texts, or a choice of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from freeal_hf.data.spans import Span
from freeal_hf.errors import AnnotatorError
from freeal_hf.tasks import NO_LABEL, Demonstration

_ROUNDING = 1e-4  # maximum error of a sum of probabilities of low precision


class PaidAnswer(Protocol):
    """An answer, the tokens that it used, and the discount on their price."""

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...

    @property
    def cached_tokens(self) -> int: ...

    @property
    def discount(self) -> float: ...


def usage_of(answers: Sequence[PaidAnswer]) -> dict[str, Any]:
    """Returns the tokens of some answers together, as arguments of an annotation or of `Ledger.record`.

    The discount is the smallest of the answers, so that the cost is never underestimated.

    Example:

        >>> usage_of([Annotation(1, prompt_tokens=90, cached_tokens=64), Annotation(1, prompt_tokens=10)])
        {'prompt_tokens': 100, 'completion_tokens': 0, 'cached_tokens': 64, 'discount': 0.0}
    """
    prompt = completion = cached = 0
    for answer in answers:
        prompt += answer.prompt_tokens
        completion += answer.completion_tokens
        cached += answer.cached_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cached_tokens": cached,
        "discount": min([answer.discount for answer in answers], default=0.0),
    }


@dataclass(frozen=True)
class AnnotationRequest:
    """A request to label one text.

    Args:
        text (`str`): The text.
        demonstrations (`tuple[Demonstration, ...]`, *optional*): Labelled texts for the prompt, the nearest last.
        id (`str`, *optional*): Id of the sample. Annotators that look up answers use it. No prompt contains it.
        words (`tuple[str, ...]`): In an entity task, the words of the text, in which entities are found.
        sample (`int`, *optional*, defaults to 0): Number of this request among repeated requests about the text; see
            `freeal_hf.annotators.samples`.
        order (`tuple[int, ...]`, *optional*): Ids of all labels, in the order in which they are shown; by default in
            the order of their ids.
        instruction (`str`, *optional*): One of `Task.instructions`, in place of the task's description.

    Example:

        >>> shot = Demonstration("a ripe plum", 0)
        >>> AnnotationRequest("a rusty saw", demonstrations=(shot,), id="7").demonstrations[0].text
        'a ripe plum'
    """

    text: str
    demonstrations: tuple[Demonstration, ...] = ()
    id: str | None = None
    words: tuple[str, ...] = ()
    sample: int = 0
    order: tuple[int, ...] = ()
    instruction: str = ""


@dataclass(frozen=True)
class Annotation:
    """An annotator's answer for one text.

    Args:
        label (`int`): Label id, or -1 for "no label".
        confidence (`float`, *optional*): Probability in [0, 1] that the annotator gives to `label`.
        probabilities (`tuple[float, ...]`, *optional*): Probability of every label, in the order of their ids.
        reason (`str`, *optional*):
            Why there is no label; set if and only if `label` is -1. `freeal_hf.annotators.pacing.Reason` lists the
            reasons that the driver and the annotators of this package give.
        prompt_tokens (`int`): Number of input tokens of this answer.
        completion_tokens (`int`): Number of output tokens of this answer.
        answer (`str`, *optional*): The unchanged output of the model.
        is_cut (`bool`): Whether the text was cut because it is too long for the model.
        spans (`tuple[Span, ...]`, *optional*): In an entity task, the entities as spans of words; `None` if there is
            no answer. If there is an answer, `label` is 0.
        num_dropped (`int`): Number of entities of the answer that were dropped, because they are not in one piece in
            the text, overlap a longer entity, or have another type.
        labels (`tuple[int, ...]`, *optional*): In a task with any number of labels, the ids of the labels, `()` for
            none of them; `None` if there is no answer. If there is an answer, `label` is 0, and `probabilities` are
            those that each label applies. In a task with one label, they are the candidates of an answer that has
            several plausible labels; `label` is then -1.
        cached_tokens (`int`): Number of input tokens that the server read from its prompt cache.
        discount (`float`): Share of the price of the tokens that is not charged, 0.5 for a batch.

    Raises:
        AnnotatorError: If `label` is below -1, if `labels` has an id below 0, or if `confidence` is not a probability.

    Example:

        >>> Annotation(1, confidence=0.9).is_labelled, Annotation(-1, reason="not a label").is_labelled
        (True, False)
    """

    label: int
    confidence: float | None = None
    probabilities: tuple[float, ...] | None = None
    reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answer: str | None = None
    is_cut: bool = False
    spans: tuple[Span, ...] | None = None
    num_dropped: int = 0
    labels: tuple[int, ...] | None = None
    cached_tokens: int = 0
    discount: float = 0.0

    def __post_init__(self) -> None:
        if self.label < NO_LABEL:
            raise AnnotatorError(f"An annotation has the label id {self.label}; it must be an id, or -1 for no label.")
        if self.labels and min(self.labels) < 0:
            raise AnnotatorError(f"An annotation has the labels {self.labels}; they must be ids, or () for none.")
        if self.confidence is not None and not -_ROUNDING <= self.confidence <= 1 + _ROUNDING:
            raise AnnotatorError(
                f"An annotation has the confidence {self.confidence}; it must be a probability between 0 and 1, or "
                "None."
            )

    @property
    def is_labelled(self) -> bool:
        """Whether there is a label."""
        return self.label != NO_LABEL

    @property
    def candidates(self) -> tuple[int, ...]:
        """In a task with one label, the plausible labels if there are several; see `LLMAnnotator`."""
        return self.labels or () if self.label == NO_LABEL else ()


@dataclass(frozen=True)
class GenerationRequest:
    """A request to write texts for one label.

    Args:
        label (`int`): Id of the label that the new texts should have. In an entity task, it is the id of a type of
            which the texts should have entities, or -1 for texts without entities. In a task with any number of
            labels, the texts can also have other labels, and -1 is for texts with none.
        examples (`tuple[str, ...]`): Unlabelled texts of the corpus as examples of its style.
        num_texts (`int`): Number of texts to write.
        seed (`int`): Distinguishes repeated requests for the same label.

    Example:

        >>> GenerationRequest(label=1, examples=("a rusty saw",), num_texts=5).num_texts
        5
    """

    label: int
    examples: tuple[str, ...]
    num_texts: int
    seed: int = 0


@dataclass(frozen=True)
class Generation:
    """Texts that an annotator wrote for one label.

    Args:
        texts (`tuple[str, ...]`): The texts. There can be fewer than requested.
        prompt_tokens (`int`): Number of input tokens.
        completion_tokens (`int`): Number of output tokens.
        entities (`tuple`): In an entity task, the entities of each text and their types, as the model gave them.
        labels (`tuple`): In a task with any number of labels, the label ids of each text, as the model gave them.
        cached_tokens (`int`), discount (`float`): As in [`Annotation`].

    Example:

        >>> Generation(("a new hammer", "an old saw"), prompt_tokens=120, completion_tokens=14).texts
        ('a new hammer', 'an old saw')
    """

    texts: tuple[str, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    entities: tuple[tuple[tuple[str, str], ...], ...] = ()
    labels: tuple[tuple[int, ...], ...] = ()
    cached_tokens: int = 0
    discount: float = 0.0


@dataclass(frozen=True)
class ChoiceRequest:
    """A request to choose the texts that a person should label first.

    Args:
        candidates (`tuple[tuple[int, str], ...]`): Numbers and texts to choose from.
        num_choices (`int`): Number of texts to choose.
        guidelines (`str`, *optional*): Guidelines of the person who labels.
        with_advice (`bool`, *optional*): Whether the prompt says which texts are worth labelling.
        with_explanation (`bool`, *optional*): Whether the model writes an explanation before it chooses.
        chosen_texts (`tuple[str, ...]`, *optional*): Texts that were chosen before, for the prompt.
        chosen_numbers (`tuple[int, ...]`, *optional*): Numbers of candidates that were chosen before, for the prompt.
        attempt (`int`, *optional*, defaults to 1): Above 1 if an earlier answer had too few usable numbers.

    Example:

        >>> ChoiceRequest(((4, "a rusty saw"), (9, "a ripe plum")), num_choices=1).candidates[0]
        (4, 'a rusty saw')
    """

    candidates: tuple[tuple[int, str], ...]
    num_choices: int
    guidelines: str = ""
    with_advice: bool = False
    with_explanation: bool = True
    chosen_texts: tuple[str, ...] = ()
    chosen_numbers: tuple[int, ...] = ()
    attempt: int = 1


@dataclass(frozen=True)
class Choice:
    """The choice of an annotator. It is not checked: numbers can be repeated, or belong to no candidate.

    Args:
        numbers (`tuple[int, ...]`): The numbers, in the order of the annotator.
        reason (`str`, *optional*): Why there are no numbers, if the request could not be answered.
        prompt_tokens (`int`): Number of input tokens.
        completion_tokens (`int`): Number of output tokens.
        answer (`str`, *optional*): The unchanged output of the model.
        cached_tokens (`int`), discount (`float`): As in [`Annotation`].

    Example:

        >>> Choice((9, 4), answer='{"ids": [9, 4]}').numbers
        (9, 4)
    """

    numbers: tuple[int, ...]
    reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answer: str | None = None
    cached_tokens: int = 0
    discount: float = 0.0
