"""Fuses the entities of annotator and student into final entities."""

from collections.abc import Sequence

import numpy as np

from freeal_hf.data.spans import Span, spans_of, tags_of, without_overlaps
from freeal_hf.data.ties import likeliest
from freeal_hf.tasks import NO_LABEL, OUTSIDE


def fuse_entities(
    labels: np.ndarray, is_clean: np.ndarray, probabilities: np.ndarray, num_words: Sequence[int], tags: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Computes final tags from those of the annotator and the student, one entity at a time.

    Each word has a distribution over the tags: the student's, averaged with the annotator's tag if that is clean. Each
    entity of annotator or student is a candidate. Its score is the geometric mean of its words' probabilities for its
    tags. Candidates are chosen by decreasing score, if they do not overlap a chosen one and are more probable than no
    entity. So the tags are valid BIO.

    Args:
        labels (`np.ndarray` of shape `(words,)`): The annotator's tag ids, -1 for none.
        is_clean (`np.ndarray` of shape `(words,)`): Whether each tag is clean.
        probabilities (`np.ndarray` of shape `(words, tags)`): The student's probabilities.
        num_words (`Sequence[int]`): The number of words in each sentence.
        tags (`Sequence[str]`): Tag names by id.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Final tag ids and their probabilities, both of shape `(words,)`.
    """
    mean = np.array(probabilities, dtype=float)
    trusted = np.flatnonzero(is_clean & (labels != NO_LABEL))
    mean[trusted] /= 2
    mean[trusted, labels[trusted]] += 0.5
    number = {tag: i for i, tag in enumerate(tags)}
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


def has_learnt(labels: np.ndarray, student: np.ndarray) -> bool:
    """Returns whether a student has learnt its training labels. This check needs no gold.

    The student must find at least half of the words inside entities of its training labels, in any entity, and at
    least twice as large a share of them as of the other words. A student that finds nothing fails the first condition,
    and one that finds entities everywhere the second. If its training labels have no entity, it must find none.

    Args:
        labels (`np.ndarray` of shape `(words,)`): The tag ids of its training labels, -1 for none.
        student (`np.ndarray` of shape `(words,)`): The tag ids of the student.

    Example:

        >>> labels = np.array([0, 0, 1, 2])
        >>> has_learnt(labels, labels), has_learnt(labels, np.zeros(4))
        (True, False)
    """
    shown, others = student[labels > 0] > 0, student[labels == 0] > 0
    if not len(shown):
        return bool(len(others)) and not others.any()
    found, beside = shown.mean(), others.mean() if len(others) else 0.0
    return bool(found >= 0.5 and found >= 2 * beside)


def _best_tags(probabilities: np.ndarray, tags: Sequence[str]) -> np.ndarray:
    best = likeliest(probabilities)
    return np.where(best == NO_LABEL, tags.index(OUTSIDE), best)


def _decide(
    labels: np.ndarray, probabilities: np.ndarray, log_mean: np.ndarray, tags: Sequence[str], number: dict[str, int]
) -> list[int]:
    length = len(labels)
    named = spans_of([tags[i] if i != NO_LABEL else OUTSIDE for i in labels])
    guessed = spans_of([tags[i] for i in _best_tags(probabilities, tags)])

    def score(span: Span) -> float:
        wanted = [number[tag] for tag in tags_of([span], length)[span.start : span.end]]
        return float(log_mean[range(span.start, span.end), wanted].mean())

    scores = {span: score(span) for span in (*named, *guessed)}
    outside = {span: float(log_mean[span.start : span.end, number[OUTSIDE]].mean()) for span in scores}
    wanted = [span for span in scores if scores[span] > outside[span]]
    # If candidates have equal scores, the annotator's is first.
    ordered = sorted(wanted, key=lambda span: (-scores[span], span not in named, span))
    return [number[tag] for tag in tags_of(without_overlaps(ordered), length)]
