"""The kinds of work that the driver has done by an annotator: to label texts, to write texts, to choose texts."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, get_args

from freeal_hf.annotators.base import Annotator, TextChooser, TextGenerator, check_annotator
from freeal_hf.annotators.pacing import Reason, UnusableAnswer
from freeal_hf.annotators.requests import (
    Annotation,
    AnnotationRequest,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
    PaidAnswer,
)
from freeal_hf.data.spans import Span
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import NO_LABEL, Task

_UNUSABLE = frozenset(get_args(UnusableAnswer))

Request = TypeVar("Request")
Answer = TypeVar("Answer", bound=PaidAnswer)


@dataclass(frozen=True)
class Work(Generic[Request, Answer]):
    """What the driver needs to know of an annotator to put one kind of request to it.

    Args:
        annotator (`Annotator`): Entered as an asynchronous context manager in the driver's event loop.
        call (`Callable`): Answers some requests, in their order.
        fingerprint (`Callable`): The full request as JSON-able values; `None` for an answer that is not cached.
        restore (`Callable`): The answer from what the cache holds.
        unanswered (`Callable`): The answer of a request that got none, from the reason.
        is_unusable (`Callable`): Whether an answer should be asked for once more.
        group (`Callable`): Requests of equal group are sent in a row, which serves a prefix cache.
        concurrency (`int`): Maximum number of simultaneous calls.
        timeout (`float`, *optional*): Time limit for one call, in seconds.
        batch_size (`int`, *optional*, defaults to 1): Requests per call.

    Raises:
        InputError: If `concurrency` or `batch_size` is no whole number of at least 1.
    """

    annotator: Annotator
    call: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]]
    fingerprint: Callable[[Request], Mapping[str, Any] | None]
    restore: Callable[[dict[str, Any]], Answer]
    unanswered: Callable[[Reason], Answer]
    is_unusable: Callable[[Answer], bool]
    group: Callable[[Request], Hashable]
    concurrency: int
    timeout: float | None
    batch_size: int = 1

    def __post_init__(self) -> None:
        for name in ("concurrency", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"The annotator's {name} is {value!r}; it must be a whole number of at least 1.")


def annotation_work(annotator: Annotator, task: Task) -> Work[AnnotationRequest, Annotation]:
    """To label texts. Texts with the same demonstrations are asked in a row, for a server's prefix cache.

    Args:
        annotator (`Annotator`): Who labels.
        task (`Task`): What is labelled.

    Raises:
        InputError: If `annotator` is no annotator, or its `concurrency` or `batch_size` cannot be used.
    """
    check_annotator(annotator)
    return Work(
        annotator=annotator,
        call=partial(_checked_answers, annotator, task),
        fingerprint=partial(annotator.fingerprint, task),
        restore=_restored_annotation,
        unanswered=lambda reason: Annotation(NO_LABEL, reason=reason),
        is_unusable=lambda answer: answer.reason in _UNUSABLE,
        group=lambda request: request.demonstrations,
        concurrency=annotator.concurrency,
        batch_size=annotator.batch_size,
        timeout=annotator.timeout,
    )


def generation_work(annotator: TextGenerator, task: Task) -> Work[GenerationRequest, Generation]:
    """To write texts for labels. A request that could not be answered gets no texts.

    Args:
        annotator (`TextGenerator`): Who writes.
        task (`Task`): The labels.

    Raises:
        InputError: As `annotation_work`.
    """
    check_annotator(annotator, TextGenerator)

    async def write(requests: Sequence[GenerationRequest]) -> list[Generation]:
        return [await annotator.generate(task, request) for request in requests]

    return Work(
        annotator=annotator,
        call=write,
        fingerprint=partial(annotator.generation_fingerprint, task),
        restore=_restored_generation,
        unanswered=lambda _: Generation(()),
        is_unusable=lambda answer: not answer.texts,
        group=lambda request: request.label,
        concurrency=annotator.concurrency,
        timeout=annotator.generation_timeout or annotator.timeout,
    )


def choice_work(annotator: TextChooser, task: Task) -> Work[ChoiceRequest, Choice]:
    """To choose texts. A choice has the numbers as the annotator gives them.

    Args:
        annotator (`TextChooser`): Who chooses.
        task (`Task`): What the texts are labelled for.

    Raises:
        InputError: As `annotation_work`.
    """
    check_annotator(annotator, TextChooser)

    async def choose(requests: Sequence[ChoiceRequest]) -> list[Choice]:
        return [await annotator.choose(task, request) for request in requests]

    return Work(
        annotator=annotator,
        call=choose,
        fingerprint=partial(annotator.choice_fingerprint, task),
        restore=lambda values: Choice(**{**values, "numbers": tuple(values["numbers"])}),
        unanswered=lambda reason: Choice((), reason=reason),
        is_unusable=lambda answer: not answer.numbers,
        group=lambda request: request.guidelines,
        concurrency=1,
        timeout=annotator.generation_timeout or annotator.timeout,
    )


async def _checked_answers(annotator: Annotator, task: Task, some: Sequence[AnnotationRequest]) -> list[Annotation]:
    answers = await annotator.annotate(task, some)
    for answer in answers:
        if answer.label >= task.num_labels:
            name = type(annotator).__name__
            raise AnnotatorError(f"{name} gave the label id {answer.label}; the task has {task.num_labels} labels.")
    return answers


def _restored_annotation(values: dict[str, Any]) -> Annotation:
    probabilities, spans = values.get("probabilities"), values.get("spans")
    restored = {
        "probabilities": tuple(probabilities) if probabilities else None,
        "spans": None if spans is None else tuple(Span(*span) for span in spans),
    }
    return Annotation(**{**values, **restored})


def _restored_generation(values: dict[str, Any]) -> Generation:
    entities = tuple(tuple((text, name) for text, name in some) for some in values.get("entities", ()))
    return Generation(**{**values, "texts": tuple(values["texts"]), "entities": entities})
