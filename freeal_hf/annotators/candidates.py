"""Finds entities without an LLM: compares candidate spans with the phrases that describe the types.

The method is weak, because it does not use the context of a candidate. docs/annotators.md has its results.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from freeal_hf.data.spans import Span
from freeal_hf.data.ties import likeliest
from freeal_hf.data.words import is_unspaced
from freeal_hf.tasks import NO_LABEL, Demonstration, TokenClassification

Embed = Callable[[Sequence[str]], np.ndarray]

ORDINARY = (
    *("an action", "an amount", "a number", "a date", "a time", "a year", "a reason", "a result", "a method"),
    *("a quality", "a change", "a cause", "a relation", "a group", "a part", "a case", "a study", "a word"),
    *("a role", "a title", "a comparison", "an opinion", "a direction", "a size", "a body part", "an animal"),
)
"""What most words are that name no entity; a candidate must be nearer to a type than to each of these."""

_LONGEST, _MOST_CHARACTERS = 4, 6
# Chosen on 200 training sentences each of wikigold and bc5cdr; the same for every task.
_NEAREST, _MARGIN, _CAPITAL = 0.3, 0.1, 0.2
_PHRASES = re.compile(r"[,;:()]|\b(?:or|and|such as|for example|for instance|including)\b|\be\.g\.")
_WORD = re.compile(r"[^\W\d_]{2}")


def type_phrases(task: TokenClassification, demonstrations: Sequence[Demonstration] = ()) -> list[list[str]]:
    """Returns phrases for each type: its name, the phrases of its description, and entities of the demonstrations.

    Terms that a description lists ("a drug, such as aspirin, lithium") are phrases too: seeds.

    Args:
        task (`TokenClassification`): The types.
        demonstrations (`Sequence[Demonstration]`): Sentences with their entities.
    """
    named = [entity for shot in demonstrations for entity in shot.entities]
    found = []
    for name, description in task.descriptions.items():
        parts = [" ".join(part.split()) for part in _PHRASES.split(description)]
        found.append([name, *filter(None, parts), *(text for text, kind in named if kind == name)])
    return [list(dict.fromkeys(phrases)) for phrases in found]


def candidates(words: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the first and last word (exclusive) of each candidate for an entity.

    A run of two and more capitalised words is a candidate as a whole. Of the other words, runs of up to four are
    candidates, none of which is a function word, a number or a sign. Of the characters of scripts without blanks, runs
    of up to six are candidates.

    Args:
        words (`Sequence[str]`): The words of a text.
    """
    is_content = [
        is_unspaced(word) or (_WORD.search(word) is not None and word.casefold() not in ENGLISH_STOP_WORDS)
        for word in words
    ]
    is_capital = [word[:1].isupper() and usable for word, usable in zip(words, is_content, strict=True)]
    found: list[tuple[int, int]] = []
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and is_capital[end]:
            end += 1
        if end > start + 1:
            found.append((start, end))
            start = end
            continue
        longest = _MOST_CHARACTERS if is_unspaced(words[start]) else _LONGEST
        for last in range(start + 1, min(start + longest, len(words)) + 1):
            if not is_content[last - 1] or is_capital[last - 1 : last + 1] == [True, True]:
                break  # a function word, or the first word of a run of capitalised ones
            found.append((start, last))
        start += 1
    return found


def candidate_texts(words: Sequence[str]) -> list[str]:
    """Returns the texts of the candidates, in order."""
    return [_joined(words[start:end]) for start, end in candidates(words)]


def _joined(words: Sequence[str]) -> str:
    """Joins words with blanks, except between characters of scripts without blanks."""
    parts = list(words[:1])
    for before, word in pairwise(words):
        parts += [word] if is_unspaced(before) and is_unspaced(word) else [" ", word]
    return "".join(parts)


def find_entities(
    words: Sequence[str], task: TokenClassification, phrases: Sequence[Sequence[str]], embed: Embed
) -> tuple[Span, ...]:
    """Returns the candidates that are near to a type, and the nearest of overlapping ones. Capitals add to the score.

    A candidate that is as near to several types is left out.

    Args:
        words (`Sequence[str]`): The words of a text.
        task (`TokenClassification`): The types.
        phrases (`Sequence[Sequence[str]]`): What `type_phrases` gave.
        embed (`Callable`): Unit embeddings of texts, shape `(n, d)`.
    """
    places = candidates(words)
    if not places:
        return ()
    found = embed(candidate_texts(words))
    scores = np.stack([(found @ embed(some).T).max(axis=1) for some in phrases], axis=1)
    ordinary = (found @ embed(ORDINARY).T).max(axis=1)
    nearest = scores.max(axis=1) + _CAPITAL * np.array(
        [start > 0 and words[start][:1].isupper() for start, _ in places]
    )
    # Rounded because the last digits depend on the other texts in the batch.
    nearest, kinds = nearest.round(4), likeliest(scores.round(4))
    taken: list[Span] = []
    for i in np.argsort(-nearest, kind="stable"):
        start, end = places[i]
        is_free = all(end <= span.start or span.end <= start for span in taken)
        if kinds[i] != NO_LABEL and is_free and nearest[i] > _NEAREST and nearest[i] - ordinary[i] > _MARGIN:
            taken.append(Span(start, end, task.label_names[kinds[i]]))
    return tuple(sorted(taken))
