"""The base class of annotators that use a language model, independent of the protocol of its server."""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any

from freeal_hf.annotators.base import (
    Annotation,
    AnnotationRequest,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
    TextChooser,
    TextGenerator,
)
from freeal_hf.annotators.constraints import Constrain, schema_fields
from freeal_hf.annotators.features import TOP_LOGPROBS, Features
from freeal_hf.annotators.prompts.base import Limits
from freeal_hf.annotators.prompts.labels import Message, choice_messages, choice_schema, parse_numbers
from freeal_hf.annotators.prompts.registry import PROMPTS, prompts_of
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.requests import usage_of
from freeal_hf.annotators.servers import check_limits, check_temperatures
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task


@dataclass(kw_only=True, eq=False, repr=False)
class LLMAnnotator(TextGenerator, TextChooser):
    """Base class of annotators that use a language model. A provider implements one method, `complete`.

    The class has the prompts, reads the answers, makes the cache keys, and makes the calls before the first text that
    find out which optional features of a request the model supports (see `freeal_hf.annotators.features`). It is a
    dataclass. A provider that is also a dataclass adds its own arguments as fields.

    Args:
        name (`str`, *optional*): Name of the model.
        temperature (`float`, *optional*, defaults to 0.0): Temperature for labels; `None` for the server's default.
        sample_temperature (`float`, *optional*, defaults to 0.7):
            Temperature for repeated answers about a text (`LoopConfig.samples`), beginning with the second; `None` for
            `temperature`.
        generation_temperature (`float`, *optional*, defaults to 1.0): Temperature for writing texts.
        max_tokens (`int`, *optional*, defaults to 64):
            Maximum number of tokens of an answer. A reasoning model needs some thousands.
        generation_max_tokens (`int`, *optional*, defaults to 2048):
            Maximum number of tokens of one generation, one list of entities or one choice.
        probabilities (`bool`, *optional*, defaults to `False`):
            Whether to request the probability of every label, which `complete` must return as log-probabilities. The
            model then answers with the letters A, B, C, ... instead of label names.
        candidates (`bool`, *optional*, defaults to `False`):
            Whether to ask for all plausible labels of a text, in a task with one label. If an answer has several, the
            text has no label, and the student learns and decides between these candidates. Replaces `probabilities`.
            Source: CanDist (Xia et al., ACL 2025, arXiv 2506.03857).
        max_text_length (`int`, *optional*, defaults to 12000):
            Maximum length of a text, in characters. A longer text is cut at the end of a sentence and marked. It is
            cut further if it is still too long for the context of the model.
        concurrency (`int`, *optional*, defaults to 64):
            Maximum number of simultaneous calls. The driver starts with a few.
        timeout (`float`, *optional*, defaults to 60.0): Time limit for one label, in seconds.
        generation_timeout (`float`, *optional*, defaults to 300.0): Time limit for a generation or choice, in seconds.
        seed (`int`, *optional*, defaults to 0): Seed of the sampling.
        form (`Form`, *optional*): The optional features that a request may use.

    Raises:
        InputError: If a limit or a temperature is not a valid number.

    Example:

        >>> class EchoAnnotator(LLMAnnotator):
        ...     async def complete(self, question, form):
        ...         return Completion(text=await my_model(question.messages, max_tokens=question.max_tokens))
    """

    name: str | None = field(default=None, kw_only=False)
    temperature: float | None = 0.0
    sample_temperature: float | None = 0.7
    generation_temperature: float = 1.0
    max_tokens: int = 64
    generation_max_tokens: int = 2048
    probabilities: bool = False
    candidates: bool = False
    max_text_length: int = 12_000
    concurrency: int = 64
    timeout: float = 60.0
    generation_timeout: float = 300.0
    seed: int | None = 0
    form: Form = Form()  # noqa: RUF009 - it is frozen

    kinds = frozenset(PROMPTS)
    reads_prompts = True

    def __post_init__(self) -> None:
        check_limits(
            max_tokens=self.max_tokens,
            generation_max_tokens=self.generation_max_tokens,
            max_text_length=self.max_text_length,
            concurrency=self.concurrency,
            timeout=self.timeout,
            generation_timeout=self.generation_timeout,
        )
        check_temperatures(generation_temperature=self.generation_temperature)
        if self.temperature is not None:
            check_temperatures(temperature=self.temperature)
        if self.sample_temperature is not None:
            check_temperatures(sample_temperature=self.sample_temperature)
        if self.candidates:
            self.probabilities = False
        self.own_calls: list[Completion] = []
        form = replace(self.form, top_logprobs=TOP_LOGPROBS if self.probabilities else 0)
        self._features = Features(self.complete, self.own_calls, form)

    @abstractmethod
    async def complete(self, question: Question, form: Form) -> Completion:
        """Makes one call to the model.

        Args:
            question (`Question`): The chat, the sampling and the limits.
            form (`Form`): The optional features to use. `question.constrain(form.constraint)` returns the fields that
                constrain the answer. A provider can ignore features. It is then called without them.

        Returns:
            `Completion`: The answer.

        Raises:
            TransientError, RefusedError, AnnotatorError: As [`Annotator.annotate`].
        """

    async def connect(self) -> None:
        """Called in the event loop of the calls before the first of them."""

    async def disconnect(self) -> None:
        """Called in the event loop of the calls after the last of them."""

    def source(self) -> dict[str, Any]:
        """Returns class, name and address of the model for cache keys, never a key or token."""
        return {"annotator": type(self).__name__, "model": self.name, "url": self.base_url}

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """See `Annotator`: model, messages, schema and sampling."""
        asked = prompts_of(task).asked(request, self._limits())
        return {**self.source(), **asked, **self._sampling(request.sample)}

    def generation_fingerprint(self, task: Task, request: GenerationRequest) -> Mapping[str, Any]:
        """See `Annotator`: model, messages, schema and sampling."""
        messages, schema = prompts_of(task).writing(request)
        return {
            **self.source(),
            "messages": messages,
            "schema": schema,
            "temperature": self.generation_temperature,
            "max_tokens": self.generation_max_tokens,
            "seed": request.seed,
        }

    def choice_fingerprint(self, task: Task, request: ChoiceRequest) -> Mapping[str, Any]:
        """See `Annotator`: model, messages, schema and sampling."""
        return {
            **self.source(),
            "messages": choice_messages(task, request),
            "schema": choice_schema(request.with_explanation),
            "max_tokens": self.generation_max_tokens,
            **self._sampling(),
        }

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels texts, with one call for each."""
        prompts, limits = prompts_of(task), self._limits()
        calls = [prompts.ask(partial(self._ask, sample=request.sample), request, limits) for request in requests]
        # A task for a single call takes time.
        return [await calls[0]] if len(calls) == 1 else list(await asyncio.gather(*calls))

    async def generate(self, task: Task, request: GenerationRequest) -> Generation:
        """Writes texts for one label."""
        prompts = prompts_of(task)
        messages, schema = prompts.writing(request)
        question = Question(
            "texts",
            messages,
            partial(schema_fields, name="texts", schema=schema),
            top_logprobs=0,
            max_tokens=self.generation_max_tokens,
            timeout=self.generation_timeout,
            temperature=self.generation_temperature,
            seed=request.seed,
        )
        return prompts.written(await self._features.complete(question), request)

    async def choose(self, task: Task, request: ChoiceRequest) -> Choice:
        """Chooses texts for a person to label."""
        constrain = partial(schema_fields, name="ids", schema=choice_schema(request.with_explanation))
        messages = choice_messages(task, request)
        return read_choice(await self._ask("ids", self.generation_max_tokens, messages, constrain, 0))

    def take_own_calls(self) -> list[Completion]:
        """See `Annotator`: the calls that find out which features the model takes."""
        taken = list(self.own_calls)
        self.own_calls.clear()
        return taken

    async def __aenter__(self) -> "LLMAnnotator":
        await self.connect()
        try:
            await self._features.enter(
                max_tokens=self.max_tokens, timeout=self.timeout, temperature=self.temperature, seed=self.seed
            )
        except BaseException:
            await self.disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._features.leave()
        await self.disconnect()

    def check_task(self, task: Task) -> None:
        """See `Annotator`. Candidates are refused in tasks without exactly one label for each text."""
        super().check_task(task)
        if self.candidates and not prompts_of(task).has_one_label:
            raise InputError(
                "candidates=true asks for the plausible labels of texts that have one label each, but the type of the "
                f"task is {task.type!r}. Leave candidates out."
            )

    def _limits(self) -> Limits:
        sizes = (self.max_tokens, self.generation_max_tokens, self.max_text_length)
        return Limits(*sizes, coded=self.probabilities, candidates=self.candidates)

    def _sampling(self, sample: int = 0) -> dict[str, Any]:
        temperature, seed = self._temperature_and_seed(sample)
        number = {"sample": sample} if sample else {}
        return number if temperature is None else {"temperature": temperature, "seed": seed, **number}

    def _temperature_and_seed(self, sample: int) -> tuple[float | None, int | None]:
        """Returns temperature and seed. The seeds differ, because equal prompts would otherwise get equal answers."""
        if sample == 0:
            return self.temperature, self.seed
        temperature = self.temperature if self.sample_temperature is None else self.sample_temperature
        return temperature, (self.seed or 0) + sample

    async def _ask(
        self,
        kind: str,
        max_tokens: int,
        messages: Sequence[Message],
        constrain: Constrain,
        top_logprobs: int,
        *,
        sample: int = 0,
    ) -> Completion:
        temperature, seed = self._temperature_and_seed(sample)
        question = Question(
            kind,
            messages,
            constrain,
            top_logprobs=top_logprobs,
            max_tokens=max_tokens,
            timeout=self.generation_timeout if kind == "ids" else self.timeout,
            temperature=temperature,
            seed=seed,
        )
        return await self._features.complete(question)


def read_choice(completion: Completion) -> Choice:
    """Reads the chosen numbers from a completion.

    Example:

        >>> read_choice(Completion('{"ids": [4, 17]}')).numbers
        (4, 17)
    """
    numbers = parse_numbers(completion.text)
    reason = None if numbers else "no ids"
    return Choice(numbers, reason, answer=completion.text, **usage_of([completion]))
