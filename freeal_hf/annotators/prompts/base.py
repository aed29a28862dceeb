"""`TaskPrompts`: the prompts for one kind of task, and the parsing of the answers."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from freeal_hf.annotators.base import Annotation, AnnotationRequest, Generation, GenerationRequest
from freeal_hf.annotators.constraints import Constrain
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion
from freeal_hf.errors import InputError, RefusedError
from freeal_hf.tasks import Demonstration

TaskT = TypeVar("TaskT")

SMALLEST_CUT = 200
"""The length in characters below which texts are not cut."""

Complete = Callable[[str, int, Sequence[Message], Constrain, int], Awaitable[Completion]]
"""Makes one call. Its arguments are the kind of question (see `Question.kind`), the maximum number of tokens of the
answer, the chat, the constraint, and the number of log-probabilities of each token."""

Annotate = Callable[[Sequence[AnnotationRequest]], Iterable[tuple[int, Annotation]]]
"""Sends requests to an annotator, and returns each answer with the index of its request."""

Embed = Callable[[Sequence[str]], np.ndarray]
"""Unit embeddings of texts, shape `(n, d)`."""


@dataclass(frozen=True)
class Limits:
    """The limits of a language model for one text.

    Args:
        max_tokens (`int`): Maximum number of tokens of an answer that is one label.
        max_list_tokens (`int`): Maximum number of tokens of an answer that is a list.
        max_text_length (`int`): Maximum length of the text, in characters.
        coded (`bool`): Whether labels are answered as letters, for their probabilities; see `label_codes`.
        candidates (`bool`, *optional*, defaults to `False`): Whether to ask for all plausible labels of a text that
            has one label.
    """

    max_tokens: int
    max_list_tokens: int
    max_text_length: int
    coded: bool
    candidates: bool = False


async def fitting(call: Callable[[int], Awaitable[Completion]], text: str, max_length: int) -> tuple[Completion, int]:
    """Makes a call about a text. A text that is too long for the model is halved until it fits.

    Args:
        call (`Callable`): Makes the call with the text cut to a number of characters.
        text (`str`): The text.
        max_length (`int`): The maximum number of characters.

    Returns:
        `tuple[Completion, int]`: The answer, and the number of characters to which the text was cut.

    Raises:
        RefusedError: If the call is refused for another reason, or the shortest text is still too long.
    """
    length = max_length
    while True:
        try:
            return await call(length), length
        except RefusedError as error:
            length = min(length, len(text)) // 2
            if error.reason != "text too long" or length < SMALLEST_CUT:
                raise


@dataclass(frozen=True)
class Alternatives:
    """The answers whose probabilities decide an annotation, if a model writes no answer; see `LocalAnnotator`.

    Args:
        answers (`list[str]`): The answers.
        are_whole (`bool`): Whether the turn of the model ends after an answer.
        messages (`Callable`): Returns the chat of an annotation request that the answers follow.
        read (`Callable`): Reads an annotation from the log-likelihood of each answer.
    """

    answers: list[str]
    are_whole: bool
    messages: Callable[[AnnotationRequest], list[Message]]
    read: Callable[[np.ndarray], Annotation]


class TaskPrompts(ABC, Generic[TaskT]):
    """The prompts for one kind of task, and the parsing of the answers.

    `prompts_of` returns the subclass for a task. The annotators use this class alone and never ask for the type of a
    task.

    Args:
        task (`Task`): What is labelled.
    """

    usual_answer_tokens: ClassVar[int]
    """Usual number of tokens of a language model's answer about one text."""

    has_one_label: ClassVar[bool] = False
    """Whether a text has exactly one label, so that the probabilities of the labels have a sum of 1."""

    writing_start: ClassVar[str] = '{"texts": ["'
    """The beginning of an answer to `writing`, up to the first text."""

    def __init__(self, task: TaskT) -> None:
        self.task = task

    # ---- Language models ----

    @abstractmethod
    def messages(self, request: AnnotationRequest) -> list[Message]:
        """Returns the chat of an annotation request, for the card of the dataset."""

    @abstractmethod
    def asked(self, request: AnnotationRequest, limits: Limits) -> dict[str, Any]:
        """Returns what an annotation depends on in addition to model and sampling, for the key of the answer cache.

        Args:
            request (`AnnotationRequest`): The text and its demonstrations.
            limits (`Limits`): What is read and written.

        Returns:
            `dict`: Values of JSON, with `messages`, `schema` and `max_tokens`.
        """

    @abstractmethod
    async def ask(self, complete: Complete, request: AnnotationRequest, limits: Limits) -> Annotation:
        """Requests an annotation.

        Args:
            complete (`Complete`): Makes a call.
            request (`AnnotationRequest`): The text and its demonstrations.
            limits (`Limits`): What is read and written.

        Raises:
            TransientError, RefusedError, AnnotatorError: Those of `complete`.
        """

    def alternatives(self) -> Alternatives:
        """Returns the answers whose probabilities decide an annotation.

        Raises:
            InputError: If this kind of task has no such answers.
        """
        raise InputError(
            f"The answers of a {type(self).__name__} cannot be listed. Use an annotator that writes answers."
        )

    @abstractmethod
    def combined(self, answers: Sequence[Annotation]) -> Annotation:
        """Combines repeated answers about one text.

        Args:
            answers (`Sequence[Annotation]`): The answers, in the order of their samples.
        """

    @abstractmethod
    def in_words(self, request: AnnotationRequest, answer: Annotation) -> str:
        """Returns an answer as text for a person.

        Args:
            request (`AnnotationRequest`): The text.
            answer (`Annotation`): An answer with a label.
        """

    @abstractmethod
    def writing(self, request: GenerationRequest) -> tuple[list[Message], dict[str, Any]]:
        """Returns the chat that requests new texts with their label, and the JSON schema of its answer."""

    @abstractmethod
    def written(self, completion: Completion, request: GenerationRequest) -> Generation:
        """Parses the texts in the answer to `writing`."""

    @abstractmethod
    def confirmed(self, candidates: Sequence[Demonstration], annotate: Annotate) -> list[Demonstration]:
        """Returns the written texts to which the annotator gives the label that they were written for.

        Args:
            candidates (`Sequence[Demonstration]`): The written texts.
            annotate (`Annotate`): Asks the annotator.
        """

    # ---- Columns of labels ----

    @abstractmethod
    def check_column(self, answers: Mapping[str, str], name: str) -> None:
        """Warns of values of a column that are not labels, and refuses a column without labels.

        Args:
            answers (`Mapping[str, str]`): Value of the column by sample id.
            name (`str`): Name of the column.

        Raises:
            InputError: If the column is empty or does not contain labels of the task.
        """

    @abstractmethod
    def from_column(self, value: str, name: str, request: AnnotationRequest) -> Annotation:
        """Reads the value of a column.

        Args:
            value (`str`): The value; empty if there is none.
            name (`str`): Name of the column.
            request (`AnnotationRequest`): The text that the value is about.

        Raises:
            InputError: If the value cannot be a label of the task.
        """

    # ---- Embeddings ----

    @abstractmethod
    def compared(self, request: AnnotationRequest, temperature: float) -> dict[str, Any]:
        """Returns what an annotation by embeddings depends on in addition to the model, for the key of the cache."""

    @abstractmethod
    def nearest(self, requests: Sequence[AnnotationRequest], embed: Embed, temperature: float) -> list[Annotation]:
        """Labels texts by their embeddings.

        Args:
            requests (`Sequence[AnnotationRequest]`): The texts and their demonstrations.
            embed (`Embed`): Embeds texts, and remembers them. It is fastest on many texts at once.
            temperature (`float`): Temperature of the softmax over cosine similarities.
        """

    # ---- Encoders for zero-shot classification ----

    def scored(self, scores: np.ndarray, *, are_calibrated: bool) -> list[Annotation]:
        """Labels texts by the scores of an encoder.

        Args:
            scores (`np.ndarray` of shape `(texts, labels)`): The probability of each label.
            are_calibrated (`bool`): Whether the scores are reported as probabilities, or only used for the labels.

        Raises:
            InputError: If a text of this kind of task has no such scores.
        """
        raise InputError(f"The labels of a {type(self).__name__} have no scores. Use another annotator.")
