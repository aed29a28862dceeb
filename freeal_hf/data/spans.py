"""Entities as spans of words and as BIO tags, and the way from one to the other."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from freeal_hf.tasks import OUTSIDE


class Span(NamedTuple):
    """An entity: the words from `start` up to, not including, `end`, and its type."""

    start: int
    end: int
    type: str


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The entities of a sentence, as conlleval and seqeval read them.

    An entity begins at `B-`, and also at an `I-` that continues none of its type, and goes on over every `I-` of its
    type.

    Args:
        tags (`Sequence[str]`): One tag for each word.

    Returns:
        `list[Span]`: In the order of the text; none overlaps another.
    """
    spans: list[Span] = []
    start, current = 0, ""
    for position, tag in enumerate([*tags, OUTSIDE]):
        mark, _, name = tag.partition("-")
        if current and (mark != "I" or name != current):
            spans.append(Span(start, position, current))
            current = ""
        if mark in ("B", "I") and not current:
            start, current = position, name
    return spans


def tags_of(spans: Iterable[Span], length: int) -> list[str]:
    """The BIO tags of spans that do not overlap.

    Args:
        spans (`Iterable[Span]`): The entities of a sentence.
        length (`int`): Number of its words.
    """
    tags = [OUTSIDE] * length
    for start, end, name in spans:
        tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
    return tags


def invalid_position(tags: Sequence[str]) -> int | None:
    """Where the first `I-` stands that continues no entity of its type; `None` if the tags are valid BIO."""
    before = OUTSIDE
    for position, tag in enumerate(tags):
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return position
        before = tag
    return None
