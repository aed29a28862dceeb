"""`Marked`: a text with its entities, as all formats are read into and written from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from freeal_hf.data.spans import Span, tags_of
from freeal_hf.data.words import align_words, join_words, split_words
from freeal_hf.errors import InputError


@dataclass(frozen=True, order=True)
class Place:
    """An entity in a text.

    Args:
        start (`int`): Its first character, counted in Unicode code points.
        end (`int`): The position behind its last character.
        type (`str`): Its type.
    """

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Marked:
    """A text and its entities.

    Args:
        text (`str`): The text.
        places (`tuple[Place, ...]`, *optional*): Its entities in order, without overlaps; `None` for a text that is
            not labelled, which is not the same as a text without entities.
        words (`tuple[str, ...]`, *optional*): Its words, if the format has them.
        id (`str`, *optional*): Its id.
        is_model (`bool`): Whether a model found the entities, and no person has checked them.
        confidence (`float`, *optional*): The model's confidence.
    """

    text: str
    places: tuple[Place, ...] | None
    words: tuple[str, ...] | None = None
    id: str | None = None
    is_model: bool = False
    confidence: float | None = None

    @property
    def own_words(self) -> tuple[str, ...]:
        """The words. A word that an entity divides is divided there, so that no entity is lost or changed."""
        words, starts = (list(self.words), None) if self.words is not None else split_words(self.text)
        starts = align_words(words, self.text) if starts is None else starts
        assert starts is not None  # `marked` checks it
        cuts = sorted({cut for place in self.places or () for cut in (place.start, place.end)})
        parts: list[str] = []
        for word, start in zip(words, starts, strict=True):
            inside = [cut for cut in cuts if start < cut < start + len(word)]
            parts += [self.text[a:b].strip() for a, b in pairwise([start, *inside, start + len(word)])]
        return tuple(part for part in parts if part)

    @property
    def tags(self) -> list[str] | None:
        """The BIO tag of each of `own_words`; `None` if the text is not labelled."""
        if self.places is None:
            return None
        words = self.own_words
        starts = align_words(words, self.text)
        assert starts is not None
        ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
        spans = []
        for place in self.places:
            inside = [
                i for i, (a, b) in enumerate(zip(starts, ends, strict=True)) if place.start <= a and b <= place.end
            ]
            spans.append(Span(inside[0], inside[-1] + 1, place.type))
        return tags_of(spans, len(words))


def marked(
    text: str,
    places: Iterable[Place] | None,
    where: str,
    *,
    words: Sequence[str] | None = None,
    id: str | None = None,
    is_model: bool = False,
    confidence: float | None = None,
) -> tuple[Marked, int]:
    """Makes a text with entities from a file, and leaves out entities that overlap a longer one.

    Args:
        text (`str`): The text.
        places (`Iterable[Place]`, *optional*): Its entities in any order.
        where (`str`): The place of the text, for errors.
        words, id, is_model, confidence (*optional*): As in `Marked`. Words that are not those of the text are not
            used.

    Returns:
        `tuple[Marked, int]`: The text, and the number of entities that were left out.

    Raises:
        InputError: If an entity is not in the text, is empty or blank, or has no type.
    """
    kept: list[Place] = []
    found = None if places is None else list(places)
    for place in sorted(found or (), key=lambda place: (place.start - place.end, place)):
        if not 0 <= place.start < place.end <= len(text) or not text[place.start : place.end].strip():
            raise InputError(
                f"{where}: the entity from {place.start} to {place.end} is not in the text of {len(text)} characters. "
                "Count positions in characters (Unicode code points); the end is not included."
            )
        if not place.type.strip():
            raise InputError(f"{where}: the entity {text[place.start : place.end]!r} has no type.")
        if all(place.end <= other.start or other.end <= place.start for other in kept):
            kept.append(place)
    if words is not None and align_words(words, text) is None:
        words = None
    item = Marked(
        text,
        None if found is None else tuple(sorted(_solid(place, text) for place in kept)),
        None if words is None else tuple(words),
        id,
        is_model,
        confidence,
    )
    return item, len(found or ()) - len(kept)


def from_tags(words: Sequence[str], spans: Sequence[Span] | None, id: str | None = None) -> Marked:
    """Makes a text of words with blanks between them, and of entities in words.

    Args:
        words (`Sequence[str]`): The words.
        spans (`Sequence[Span]`, *optional*): The entities, without overlaps; `None` for a text that is not labelled.
        id (`str`, *optional*): The id.
    """
    text, starts = join_words(words)
    places = None if spans is None else (_place(span, words, starts) for span in spans)
    return Marked(text, None if places is None else tuple(places), tuple(words), id)


def _place(span: Span, words: Sequence[str], starts: Sequence[int]) -> Place:
    return Place(starts[span.start], starts[span.end - 1] + len(words[span.end - 1]), span.type)


def _solid(place: Place, text: str) -> Place:
    """Returns an entity without blanks at its ends."""
    named = text[place.start : place.end]
    start = place.start + len(named) - len(named.lstrip())
    return Place(start, place.end - (len(named) - len(named.rstrip())), place.type)
