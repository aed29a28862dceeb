"""Fuses sets of labels of annotators, student and people into final sets, label by label.

Whether a label applies is a question with two answers, which `final_labels` decides as it decides one label for each
text. So all that it does with confidences, several annotators, slips and human labels holds for each label. The labels
of a text are correlated, but the answers of the annotators about them are fused as if they were independent: a
confusion matrix of sets would have 2^k rows. What is lost is that one label makes another one more probable; the
student, which reads the text, knows it.
"""

from dataclasses import dataclass

import numpy as np

from freeal_hf.data.ties import TIE
from freeal_hf.labels.fusion import FinalLabels, final_labels
from freeal_hf.labels.label_set_pool import fit_label_pools
from freeal_hf.labels.pool import FEWEST, Pool, compared_students
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities

_LEAST = 1e-6
_YES = 1


@dataclass(frozen=True)
class FinalLabelSets:
    """The final sets of labels of `n` texts.

    Args:
        labels (`np.ndarray` of shape `(n, num_labels)`): 1 for each label that applies, 0 for the others, and -1 in
            the whole row if there is no final answer.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The probability that each label applies; NaN in a row
            without an answer, and for a label whose answers look independent of the texts.
        by_label (`list[FinalLabels]`): The result for each label.
        threshold (`float`): The probability above which a label is final, without human labels 0.5.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    by_label: list[FinalLabels]
    threshold: float = 0.5

    @property
    def confidences(self) -> np.ndarray:
        """The probability that all labels of a text are right, as if they were independent; shape `(n,)`.

        Labels with an unknown probability do not count. NaN if there is no answer, or if all are unknown.
        """
        given = np.where(self.labels == _YES, self.probabilities, 1 - self.probabilities)
        is_unknown = (self.labels[:, 0] == NO_LABEL) | np.isnan(given).all(axis=1)
        return np.where(is_unknown, np.nan, np.nanprod(given, axis=1))

    @property
    def student_has_learnt(self) -> bool:
        """Whether the student was used for at least half of the labels that are final for a text."""
        used = [found.student_has_learnt for found in self.by_label if (found.labels == _YES).any()]
        return sum(used) * 2 >= len(used) if used else any(found.student_has_learnt for found in self.by_label)


def final_label_sets(
    labels: np.ndarray,
    confidences: np.ndarray,
    student_probabilities: np.ndarray,
    embeddings: np.ndarray,
    *,
    votes: np.ndarray | None = None,
    human: np.ndarray | None = None,
    inclusion: np.ndarray | None = None,
    class_shares: np.ndarray | None = None,
    sources: np.ndarray | None = None,
    max_labels: int | None = None,
    untaught: np.ndarray | None = None,
    seed: int = 0,
) -> FinalLabelSets:
    """Fuses the sets of labels of annotators, student and people.

    With ten human labels or more, the annotators, a held-out student and a held-out student of the human labels alone
    are weighted by their agreement with them (`fit_label_pools`). A label is then final above the threshold that gives
    the highest expected micro F1 (`best_threshold`), because 0.5 gives too few labels if most are rare.

    Args:
        labels (`np.ndarray` of shape `(n, num_labels)`): The annotator's answers, or the fused ones of several
            annotators: 1, 0, or -1 for no answer.
        confidences (`np.ndarray` of shape `(n, num_labels)`): Its confidences in these values, NaN for none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities that each label
            applies, moved so that a label is predicted above 0.5 (see `at_half`).
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings of a model that was not trained on the labels.
        votes (`np.ndarray` of shape `(n, m, num_labels)`, *optional*): The answers of each of several annotators.
        human (`np.ndarray` of shape `(n, num_labels)`, *optional*): Human labels, which are final; -1 for none.
        inclusion (`np.ndarray` of shape `(n,)`, *optional*): The probability with which each text was drawn for a
            person to label, NaN if it was not drawn at random.
        class_shares (`np.ndarray` of shape `(num_labels,)`, *optional*): The known shares of the texts that have each
            label.
        sources (`np.ndarray` of shape `(n,)`, *optional*): The number of the annotator that gave each answer.
        max_labels (`int`, *optional*): The maximum number of labels of a text; the most probable ones are kept.
        untaught (`np.ndarray` of shape `(n, num_labels)`, *optional*): Probabilities of the last student that was not
            trained on the human labels of the text, moved like those of the student; NaN if there is none.
        seed (`int`): Seed of the folds.

    Returns:
        `FinalLabelSets`: The final sets with their probabilities.
    """

    known = np.full_like(labels, NO_LABEL) if human is None else human
    held_out = _held_out(embeddings, np.where(known == NO_LABEL, labels, known), seed)
    pools: list[Pool | None] = [None] * labels.shape[1]
    by_hand = known[:, 0] != NO_LABEL
    if by_hand.sum() >= FEWEST:
        of_people = _held_out(embeddings, known, seed)
        students = compared_students(held_out, untaught, student_probabilities, by_hand)
        students.append((of_people, of_people))
        pools = [*fit_label_pools(known, labels[:, None] if votes is None else votes, students, seed=seed)]
    by_label = [
        final_labels(
            labels[:, label],
            confidences[:, label],
            _both(student_probabilities[:, label]),
            embeddings,
            votes=None if votes is None else votes[:, :, label],
            human=known[:, label],
            inclusion=inclusion,
            held_out=_both(held_out[:, label]),
            class_shares=None if class_shares is None else _both(class_shares[label]),
            sources=sources,
            pool=pool,
            seed=seed,
        )
        for label, pool in enumerate(pools)
    ]
    final = np.column_stack([found.labels for found in by_label])
    right = np.column_stack([found.confidences for found in by_label])
    final[(final == NO_LABEL).any(axis=1)] = NO_LABEL
    yes = np.where(final == _YES, right, 1 - right)
    yes[final[:, 0] == NO_LABEL] = np.nan
    threshold, decided = 0.5, final[:, 0] != NO_LABEL
    if any(found.pool is not None for found in by_label):
        decided &= known[:, 0] == NO_LABEL
        threshold = best_threshold(yes[decided])
        final[decided] = np.where(np.isfinite(yes), yes > threshold, final)[decided]
    final[decided] = limited(final[decided], yes[decided], max_labels)
    return FinalLabelSets(final, yes, by_label, threshold)


def _held_out(embeddings: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns the held-out probabilities that each label applies."""
    return np.column_stack([held_out_probabilities(embeddings, each, 2, seed=seed)[:, _YES] for each in labels.T])


