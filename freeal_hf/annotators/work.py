"""The kinds of work of an annotator: it labels texts, writes texts, or chooses texts."""

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
    """What the driver needs to send one kind of request to an annotator.

    Args:
        annotator (`Annotator`): The annotator. The driver enters it as an asynchronous context manager.
        call (`Callable`): Answers some requests, in their order.
        fingerprint (`Callable`): Returns the complete request as values that JSON can represent, or `None` if the
            answer is not cached.
        restore (`Callable`): Makes the answer from the values in the cache.
        unanswered (`Callable`): Makes the answer of a request that could not be answered, from the reason.
        is_unusable (`Callable`): Returns whether the request should be sent once more.
        group (`Callable`): Returns the group of a request. Requests of a group are sent one after the other, so that
            a server can use its prefix cache.
        concurrency (`int`): Maximum number of simultaneous calls.
        timeout (`float`, *optional*): Time limit for one call, in seconds.
        batch_size (`int`, *optional*, defaults to 1): Requests per call.

    Raises:
        InputError: If `concurrency` or `batch_size` is not a whole number of at least 1.
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
    """Returns the work of labelling texts. Texts with the same demonstrations are sent one after the other.

    Args:
        annotator (`Annotator`): The annotator.
        task (`Task`): What is labelled.

    Raises:
        InputError: If `annotator` is not an annotator or cannot label the task, or its `concurrency` or `batch_size`
            cannot be used.

    Example:

        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> from freeal_hf.tasks import TextClassification
        >>> annotation_work(ColumnAnnotator({}, "guess"), TextClassification(["fruit", "tool"])).batch_size
        1000
    """
    check_annotator(annotator)
    annotator.check_task(task)
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
        timeout=None if annotator.sends_batches else annotator.timeout,
    )


def generation_work(annotator: TextGenerator, task: Task) -> Work[GenerationRequest, Generation]:
    """Returns the work of writing texts for labels. A request that could not be answered gets no texts.

    Args:
        annotator (`TextGenerator`): The annotator.
        task (`Task`): The labels.

    Raises:
        InputError: As `annotation_work`.
    """
    check_annotator(annotator, TextGenerator)
    return Work(
        annotator=annotator,
        call=partial(_one_by_one, partial(annotator.generate, task)),
        fingerprint=partial(annotator.generation_fingerprint, task),
        restore=_restored_generation,
        unanswered=lambda _: Generation(()),
        is_unusable=lambda answer: not answer.texts,
        group=lambda request: request.label,
        concurrency=annotator.concurrency,
        timeout=None if annotator.sends_batches else annotator.generation_timeout or annotator.timeout,
    )


def choice_work(annotator: TextChooser, task: Task) -> Work[ChoiceRequest, Choice]:
    """Returns the work of choosing texts. A choice has the numbers as the annotator gives them.

    Args:
        annotator (`TextChooser`): The annotator.
        task (`Task`): The task of the person who labels.

    Raises:
        InputError: As `annotation_work`.
    """
    check_annotator(annotator, TextChooser)
    return Work(
        annotator=annotator,
        call=partial(_one_by_one, partial(annotator.choose, task)),
        fingerprint=partial(annotator.choice_fingerprint, task),
        restore=lambda values: Choice(**{**values, "numbers": tuple(values["numbers"])}),
        unanswered=lambda reason: Choice((), reason=reason),
        is_unusable=lambda answer: not answer.numbers,
        group=lambda request: request.guidelines,
        concurrency=1,
        timeout=None if annotator.sends_batches else annotator.generation_timeout or annotator.timeout,
    )


async def _one_by_one(answer: Callable[[Request], Awaitable[Answer]], requests: Sequence[Request]) -> list[Answer]:
    return [await answer(request) for request in requests]


async def _checked_answers(annotator: Annotator, task: Task, some: Sequence[AnnotationRequest]) -> list[Annotation]:
    answers = await annotator.annotate(task, some)
    for answer in answers:
        if (label := max((answer.label, *(answer.labels or ())))) >= task.num_labels:
            name = type(annotator).__name__
            raise AnnotatorError(f"{name} gave the label id {label}; the task has {task.num_labels} labels.")
    return answers


def _restored_annotation(values: dict[str, Any]) -> Annotation:
    probabilities, spans, labels = (values.get(name) for name in ("probabilities", "spans", "labels"))
    restored = {
        "probabilities": tuple(probabilities) if probabilities else None,
        "labels": None if labels is None else tuple(labels),
        "spans": None if spans is None else tuple(Span(*span) for span in spans),
    }
    return Annotation(**{**values, **restored})


def _restored_generation(values: dict[str, Any]) -> Generation:
    entities = tuple(tuple((text, name) for text, name in some) for some in values.get("entities", ()))
    labels = tuple(map(tuple, values.get("labels", ())))
    return Generation(**{**values, "texts": tuple(values["texts"]), "entities": entities, "labels": labels})
