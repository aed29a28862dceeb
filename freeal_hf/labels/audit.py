"""Estimates the quality of labels from a person's answers for a random sample of the texts.

Each text has a known probability to be drawn. So the estimates of the accuracy, of the shares of the labels, and of
precision and recall of each label are unbiased. No function here uses gold.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from freeal_hf.tasks import NO_LABEL

Z = 1.96
"""Normal quantile of all intervals, which are of 95 %."""

_PER_STRATUM = 2
COMPLETE = 0.9
PSEUDO = 4.0  # pseudo-answers, half of them right, as Agresti and Coull add


@dataclass(frozen=True)
class Interval:
    """An estimate with its range, which is an interval of 95 % unless another basis is named.

    Args:
        value (`float`): The estimate.
        low (`float`), high (`float`): The bounds.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Design:
    """The sampling design of an audit, which is fixed before the first answer.

    Args:
        strata (`np.ndarray` of shape `(N,)`): Stratum of each text.
        sizes (`np.ndarray` of shape `(H,)`): The number of texts of each stratum.
        allocation (`np.ndarray` of shape `(H,)`): The number of texts that are drawn from each stratum.
    """

    strata: np.ndarray
    sizes: np.ndarray
    allocation: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Inclusion probability of each text, shape `(N,)`. All are positive and nearly the same."""
        return (self.allocation / self.sizes)[self.strata]


@dataclass(frozen=True)
class AuditSample:
    """The answered texts of an audit.

    Args:
        rows (`np.ndarray` of shape `(n,)`): Their indices among the `N` texts of the population.
        strata (`np.ndarray` of shape `(n,)`): Their strata.
        sizes (`np.ndarray` of shape `(H,)`): The number of texts of each stratum, in total `N`.
        allocation (`np.ndarray` of shape `(H,)`): The number of texts that were drawn from each stratum.
    """

    rows: np.ndarray
    strata: np.ndarray
    sizes: np.ndarray
    allocation: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """The number of texts that each answer represents, shape `(n,)`.

        It is the inverse of the inclusion probability of the answered text, under the assumption that the texts
        without an answer are a random part of the drawn texts.
        """
        return (self.sizes / self.allocation)[self.strata] * self.allocation.sum() / len(self.rows)


def design_of(labels: np.ndarray, confidences: np.ndarray, agrees: np.ndarray, n: int) -> Design:
    """Sorts texts by label, agreement and confidence, and divides them in this order into strata of equal size.

    Two texts are drawn from each stratum. If `n` is odd, three are drawn from the last one, which is then larger. The
    inclusion probabilities differ only by rounding, and the variance within the strata can be estimated.

    Args:
        labels (`np.ndarray` of shape `(N,)`): Final label ids.
        confidences (`np.ndarray` of shape `(N,)`): Label confidences; NaN where there are none.
        agrees (`np.ndarray` of shape `(N,)`): Whether annotator and student agree.
        n (`int`): The number of texts to draw, from one to `N`.

    Example:

        >>> design = design_of(np.zeros(10), np.linspace(0, 1, 10), np.ones(10), 4)
        >>> design.strata.tolist(), design.allocation.tolist()
        ([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [2, 2])
    """
    count = len(labels)
    allocation = np.full(max(1, n // _PER_STRATUM), _PER_STRATUM)
    allocation[-1] += n - allocation.sum()
    ends = count * np.cumsum(allocation) // n
    sizes = np.diff(ends, prepend=0)
    strata = np.empty(count, dtype=int)
    strata[np.lexsort((confidences, agrees, labels))] = np.repeat(np.arange(len(sizes)), sizes)
    return Design(strata, sizes, allocation)


def draw(design: Design, *, seed: int = 0) -> np.ndarray:
    """Draws the texts of an audit.

    Args:
        design (`Design`): The result of `design_of`.
        seed (`int`): Seed of the draw.

    Returns:
        `np.ndarray` of shape `(n,)`: The rows of the texts in random order, so that the first of them are a random
        sample, too.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(design.strata == stratum), size, replace=False)
        for stratum, size in enumerate(design.allocation)
    ]
    return rng.permutation(np.concatenate(drawn))


def wilson(share: float, n: float) -> tuple[float, float]:
    """Computes Wilson's interval of 95 % for a share.

    Args:
        share (`float`): The share in the sample.
        n (`float`): Size of a simple random sample. For other samples, the size of a simple one of the same variance.

    Example:

        >>> tuple(round(bound, 3) for bound in wilson(0.9, 100))
        (0.826, 0.945)
    """
    centre, scale = share + Z**2 / (2 * n), 1 + Z**2 / n
    half = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, float((centre - half) / scale)), min(1.0, float((centre + half) / scale))


