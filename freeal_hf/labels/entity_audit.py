"""Estimates precision, recall and F1 of entities from a person's answers about a random sample.

Two samples can be combined: whole sentences, in which a person marked all entities, and single entities, which a
person judged. The number of all found entities is known, so the entities give the precision, and only the number of
missed entities is estimated from the sentences alone. No function here uses gold.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from freeal_hf.labels.audit import COMPLETE, PSEUDO, AuditSample, Interval, Z, joined_strata, wilson


@dataclass(frozen=True)
class SentenceCounts:
    """The entities of `n` sentences.

    Args:
        right (`np.ndarray` of shape `(n,)`): The number of found entities that are right.
        found (`np.ndarray` of shape `(n,)`): The number of found entities.
        true (`np.ndarray` of shape `(n,)`): The number of true entities.
    """

    right: np.ndarray
    found: np.ndarray
    true: np.ndarray

    @property
    def table(self) -> np.ndarray:
        """The counts as columns, shape `(n, 3)`."""
        return np.column_stack([self.right, self.found, self.true]).astype(float)


@dataclass(frozen=True)
class JudgedEntities:
    """Single entities that a person judged.

    Args:
        sample (`AuditSample`): The answered entities, with their strata among all found entities.
        right (`np.ndarray` of shape `(k,)`): Whether each of them is right.
    """

    sample: AuditSample
    right: np.ndarray


@dataclass(frozen=True)
class EntityAudit:
    """The estimates of an audit of entities, with intervals of 95 %.

    Args:
        f1 (`Interval`): F1 of the found entities.
        precision (`Interval`, *optional*): The share of the found entities that are right; `None` if none was found.
        recall (`Interval`, *optional*): The share of the true entities that were found; `None` if none was seen.
        sentences (`int`): The number of sentences in which a person marked all entities.
        entities (`int`): The number of single entities that a person judged.
    """

    f1: Interval
    precision: Interval | None
    recall: Interval | None
    sentences: int
    entities: int


def audit_entities(
    sample: AuditSample,
    counts: SentenceCounts,
    num_found: int,
    judged: JudgedEntities | None = None,
    certain: tuple[int, int, int] = (0, 0, 0),
) -> EntityAudit:
    """Estimates F1, precision and recall of all found entities.

    With the `N` found entities of the sentences without a human label, the precision `p` and the number of missed
    entities `M`, F1 is `2 p N / (N + p N + M)`. The precision is the mean of the two samples, weighted by their
    numbers of entities, which do not depend on the answers. `M` is the expanded stratified mean of the sentences. The
    variance is that of the linearized estimate (the delta method; Särndal, Swensson and Wretman, Model Assisted Survey
    Sampling, 1992, section 5.5). The interval is Wilson's at the size of the simple random sample of the same
    variance, as in `population_share`.

    Args:
        sample (`AuditSample`): The sentences in which a person marked all entities.
        counts (`SentenceCounts`): Their entities.
        num_found (`int`): The number of found entities in all sentences without a human label.
        judged (`JudgedEntities`, *optional*): Single entities that a person judged.
        certain (`tuple[int, int, int]`, *optional*): The numbers of right, found and true entities in sentences with
            an earlier human label.
    """
    totals, covariance, groups = _totals(sample, counts.table)
    right, found, true = totals
    rows, units = len(sample.rows), float(counts.table[:, 1:].sum()) / 2
    single = None if judged is None or not len(judged.right) else _totals(judged.sample, judged.right[:, None])
    seen = 0 if single is None or judged is None else len(judged.right)
    share = seen / max(seen + float(counts.found.sum()), 1.0)
    in_sentences = right / found if found else 0.0
    precision = (1 - share) * in_sentences + (share * float(single[0][0]) / num_found if single else 0.0)
    # The derivatives of right entities and of missed ones by the totals of the sentences.
    scale = num_found / found if found else 0.0
    by_right = (1 - share) * scale * np.array([1.0, -in_sentences, 0.0])
    by_missed = np.array([-1.0, 0.0, 1.0])
    judged_variance = 0.0 if single is None else share**2 * float(single[1][0, 0])
    all_right, missed = precision * num_found + certain[0], max(0.0, true - right) + certain[2] - certain[0]
    all_found, free = num_found + certain[1], max(1, rows - groups + (seen - single[2] if single else 0))

    def interval(value: float, change_right: float, change_missed: float, size: float) -> Interval:
        gradient = change_right * by_right + change_missed * by_missed
        variance = float(gradient @ covariance @ gradient) + change_right**2 * judged_variance
        return _interval(value, variance, size, free)

    all_true = all_right + missed
    total = all_found + all_true
    f1 = 2 * all_right / total if total else 1.0
    return EntityAudit(
        interval(f1, 2 * (all_found + missed) / total**2, -2 * all_right / total**2, units + seen)
        if total
        else Interval(1.0, 0.0, 1.0),
        interval(all_right / all_found, 1 / all_found, 0.0, float(counts.found.sum()) + seen) if all_found else None,
        interval(all_right / all_true, missed / all_true**2, -all_right / all_true**2, float(counts.true.sum()))
        if all_true
        else None,
        rows,
        seen,
    )


def _totals(sample: AuditSample, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Expands a sample to its population.

    Returns:
        `tuple[np.ndarray, np.ndarray, int]`: The totals, shape `(d,)`, their covariance, shape `(d, d)`, and the
        number of strata.
    """
    complete = len(sample.rows) >= COMPLETE * sample.allocation.sum()
    number = np.bincount(sample.strata, minlength=len(sample.sizes))
    # If many answers are missing, they are taken for a simple random sample.
    groups = joined_strata(number) if complete else np.zeros(len(number), dtype=int)
    sizes, group = np.bincount(groups, sample.sizes), groups[sample.strata]
    totals, covariance = np.zeros(values.shape[1]), np.zeros((values.shape[1],) * 2)
    for stratum, size in enumerate(sizes):
        inside = values[group == stratum].astype(float)
        if not len(inside):
            continue
        totals += size * inside.mean(axis=0)
        if len(inside) > 1:
            spread = np.atleast_2d(np.cov(inside, rowvar=False))
            covariance += size**2 * max(0.0, 1 - len(inside) / size) * spread / len(inside)
    return totals, covariance, len(sizes)


def _interval(value: float, variance: float, units: float, free: int) -> Interval:
    """Computes Wilson's interval at the size of the simple random sample of the same variance."""
    value = min(1.0, max(0.0, value))
    units = max(units, 1.0)
    # Pseudo-answers, half of them right, so that answers without any error have an interval too.
    kept = units / (units + PSEUDO)
    centre = kept * value + (1 - kept) / 2
    simple = centre * (1 - centre)
    effect = (kept * units * variance + simple - kept * value * (1 - value)) / simple
    effect *= float(stdtrit(free, ndtr(Z)) / Z) ** 2
    low, high = wilson(value, units / max(effect, 1e-9))
    return Interval(value, min(low, value), max(high, value))
