"""Converts between entities as spans of words and BIO tags."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from freeal_hf.errors import InputError
from freeal_hf.tasks import OUTSIDE


class Span(NamedTuple):
    """An entity: the words from `start` to `end` (exclusive), and its type.

    Example:

        >>> Span(0, 2, "person").type
        'person'
    """

    start: int
    end: int
    type: str


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Returns the entities of a sentence, as conlleval and seqeval define them.

    An entity starts at `B-`, or at an `I-` that does not continue an entity of its type, and continues over all
    following `I-` of its type.

    Args:
        tags (`Sequence[str]`): The tag of each word.

    Returns:
        `list[Span]`: The entities in the order of the text, without overlaps.

    Example:

        >>> spans_of(["B-person", "I-person", "O", "I-place"])
        [Span(start=0, end=2, type='person'), Span(start=3, end=4, type='place')]
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
    """Returns the BIO tags of entities that do not overlap.

    Args:
        spans (`Iterable[Span]`): The entities of a sentence.
        length (`int`): The number of words of the sentence.

    Returns:
        `list[str]`: The tag of each word.

    Example:

        >>> tags_of([Span(0, 2, "person")], length=3)
        ['B-person', 'I-person', 'O']
    """
    tags = [OUTSIDE] * length
    for start, end, name in spans:
        tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
    return tags


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """Leaves out entities that overlap an earlier one.

    Args:
        spans (`Iterable[Span]`): The entities, in the order of their priority.

    Returns:
        `list[Span]`: The entities that are left, in the order of the text.

    Example:

        >>> without_overlaps([Span(1, 3, "person"), Span(0, 2, "place"), Span(0, 1, "place")])
        [Span(start=0, end=1, type='place'), Span(start=1, end=3, type='person')]
    """
    kept: list[Span] = []
    for span in spans:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


def check_is_one_run(value: Any, where: str) -> None:
    """Checks that a marked entity has one start and one end.

    Args:
        value (`Any`): The entity, with `start` and `end`.
        where (`str`): Its place, for the error.

    Raises:
        InputError: If the entity is discontinuous, that is if `start` or `end` is a list.
    """
    if isinstance(value, Mapping) and any(isinstance(value.get(key), (list, tuple)) for key in ("start", "end")):
        raise InputError(
            f"{where}: {value!r} has several parts (it is discontinuous); an entity is one run of words. Mark its "
            "longest part, or the whole run from its first to its last word."
        )


def invalid_position(tags: Sequence[str]) -> int | None:
    """Returns the position of the first `I-` that does not continue an entity of its type.

    Args:
        tags (`Sequence[str]`): The tag of each word.

    Returns:
        `int` or `None`: The position; `None` if the tags are valid BIO.

    Example:

        >>> invalid_position(["B-person", "I-place"]), invalid_position(["B-person", "I-person"])
        (1, None)
    """
    before = OUTSIDE
    for position, tag in enumerate(tags):
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return position
        before = tag
    return None