def population_share(sample: AuditSample, holds: np.ndarray, proxies: np.ndarray) -> Interval:
    """Estimates the share of all texts with a property from the answers.

    If nearly all answers are given, the estimate is the stratified mean. Strata with fewer than two answers are joined
    with the next one. If more answers are missing, the strata are not used, and the estimate is the prediction-powered
    one of `powered_share`. This choice depends only on the number of answers and not on their values, so that it does
    not affect the coverage.

    The interval is Wilson's, at the size of the simple random sample of the same variance, reduced by the factor of a
    t-quantile (Korn and Graubard, Survey Methodology 24, 1998). This size takes into account that a text is drawn at
    most once.

    Source: Cochran, Sampling Techniques (1977), equation 5.1 (mean) and theorem 5.3 (variance).

    Args:
        sample (`AuditSample`): The answered texts.
        holds (`np.ndarray` of shape `(n,)`): Whether each of them has the property.
        proxies (`np.ndarray` of shape `(N, d)`): The predictions of the model for all texts; see `powered_share`.
    """
    if len(sample.rows) < COMPLETE * sample.allocation.sum() or len(sample.rows) < _PER_STRATUM:
        return powered_share(holds, sample.weights, proxies[sample.rows], proxies.mean(axis=0), len(proxies))
    groups = joined_strata(np.bincount(sample.strata, minlength=len(sample.sizes)))
    group, n, population = groups[sample.strata], len(holds), int(sample.sizes.sum())
    weights, answers = np.bincount(groups, sample.sizes) / population, np.bincount(group)
    means = np.bincount(group, holds) / answers
    share = float(weights @ means)
    squares = np.bincount(group, (holds - means[group]) ** 2)
    # The variance of the mean times n: the variance of one answer of an equivalent simple sample.
    within = float(n * (weights**2 / answers * squares / (answers - 1)).sum())
    kept = n / (n + PSEUDO)
    simple = _shrunk_variance(share, kept)
    effect = (kept * within + simple - kept * share * (1 - share)) / simple
    effect *= float(stdtrit(n - len(answers), ndtr(Z)) / Z) ** 2
    return _interval(share, n, effect, int(holds.sum()), population)


def powered_share(
    holds: np.ndarray, weights: np.ndarray, proxies: np.ndarray, proxy_means: np.ndarray, population: int
) -> Interval:
    """Estimates the share of all texts with a property from some answers and the model's predictions for all texts.

    The mean of the answers is corrected by `lambda` times the difference between the predictions for all texts and
    those for the answered ones. `lambda` minimises the estimated variance, and is zero for predictions that do not
    help. Wrong predictions do not bias the estimate.

    Source: the estimate of a mean with power tuning in PPI++ (Angelopoulos, Duchi and Zrnic, arXiv 2311.01453). For
    texts that are drawn from a list this is the regression estimator of Cochran (1977), equation 7.1. The variance
    takes the loss of degrees of freedom into account, so that weak predictions do no harm (Mani et al., arXiv
    2505.20178).

    Args:
        holds (`np.ndarray` of shape `(n,)`): Whether each of the answered texts has the property.
        weights (`np.ndarray` of shape `(n,)`): Inverse inclusion probabilities of the answered texts.
        proxies (`np.ndarray` of shape `(n, d)`): The predictions of the model for the answered texts.
        proxy_means (`np.ndarray` of shape `(d,)`): The mean of the predictions for all texts.
        population (`int`): The number of all texts.
    """
    weights = weights / weights.sum()
    n = 1 / float((weights**2).sum())  # the effective number of answers (Kish)
    mean, kept = float(weights @ holds), n / (n + PSEUDO)
    centred = proxies - weights @ proxies
    covariance = kept * centred.T @ (weights * (holds - mean))
    tuned = np.linalg.pinv(kept * (centred.T * weights) @ centred) @ covariance
    simple = _shrunk_variance(mean, kept)
    free = n - 1 - proxies.shape[1]
    effect = (1 - tuned @ covariance / simple) * (n - 1) / free if free > 0 else 1.0
    if effect < 1:
        mean += float(tuned @ (proxy_means - weights @ proxies))
    return _interval(mean, n, effect, int(holds.sum()), population, len(holds))


def label_shares(
    sample: AuditSample, truth: np.ndarray, labels: np.ndarray, confidences: np.ndarray, num_labels: int
) -> list[Interval]:
    """Estimates the share of each true label among all texts. The estimates sum to one.

    Args:
        sample (`AuditSample`): The answered texts.
        truth (`np.ndarray` of shape `(n,)`): The person's label ids.
        labels (`np.ndarray` of shape `(N,)`), confidences (`np.ndarray` of shape `(N,)`): The final labels.
        num_labels (`int`): Number of labels.
    """
    trust = np.nan_to_num(confidences, nan=1.0)
    shares = []
    for label in range(num_labels):
        predicted = np.where(labels == label, trust, (1 - trust) / max(1, num_labels - 1))
        shares.append(population_share(sample, truth == label, predicted[:, None]))
    total = sum(share.value for share in shares)
    return [Interval(share.value / total, share.low, share.high) for share in shares]


