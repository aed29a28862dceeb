"""Fuses the entities that several annotators found, and ranks the annotators.

Errors of language models are correlated. Models that assume independent errors, such as that of Dawid and Skene, drop
entities that most annotators name, so votes are counted. Such a model can only add entities that fewer ones name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freeal_hf.data.spans import Span

Entities = Sequence[Sequence[Span] | None]
"""The entities of each sentence, `None` for a sentence without an answer."""

_FEWEST_SENTENCES = 10
_FOLDS = 5
# Differences between annotators are penalized more than the number of votes, so that few sentences are enough.
_DIFFERENCE_SCALE = 0.3
_STANDARD_ERRORS = 2.0
_BEST_F1 = 0.99  # no annotator is perfect


@dataclass(frozen=True)
class _Candidates:
    """All entities that an annotator named, each once.

    Args:
        spans (`list[Span]`): The entities.
        sentences (`np.ndarray` of shape `(n,)`): The sentence of each of them.
        votes (`np.ndarray` of shape `(n, annotators)`):
            Whether each annotator named it; the share of the others for an annotator that did not answer.
    """

    spans: list[Span]
    sentences: NDArray[np.int_]
    votes: NDArray[np.float64]

    @property
    def support(self) -> NDArray[np.float64]:
        """The share of the annotators with an answer that named each entity, shape `(n,)`."""
        return np.asarray(self.votes.mean(axis=1))

    @property
    def lengths(self) -> NDArray[np.int_]:
        """The number of words of each entity, shape `(n,)`."""
        return np.array([span.end - span.start for span in self.spans], dtype=int)


def fuse_entity_votes(said: Sequence[Entities], known: Entities = ()) -> list[list[Span] | None]:
    """Fuses the entities of several annotators by votes.

    An entity is kept if at least half of the annotators with an answer name its words and its type, or if the
    agreement of three annotators or more shows that it is probably right (see `_are_likely`). This keeps the entities
    of one good annotator beside two weak ones. Of overlapping entities, the one with the most votes is kept, then the
    shortest, because language models more often add words to an entity than they leave words out.

    If a person marked at least ten of the sentences, the probability of each entity is estimated from its votes by a
    logistic regression on these sentences, and the entities above half of the expected optimal F1 are kept. This is
    the threshold that maximizes the expected F1 (Lipton, Elkan and Narayanaswamy, ECML 2014, arXiv 1402.1892). The
    regression is only used if it improves the F1 of the marked sentences by more than two standard errors
    in cross-validation.

    Args:
        said (`Sequence[Entities]`): The entities by annotator and sentence.
        known (`Entities`, *optional*): The entities that a person marked in each sentence, `None` for none.

    Returns:
        `list[list[Span] | None]`: The fused entities of each sentence; `None` if no annotator answered.

    Example:

        >>> fuse_entity_votes([[[Span(0, 1, "PER")]], [[Span(0, 1, "PER")]], [[Span(2, 3, "LOC")]]])
        [[Span(start=0, end=1, type='PER')]]
    """
    found = _candidates(said)
    marked = [i for i, spans in enumerate(known) if spans is not None and any(part[i] is not None for part in said)]
    order = np.lexsort((found.lengths, -found.support))
    chosen = _without_overlaps(found, order, (found.support >= 0.5 - 1e-9) | _are_likely(said, found))
    if len(said) > 1 and len(marked) >= _FEWEST_SENTENCES:
        learned = _learned(found, known, marked)
        if learned is not None and _improves(found, known, marked, chosen):
            chosen = learned
    fused: list[list[Span] | None] = [
        None if all(part[i] is None for part in said) else [] for i in range(len(said[0]) if said else 0)
    ]
    for i in np.flatnonzero(chosen):
        spans = fused[found.sentences[i]]
        assert spans is not None  # an annotator named this entity
        spans.append(found.spans[i])
    return [None if spans is None else sorted(spans) for spans in fused]


def rank_annotators(said: Sequence[Entities]) -> list[float]:
    """Computes the mean F1 of each annotator against each other one. This ranks annotators without a person.

    It is not an accuracy: annotators that make the same errors have high values.

    Args:
        said (`Sequence[Entities]`): The entities by annotator and sentence.

    Returns:
        `list[float]`: One value for each annotator; NaN if it has no answer in common with another one.

    Example:

        >>> rank_annotators([[[Span(0, 1, "PER")]], [[Span(0, 1, "PER")]], [[]]])
        [0.5, 0.5, 0.0]
    """
    pairs = [[_f1(one, other) for j, other in enumerate(said) if j != i] for i, one in enumerate(said)]
    known = [[value for value in values if value is not None] for values in pairs]
    return [float(np.mean(values)) if values else float("nan") for values in known]


def f1_residuals(
    right: NDArray[np.int_], found: NDArray[np.int_], true: NDArray[np.int_]
) -> tuple[float, NDArray[np.float64]]:
    """Computes F1 over sentences, and how each sentence changes it (the linearization of the delta method).

    Args:
        right (`np.ndarray` of shape `(n,)`): The number of right entities that were found in each sentence.
        found (`np.ndarray` of shape `(n,)`): The number of entities that were found in it.
        true (`np.ndarray` of shape `(n,)`): The number of its true entities.

    Returns:
        `tuple[float, np.ndarray]`: F1, and values of shape `(n,)` with mean zero, whose standard deviation divided by
        the square root of `n` is the standard error of F1. F1 is 1 if nothing is true and nothing was found.
    """
    total = found + true
    if not total.sum():
        return 1.0, np.zeros(len(total))
    f1 = float(2 * right.sum() / total.sum())
    return f1, (2 * right - f1 * total) / total.mean()


def _candidates(said: Sequence[Entities]) -> _Candidates:
    spans: list[Span] = []
    sentences: list[int] = []
    votes: list[list[float]] = []
    for i, answers in enumerate(zip(*said, strict=True)):
        named = [None if answer is None else set(answer) for answer in answers]
        for span in sorted(set().union(*(answer for answer in named if answer is not None))):
            own = [np.nan if answer is None else float(span in answer) for answer in named]
            spans.append(span)
            sentences.append(i)
            votes.append(own)
    table = np.array(votes, dtype=float).reshape(len(spans), len(said))
    if len(spans):
        table = np.where(np.isnan(table), np.nanmean(table, axis=1, keepdims=True), table)
    return _Candidates(spans, np.array(sentences, dtype=int), table)


def _are_likely(said: Sequence[Entities], found: _Candidates) -> NDArray[np.bool_]:
    """Returns the candidates that are probably right by the agreement of the annotators; shape `(n,)`.

    If the errors of annotators are independent, the F1 between two of them is about the product of their own ones, so
    that the F1 of each follows from all pairs (Parisi et al., PNAS 2014, arXiv 1303.3257). It gives the number of true
    entities that exactly some annotators name. This number, divided by that of the candidates that exactly these
    annotators name, is the probability of each of them. Those above half of the expected optimal F1 are right. If
    errors are correlated, annotators seem better than they are. Then few entities that only one of them names seem
    right, and almost nothing is added to the votes.

    Args:
        said (`Sequence[Entities]`): The entities by annotator and sentence.
        found (`_Candidates`): The candidates. Those of a sentence without an answer of each annotator are not likely.
    """
    complete = [i for i in range(len(said[0]) if said else 0) if all(part[i] is not None for part in said)]
    shown = np.isin(found.sentences, complete)
    parts = [[part[i] for i in complete] for part in said]
    agreement = np.array([[_f1(one, other) or 0.0 for other in parts] for one in parts])
    if len(said) < 3 or not shown.any() or not (agreement > 0).all():
        return np.zeros(len(shown), dtype=bool)
    sums = np.log(agreement).sum(axis=1)  # the diagonal adds log 1
    own = np.exp((sums - sums.sum() / (2 * len(said) - 2)) / (len(said) - 2)).clip(max=_BEST_F1)
    named = found.votes[shown]
    count = named.sum() / len(said)  # of true entities, if annotators name too many as often as too few
    _, pattern, sizes = np.unique(named, axis=0, return_inverse=True, return_counts=True)
    expected = count * np.where(named, own, 1 - own).prod(axis=1)
    probabilities = (expected / sizes[pattern.ravel()]).clip(max=1.0)
    likely = np.zeros(len(shown), dtype=bool)
    likely[shown] = probabilities >= _best_threshold(probabilities, count)
    return likely


def _best_threshold(probabilities: NDArray[np.float64], num_true: float) -> float:
    """Returns half of the optimal expected F1.

    Args:
        probabilities (`np.ndarray` of shape `(n,)`): The probability of each candidate.
        num_true (`float`): The expected number of true entities.
    """
    best = np.sort(probabilities)[::-1]
    return float((2 * np.cumsum(best) / (1 + np.arange(len(best)) + num_true)).max() / 2)


def _without_overlaps(found: _Candidates, order: NDArray[np.int_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Chooses the wanted candidates in an order, if they do not overlap a chosen one; shape `(n,)`."""
    chosen = np.zeros(len(wanted), dtype=bool)
    taken: dict[int, list[Span]] = {}
    for i in order[wanted[order]]:
        span, others = found.spans[i], taken.setdefault(int(found.sentences[i]), [])
        if all(span.end <= other.start or other.end <= span.start for other in others):
            others.append(span)
            chosen[i] = True
    return chosen


