"""Strategies that choose the texts for which the student is least certain.

If a text can have any number of labels, the score of a text is the mean of the scores of its labels (Esuli and
Sebastiani, "Active learning strategies for multi-label text classification", ECIR 2009).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from freeal_hf.select.pool import Pool


@dataclass(frozen=True)
class LeastConfidence:
    """Chooses the texts whose most probable label has the smallest probability.

    Source: Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994; for several classes
    Culotta and McCallum, AAAI 2005.

    Example:

        >>> pool = Pool(
        ...     ["a", "b", "c"], np.array([-1, -1, -1]), probabilities=np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        ... )
        >>> LeastConfidence().select(pool, budget=1, rng=np.random.default_rng(0))
        array([1])
    """

    needs: ClassVar[tuple[str, ...]] = ("probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.probabilities is not None
        return highest(-pool.probabilities.max(axis=-1), pool, budget)


@dataclass(frozen=True)
class BreakingTies:
    """Chooses the texts with the smallest difference between the two most probable labels.

    Source: Luo et al., "Active learning to recognize multiple types of plankton", JMLR 6, 2005.

    Example:

        >>> pool = Pool(
        ...     ["a", "b", "c"], np.array([-1, -1, -1]), probabilities=np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        ... )
        >>> BreakingTies().select(pool, budget=1, rng=np.random.default_rng(0))
        array([1])
    """

    needs: ClassVar[tuple[str, ...]] = ("probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.probabilities is not None
        ordered = np.sort(pool.probabilities, axis=-1)
        return highest(ordered[..., -2] - ordered[..., -1], pool, budget)


@dataclass(frozen=True)
class PredictionEntropy:
    """Chooses the texts with the largest entropy of the prediction.

    Source: Holub, Perona and Burl, "Entropy-based active learning for object recognition", CVPR workshops 2008.

    Example:

        >>> pool = Pool(
        ...     ["a", "b", "c"], np.array([-1, -1, -1]), probabilities=np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        ... )
        >>> PredictionEntropy().select(pool, budget=1, rng=np.random.default_rng(0))
        array([1])
    """

    needs: ClassVar[tuple[str, ...]] = ("probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.probabilities is not None
        return highest(entropy(pool.probabilities), pool, budget)


@dataclass(frozen=True)
class BALD:
    """Chooses the texts with the largest mutual information between label and weights, by Monte Carlo dropout.

    This is the entropy of the mean prediction minus the mean entropy of the predictions. It is large if the forward
    passes are certain but disagree.

    Source: Houlsby et al., "Bayesian active learning for classification and preference learning", arXiv 1112.5745;
    with dropout: Gal, Islam and Ghahramani, ICML 2017.

    Example:

        >>> passes = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])  # they disagree on the first text
        >>> pool = Pool(["a", "b"], np.array([-1, -1]), dropout_probabilities=passes)
        >>> BALD().select(pool, budget=1, rng=np.random.default_rng(0))
        array([0])
    """

    needs: ClassVar[tuple[str, ...]] = ("dropout_probabilities",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.dropout_probabilities is not None
        passes = pool.dropout_probabilities
        return highest(entropy(passes.mean(axis=0)) - entropy(passes).mean(axis=0), pool, budget)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Computes the entropy over the last axis, in nats.

    Args:
        probabilities (`np.ndarray` of shape `[..., labels]`): The distributions.

    Returns:
        `np.ndarray` of shape `[...]`: The entropies.

    Example:

        >>> float(entropy(np.array([0.5, 0.5])).round(3))  # ln 2
        0.693
    """
    return -(probabilities * np.log(np.clip(probabilities, 1e-12, None))).sum(axis=-1)


def highest(scores: np.ndarray, pool: Pool, budget: int) -> np.ndarray:
    """Returns the indices of the texts without a label that have the highest scores.

    Args:
        scores (`np.ndarray` of shape `[n]` or `[n, labels]`): The score of each text of the pool, or of each label of
            each text, whose mean is the score of the text.
        pool (`Pool`): The pool.
        budget (`int`): The number of texts.

    Returns:
        `np.ndarray` of shape `[budget]`: The indices, with the highest score first.

    Example:

        >>> highest(np.array([0.1, 0.9, 0.5]), Pool(["a", "b", "c"], np.array([-1, 0, -1])), budget=1)
        array([2])
    """
    free, scores = pool.unlabelled, scores.reshape(len(scores), -1).mean(axis=1)
    return free[np.argsort(-scores[free], kind="stable")[:budget]]
