"""Grounding: finds what an LLM named in the words of the text, so that nothing invented survives."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from freeal_hf.spans import Span


class Grounded(NamedTuple):
    """Entities by words, in the order of the text, and how many named ones do not stand in it."""

    spans: tuple[Span, ...]
    num_dropped: int


def ground(entities: Sequence[tuple[str, str]], words: Sequence[str]) -> Grounded:
    """Finds named entities among the words of a text.

    An entity is looked for as it is written (spaces aside), then whatever the case, then whatever the punctuation; it
    always covers whole words. Longer entities choose first, and among equally long ones those that are named first;
    each takes the first place in the text that is still free. So an entity that is named twice is found twice, if it
    is there twice, and of nested or overlapping ones the longest stays.

    Args:
        entities (`Sequence[tuple[str, str]]`): What was named, and its type.
        words (`Sequence[str]`): The words of the text.
    """
    taken: list[Span] = []
    num_dropped = 0
    for text, name in sorted(entities, key=lambda entity: -len(_letters(entity[0]))):
        places = _places(text, words)
        free = [(a, b) for a, b in places if all(b <= span.start or span.end <= a for span in taken)]
        if free:
            taken.append(Span(*free[0], name))
        else:
            num_dropped += 1
    return Grounded(tuple(sorted(taken)), num_dropped)


def _places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    for form in (_unspaced, _folded, _letters):
        places = list(_matches(form(text), words, form))
        if places:
            return places
    return []


def _matches(wanted: str, words: Sequence[str], form: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """First and last word (not included) of each run of words whose form is the wanted one."""
    if not wanted:
        return
    forms = [form(word) for word in words]
    for start in range(len(words)):
        if not forms[start] or not wanted.startswith(forms[start]):
            continue
        built, end = forms[start], start + 1
        while len(built) < len(wanted) and end < len(words) and wanted.startswith(built + forms[end]):
            built += forms[end]
            end += 1
        if built == wanted:
            yield start, end


def _unspaced(text: str) -> str:
    return "".join(text.split())


def _folded(text: str) -> str:
    return _unspaced(unicodedata.normalize("NFKC", text)).casefold()


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, _folded(text)))