def _learned(found: _Candidates, known: Entities, marked: Sequence[int]) -> NDArray[np.bool_] | None:
    """Chooses the entities whose probability is high enough; `None` if the marked sentences cannot show it."""
    from sklearn.linear_model import LogisticRegression

    shown = np.isin(found.sentences, marked)
    true = np.array([_is_true(found, known, int(i)) for i in np.flatnonzero(shown)], dtype=np.bool_)
    if true.all() or not true.any():
        return None
    support = found.support[:, None]
    features = np.hstack([found.votes.shape[1] * support, _DIFFERENCE_SCALE * (found.votes - support)])
    probabilities = LogisticRegression(max_iter=1000).fit(features[shown], true).predict_proba(features)[:, 1]
    missed = sum(len(set(known[i] or ())) for i in marked) - int(true.sum())
    threshold = _best_threshold(probabilities, probabilities.sum() + missed * len(known) / len(marked))
    order = np.lexsort((found.lengths, -probabilities.round(9)))
    return _without_overlaps(found, order, probabilities >= threshold)


def _improves(found: _Candidates, known: Entities, marked: Sequence[int], usual: NDArray[np.bool_]) -> bool:
    """Whether learned entities have a higher F1 on marked sentences from which they were not learned."""
    learned = usual.copy()
    for taught, held_out in _folds(marked):
        part = _learned(found, known, taught)
        if part is not None:
            learned = np.where(np.isin(found.sentences, held_out), part, learned)
    (new, more), (old, less) = (_score(found, known, marked, chosen) for chosen in (learned, usual))
    return bool(new - old > _STANDARD_ERRORS * (more - less).std(ddof=1) / np.sqrt(len(marked)))


def _folds(marked: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    for fold in range(_FOLDS):
        held_out = list(marked[fold::_FOLDS])
        yield [i for i in marked if i not in held_out], held_out


def _score(
    found: _Candidates, known: Entities, marked: Sequence[int], chosen: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    place = {sentence: i for i, sentence in enumerate(marked)}
    right, told = np.zeros(len(marked), dtype=int), np.zeros(len(marked), dtype=int)
    for i in np.flatnonzero(chosen & np.isin(found.sentences, marked)):
        told[place[int(found.sentences[i])]] += 1
        right[place[int(found.sentences[i])]] += _is_true(found, known, int(i))
    return f1_residuals(right, told, np.array([len(known[i] or ()) for i in marked]))


def _is_true(found: _Candidates, known: Entities, candidate: int) -> bool:
    return found.spans[candidate] in (known[found.sentences[candidate]] or ())


def _f1(one: Entities, other: Entities) -> float | None:
    """Returns the F1 of two annotators on the sentences that both answered; `None` without any entity in them."""
    both = [(set(a), set(b)) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    total = sum(len(a) + len(b) for a, b in both)
    return 2 * sum(len(a & b) for a, b in both) / total if total else None