def precisions(
    sample: AuditSample, right: np.ndarray, labels: np.ndarray, proxies: np.ndarray, num_labels: int
) -> list[Interval | None]:
    """Estimates the precision of each final label; `None` if no text with this label was answered.

    Args:
        sample (`AuditSample`): The answered texts.
        right (`np.ndarray` of shape `(n,)`): Whether their final labels are right.
        labels (`np.ndarray` of shape `(N,)`): Final label ids of all texts.
        proxies (`np.ndarray` of shape `(N, d)`): The predictions of the model for all texts; see `powered_share`.
        num_labels (`int`): Number of labels.
    """
    found: list[Interval | None] = []
    for label in range(num_labels):
        here, answered = labels == label, labels[sample.rows] == label
        rows = sample.rows[answered]
        found.append(
            powered_share(
                right[answered], sample.weights[answered], proxies[rows], proxies[here].mean(axis=0), int(here.sum())
            )
            if answered.any()
            else None
        )
    return found


def recalls(sample: AuditSample, truth: np.ndarray, labels: np.ndarray, num_labels: int) -> list[Interval | None]:
    """Estimates the recall of each label: the share of the texts with this true label that have it as final label.

    Args:
        sample (`AuditSample`): The answered texts.
        truth (`np.ndarray` of shape `(n,)`): The person's label ids.
        labels (`np.ndarray` of shape `(N,)`): Final label ids of all texts.
        num_labels (`int`): Number of labels.

    Returns:
        `list[Interval | None]`: One for each label; `None` if the person gave it to no text.
    """
    found: list[Interval | None] = []
    for label in range(num_labels):
        here = truth == label
        hit, weights = labels[sample.rows[here]] == label, sample.weights[here]
        none = np.zeros((len(hit), 0))
        # The number of texts with this true label is only known from the answers.
        found.append(powered_share(hit, weights, none, none.sum(axis=0), round(weights.sum())) if here.any() else None)
    return found


def with_certain(found: Interval, open_: float, true: float, false: float = 0.0) -> Interval:
    """Combines an estimated share with texts of known value, such as those that a person labelled before the audit.

    Args:
        found (`Interval`): The share among the other texts.
        open_ (`float`): The number of the other texts.
        true (`float`): The number of known texts with the property.
        false (`float`): The number of known texts without the property.

    Example:

        >>> with_certain(Interval(0.5, 0.25, 0.75), 10, 10)
        Interval(value=0.75, low=0.625, high=0.875)
    """
    total = open_ + true + false
    return Interval(*((value * open_ + true) / total for value in (found.value, found.low, found.high)))


def proxies_of(confidences: np.ndarray, agrees: np.ndarray) -> np.ndarray:
    """Returns the predictions of whether each label is right: its confidence, and the agreement with the student.

    Args:
        confidences (`np.ndarray` of shape `(N,)`): Label confidences; NaN where there are none.
        agrees (`np.ndarray` of shape `(N,)`): Whether annotator and student agree.

    Returns:
        `np.ndarray` of shape `(N, 2)`: For `population_share`.
    """
    known = confidences[~np.isnan(confidences)]
    usual = float(known.mean()) if len(known) else 0.0
    return np.column_stack([np.where(np.isnan(confidences), usual, confidences), agrees]).astype(float)


def confusion(answers: np.ndarray, truth: np.ndarray, num_labels: int) -> np.ndarray:
    """Counts texts by the labels of an annotator and of a person.

    Args:
        answers (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        truth (`np.ndarray` of shape `(n,)`): The person's label ids.
        num_labels (`int`): Number of labels.

    Returns:
        `np.ndarray` of shape `(num_labels + 1, num_labels)`: The counts, with a row for each label of the annotator,
        the last one for none, and a column for each label of the person.

    Example:

        >>> confusion(np.array([0, 1, -1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 0], [1, 0], [0, 1]]
    """
    counts = np.zeros((num_labels + 1, num_labels), dtype=int)
    np.add.at(counts, (np.where(answers == NO_LABEL, num_labels, answers), truth), 1)
    return counts


def joined_strata(answers: np.ndarray) -> np.ndarray:
    """Returns the group of each stratum. Each group has at least two answers if there are at least two in total."""
    groups, group, seen = np.empty(len(answers), dtype=int), 0, 0
    for stratum, count in enumerate(answers):
        groups[stratum] = group
        seen += count
        if seen >= _PER_STRATUM:
            group, seen = group + 1, 0
    # The last strata are joined to the last group.
    return np.minimum(groups, max(0, group - 1))


def _shrunk_variance(share: float, kept: float) -> float:
    """Computes the variance of an answer with pseudo-answers, half of which are right, so that it is never zero."""
    share = kept * share + (1 - kept) / 2
    return share * (1 - share)


def _interval(
    share: float, n: float, effect: float, true: int, population: int, answers: int | None = None
) -> Interval:
    """Computes Wilson's interval at the effective size, within the bounds that the answers alone imply."""
    answers = int(n) if answers is None else answers
    least, most = true / population, 1 - (answers - true) / population
    share = min(most, max(least, share))
    if answers == population:
        return Interval(share, share, share)
    low, high = wilson(share, n / (min(1.0, effect) * (1 - answers / population)))
    return Interval(share, max(low, least), min(high, most))
