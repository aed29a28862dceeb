"""Grounding: finds the entities of an LLM or a person in the words of the text, and drops all others."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from freeal_hf.data.sentences import named_in
from freeal_hf.data.spans import Span
from freeal_hf.errors import InputError

Place = tuple[int, int]
"""First and last word (exclusive)."""

Forms = list[tuple[Callable[[str], str], list[str]]]
"""Ways of writing, and the words of a text in each of them."""


class Grounded(NamedTuple):
    """Entities as spans of words, in the order of the text, and the number of entities that are not in it."""

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
    forms = _forms(words)
    for text, name in sorted(entities, key=lambda entity: -len(_letters(entity[0]))):
        places = _places(text, forms)
        free = [(a, b) for a, b in places if all(b <= span.start or span.end <= a for span in taken)]
        if free:
            taken.append(Span(*free[0], name))
        else:
            num_dropped += 1
    return Grounded(tuple(sorted(taken)), num_dropped)


class Mention(NamedTuple):
    """An entity as a person names it.

    Args:
        text (`str`): Its words.
        type (`str`): Its type.
        number (`int`, *optional*): Which it is of those that the sentence names by these words, from 1.
    """

    text: str
    type: str
    number: int | None = None


def mentions_of(spans: Sequence[Span], text: str, words: Sequence[str], starts: Sequence[int]) -> list[Mention]:
    """Entities as a person would name them, with a number where their words stand in the sentence more than once.

    Args:
        spans (`Sequence[Span]`): The entities.
        text (`str`): The sentence.
        words (`Sequence[str]`): Its words.
        starts (`Sequence[int]`): Where each word starts in it, in characters.

    Returns:
        `list[Mention]`: In the order of the spans, which `locate` finds again.
    """
    forms = _forms(words)
    found = []
    for span, (named, name) in zip(spans, named_in(text, spans, words, starts), strict=True):
        places, own = _places(named, forms), (span.start, span.end)
        found.append(Mention(named, name, places.index(own) + 1 if len(places) > 1 and own in places else None))
    return found


def locate(mentions: Sequence[Mention], words: Sequence[str]) -> list[Span]:
    """Finds what a person named, by the rules of `ground`, but neither drops anything nor guesses a place.

    Args:
        mentions (`Sequence[Mention]`): What was named; of equal words without a number, those to the left first.
        words (`Sequence[str]`): The words of the sentence.

    Returns:
        `list[Span]`: In the order of the sentence.

    Raises:
        InputError: If something does not stand in the sentence, overlaps another entity, or stands there more often
            than it is named, so that its place is open.
    """
    if len(mentions) > len(words):
        raise InputError(f"{len(mentions)} entities are named in {len(words)} words; name each of them once.")
    forms = _forms(words)
    wanted: dict[tuple[Place, ...], list[Mention]] = {}
    for mention in sorted(mentions, key=lambda mention: (mention.number is None, -len(_letters(mention.text)))):
        places = _places(mention.text, forms)
        if not places:
            raise InputError(f"{mention.text!r} does not stand in the sentence; copy whole words as they stand there.")
        if mention.number is not None:
            if not 1 <= mention.number <= len(places):
                raise InputError(
                    f"There is no {mention.text!r} number {mention.number} in the sentence; the last is number "
                    f"{len(places)}."
                )
            places = places[mention.number - 1 : mention.number]
        wanted.setdefault(tuple(places), []).append(mention)
    found: list[Span] = []
    taken: set[int] = set()
    for chosen, named in wanted.items():
        free = [place for place in chosen if taken.isdisjoint(range(*place))]
        if len(free) > len(named):
            raise InputError(
                f"{named[0].text!r} stands in the sentence {len(chosen)} times; name it as often as that, or say by "
                "its number which one is meant."
            )
        for mention, place in zip_longest(named, free):
            if place is None or not taken.isdisjoint(range(*place)):
                raise InputError(
                    f"{mention.text!r} overlaps another entity, or is named more often than it stands in the "
                    "sentence; keep one of them."
                )
            taken.update(range(*place))
            found.append(Span(place[0], place[1], mention.type))
    return sorted(found)


def _forms(words: Sequence[str]) -> Forms:
    """Returns the words in each form in which an entity is searched."""
    return [(form, [form(word) for word in words]) for form in (_unspaced, _folded, _letters)]


def _places(text: str, forms: Forms) -> list[Place]:
    for form, words in forms:
        places = list(_matches(form(text), words))
        if places:
            return places
    return []


def _matches(wanted: str, forms: Sequence[str]) -> Iterator[Place]:
    """Yields each span whose words are the wanted ones in one form."""
    if not wanted:
        return
    for start, first in enumerate(forms):
        length, end = 0, start
        while first and length < len(wanted) and end < len(forms) and wanted.startswith(forms[end], length):
            length += len(forms[end])
            end += 1
        if length == len(wanted):
            yield start, end


def _unspaced(text: str) -> str:
    return "".join(text.split())


def _folded(text: str) -> str:
    return _unspaced(unicodedata.normalize("NFKC", text)).casefold()


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, _folded(text)))
