"""What an annotator is asked, and what it answers: labels, new texts, or a choice of texts."""

from dataclasses import dataclass
from typing import Protocol

from freeal_hf.data.spans import Span
from freeal_hf.errors import AnnotatorError
from freeal_hf.tasks import NO_LABEL, Demonstration

_ROUNDING = 1e-4  # by which a sum of probabilities of low precision may be off


class PaidAnswer(Protocol):
    """An answer that says how many tokens it took."""

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...


@dataclass(frozen=True)
class AnnotationRequest:
    """One text to be labelled.

    Args:
        text (`str`): The text.
        demonstrations (`tuple[Demonstration, ...]`, *optional*): Labelled texts to show with it, the nearest last.
        id (`str`, *optional*): Id of the sample; annotators that look answers up use it, no prompt contains it.
        words (`tuple[str, ...]`): In an entity task the words of the text, in which entities are found.
        sample (`int`, *optional*, defaults to 0): Number of this request among the repeated ones about the text; see
            `freeal_hf.annotators.samples`.
        order (`tuple[int, ...]`, *optional*): Ids of all labels, in the order in which they are shown; by default in
            the order of their ids.
        instruction (`str`, *optional*): One of `Task.instructions`, in place of the task's description.
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
            Why there is no label; set if and only if `label` is -1. What the driver and the shipped annotators give
            is listed in `freeal_hf.annotators.pacing.Reason`.
        prompt_tokens (`int`): Tokens that were read for this answer.
        completion_tokens (`int`): Tokens that were written for it.
        answer (`str`, *optional*): What the model said, word for word.
        is_cut (`bool`): Whether the annotator saw the text cut short, because it is too long for the model.
        spans (`tuple[Span, ...]`, *optional*): In an entity task the entities, by words; `None` for no answer. `label`
            is then 0 where there is an answer.
        num_dropped (`int`): Entities of the answer that do not stand in the text, and are left out.

    Raises:
        AnnotatorError: If `label` is below -1, or `confidence` is no probability.
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

    def __post_init__(self) -> None:
        if self.label < NO_LABEL:
            raise AnnotatorError(f"An annotation has the label id {self.label}; it must be an id, or -1 for no label.")
        if self.confidence is not None and not -_ROUNDING <= self.confidence <= 1 + _ROUNDING:
            raise AnnotatorError(
                f"An annotation has the confidence {self.confidence}; it must be a probability between 0 and 1, or "
                "None."
            )

    @property
    def is_labelled(self) -> bool:
        """Whether there is a label."""
        return self.label != NO_LABEL


@dataclass(frozen=True)
class GenerationRequest:
    """A request to write texts for one label.

    Args:
        label (`int`): Id of the label that the new texts should have; in an entity task of a type that they should
            name, or -1 for texts that name none.
        examples (`tuple[str, ...]`): Unlabelled texts of the corpus that show its style, not its labels.
        num_texts (`int`): How many texts to write.
        seed (`int`): Distinguishes repeated requests for the same label.
    """

    label: int
    examples: tuple[str, ...]
    num_texts: int
    seed: int = 0


@dataclass(frozen=True)
class Generation:
    """Texts that an annotator wrote for one label.

    Args:
        texts (`tuple[str, ...]`): The texts; fewer than asked for where the model gave fewer.
        prompt_tokens (`int`): Tokens that were read for them.
        completion_tokens (`int`): Tokens that were written for them.
        entities (`tuple`): In an entity task, for each text, what it is said to name: entities and their types.
    """

    texts: tuple[str, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    entities: tuple[tuple[tuple[str, str], ...], ...] = ()


@dataclass(frozen=True)
class ChoiceRequest:
    """A request to choose the texts that a person should label first.

    Args:
        candidates (`tuple[tuple[int, str], ...]`): Numbers and texts to choose from.
        num_choices (`int`): How many to choose.
        guidelines (`str`, *optional*): What the person who labels is told.
        with_advice (`bool`, *optional*): Whether to say what makes a text worth labelling.
        with_explanation (`bool`, *optional*): Whether to have the model think on paper before it chooses.
        chosen_texts (`tuple[str, ...]`, *optional*): Texts that were chosen before, to be shown.
        chosen_numbers (`tuple[int, ...]`, *optional*): Candidates that were chosen before, to be named.
        attempt (`int`, *optional*, defaults to 1): Above 1 where an earlier answer had too few usable numbers.
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
    """What an annotator chose, as it said it: numbers may repeat, or be none of the candidates'.

    Args:
        numbers (`tuple[int, ...]`): The numbers, in its order.
        reason (`str`, *optional*): Why there are none, where the request could not be answered.
        prompt_tokens (`int`): Tokens that were read for it.
        completion_tokens (`int`): Tokens that were written for it.
        answer (`str`, *optional*): What the model said, word for word.
    """

    numbers: tuple[int, ...]
    reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answer: str | None = None
