"""How a language model is asked for labels, texts and choices, whichever protocol carries the question."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

from freeal_hf.annotators.base import (
    Annotation,
    AnnotationRequest,
    Annotator,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
)
from freeal_hf.annotators.constraints import Constrain, constraint_fields, schema_fields
from freeal_hf.annotators.features import TOP_LOGPROBS, Completion, Features, Form, Question
from freeal_hf.annotators.final_answer import final_answer
from freeal_hf.annotators.logprobs import code_probabilities, name_probability, tokens_of
from freeal_hf.annotators.pacing import Reason
from freeal_hf.annotators.prompts.entities import (
    LONGEST_PASSAGE,
    entity_messages,
    entity_schema,
    parse_entities,
    parse_sentences,
    passages,
    sentence_messages,
    sentence_schema,
)
from freeal_hf.annotators.prompts.grounding import ground
from freeal_hf.annotators.prompts.label_answers import parse_answer
from freeal_hf.annotators.prompts.labels import (
    Message,
    annotation_messages,
    answer_schema,
    choice_messages,
    choice_schema,
    cut_text,
    generation_messages,
    generation_schema,
    label_codes,
    parse_numbers,
    parse_texts,
)
from freeal_hf.annotators.servers import check_limits, check_temperatures
from freeal_hf.data.spans import Span
from freeal_hf.errors import RefusedError
from freeal_hf.tasks import NO_LABEL, Task, TextClassification, TokenClassification

SMALLEST_CUT = 200
"""Characters; a text that does not fit then never will."""


Complete = Callable[[Sequence[Message], Constrain, int], Awaitable[Completion]]
"""Answers a chat: messages, what holds the answer, and how many log-probabilities of each token are of use."""


class LLMAnnotator(Annotator):
    """Base class of the annotators that ask a language model. A provider implements one method, `complete`.

    It shares the prompts, the reading of answers, the cache keys, and the calls before the first text that find out
    which optional features of a request the model takes (see `freeal_hf.annotators.features`).

    Args:
        name (`str`, *optional*): Name of the model.
        temperature (`float`, *optional*, defaults to 0.0): For labels; `None` for the server's own.
        generation_temperature (`float`, *optional*, defaults to 1.0): For writing texts.
        max_tokens (`int`, *optional*, defaults to 64): Maximum number of tokens of an answer.
        generation_max_tokens (`int`, *optional*, defaults to 2048):
            Maximum number of tokens of one generation, one list of entities or one choice.
        probabilities (`bool`, *optional*, defaults to `False`):
            Whether `complete` can return log-probabilities. Labels are then asked for as the letters A, B, C, ...
        max_text_length (`int`, *optional*, defaults to 12000): Maximum length of a text, in characters.
        concurrency (`int`, *optional*, defaults to 64): Maximum number of simultaneous calls.
        timeout (`float`, *optional*, defaults to 60.0): Time limit for one label, in seconds.
        generation_timeout (`float`, *optional*, defaults to 300.0): The same for one generation or choice.
        seed (`int`, *optional*, defaults to 0): Seed of the sampling.
        form (`Form`, *optional*): The optional features that a request may use.

    Raises:
        InputError: If a limit or a temperature is not a number that can be used.

    Example:

        >>> class EchoAnnotator(LLMAnnotator):
        ...     async def complete(self, question, form):
        ...         return Completion(text=await my_model(question.messages, max_tokens=question.max_tokens))
    """

    kinds = frozenset({TextClassification.type, TokenClassification.type})
    reads_prompts = True
    timeout: float
    generation_timeout: float

    def __init__(
        self,
        name: str | None = None,
        *,
        temperature: float | None = 0.0,
        generation_temperature: float = 1.0,
        max_tokens: int = 64,
        generation_max_tokens: int = 2048,
        probabilities: bool = False,
        max_text_length: int = 12_000,
        concurrency: int = 64,
        timeout: float = 60.0,
        generation_timeout: float = 300.0,
        seed: int | None = 0,
        form: Form | None = None,
    ) -> None:
        check_limits(
            max_tokens=max_tokens,
            generation_max_tokens=generation_max_tokens,
            max_text_length=max_text_length,
            concurrency=concurrency,
            timeout=timeout,
            generation_timeout=generation_timeout,
        )
        check_temperatures(generation_temperature=generation_temperature)
        if temperature is not None:
            check_temperatures(temperature=temperature)
        self.name = name
        self.temperature = temperature
        self.generation_temperature = generation_temperature
        self.max_tokens = max_tokens
        self.generation_max_tokens = generation_max_tokens
        self.probabilities = probabilities
        self.max_text_length = max_text_length
        self.concurrency = concurrency
        self.timeout = timeout
        self.generation_timeout = generation_timeout
        self.seed = seed
        self.own_calls: list[Completion] = []
        form = replace(form or Form(), top_logprobs=TOP_LOGPROBS if probabilities else 0)
        self._features = Features(self.complete, self.own_calls, form)

    @abstractmethod
    async def complete(self, question: Question, form: Form) -> Completion:
        """Makes one call to the model.

        Args:
            question (`Question`): The chat, the sampling and the limits.
            form (`Form`): The optional features to use; `question.constrain(form.constraint)` gives the fields that
                constrain the answer. A provider may ignore features: it is then asked without them.

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
        """What identifies the model in a cache key: class, name, address; never a key or token."""
        return {"annotator": type(self).__name__, "model": self.name, "url": self.base_url}

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """See `Annotator`: model, messages, schema and sampling."""
        if isinstance(task, TokenClassification):
            asked = entity_request(task, request, max_tokens=self.generation_max_tokens)
        else:
            asked = label_request(
                task,
                request,
                coded=self.probabilities,
                max_text_length=self.max_text_length,
                max_tokens=self.max_tokens,
            )
        return {**self.source(), **asked, **self._sampling()}

    def generation_fingerprint(self, task: Task, request: GenerationRequest) -> Mapping[str, Any]:
        """See `Annotator`: model, messages, schema and sampling."""
        asked = texts_request(
            task, request, temperature=self.generation_temperature, max_tokens=self.generation_max_tokens
        )
        return {**self.source(), **asked}

    def choice_fingerprint(self, task: Task, request: ChoiceRequest) -> Mapping[str, Any]:
        """See `Annotator`: model, messages, schema and sampling."""
        asked = choice_request(task, request, max_tokens=self.generation_max_tokens)
        return {**self.source(), **asked, **self._sampling()}

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts, each in a call of its own."""
        ask: Callable[[AnnotationRequest], Awaitable[Annotation]]
        if isinstance(task, TokenClassification):
            ask = partial(ask_entities, partial(self._ask, "entities", self.generation_max_tokens), task)
        else:
            ask = partial(
                ask_label,
                partial(self._ask, "label", self.max_tokens),
                task,
                coded=self.probabilities,
                max_text_length=self.max_text_length,
            )
        return list(await asyncio.gather(*map(ask, requests)))

    async def generate(self, task: Task, request: GenerationRequest) -> Generation:
        """Writes texts for one label; for an entity task, with the entities in them."""
        messages, schema = writing(task, request)
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
        return read_texts(await self._features.complete(question), task, request)

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

    def _sampling(self) -> dict[str, Any]:
        return {} if self.temperature is None else {"temperature": self.temperature, "seed": self.seed}

    async def _ask(
        self, kind: str, max_tokens: int, messages: Sequence[Message], constrain: Constrain, top_logprobs: int
    ) -> Completion:
        question = Question(
            kind,
            messages,
            constrain,
            top_logprobs=top_logprobs,
            max_tokens=max_tokens,
            timeout=self.generation_timeout if kind == "ids" else self.timeout,
            temperature=self.temperature,
            seed=self.seed,
        )
        return await self._features.complete(question)


def label_request(
    task: Task, request: AnnotationRequest, *, coded: bool, max_text_length: int, max_tokens: int
) -> dict[str, Any]:
    """What is asked for one label, for the fingerprint.

    Args:
        task (`Task`): The task.
        request (`AnnotationRequest`): The text and its demonstrations.
        coded (`bool`): Whether labels are answered as letters, for their probabilities.
        max_text_length (`int`): Most characters of the text; a longer one is cut.
        max_tokens (`int`): Most tokens of the answer.
    """
    return {
        "messages": _messages(task, request, coded, max_text_length),
        "schema": answer_schema(label_codes(task, coded)),
        "max_tokens": max_tokens,
        "logprobs": coded,
    }


def writing(task: Task, request: GenerationRequest) -> tuple[list[Message], dict[str, Any]]:
    """The chat that asks for new texts (in an entity task with their entities), and the schema of its answer."""
    if isinstance(task, TokenClassification):
        return sentence_messages(task, request), sentence_schema(task)
    return generation_messages(task, request), generation_schema()


def texts_request(task: Task, request: GenerationRequest, *, temperature: float, max_tokens: int) -> dict[str, Any]:
    """What is asked for new texts, for the fingerprint."""
    messages, schema = writing(task, request)
    return {
        "messages": messages,
        "schema": schema,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "seed": request.seed,
    }


def choice_request(task: Task, request: ChoiceRequest, *, max_tokens: int) -> dict[str, Any]:
    """What is asked for a choice of texts, for the fingerprint."""
    return {
        "messages": choice_messages(task, request),
        "schema": choice_schema(request.with_explanation),
        "max_tokens": max_tokens,
    }


async def ask_label(
    complete: Complete,
    task: Task,
    request: AnnotationRequest,
    *,
    coded: bool,
    max_text_length: int,
) -> Annotation:
    """Asks for the label of one text; one that is too long for the model is cut to half until it fits.

    Args:
        complete (`Complete`): Makes the call.
        task, request, coded, max_text_length: As in `label_request`.

    Raises:
        TransientError, RefusedError, AnnotatorError: What `complete` raises.
    """
    codes = label_codes(task, coded)
    constrain = partial(constraint_fields, codes=codes)
    # a few more than there are labels: a letter may come with and without a space or a quote
    top_logprobs = len(codes) + 3
    length = max_text_length
    while True:
        try:
            completion = await complete(_messages(task, request, coded, length), constrain, top_logprobs)
            break
        except RefusedError as error:
            length = min(length, len(request.text)) // 2
            if error.reason != "text too long" or length < SMALLEST_CUT:
                raise
    return replace(_read_label(completion, task, coded), is_cut=length < len(request.text))


def entity_request(task: TokenClassification, request: AnnotationRequest, *, max_tokens: int) -> dict[str, Any]:
    """What is asked for the entities of one text, for the fingerprint."""
    return {
        "messages": entity_messages(task, request),
        "words": list(request.words),
        "passage": LONGEST_PASSAGE,
        "schema": entity_schema(task),
        "max_tokens": max_tokens,
    }


async def ask_entities(complete: Complete, task: TokenClassification, request: AnnotationRequest) -> Annotation:
    """Asks for the entities of one text, passage by passage, and finds them in its words.

    Args:
        complete (`Complete`): Makes the call.
        task (`TokenClassification`): What is sought.
        request (`AnnotationRequest`): The text, its words and its demonstrations.

    Raises:
        TransientError, RefusedError, AnnotatorError: What `complete` raises.
    """
    constrain = partial(schema_fields, name="entities", schema=entity_schema(task))
    bounds = passages(request.words)
    spans: list[Span] = []
    answers, num_dropped, prompt_tokens, completion_tokens = [], 0, 0, 0
    reason: Reason | None = None
    for start, end in bounds:
        words = request.words[start:end]
        text = request.text if len(bounds) == 1 else " ".join(words)
        completion = await complete(entity_messages(task, replace(request, text=text)), constrain, 0)
        answers.append(completion.text)
        prompt_tokens += completion.prompt_tokens
        completion_tokens += completion.completion_tokens
        named = parse_entities(completion.text, task)
        if named.reason is not None:
            reason = "cut-off answer" if completion.is_cut_off else named.reason
            reason = "content filter" if completion.is_filtered else reason
            break
        found = ground(named.entities, words)
        spans += [Span(start + span.start, start + span.end, span.type) for span in found.spans]
        num_dropped += named.num_unknown + found.num_dropped
    return Annotation(
        NO_LABEL if reason else 0,
        reason=reason,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        answer="\n".join(answers),
        spans=None if reason else tuple(spans),
        num_dropped=num_dropped,
    )


def read_texts(completion: Completion, task: Task, request: GenerationRequest) -> Generation:
    """The texts that were written for a request, in an entity task with their entities."""
    tokens = completion.prompt_tokens, completion.completion_tokens
    if isinstance(task, TokenClassification):
        sentences = parse_sentences(completion.text, task)[: request.num_texts]
        return Generation(
            tuple(text for text, _ in sentences), *tokens, entities=tuple(named for _, named in sentences)
        )
    return Generation(parse_texts(completion.text)[: request.num_texts], *tokens)


def read_choice(completion: Completion) -> Choice:
    """The numbers that were chosen."""
    numbers = parse_numbers(completion.text)
    tokens = completion.prompt_tokens, completion.completion_tokens
    return Choice(numbers, None if numbers else "no ids", *tokens, answer=completion.text)


def _messages(task: Task, request: AnnotationRequest, coded: bool, length: int) -> list[Message]:
    text, _ = cut_text(request.text, length)
    return annotation_messages(task, replace(request, text=text), coded=coded)


def _read_label(completion: Completion, task: Task, coded: bool) -> Annotation:
    codes = label_codes(task, coded)
    label, unusable = parse_answer(completion.text, task, coded=coded)
    probabilities = confidence = None
    tokens = tokens_of(completion.tokens, final_answer(completion.text).text) if label != NO_LABEL else ()
    if tokens and codes != task.label_names:
        probabilities = code_probabilities(tokens, codes)
        confidence = probabilities[label] if probabilities else None
    elif tokens:
        confidence = name_probability(tokens, codes[label], codes)
    reason: Reason | None = "cut-off answer" if unusable and completion.is_cut_off else unusable
    if label == NO_LABEL and completion.is_filtered:
        reason = "content filter"
    return Annotation(
        label,
        confidence=confidence,
        probabilities=probabilities,
        reason=reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        answer=completion.text,
    )
