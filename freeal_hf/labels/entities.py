"""Fuses the entities of annotator and student into final entities."""

from collections.abc import Sequence

import numpy as np

from freeal_hf.data.spans import Span, spans_of, tags_of
from freeal_hf.data.ties import likeliest
from freeal_hf.tasks import NO_LABEL, OUTSIDE

_CLEAN, _NOISY, _NOISY_OUTSIDE = 0.5, 0.3, 0.1
"""Weights of the annotator's tags beside those of the student: of clean tags, noisy entities, and the noisy tag O."""


def fuse_entities(
    labels: np.ndarray, is_clean: np.ndarray, probabilities: np.ndarray, num_words: Sequence[int], tags: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Computes final tags from those of the annotator and the student.

    Each word has a distribution over the tags: the mean of the student's probabilities and the annotator's tag. The
    weight of a clean tag is 0.5 and that of a noisy entity 0.3, so that only a student that is rather sure removes it.
    The student finds entities that the annotator missed, so the weight of a noisy tag O is 0.1, and 0 if fewer than
    half of the tags of entities are clean.

    Each entity of annotator or student is a candidate. Those candidates are final that do not overlap and make the
    tags of the sentence most probable.

    Args:
        labels (`np.ndarray` of shape `(words,)`): The annotator's tag ids, -1 for none.
        is_clean (`np.ndarray` of shape `(words,)`): Whether each tag is clean.
        probabilities (`np.ndarray` of shape `(words, tags)`): The student's probabilities.
        num_words (`Sequence[int]`): The number of words in each sentence.
        tags (`Sequence[str]`): Tag names by id.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Final tag ids and their probabilities, both of shape `(words,)`.
    """
    number = {tag: i for i, tag in enumerate(tags)}
    named, answered = (labels != NO_LABEL) & (labels != number[OUTSIDE]), labels != NO_LABEL
    outside = _NOISY_OUTSIDE if named.any() and is_clean[named].mean() > 0.5 else 0.0
    trust = np.where(is_clean, _CLEAN, np.where(named, _NOISY, outside)) * answered
    mean = (1 - trust)[:, None] * probabilities
    mean[np.arange(len(labels)), labels] += trust
    final = np.zeros(len(labels), dtype=int)
    start = 0
    for length in num_words:
        words = slice(start, start + length)
        final[words] = _decide(labels[words], probabilities[words], np.log(mean[words].clip(1e-9)), tags, number)
        start += length
    return final, mean[np.arange(len(final)), final]


def valid_tags(probabilities: np.ndarray, num_words: Sequence[int], tags: Sequence[str]) -> np.ndarray:
    """Returns the student's most probable tags as valid BIO, shape `(words,)`.

    An I- tag that does not continue an entity becomes a B- tag. A word with several most probable tags is outside of
    entities.

    Args:
        probabilities (`np.ndarray` of shape `(words, tags)`): The student's probabilities.
        num_words (`Sequence[int]`): The number of words in each sentence.
        tags (`Sequence[str]`): Tag names by id.

    Example:

        >>> valid_tags(np.eye(3)[[0, 2, 2]], [3], ["O", "B-place", "I-place"]).tolist()
        [0, 1, 2]
    """
    number = {tag: i for i, tag in enumerate(tags)}
    best, found, start = _best_tags(probabilities, tags), [], 0
    for length in num_words:
        spans = spans_of([tags[i] for i in best[start : start + length]])
        found += [number[tag] for tag in tags_of(spans, length)]
        start += length
    return np.array(found, dtype=int)


def has_learnt(
    labels: np.ndarray, student: np.ndarray, is_clean: np.ndarray, num_words: Sequence[int], tags: Sequence[str]
) -> bool:
    """Returns whether a student has learnt its training labels. This check needs no gold.

    The student must find at least half of the words inside entities of its training labels, in any entity, and at
    least twice as large a share of them as of the other words. A student that finds nothing fails the first condition,
    and one that finds entities everywhere the second. It must also find at least half of the clean entities, with
    their words and types. If its training labels have no entity, it must find none.

    Args:
        labels (`np.ndarray` of shape `(words,)`): The tag ids of its training labels, -1 for none.
        student (`np.ndarray` of shape `(words,)`): The tag ids of the student.
        is_clean (`np.ndarray` of shape `(words,)`): Whether each label is clean.
        num_words (`Sequence[int]`): The number of words in each sentence.
        tags (`Sequence[str]`): Tag names by id.

    Example:

        >>> labels, tags = np.array([0, 0, 1, 2]), ["O", "B-place", "I-place"]
        >>> has_learnt(labels, labels, labels > 0, [4], tags), has_learnt(labels, 0 * labels, labels > 0, [4], tags)
        (True, False)
    """
    shown, others = student[labels > 0] > 0, student[labels == 0] > 0
    if not len(shown):
        return bool(len(others)) and not others.any()
    found, beside = shown.mean(), others.mean() if len(others) else 0.0
    clean = _entities(np.where(is_clean, labels, NO_LABEL), num_words, tags)
    is_found = len(clean & _entities(student, num_words, tags)) >= len(clean) / 2
    return bool(found >= 0.5 and found >= 2 * beside and is_found)


def _entities(ids: np.ndarray, num_words: Sequence[int], tags: Sequence[str]) -> set[tuple[int, Span]]:
    """Returns the entities of all sentences, each with the number of its sentence."""
    sentences = np.split(ids, np.cumsum(num_words)[:-1])
    names = ([tags[i] if i != NO_LABEL else OUTSIDE for i in sentence] for sentence in sentences)
    return {(number, span) for number, some in enumerate(names) for span in spans_of(some)}


def _best_tags(probabilities: np.ndarray, tags: Sequence[str]) -> np.ndarray:
    best = likeliest(probabilities)
    return np.where(best == NO_LABEL, tags.index(OUTSIDE), best)


def _decide(
    labels: np.ndarray, probabilities: np.ndarray, log_mean: np.ndarray, tags: Sequence[str], number: dict[str, int]
) -> list[int]:
    length = len(labels)
    named = spans_of([tags[i] if i != NO_LABEL else OUTSIDE for i in labels])
    guessed = spans_of([tags[i] for i in _best_tags(probabilities, tags)])

    def gain(span: Span) -> float:
        """Returns the gain in log probability over words outside of entities."""
        wanted = [number[tag] for tag in tags_of([span], length)[span.start : span.end]]
        inside = range(span.start, span.end)
        return float((log_mean[inside, wanted] - log_mean[inside, number[OUTSIDE]]).sum())

    # The annotator's entities are first, because the first of equal values is chosen.
    gains = {span: gain(span) for span in (*named, *guessed)}
    best: list[tuple[float, list[Span]]] = [(0.0, [])]  # the choice for the first words of the sentence
    for end in range(1, length + 1):
        ending = [(best[span.start], span) for span in gains if span.end == end]
        chosen = [(value + gains[span], [*spans, span]) for (value, spans), span in ending]
        best.append(max([best[-1], *chosen], key=lambda choice: choice[0]))
    return [number[tag] for tag in tags_of(best[-1][1], length)]
