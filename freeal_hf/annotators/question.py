"""One call to a language model: the question, the optional features of the request, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from freeal_hf.annotators.constraints import Constrain, Constraint
from freeal_hf.annotators.logprobs import TokenLogprobs
from freeal_hf.annotators.prompts.labels import Message

LengthField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True)
class Form:
    """The optional features that a request uses.

    Args:
        constraint (`str`): How the answer is constrained to a schema; one of `LADDER`.
        top_logprobs (`int`): Log-probabilities of each token; 0 for none.
        system_role (`bool`): Whether there is a system message. Otherwise the first message begins with its text.
        length_field (`str`, *optional*): The field that limits the length of an answer; `None` for no limit.
        temperature (`bool`): Whether the temperature is given.
        seed (`bool`): Whether the seed is given.
        extra (`tuple[str, ...]`): Names of the user's own fields that are given.

    Example:

        >>> Form(constraint="json_schema", top_logprobs=20).length_field
        'max_tokens'
    """

    constraint: Constraint = "none"
    top_logprobs: int = 0
    system_role: bool = True
    length_field: LengthField | None = "max_tokens"
    temperature: bool = True
    seed: bool = True
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question to a server, independent of the form of the request.

    Args:
        kind (`str`): The kind of answer: `"label"`, `"labels"`, `"entities"`, `"texts"`, `"ids"` or `"canary"`.
        messages (`Sequence[Mapping[str, str]]`): The chat.
        constrain (`Callable`): Returns the fields that constrain the answer for a step of `LADDER`.
        top_logprobs (`int`): Number of log-probabilities of each token that can be used.
        max_tokens (`int`): Maximum number of tokens of the answer.
        timeout (`float`): Time limit of the answer, in seconds.
        temperature (`float`, *optional*): Temperature of the sampling; `None` for the default of the server.
        seed (`int`, *optional*): Seed of the sampling.
    """

    kind: str
    messages: Sequence[Message]
    constrain: Constrain
    top_logprobs: int
    max_tokens: int
    timeout: float
    temperature: float | None = None
    seed: int | None = None


class Completion(NamedTuple):
    """The answer of a model to a chat.

    Args:
        text (`str`): The answer.
        is_cut_off (`bool`): Whether the answer ended at the maximum number of tokens.
        is_filtered (`bool`): Whether a content filter removed the answer.
        tokens (`tuple[TokenLogprobs, ...]`): Log-probabilities of its tokens; empty if there are none.
        prompt_tokens (`int`): Number of input tokens.
        completion_tokens (`int`): Number of output tokens.
        cached_tokens (`int`): Number of input tokens that the server read from its prompt cache.
        discount (`float`): Share of the price of the tokens that is not charged, 0.5 for a batch.

    Example:

        >>> Completion('{"label": "spam"}', prompt_tokens=80, completion_tokens=6).is_cut_off
        False
    """

    text: str
    is_cut_off: bool = False
    is_filtered: bool = False
    tokens: tuple[TokenLogprobs, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    discount: float = 0.0
