"""Probabilities of labels from the log-probabilities of an answer's tokens."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_VALUE = re.compile(r'"label"\s*:\s*"')
_AROUND = " \t\n\"'{}:.)*`▁Ġ"  # what a token may hold beside a code; the last two are how vocabularies show a space


class TokenLogprobs(NamedTuple):
    """One token of an answer: its text, its log-probability, and those of its alternatives (itself included)."""

    text: str
    logprob: float
    alternatives: Mapping[str, float]


def code_probabilities(tokens: Sequence[TokenLogprobs], codes: Sequence[str]) -> tuple[float, ...] | None:
    """Probability of each single-letter code, given that the answer is one of them.

    The token where the code begins decides: the mass of its alternatives is summed by code and normalised over the
    codes. A code that is not among the alternatives (servers return 5 to 20) gets 0.

    Args:
        tokens (`Sequence[TokenLogprobs]`): The whole answer, in order.
        codes (`Sequence[str]`): The code of each label, in the order of the ids.

    Returns:
        `tuple[float, ...]` of one probability a label, or `None` where the answer holds no code.
    """
    place = _value_start(tokens)
    if place is None:
        return None
    token, before = tokens[place[0]], place[1]
    prefix = token.text[:before]
    mass = dict.fromkeys(codes, 0.0)
    for text, logprob in {token.text: token.logprob, **token.alternatives}.items():
        code = text.removeprefix(prefix).strip(_AROUND)
        if code in mass:
            mass[code] += math.exp(logprob)
    total = sum(mass.values())
    return tuple(mass[code] / total for code in codes) if total > 0 else None


def name_probability(tokens: Sequence[TokenLogprobs], name: str) -> float | None:
    """Probability of a label that was answered by name: the product over the tokens of the name.

    Args:
        tokens (`Sequence[TokenLogprobs]`): The whole answer, in order.
        name (`str`): The label's name as it stands in the answer.

    Returns:
        `float` in [0, 1], or `None` where the name does not stand in the answer word for word.
    """
    answer = "".join(token.text for token in tokens)
    start = answer.find(name)
    if start < 0:
        return None
    total, end = 0.0, 0
    for token in tokens:
        begin, end = end, end + len(token.text)
        if begin < start + len(name) and end > start:
            total += token.logprob
    return min(1.0, math.exp(total))


def _value_start(tokens: Sequence[TokenLogprobs]) -> tuple[int, int] | None:
    """Index of the token in which the label begins, and how many of its characters stand before it."""
    answer = "".join(token.text for token in tokens)
    match = _VALUE.search(answer)
    start = match.end() if match else len(answer) - len(answer.lstrip(_AROUND))
    end = 0
    for i, token in enumerate(tokens):
        begin, end = end, end + len(token.text)
        if begin <= start < end:
            return i, start - begin
    return None
