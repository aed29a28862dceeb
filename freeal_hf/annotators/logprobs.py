"""Computes probabilities of labels from the log-probabilities of the tokens of an answer."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LEAST_MASS = 0.5
"""The smallest sum of the probabilities of all labels with which a confidence is computed. Some servers report the
probabilities before the grammar is applied. A forced label then has a very small probability, which would look certain
after normalisation. If the sum is at least 0.5, normalisation at most doubles the probability of a label."""

_VALUE = re.compile(r"[\"']label[\"']\s*:\s*[\"']")
_AROUND = " \t\n\"'{}:.)*`▁Ġ"  # other characters in the token of a code; the last two mean a space in vocabularies

_SHOWN = str.maketrans("▁ĠĊ", "  \n")


class TokenLogprobs(NamedTuple):
    """A token of an answer: text, log-probability, and log-probabilities of its alternatives (including itself)."""

    text: str
    logprob: float
    alternatives: Mapping[str, float]


def tokens_of(tokens: Sequence[TokenLogprobs], answer: str) -> tuple[TokenLogprobs, ...]:
    """Returns the tokens of the final answer, without those of the reasoning.

    Args:
        tokens (`Sequence[TokenLogprobs]`): All tokens that the model wrote, in order.
        answer (`str`): The final answer.

    Returns:
        `tuple[TokenLogprobs, ...]`: The tokens from the one in which the answer begins; empty if the tokens do not
        contain the answer.
    """
    # The vocabularies of some servers replace spaces and line breaks by letters.
    place = _token_at(tokens, "".join(token.text for token in tokens).translate(_SHOWN).rfind(answer))
    return tuple(tokens[place[0] :]) if place else ()


def code_probabilities(tokens: Sequence[TokenLogprobs], codes: Sequence[str]) -> tuple[float, ...] | None:
    """Computes the probability of each single-letter code, given that the answer is one of them.

    The token in which the code begins is used: the probabilities of its alternatives are summed for each code and
    normalised over the codes. A code that is not among the alternatives (servers return 5 to 20) gets 0.

    Args:
        tokens (`Sequence[TokenLogprobs]`): The tokens of the answer, in order.
        codes (`Sequence[str]`): The code of each label, in the order of the ids.

    Returns:
        `tuple[float, ...]` or `None`: The probability of each label; `None` if the answer has no code, or the
        probabilities of all codes sum to less than `LEAST_MASS`.

    Example:

        >>> tokens = [TokenLogprobs("A", math.log(0.6), {"A": math.log(0.6), "B": math.log(0.3)})]
        >>> [round(probability, 2) for probability in code_probabilities(tokens, ["A", "B"])]
        [0.67, 0.33]
    """
    place = _value_start(tokens)
    if place is None:
        return None
    token, before = tokens[place[0]], place[1]
    prefix = token.text[:before]
    mass = dict.fromkeys(codes, 0.0)
    for text, probability in _probabilities(token).items():
        code = text.removeprefix(prefix).strip(_AROUND)
        if code in mass:
            mass[code] += probability
    total = sum(mass.values())
    return tuple(mass[code] / total for code in codes) if total >= LEAST_MASS else None


def name_probability(tokens: Sequence[TokenLogprobs], name: str, names: Sequence[str]) -> float | None:
    """Computes the probability of a label from its name in an answer: the product over the tokens of the name.

    Args:
        tokens (`Sequence[TokenLogprobs]`): The tokens of the answer, in order.
        name (`str`): The name of the label, as in the answer.
        names (`Sequence[str]`): The names of all labels.

    Returns:
        `float` or `None`: The probability; `None` if the answer does not contain exactly this name, or if the
        probabilities of all names sum to less than `LEAST_MASS` at one of its tokens.

    Example:

        >>> tokens = [TokenLogprobs("sp", -0.1, {}), TokenLogprobs("am", -0.1, {})]
        >>> round(name_probability(tokens, "spam", ["ham", "spam"]), 2)
        0.82
    """
    answer = "".join(token.text for token in tokens)
    field = _VALUE.search(answer)
    start = answer.find(name, field.end() if field else 0)
    if start < 0:
        return None
    product, end = 1.0, 0
    for token in tokens:
        begin, end = end, end + len(token.text)
        if not (begin < start + len(name) and end > start):
            continue
        before, said = token.text[: max(0, start - begin)], answer[start : max(start, begin)]
        found = _probabilities(token)
        mass = sum(
            probability
            for text, probability in found.items()
            if text.startswith(before) and _leads_to(said + text.removeprefix(before), names)
        )
        if not mass >= LEAST_MASS:
            return None
        product *= found[token.text]
    return min(1.0, product)


def flag_probabilities(tokens: Sequence[TokenLogprobs], names: Sequence[str]) -> tuple[float, ...] | None:
    """Computes the probability that each label applies, from an answer with a truth value for each label.

    The token in which the value begins is used: the probability of its alternatives for `true`, divided by the sum for
    both values.

    Args:
        tokens (`Sequence[TokenLogprobs]`): The tokens of the answer, in order.
        names (`Sequence[str]`): The names of the labels, in the order of the ids.

    Returns:
        `tuple[float, ...]` or `None`: The probability of each label; `None` if a label has no value in the answer, or
        the probabilities of both values sum to less than `LEAST_MASS`.

    Example:

        >>> value = TokenLogprobs("true", math.log(0.6), {"true": math.log(0.6), "false": math.log(0.2)})
        >>> tokens = [TokenLogprobs('{"toxic": ', 0.0, {}), value, TokenLogprobs("}", 0.0, {})]
        >>> [round(probability, 2) for probability in flag_probabilities(tokens, ["toxic"])]
        [0.75]
    """
    answer, found = "".join(token.text for token in tokens), []
    for name in names:
        field = re.search(re.escape(json.dumps(name, ensure_ascii=False)) + r"\s*:\s*(?=true|false)", answer)
        place = _token_at(tokens, field.end()) if field else None
        if place is None:
            return None
        token, before = tokens[place[0]], place[1]
        mass = {"true": 0.0, "false": 0.0}
        for text, probability in _probabilities(token).items():
            said = text.removeprefix(token.text[:before]).strip(_AROUND).lower()
            for value in mass:
                if said and (value.startswith(said) or said.startswith(value)):
                    mass[value] += probability
        total = sum(mass.values())
        if total < LEAST_MASS:
            return None
        found.append(mass["true"] / total)
    return tuple(found)


def _leads_to(text: str, names: Sequence[str]) -> bool:
    """Whether a name begins with a text, or the text with the name."""
    text = text.lstrip(_AROUND)
    return bool(text) and any(name.startswith(text) or text.startswith(name) for name in names)


def _probabilities(token: TokenLogprobs) -> dict[str, float]:
    """Returns the probabilities of a token and its alternatives. Values that are not numbers count as 0."""
    logprobs = {token.text: token.logprob, **token.alternatives}
    return {text: math.exp(min(0.0, value)) if not math.isnan(value) else 0.0 for text, value in logprobs.items()}


def _value_start(tokens: Sequence[TokenLogprobs]) -> tuple[int, int] | None:
    """Returns the index of the token in which the label begins, and the number of its characters before the label."""
    answer = "".join(token.text for token in tokens)
    match = _VALUE.search(answer)
    return _token_at(tokens, match.end() if match else len(answer) - len(answer.lstrip(_AROUND)))


def _token_at(tokens: Sequence[TokenLogprobs], position: int) -> tuple[int, int] | None:
    """Returns the index of the token at a position of the text, and the number of its characters before it."""
    end = 0
    for i, token in enumerate(tokens):
        begin, end = end, end + len(token.text)
        if begin <= position < end:
            return i, position - begin
    return None
