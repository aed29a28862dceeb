"""How a server is held to the labels: a ladder of constraints, and the canary that finds the step that holds."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from freeal_hf.annotation.calls import RefusedError
from freeal_hf.annotation.prompts import Message, answer_regex, answer_schema, answer_text
from freeal_hf.errors import AnnotatorError

logger = logging.getLogger(__name__)

Constraint = Literal["json_schema", "tgi_schema", "choice", "guided_choice", "regex", "none"]

LADDER: tuple[Constraint, ...] = ("json_schema", "tgi_schema", "choice", "guided_choice", "regex", "none")
"""From the strictest and most widely spoken to none: OpenAI's JSON schema (also vLLM, SGLang, llama.cpp, Ollama), the
schema of text-generation-inference, vLLM's choice (from 0.11 and before), SGLang's regex, parse-and-match."""

_TOP_LOGPROBS = (20, 5, 0)
_NONCE = "K7QX"
_CANARY: tuple[Message, ...] = (
    {"role": "system", "content": "Answer in one short sentence."},
    {"role": "user", "content": "What colour is a ripe banana?"},
)


class Trial(NamedTuple):
    """What one canary call brought back: what was said, and whether log-probabilities came with it."""

    answer: str
    has_logprobs: bool


class Footing(NamedTuple):
    """The step of the ladder that holds, and how many log-probabilities a token the server returns."""

    constraint: Constraint
    top_logprobs: int


Call = Callable[[Sequence[Message], Mapping[str, Any], int], Awaitable[Trial]]
"""Makes one call from messages, extra fields of the request and the number of log-probabilities wanted."""


def constraint_fields(constraint: Constraint, codes: Sequence[str]) -> dict[str, Any]:
    """The fields of a chat-completions request that hold the answer to these codes.

    Args:
        constraint (`str`): A step of `LADDER`.
        codes (`Sequence[str]`): What stands for each label.
    """
    if fields := schema_fields(constraint, "label", answer_schema(codes)):
        return fields
    if constraint == "choice":
        return {"structured_outputs": {"choice": [answer_text(code) for code in codes]}}
    if constraint == "guided_choice":
        return {"guided_choice": [answer_text(code) for code in codes]}
    if constraint == "regex":
        return {"regex": answer_regex(codes)}
    return {}


def schema_fields(constraint: Constraint, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that hold an answer to a JSON schema; none where the step of the ladder knows no schema."""
    if constraint == "json_schema":
        return {"response_format": json_schema_format(name, schema)}
    if constraint == "tgi_schema":
        return {"response_format": {"type": "json_object", "value": dict(schema)}}
    return {}


def json_schema_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema as OpenAI's `response_format`."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": dict(schema)}}


async def find_footing(call: Call, *, want_logprobs: bool) -> Footing:
    """Climbs down the ladder to the first step that the server really enforces.

    Servers ignore fields that they do not know and answer 200 all the same. So the canary asks about a banana and
    allows one answer only, a word that no model would say: if that word comes back, it was forced. A handful of calls,
    before the bulk is spent.

    Args:
        call (`Call`): Makes a call.
        want_logprobs (`bool`): Whether to try for log-probabilities.

    Returns:
        `Footing`: What to build on.

    Raises:
        AnnotatorError: If the server refuses even a plain question.
    """
    top_logprobs = await _most_logprobs(call, _TOP_LOGPROBS if want_logprobs else (0,))
    footing = Footing(await _lowest_step(call), top_logprobs)
    logger.info(
        "Answers are held to the labels by: %s; log-probabilities: %s.",
        "parse and match, for want of a constraint" if footing.constraint == "none" else footing.constraint,
        "yes" if top_logprobs else "no",
    )
    return footing


async def _most_logprobs(call: Call, numbers: Sequence[int]) -> int:
    for number in numbers:
        try:
            trial = await call(_CANARY, {}, number)
        except RefusedError as refusal:
            if number == 0:
                raise AnnotatorError(f"The server refuses a plain question: {refusal}") from refusal
            logger.info("%d log-probabilities a token: refused (%s).", number, refusal)
        else:
            return number if trial.has_logprobs else 0
    raise ValueError("the last number of log-probabilities to try must be 0")


async def _lowest_step(call: Call) -> Constraint:
    for constraint in LADDER[:-1]:
        try:
            trial = await call(_CANARY, constraint_fields(constraint, [_NONCE]), 0)
        except RefusedError as refusal:
            logger.info("Constraint %s: refused (%s).", constraint, refusal)
            continue
        if _NONCE in trial.answer:
            logger.info("Constraint %s: enforced.", constraint)
            return constraint
        logger.info("Constraint %s: accepted but not enforced.", constraint)
    return "none"
