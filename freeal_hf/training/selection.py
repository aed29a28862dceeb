"""Small-loss selection: decides by the losses of the student, class by class, which noisy labels are clean.

The module uses NumPy only. The mixture is fitted to a histogram of the losses. This takes seconds for millions of
samples, and needs no random initialisation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
BoolArray = NDArray[np.bool_]

_BINS = 1024
_MAX_ITERATIONS = 100
_TOLERANCE = 1e-4
_VARIANCE_FLOOR = 5e-4


@dataclass
class Selection:
    """The result of small-loss selection for the `n` samples of a training set, in their order.

    A sample is a text. In token classification a sample is a word, and only `ids` and `embeddings` have one entry for
    each sentence. In multi-label classification `ids` and `embeddings` have one entry for each of the `n` texts, and
    all other values have the shape `[n, labels]`: the labels are 0, 1 or -1 (no answer), and `probabilities` are those
    that the labels apply.

    Args:
        ids (`list[str]`): The column `id` of the dataset; by default the row numbers.
        labels (`np.ndarray` of shape `[n]`): The noisy labels; -1 means none.
        losses (`np.ndarray` of shape `[n]`): The cross-entropy of the predictions averaged over epochs, in nats; NaN
            without a label.
        posterior (`np.ndarray` of shape `[n]`): The probability that the label is clean; 0 without a label.
        is_clean (`np.ndarray` of shape `[n]`): Whether the label was selected as clean.
        predictions (`np.ndarray` of shape `[n]`): The labels that the trained student predicts.
        probabilities (`np.ndarray` of shape `[n, classes]`): The probabilities that the trained student predicts.
        embeddings (`np.ndarray` of shape `[texts, hidden size]`): The mean of the last hidden state over the tokens of
            a text.
        num_words (`np.ndarray` of shape `[sentences]`, *optional*): The number of words in each sentence; `None` if
            the samples are texts.
    """

    ids: list[str]
    labels: IntArray
    losses: FloatArray
    posterior: FloatArray
    is_clean: BoolArray
    predictions: IntArray
    probabilities: FloatArray
    embeddings: FloatArray
    num_words: IntArray | None = None

    def __repr__(self) -> str:
        kind = "texts" if self.num_words is None else f"words of {len(self.num_words):,} sentences"
        if self.labels.ndim == 2:
            kind += f" with {self.labels.shape[1]} labels"
        clean, unlabelled = int(self.is_clean.sum()), int((self.labels < 0).sum())
        noisy = self.labels.size - clean - unlabelled
        return f"Selection({len(self.labels):,} {kind}: {clean:,} clean, {noisy:,} noisy, {unlabelled:,} unlabelled)"


@dataclass(frozen=True)
class SelectionRules:
    """The rules by which a sample is clean.

    Args:
        threshold (`float`, *optional*, defaults to 0.7): A sample is clean if the posterior probability of the
            low-loss component is above this value.
        min_clean_share (`float`, *optional*, defaults to 0.1): The minimum share of clean samples in each class. If
            the threshold gives fewer, the samples with the smallest losses are clean, at least one.
        max_clean_share (`float`, *optional*, defaults to 1.0): The maximum share of clean samples in each class.
        agreement_confidence (`float`, *optional*, defaults to 1.0): A sample is also clean if the student gives its
            label at least this probability; 1 disables the rule. Source: matched high-confidence selection of ProMix
            (Xiao et al., IJCAI 2023).
    """

    threshold: float = 0.7
    min_clean_share: float = 0.1
    max_clean_share: float = 1.0
    agreement_confidence: float = 1.0


def clean_posterior(losses: FloatArray) -> FloatArray:
    """Computes the probability that each loss belongs to the low-mean component of a two-component Gaussian mixture.

    The losses are scaled to [0, 1], and the mixture is fitted to their histogram by expectation maximisation. The
    posterior never increases with the loss.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3; DivideMix (Li et al., ICLR 2020), section 3.1.

    Args:
        losses (`np.ndarray` of shape `[n]`): The losses of the samples of one class, in any unit.

    Returns:
        `np.ndarray` of shape `[n]`: Posterior probabilities in [0, 1]; all 1 if all losses are equal.

    Raises:
        ValueError: If a loss is not finite.

    Example:

        >>> clean_posterior(np.array([0.1, 0.2, 0.1, 3.0])).round(2).tolist()
        [1.0, 1.0, 1.0, 0.0]
    """
    if not np.isfinite(losses).all():
        raise ValueError("losses must be finite; leave unlabelled samples out")
    low, high = (losses.min(), losses.max()) if losses.size else (0.0, 0.0)
    if high - low <= np.finfo(np.float32).eps * max(abs(high), 1.0):
        return np.ones(losses.shape)
    bins = np.minimum(((losses - low) / (high - low) * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    return _mixture_posterior(counts)[bins]


def _mixture_posterior(counts: IntArray) -> FloatArray:
    """Computes the posterior of the low-mean component for each bin of a histogram over [0, 1]."""
    centres = (np.arange(counts.size) + 0.5) / counts.size
    shares = counts / counts.sum()
    median = np.searchsorted(np.cumsum(shares), 0.5)
    responsibility = (np.arange(counts.size) <= median).astype(float)
    responsibility = np.stack([responsibility, 1 - responsibility])
    previous = -np.inf
    for _ in range(_MAX_ITERATIONS):
        weights = np.maximum(responsibility @ shares, 1e-12)
        means = responsibility @ (shares * centres) / weights
        variances = (responsibility * (centres - means[:, None]) ** 2) @ shares / weights + _VARIANCE_FLOOR
        log_density = (
            np.log(weights)[:, None]
            - 0.5 * np.log(2 * np.pi * variances)[:, None]
            - 0.5 * (centres - means[:, None]) ** 2 / variances[:, None]
        )
        log_total = np.logaddexp(log_density[0], log_density[1])
        responsibility = np.exp(log_density - log_total)
        likelihood = float(log_total @ shares)
        if likelihood - previous < _TOLERANCE:
            break
        previous = likelihood
    # If the variances differ, the wide component is more probable in both tails. Make the posterior monotonic.
    posterior = responsibility[int(np.argmin(means))]
    peak = int(np.argmax(posterior))
    posterior[:peak] = posterior[peak]
    return np.minimum.accumulate(posterior)


def select_clean(
    losses: FloatArray, labels: IntArray, probabilities: FloatArray, rules: SelectionRules
) -> tuple[FloatArray, BoolArray]:
    """Divides the labelled samples into clean and noisy ones, class by class.

    Args:
        losses (`np.ndarray` of shape `[n]`): The loss of each sample for its noisy label; ignored without a label.
        labels (`np.ndarray` of shape `[n]`): The noisy labels; -1 means none.
        probabilities (`np.ndarray` of shape `[n, classes]`): The class probabilities of the student.
        rules (`SelectionRules`): The rules by which a sample is clean.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: The posterior probability that each label is clean (0 without a label), and
        the clean mask, both of shape `[n]`.

    Example:

        >>> losses, labels = np.array([0.1, 0.2, 0.1, 3.0]), np.array([0, 0, 0, 0])
        >>> posterior, is_clean = select_clean(losses, labels, np.full((4, 2), 0.5), SelectionRules())
        >>> is_clean.tolist()
        [True, True, True, False]
    """
    confidences = np.take_along_axis(probabilities, np.maximum(labels, 0)[:, None], axis=1)[:, 0]
    return select_clean_groups(losses, labels, confidences, rules)


def select_clean_groups(
    losses: FloatArray, groups: IntArray, confidences: FloatArray, rules: SelectionRules
) -> tuple[FloatArray, BoolArray]:
    """Divides the labelled samples into clean and noisy ones, group by group.

    Args:
        losses (`np.ndarray` of shape `[n]`): The loss of each sample for its noisy label; ignored without a label.
        groups (`np.ndarray` of shape `[n]`): The number of the group of each sample; -1 for samples without a label.
        confidences (`np.ndarray` of shape `[n]`): The probability that the student gives the label of each sample.
        rules (`SelectionRules`): The rules by which a sample is clean.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: The posterior probability that each label is clean (0 without a label), and
        the clean mask, both of shape `[n]`.
    """
    posterior = np.zeros(len(groups))
    is_clean = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups[groups >= 0]):
        members = np.flatnonzero(groups == group)
        posterior[members] = clean_posterior(losses[members])
        agreed = confidences[members] >= rules.agreement_confidence
        chosen = (posterior[members] > rules.threshold) | agreed
        fewest = max(1, int(np.ceil(rules.min_clean_share * members.size)))
        most = max(fewest, int(np.floor(rules.max_clean_share * members.size)))
        if chosen.sum() < fewest:
            chosen[np.argsort(losses[members], kind="stable")[:fewest]] = True
        elif chosen.sum() > most:
            chosen[np.argsort(np.where(chosen, losses[members], np.inf), kind="stable")[most:]] = False
        is_clean[members] = chosen
    return posterior, is_clean
