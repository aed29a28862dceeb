"""What an annotator is asked and what it answers, and the driver that puts a corpus to it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, get_args

from freeal_hf.annotators.budget import Budget, Ledger, Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import PaidAnswer, Work, run, session
from freeal_hf.annotators.pacing import UnusableAnswer
from freeal_hf.data.spans import Span
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import NO_LABEL, Demonstration, Task, TextClassification

__all__ = [
    "Annotation",
    "AnnotationRequest",
    "Annotator",
    "Choice",
    "ChoiceRequest",
    "Generation",
    "GenerationRequest",
    "check_annotator",
    "run_annotation",
    "run_choice",
    "run_generation",
    "session",
]

_UNUSABLE = frozenset(get_args(UnusableAnswer))
_ROUNDING = 1e-4  # by which a sum of probabilities of low precision may be off


@dataclass(frozen=True)
class AnnotationRequest:
    """One text to be labelled.

    Args:
        text (`str`): The text.
        demonstrations (`tuple[Demonstration, ...]`, *optional*): Labelled texts to show with it, the nearest last.
        id (`str`, *optional*): Id of the sample; annotators that look answers up use it, no prompt contains it.
        words (`tuple[str, ...]`): In an entity task the words of the text, in which entities are found.
    """

    text: str
    demonstrations: tuple[Demonstration, ...] = ()
    id: str | None = None
    words: tuple[str, ...] = ()


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


class Annotator(ABC):
    """What labels texts. An annotator of your own is a subclass with one method, `annotate`.

    The driver puts requests to it, caches the answers, paces the calls, repeats failed ones and keeps the budget. A
    call that fails raises `TransientError` (it is repeated), `RefusedError` (the text gets no label) or
    `AnnotatorError` (the run ends).

    Attributes:
        name (`str`, *optional*): Name of its model. Price tables, `config.yaml` and cards use it.
        base_url (`str`, *optional*): Address of its server, without a key. `config.yaml` and cards use it.
        provider (`str`, *optional*): Inference provider. `config.yaml` and cards use it.
        kinds (`frozenset[str]`): The types of tasks that it can label (`Task.type`). For an entity task
            (`"token-classification"`), its annotations have `spans`.
        is_free (`bool`): Whether its answers cost nothing, whatever a price table says.
        reads_prompts (`bool`): Whether it is a language model that reads the prompts of this package.
        price (`Price`, *optional*): Price of its tokens. By default, the price table is searched for `name`.
        concurrency (`int`): Maximum number of simultaneous calls.
        batch_size (`int`): Requests per call of `annotate`.
        timeout (`float`, *optional*): Time limit for one call of `annotate`, in seconds.
        generation_timeout (`float`, *optional*): The same for `generate` and `choose`; by default `timeout`.

    Example:

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
        >>> answers = dict(run_annotation(KeywordAnnotator({"plum": "fruit"}), task, [AnnotationRequest("A plum")]))
        >>> task.label_names[answers[0].label]
        'fruit'
    """

    name: str | None = None
    base_url: str | None = None
    provider: str | None = None
    kinds: frozenset[str] = frozenset({TextClassification.type})
    is_free: bool = False
    reads_prompts: bool = False
    price: Price | None = None
    concurrency: int = 8
    batch_size: int = 1
    timeout: float | None = None
    generation_timeout: float | None = None

    @classmethod
    def from_spec(cls, value: str, options: Mapping[str, Any]) -> "Annotator":
        """Builds the annotator that is named on the command line.

        Args:
            value (`str`): What follows the colon in `NAME:VALUE`; empty if there is no colon.
            options (`Mapping`): Keyword arguments, from `--annotator-option`.

        Returns:
            `Annotator`: By default `cls(value, **options)`, or `cls(**options)` without a value.
        """
        return cls(*filter(None, [value]), **options)

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

    async def generate(self, task: Task, request: GenerationRequest) -> Generation:
        """Writes texts for one label. An annotator that implements it writes the demonstrations of round 0.

        Args:
            task (`Task`): What is labelled.
            request (`GenerationRequest`): What to write.

        Returns:
            `Generation`: `request.num_texts` texts, or fewer.

        Raises:
            TransientError, RefusedError, AnnotatorError: As `annotate`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method generate.")

    async def choose(self, task: Task, request: ChoiceRequest) -> Choice:
        """Chooses the texts that a person should label first, for `freeal-hf select`.

        Args:
            task (`Task`): What is labelled.
            request (`ChoiceRequest`): The texts to choose from.

        Returns:
            `Choice`: The numbers of the chosen texts.

        Raises:
            TransientError, RefusedError, AnnotatorError: As `annotate`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method choose.")

    @property
    def can_generate(self) -> bool:
        """Whether the class implements `generate`."""
        return type(self).generate is not Annotator.generate

    @property
    def can_choose(self) -> bool:
        """Whether the class implements `choose`."""
        return type(self).choose is not Annotator.choose

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any] | None:
        """Everything that the answer to a request depends on: the key of the answer cache.

        Args:
            task (`Task`): What is labelled.
            request (`AnnotationRequest`): The text and its demonstrations.

        Returns:
            `Mapping`: JSON-able values (messages, schema, model, sampling), never a key or token. `max_tokens`, if
            present, is the budget's upper limit for the answer. `None`: the answer is not cached.
        """
        return None

    def generation_fingerprint(self, task: Task, request: GenerationRequest) -> Mapping[str, Any] | None:
        """The same as `fingerprint`, for `generate`."""
        return None

    def choice_fingerprint(self, task: Task, request: ChoiceRequest) -> Mapping[str, Any] | None:
        """The same as `fingerprint`, for `choose`."""
        return None

    def take_own_calls(self) -> Sequence[PaidAnswer]:
        """The answers to calls that the annotator made for itself, such as tests of its server, since the last time.

        The driver adds their tokens to the ledger.
        """
        return ()

    def describe(self) -> dict[str, str]:
        """Class, model and address for `config.yaml` and cards; never a key or token."""
        known = {
            "class": type(self).__name__,
            "model": self.name,
            "base_url": self.base_url,
            "provider": self.provider,
        }
        return {name: value for name, value in known.items() if value is not None}

    def open(self) -> None:  # noqa: B027 - optional
        """Called before the first call of a run, outside the event loop, for example to start a server.

        It can be called again before `close`; every `open` is followed by a `close` of its own.
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


