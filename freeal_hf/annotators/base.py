"""The base classes of annotators."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from freeal_hf.annotators.budget import Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.requests import (
    Annotation,
    AnnotationRequest,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
    PaidAnswer,
)
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task, TextClassification

__all__ = [
    "Annotation",
    "AnnotationRequest",
    "Annotator",
    "Choice",
    "ChoiceRequest",
    "Generation",
    "GenerationRequest",
    "TextChooser",
    "TextGenerator",
    "check_annotator",
]


class Annotator(ABC):
    """Base class of annotators, which label texts. A subclass implements one method, `annotate`.

    The driver sends requests to the annotator, caches the answers, paces the calls, repeats failed calls and keeps the
    budget. A call that fails raises `TransientError` (it is repeated), `RefusedError` (the text gets no label) or
    `AnnotatorError` (the run ends).

    Attributes:
        name (`str`, *optional*): Name of the model. Price tables, `config.yaml` and cards use it.
        base_url (`str`, *optional*): Address of the server, without a key. `config.yaml` and cards use it.
        provider (`str`, *optional*): Inference provider. `config.yaml` and cards use it.
        kinds (`frozenset[str]`): The types of tasks that it can label (`Task.type`). For an entity task
            (`"token-classification"`), its annotations have `spans`.
        is_free (`bool`): Whether its answers cost nothing, whatever a price table says.
        discount (`float`): Share of the price that is not charged, for the estimate; see [`Annotation`].
        takes_class_shares (`bool`): Whether its constructor has an argument `class_shares`, which a run with
            `LoopConfig.class_shares` gives it: the share of each label by its name.
        reads_prompts (`bool`): Whether it is a language model that reads the prompts of this package.
        price (`Price`, *optional*): Price of its tokens. By default, the price table is searched for `name`, and then
            `published_price` is called.
        concurrency (`int`): Maximum number of simultaneous calls.
        batch_size (`int`): Requests per call of `annotate`.
        sends_batches (`bool`): Whether it collects calls into batches, which take hours. `concurrency` calls are then
            made at once from the start, and without a time limit.
        has_prompt_cache (`bool`): Whether its server says that it caches the beginnings of prompts. Texts then share
            demonstrations, as with a server that reports cached tokens.
        timeout (`float`, *optional*): Time limit for one call of `annotate`, in seconds.
        generation_timeout (`float`, *optional*): The same for `generate` and `choose`; by default `timeout`.

    Example:

        >>> import asyncio
        >>> class KeywordAnnotator(Annotator):
        ...     def __init__(self, words):
        ...         self.words = words
        ...
        ...     async def annotate(self, task, requests):
        ...         return [self.label(task, request.text.lower().split()) for request in requests]
        ...
        ...     def label(self, task, words):
        ...         names = [self.words[word] for word in words if word in self.words]
        ...         return Annotation(task.label2id[names[0]]) if names else Annotation(-1, reason="no known word")
        >>> task = TextClassification(["fruit", "tool"])
        >>> annotator = KeywordAnnotator({"plum": "fruit"})
        >>> [answer] = asyncio.run(annotator.annotate(task, [AnnotationRequest("A plum")]))
        >>> task.label_names[answer.label]
        'fruit'
    """

    name: str | None = None
    base_url: str | None = None
    provider: str | None = None
    kinds: frozenset[str] = frozenset({TextClassification.type})
    is_free: bool = False
    discount: float = 0.0
    takes_class_shares: bool = False
    reads_prompts: bool = False
    price: Price | None = None
    concurrency: int = 8
    batch_size: int = 1
    sends_batches: bool = False
    has_prompt_cache: bool = False
    timeout: float | None = None
    generation_timeout: float | None = None

    @classmethod
    def from_spec(cls, value: str, options: Mapping[str, Any]) -> "Annotator":
        """Builds the annotator that is named on the command line.

        Args:
            value (`str`): The text after the colon in `NAME:VALUE`; empty if there is no colon.
            options (`Mapping`): Keyword arguments, from `--annotator-option`.

        Returns:
            `Annotator`: By default `cls(value, **options)`, or `cls(**options)` without a value.
        """
        return cls(*filter(None, [value]), **options)

    def check_task(self, task: Task) -> None:
        """Refuses a task that it cannot label.

        Args:
            task (`Task`): What is labelled.

        Raises:
            InputError: By default if the type of the task is not in `kinds`.
        """
        if task.type not in self.kinds:
            raise InputError(
                f"{type(self).__name__} cannot label tasks of the type {task.type!r}, only "
                f"{', '.join(map(repr, sorted(self.kinds)))}. Use endpoint:MODEL or column:NAME, or your own "
                f"annotator with {task.type!r} in `kinds`."
            )

    @abstractmethod
    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels texts.

        Args:
            task (`Task`): What is labelled.
            requests (`Sequence[AnnotationRequest]`): At most `batch_size` texts.

        Returns:
            `list[Annotation]`: One answer for each request, in the same order.

        Raises:
            TransientError: If the call can succeed later.
            RefusedError: If the call can never succeed.
            AnnotatorError: If the annotator cannot work at all.
        """

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any] | None:
        """Returns everything that the answer to a request depends on. Its hash is the key of the answer cache.

        Args:
            task (`Task`): What is labelled.
            request (`AnnotationRequest`): The text and its demonstrations.

        Returns:
            `Mapping`: Values that JSON can represent (messages, schema, model, sampling), never a key or token. If
            `max_tokens` is present, the budget uses it as the upper limit for the answer. With `None` the answer is
            not cached.
        """
        return None

    def published_price(self) -> Price | None:
        """Looks up the price of its tokens at its provider. It is used if the user gives none."""
        return None

    def take_own_calls(self) -> Sequence[PaidAnswer]:
        """Returns the answers to the annotator's own calls since the last time, such as tests of its server.

        The driver adds their tokens to the ledger.
        """
        return ()

    def describe(self) -> dict[str, str]:
        """Returns class, model and address for `config.yaml` and cards, never a key or token."""
        known = {
            "class": type(self).__name__,
            "model": self.name,
            "base_url": self.base_url,
            "provider": self.provider,
        }
        return {name: value for name, value in known.items() if value is not None}

    def use_cache(self, cache: AnswerCache | None) -> None:  # noqa: B027 - optional
        """Called before the first call, with the answer cache of the run, in which batches are found again."""

    def open(self) -> None:  # noqa: B027 - optional
        """Called before the first call of a run, outside the event loop, for example to start a server.

        It can be called again before `close`. Each call of `open` is followed by its own call of `close`.
        """

    def close(self) -> None:  # noqa: B027 - optional
        """Called after the last call of a run, also after an error."""

    async def __aenter__(self) -> "Annotator":
        """Called in the event loop of the calls before the first of them, for example to open a connection."""
        return self

    async def __aexit__(  # noqa: B027 - optional
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Called in the event loop of the calls after the last of them."""


class TextGenerator(Annotator):
    """An annotator that also writes the texts of the demonstrations of round 0.

    Example:

        ```python
        class MyGenerator(TextGenerator):
            async def annotate(self, task, requests): ...

            async def generate(self, task, request):
                texts = await my_model(f"Write {request.num_texts} texts: {task.label_names[request.label]}")
                return Generation(tuple(texts))
        ```
    """

    @abstractmethod
    async def generate(self, task: Task, request: GenerationRequest) -> Generation:
        """Writes texts for one label.

        Args:
            task (`Task`): What is labelled.
            request (`GenerationRequest`): The label, and the number and style of the texts.

        Returns:
            `Generation`: `request.num_texts` texts, or fewer.

        Raises:
            TransientError, RefusedError, AnnotatorError: As `annotate`.
        """

    def generation_fingerprint(self, task: Task, request: GenerationRequest) -> Mapping[str, Any] | None:
        """The same as `fingerprint`, for `generate`."""
        return None


class TextChooser(Annotator):
    """An annotator that also chooses the texts that a person should label first, for `freeal-hf select`.

    Example:

        ```python
        class MyChooser(TextChooser):
            async def annotate(self, task, requests): ...

            async def choose(self, task, request):
                return Choice(tuple(number for number, text in request.candidates[: request.num_choices]))
        ```
    """

    @abstractmethod
    async def choose(self, task: Task, request: ChoiceRequest) -> Choice:
        """Chooses texts.

        Args:
            task (`Task`): What is labelled.
            request (`ChoiceRequest`): The texts to choose from.

        Returns:
            `Choice`: The numbers of the chosen texts.

        Raises:
            TransientError, RefusedError, AnnotatorError: As `annotate`.
        """

    def choice_fingerprint(self, task: Task, request: ChoiceRequest) -> Mapping[str, Any] | None:
        """The same as `fingerprint`, for `choose`."""
        return None


def check_annotator(annotator: object, kind: type = Annotator) -> None:
    """Refuses an object that is not an annotator.

    Args:
        annotator (`object`): The object that a user gave.
        kind (`type`, *optional*, defaults to `Annotator`): The base class that it must have.

    Raises:
        InputError: If it is not an instance of a subclass of `kind`.

    Example:

        >>> check_annotator("gpt-4o")
        Traceback (most recent call last):
        freeal_hf.errors.InputError: The annotator is str, which is not an instance of freeal_hf.Annotator. ...
    """
    if not isinstance(annotator, kind):
        shown = f"the class {annotator.__name__}" if isinstance(annotator, type) else type(annotator).__name__
        name = kind.__name__
        raise InputError(
            f"The annotator is {shown}, which is not an instance of freeal_hf.{name}. Derive its class from "
            f"freeal_hf.{name}: `class MyAnnotator(freeal_hf.{name})`; see docs/annotators.md."
        )
