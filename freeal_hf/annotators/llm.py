"""How a label, or texts, are asked of a language model behind HTTP, whichever protocol carries the question."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from freeal_hf.annotators.base import (
    Annotation,
    AnnotationRequest,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
)
from freeal_hf.annotators.constraints import Constrain, constraint_fields, schema_fields
from freeal_hf.annotators.final_answer import final_answer
from freeal_hf.annotators.logprobs import TokenLogprobs, code_probabilities, name_probability, tokens_of
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
from freeal_hf.data.spans import Span
from freeal_hf.errors import RefusedError
from freeal_hf.tasks import NO_LABEL, Task, TokenClassification

SMALLEST_CUT = 200
"""Characters; a text that does not fit then never will."""


class Completion(NamedTuple):
    """What a model said, whether it broke off or was filtered, its tokens' log-probabilities, and what it took.

    `tokens` is empty where no log-probabilities were asked for, or none came.
    """

    text: str
    is_cut_off: bool
    is_filtered: bool
    tokens: tuple[TokenLogprobs, ...]
    prompt_tokens: int
    completion_tokens: int


Complete = Callable[[Sequence[Message], Constrain, int], Awaitable[Completion]]
"""Answers a chat: messages, what holds the answer, and how many log-probabilities of each token are of use."""


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