def check_annotator(annotator: object) -> None:
    """Refuses what is not an annotator.

    Args:
        annotator (`object`): What a user gave.

    Raises:
        InputError: If it is not an instance of a subclass of `Annotator`.
    """
    if not isinstance(annotator, Annotator):
        shown = f"the class {annotator.__name__}" if isinstance(annotator, type) else type(annotator).__name__
        raise InputError(
            f"The annotator is {shown}, which is not an instance of freeal_hf.Annotator. Derive its class from "
            "freeal_hf.Annotator: `class MyAnnotator(freeal_hf.Annotator)`; see docs/annotators.md."
        )


def run_annotation(
    annotator: Annotator,
    task: Task,
    requests: Iterable[AnnotationRequest],
    *,
    cache: AnswerCache | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    max_attempts: int = 8,
    progress: Callable[[int], Any] | None = None,
) -> Generator[tuple[int, Annotation], None, None]:
    """Labels any number of texts and yields the answers as they come.

    Identical requests are asked once. What can succeed is tried again; a text that cannot be labelled ends with label
    -1 and a reason, and stops no other. Calls under way at once grow while the server keeps up and halve when it is
    overloaded. Memory does not grow with the number of texts. It may be called where an event loop is running.

    Args:
        annotator (`Annotator`): Who labels.
        task (`Task`): What is labelled.
        requests (`Iterable[AnnotationRequest]`):
            The texts; read as they are needed, in the caller's thread. Of a sequence, those with the same
            demonstrations are asked in a row, so that a server's prefix cache can serve them.
        cache (`AnswerCache`, *optional*): Where every answer is written before it is yielded, and looked for first.
        ledger (`Ledger`, *optional*): Is filled with calls, tokens and seconds.
        budget (`Budget`, *optional*): Limits in dollars or tokens.
        max_attempts (`int`, *optional*, defaults to 8): How often one text is asked at most.
        progress (`Callable`, *optional*): Called with 1 for each text that is finished, such as `tqdm.update`.

    Yields:
        `tuple[int, Annotation]`: Index of a request, and its answer; every index once, in any order.

    Raises:
        AnnotatorError: If the annotator cannot work (wrong key, no such model, unreachable). The cache holds what was
            answered.
        BudgetExceeded: After the last answer that the budget allows; what was yielded is valid.
        InputError: If a budget in dollars is given without a price.
        RunError: If the cache cannot be written.
    """
    check_annotator(annotator)
    work: Work[AnnotationRequest, Annotation] = Work(
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
    yield from run(
        work,
        requests,
        cache=cache,
        ledger=ledger,
        budget=budget,
        max_attempts=max_attempts,
        progress=progress,
    )


def run_generation(
    annotator: Annotator,
    task: Task,
    requests: Sequence[GenerationRequest],
    *,
    cache: AnswerCache | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    max_attempts: int = 8,
    progress: Callable[[int], Any] | None = None,
) -> list[Generation]:
    """Has texts written for labels, under the rules of `run_annotation`.

    Args:
        annotator (`Annotator`): Who writes; it must implement `generate`.
        task (`Task`): The labels.
        requests (`Sequence[GenerationRequest]`): What to write.
        cache, ledger, budget, max_attempts, progress: As in `run_annotation`.

    Returns:
        `list[Generation]`: What was written for each request, in their order; no texts where it could not be answered.

    Raises:
        AnnotatorError, BudgetExceeded, InputError, RunError: As in `run_annotation`.
    """
    check_annotator(annotator)

    async def write(some: Sequence[GenerationRequest]) -> list[Generation]:
        return [await annotator.generate(task, request) for request in some]

    work: Work[GenerationRequest, Generation] = Work(
        annotator=annotator,
        call=write,
        fingerprint=partial(annotator.generation_fingerprint, task),
        restore=_restored_generation,
        unanswered=lambda reason: Generation(()),
        is_unusable=lambda answer: not answer.texts,
        group=lambda request: request.label,
        concurrency=annotator.concurrency,
        batch_size=1,
        timeout=annotator.generation_timeout or annotator.timeout,
    )
    written = run(
        work,
        requests,
        cache=cache,
        ledger=ledger,
        budget=budget,
        max_attempts=max_attempts,
        progress=progress,
    )
    return [generation for _, generation in sorted(written, key=lambda answer: answer[0])]


def run_choice(
    annotator: Annotator,
    task: Task,
    request: ChoiceRequest,
    *,
    cache: AnswerCache | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    max_attempts: int = 8,
) -> Choice:
    """Has texts chosen, under the rules of `run_annotation`.

    Args:
        annotator (`Annotator`): Who chooses; it must implement `choose`.
        task (`Task`): What the texts are labelled for.
        request (`ChoiceRequest`): What to choose from.
        cache, ledger, budget, max_attempts: As in `run_annotation`.

    Returns:
        `Choice`: The numbers as the annotator said them.

    Raises:
        AnnotatorError, BudgetExceeded, InputError, RunError: As in `run_annotation`.
    """
    check_annotator(annotator)

    async def choose(some: Sequence[ChoiceRequest]) -> list[Choice]:
        return [await annotator.choose(task, one) for one in some]

    work: Work[ChoiceRequest, Choice] = Work(
        annotator=annotator,
        call=choose,
        fingerprint=partial(annotator.choice_fingerprint, task),
        restore=lambda values: Choice(**{**values, "numbers": tuple(values["numbers"])}),
        unanswered=lambda reason: Choice((), reason=reason),
        is_unusable=lambda answer: not answer.numbers,
        group=lambda request: request.guidelines,
        concurrency=1,
        batch_size=1,
        timeout=annotator.generation_timeout or annotator.timeout,
    )
    [(_, choice)] = run(work, [request], cache=cache, ledger=ledger, budget=budget, max_attempts=max_attempts)
    return choice


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
