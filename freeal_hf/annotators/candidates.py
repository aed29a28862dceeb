"""Finds entities without an LLM: compares candidate spans with the phrases that describe the types.

The method is weak, because it does not use the context of a candidate. docs/annotators.md has its results.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from freeal_hf.annotators.prompts.base import Embed
from freeal_hf.data.spans import Span, without_overlaps
from freeal_hf.data.ties import likeliest
from freeal_hf.data.words import is_unspaced
from freeal_hf.tasks import NO_LABEL, Demonstration, TokenClassification

ORDINARY = (
    *("an action", "an amount", "a number", "a date", "a time", "a year", "a reason", "a result", "a method"),
    *("a quality", "a change", "a cause", "a relation", "a group", "a part", "a case", "a study", "a word"),
    *("a role", "a title", "a comparison", "an opinion", "a direction", "a size", "a body part", "an animal"),
)
"""Descriptions of words that are not entities. A candidate must be nearer to a type than to each of them."""

_LONGEST, _MOST_CHARACTERS = 4, 6
# Chosen on 200 training sentences of wikigold and 200 of bc5cdr. They are the same for every task.
_NEAREST, _MARGIN, _CAPITAL = 0.3, 0.1, 0.2
_PHRASES = re.compile(r"[,;:()]|\b(?:or|and|such as|for example|for instance|including)\b|\be\.g\.")
_WORD = re.compile(r"[^\W\d_]{2}")


def type_phrases(task: TokenClassification, demonstrations: Sequence[Demonstration] = ()) -> list[list[str]]:
    """Returns phrases for each type: its name, the phrases of its description, and entities that a person marked.

    Terms in a list of the description ("a drug, such as aspirin, lithium") are phrases, too. Demonstrations that the
    loop chose from the answers are not used. Their entities add phrases that resemble still more candidates, so that
    the second answers had more wrong entities than the first ones on wikigold and bc5cdr, even with the other words of
    the demonstrations as counterexamples.

    Args:
        task (`TokenClassification`): The types.
        demonstrations (`Sequence[Demonstration]`): Sentences with their entities. Those of a person are used.

    Returns:
        `list[list[str]]`: The phrases of each type, in the order of the types.

    Example:

        >>> type_phrases(TokenClassification({"Chemical": "a drug, such as aspirin"}))
        [['Chemical', 'a drug', 'aspirin']]
    """
    named = [entity for shot in demonstrations if shot.source == "human" for entity in shot.entities]
    found = []
    for name, description in task.descriptions.items():
        parts = [" ".join(part.split()) for part in _PHRASES.split(description)]
        found.append([name, *filter(None, parts), *(text for text, kind in named if kind == name)])
    return [list(dict.fromkeys(phrases)) for phrases in found]


def candidates(words: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the first and last word (exclusive) of each candidate for an entity.

    A candidate is a sequence of two or more capitalised words, a sequence of up to four other words without function
    words, numbers and signs, or, in scripts without blanks, a sequence of up to six characters.

    Args:
        words (`Sequence[str]`): The words of a text.

    Example:

        >>> candidates(["Ada", "Lovelace", "is", "famous"])
        [(0, 2), (3, 4)]
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
    """Returns the text of each candidate, in the order of `candidates`."""
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
        phrases (`Sequence[Sequence[str]]`): The result of `type_phrases`.
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
    are_near = (kinds != NO_LABEL) & (nearest > _NEAREST) & (nearest - ordinary > _MARGIN)
    order = np.argsort(-nearest, kind="stable")
    named = (Span(places[i][0], places[i][1], task.label_names[kinds[i]]) for i in order[are_near[order]])
    return tuple(without_overlaps(named))
