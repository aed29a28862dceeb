"""Strategies that ask for the texts of which the student is least sure."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from freeal_hf.select.pool import Pool


@dataclass(frozen=True)
class LeastConfidence:
    """Smallest probability of the likeliest label.

    Source: Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994; for several classes
    Culotta and McCallum, AAAI 2005.
    """

    needs: ClassVar[tuple[str, ...]] = ("probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.probabilities is not None
        return highest(-pool.probabilities.max(axis=1), pool, budget)


@dataclass(frozen=True)
class BreakingTies:
    """Smallest margin between the two likeliest labels.

    Source: Luo et al., "Active learning to recognize multiple types of plankton", JMLR 6, 2005.
    """

    needs: ClassVar[tuple[str, ...]] = ("probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.probabilities is not None
        ordered = np.sort(pool.probabilities, axis=1)
        return highest(ordered[:, -2] - ordered[:, -1], pool, budget)


@dataclass(frozen=True)
class PredictionEntropy:
    """Largest entropy of the predicted labels.

    Source: Holub, Perona and Burl, "Entropy-based active learning for object recognition", CVPR workshops 2008.
    """

    needs: ClassVar[tuple[str, ...]] = ("probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.probabilities is not None
        return highest(entropy(pool.probabilities), pool, budget)


@dataclass(frozen=True)
class BALD:
    """Largest mutual information between the label and the weights, by Monte Carlo dropout.

    The entropy of the mean prediction less the mean entropy of the predictions: high where passes are sure and
    disagree.

    Source: Houlsby et al., "Bayesian active learning for classification and preference learning", arXiv 1112.5745;
    with dropout: Gal, Islam and Ghahramani, ICML 2017.
    """

    needs: ClassVar[tuple[str, ...]] = ("dropout_probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.dropout_probabilities is not None
        passes = pool.dropout_probabilities
        return highest(entropy(passes.mean(axis=0)) - entropy(passes).mean(axis=0), pool, budget)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy over the last axis, in nats.

    Args:
        probabilities (`np.ndarray` of shape `(..., k)`): Distributions.

    Returns:
        `np.ndarray` of shape `(...)`.
    """
    return -(probabilities * np.log(np.clip(probabilities, 1e-12, None))).sum(axis=-1)


def highest(scores: np.ndarray, pool: Pool, budget: int) -> np.ndarray:
    """Indices of the texts without a label that have the highest scores, the highest first.

    Args:
        scores (`np.ndarray` of shape `(n,)`): One for each text of the pool.
        pool (`Pool`): The pool.
        budget (`int`): How many.
    """
    free = pool.unlabelled
    return free[np.argsort(-scores[free], kind="stable")[:budget]]
