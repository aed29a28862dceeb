"""Finds the entities that an LLM or a person names in the words of the text (grounding)."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import regex

from freeal_hf.data.sentences import named_in
from freeal_hf.data.spans import Span
from freeal_hf.errors import InputError

Place = tuple[int, int]
"""First and last word (exclusive)."""

# Marks are vowels in most scripts (Hindi, Thai). Arabic and Hebrew are mostly written without them.
_NO_LETTER = regex.compile(
    r"[^\p{L}\p{N}\p{M}]|[\p{M}&&[\p{scx=Arabic}\p{scx=Hebrew}]]|(?<![\p{L}\p{N}\p{M}])\p{M}+", regex.VERSION1
)

Forms = list[tuple[Callable[[str], str], list[str]]]
"""Functions that normalize a word, each with the normalized words of a text."""


class Grounded(NamedTuple):
    """Entities as spans of words, in the order of the text, and the number of entities that are not in it."""

    spans: tuple[Span, ...]
    num_dropped: int


def ground(entities: Sequence[tuple[str, str]], words: Sequence[str]) -> Grounded:
    """Finds named entities among the words of a text.

    An entity is searched as it is written (spaces are ignored), then without regard to case, and then without regard
    to punctuation. It always covers whole words. Longer entities are placed before shorter ones, and entities of equal
    length in the given order. Each gets the first free place in the text. Therefore an entity that is named twice is
    found twice if the text contains it twice, and of nested or overlapping entities the longest is kept.

    Args:
        entities (`Sequence[tuple[str, str]]`): The words and the type of each entity.
        words (`Sequence[str]`): The words of the text.

    Example:

        >>> ground([("ada lovelace", "person"), ("Bob", "person")], ["Ada", "Lovelace", "wrote", "it."])
        Grounded(spans=(Span(start=0, end=2, type='person'),), num_dropped=1)
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
    """An entity as a person writes it.

    Args:
        text (`str`): Its words.
        type (`str`): Its type.
        number (`int`, *optional*): Which occurrence of these words in the sentence it is, from 1.

    Example:

        >>> Mention("Ada", "person", number=2).text
        'Ada'
    """

    text: str
    type: str
    number: int | None = None


def mentions_of(spans: Sequence[Span], text: str, words: Sequence[str], starts: Sequence[int]) -> list[Mention]:
    """Returns entities as a person writes them, with a number if the sentence contains their words more than once.

    Args:
        spans (`Sequence[Span]`): The entities.
        text (`str`): The sentence.
        words (`Sequence[str]`): The words of the sentence.
        starts (`Sequence[int]`): The position of the first character of each word in the sentence.

    Returns:
        `list[Mention]`: One for each span, in the same order. `locate` finds the same spans.

    Example:

        >>> mentions_of([Span(2, 3, "person")], "Ada meets Ada", ["Ada", "meets", "Ada"], [0, 4, 10])
        [Mention(text='Ada', type='person', number=2)]
    """
    forms = _forms(words)
    found = []
    for span, (named, name) in zip(spans, named_in(text, spans, words, starts), strict=True):
        places, own = _places(named, forms), (span.start, span.end)
        found.append(Mention(named, name, places.index(own) + 1 if len(places) > 1 and own in places else None))
    return found


def locate(mentions: Sequence[Mention], words: Sequence[str]) -> list[Span]:
    """Finds the entities of a person by the rules of `ground`. An entity without a definite place is an error.

    Args:
        mentions (`Sequence[Mention]`): The entities. Equal words without a number are in the order of the sentence.
        words (`Sequence[str]`): The words of the sentence.

    Returns:
        `list[Span]`: The spans in the order of the sentence.

    Raises:
        InputError: If an entity is not in the sentence, overlaps another one, or occurs in the sentence more often
            than it is given, so that its place is not known.

    Example:

        >>> locate([Mention("Ada", "person", 2)], ["Ada", "meets", "Ada"])
        [Span(start=2, end=3, type='person')]
    """
    if len(mentions) > len(words):
        raise InputError(f"{len(mentions)} entities are given for {len(words)} words; give each of them once.")
    forms = _forms(words)
    wanted: dict[tuple[Place, ...], list[Mention]] = {}
    for mention in sorted(mentions, key=lambda mention: (mention.number is None, -len(_letters(mention.text)))):
        places = _places(mention.text, forms)
        if not places:
            raise InputError(f"{mention.text!r} is not in the sentence; copy whole words from it.")
        if mention.number is not None:
            if not 1 <= mention.number <= len(places):
                raise InputError(
                    f"There is no {mention.text!r} number {mention.number} in the sentence; the last one has number "
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
                f"The sentence contains {named[0].text!r} {len(chosen)} times; give all of them, or the number of the "
                "one that you mean."
            )
        for mention, place in zip_longest(named, free):
            if place is None or not taken.isdisjoint(range(*place)):
                raise InputError(
                    f"{mention.text!r} overlaps another entity, or is given more often than the sentence contains "
                    "it; keep one of them."
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
    return _NO_LETTER.sub("", _folded(text))