def _both(yes: np.ndarray) -> np.ndarray:
    """Returns the probabilities of the two answers."""
    return np.stack([1 - yes, yes], axis=-1)


def best_threshold(probabilities: np.ndarray) -> float:
    """Returns the threshold of calibrated probabilities that gives the highest expected micro F1.

    Source: Lipton et al. (ECML 2014), section 3.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The probability that each label applies; NaN if it is
            unknown.

    Example:

        >>> round(best_threshold(np.array([[0.9, 0.4], [0.02, 0.01]])), 2)
        0.21
    """
    ranked = np.sort(probabilities[np.isfinite(probabilities)])[::-1]
    if len(ranked) == 0 or ranked.sum() == 0:
        return 0.5
    expected = 2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + ranked.sum())
    last = int(np.flatnonzero(expected >= expected.max() - TIE)[0])
    following = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float((ranked[last] + following) / 2)


def limited(labels: np.ndarray, probabilities: np.ndarray, max_labels: int | None) -> np.ndarray:
    """Keeps the most probable labels of a text that has too many.

    Args:
        labels (`np.ndarray` of shape `(n, num_labels)`): 1 for each label that applies.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The probability of each label.
        max_labels (`int`, *optional*): The maximum number of labels of a text; `None` for no limit.

    Example:

        >>> limited(np.array([[1, 1]]), np.array([[0.6, 0.9]]), max_labels=1).tolist()
        [[0, 1]]
    """
    if max_labels is None:
        return labels
    order = np.argsort(-np.where(labels == _YES, np.nan_to_num(probabilities), -1.0), axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    return np.where((labels == _YES) & (rank >= max_labels), 0, labels)


def at_half(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Moves probabilities so that the threshold of each label becomes 0.5. Their order does not change.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        thresholds (`np.ndarray` of shape `(num_labels,)`): The thresholds, between 0 and 1.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: The odds of each label are divided by the odds of its threshold.

    Example:

        >>> at_half(np.array([[0.2, 0.2]]), np.array([0.2, 0.5])).round(6).tolist()
        [[0.5, 0.2]]
    """
    odds = np.clip(thresholds, _LEAST, 1 - _LEAST)
    moved: np.ndarray = probabilities * (1 - odds) / (probabilities * (1 - odds) + (1 - probabilities) * odds)
    return moved


def student_sets(probabilities: np.ndarray, thresholds: np.ndarray, max_labels: int | None = None) -> np.ndarray:
    """Returns the labels whose probability exceeds its threshold.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        thresholds (`np.ndarray` of shape `(num_labels,)`): The threshold of each label.
        max_labels (`int`, *optional*): The maximum number of labels of a text; the most probable ones are kept.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: 1 for each label of a text, 0 for the others.
    """
    return limited((probabilities > thresholds).astype(int), probabilities, max_labels)
