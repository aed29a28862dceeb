"""Per-class small-loss selection: which noisy labels to trust, judged by the student's losses.

NumPy only: no model in sight. All loss statistics are computed on a histogram, so millions of samples take seconds
and the result needs no random initialisation.
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
    """What the student thinks of its training labels, every field in the order of the training set (`n` samples).

    A sample is a text; in token classification it is a word, all words of the training set in a row, while `ids` and
    `embeddings` are the sentences'.

    Args:
        ids: The dataset's `id` column, or the row numbers as strings.
        labels: Noisy labels, shape `[n]`; -1 = none.
        losses: Cross-entropy of the predictions averaged over epochs, in nats, shape `[n]`; NaN without a label.
        posterior: Probability of being clean, shape `[n]`; 0 without a label.
        is_clean: Whether the label is trusted, shape `[n]`.
        predictions: The trained student's labels, shape `[n]`.
        probabilities: The trained student's probabilities, shape `[n, classes]`.
        embeddings: Mean of the last hidden state over the text's tokens, shape `[n, hidden size]`.
        num_words: Words in each sentence, shape `[sentences]`; `None` where samples are texts.
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
        clean, unlabelled = int(self.is_clean.sum()), int((self.labels < 0).sum())
        noisy = len(self.labels) - clean - unlabelled
        return f"Selection({len(self.labels):,} {kind}: {clean:,} clean, {noisy:,} noisy, {unlabelled:,} unlabelled)"


@dataclass(frozen=True)
class SelectionRules:
    """What makes a sample clean.

    Args:
        threshold: A sample is clean when the posterior of the low-loss component exceeds this.
        min_clean_share: At least this share of each class is clean (its smallest losses; never fewer than one sample).
        max_clean_share: At most this share of each class is clean.
        agreement_confidence: A sample is also clean when the student gives its label at least this probability; 1
            or more switches the rule off. Source: ProMix (Xiao et al., IJCAI 2023), matched high-confidence selection.
    """

    threshold: float = 0.7
    min_clean_share: float = 0.1
    max_clean_share: float = 1.0
    agreement_confidence: float = 1.0


def clean_posterior(losses: FloatArray) -> FloatArray:
    """Probability that each loss belongs to the low-mean part of a two-component Gaussian mixture.

    The losses are scaled to [0, 1] and the mixture is fitted by expectation maximisation to their histogram. The
    result never increases with the loss: a loss below a clean one is clean.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3; DivideMix (Li et al., ICLR 2020), section 3.1.

    Args:
        losses: Losses of the samples of one class, finite, shape `[n]`, in any unit.

    Returns:
        Posteriors in [0, 1], shape `[n]`; all 1 when every loss is equal, for then nothing speaks against any label.

    Raises:
        ValueError: A loss is not finite.
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
    """Posterior of the low-mean component for each bin of a histogram over [0, 1]."""
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
    # With unequal variances the wide component reclaims both tails; a smaller loss must never be less clean.
    posterior = responsibility[int(np.argmin(means))]
    peak = int(np.argmax(posterior))
    posterior[:peak] = posterior[peak]
    return np.minimum.accumulate(posterior)


def select_clean(
    losses: FloatArray, labels: IntArray, probabilities: FloatArray, rules: SelectionRules
) -> tuple[FloatArray, BoolArray]:
    """Split the labelled samples into clean and noisy, class by class.

    Args:
        losses: Loss of each sample under its noisy label, shape `[n]`; ignored where the label is -1.
        labels: Noisy labels, shape `[n]`; -1 = none.
        probabilities: The student's class probabilities, shape `[n, classes]`.
        rules: When a sample counts as clean.

    Returns:
        The posterior of being clean, shape `[n]` (0 where there is no label), and the clean mask, shape `[n]`.
    """
    posterior = np.zeros(len(labels))
    is_clean = np.zeros(len(labels), dtype=bool)
    for label in range(probabilities.shape[1]):
        members = np.flatnonzero(labels == label)
        if members.size == 0:
            continue
        posterior[members] = clean_posterior(losses[members])
        agreed = probabilities[members, label] >= rules.agreement_confidence
        chosen = (posterior[members] > rules.threshold) | agreed
        fewest = max(1, int(np.ceil(rules.min_clean_share * members.size)))
        most = max(fewest, int(np.floor(rules.max_clean_share * members.size)))
        if chosen.sum() < fewest:
            chosen[np.argsort(losses[members], kind="stable")[:fewest]] = True
        elif chosen.sum() > most:
            chosen[np.argsort(np.where(chosen, losses[members], np.inf), kind="stable")[most:]] = False
        is_clean[members] = chosen
    return posterior, is_clean
