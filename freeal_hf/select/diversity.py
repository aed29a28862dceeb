"""Strategies that choose texts that differ from each other and from the labelled ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from freeal_hf.errors import InputError
from freeal_hf.select.pool import Pool
from freeal_hf.select.uncertainty import highest

_EXACT_CLUSTERING_LIMIT = 20_000


@dataclass(frozen=True)
class RandomSampling:
    """Chooses texts at random. This is the baseline for all other strategies.

    Example:

        >>> pool = Pool(["a", "b"], np.array([0, -1]))
        >>> RandomSampling().select(pool, budget=1, rng=np.random.default_rng(0))
        array([1])
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        return rng.choice(pool.unlabelled, size=budget, replace=False)


@dataclass(frozen=True)
class EmbeddingKMeans:
    """Chooses the texts that are nearest to the centres of `budget` clusters.

    Source: BERT-KM of Yuan, Lin and Boyd-Graber, "Cold-start active learning through self-supervised language
    modeling", EMNLP 2020.

    Example:

        >>> pool = Pool(
        ...     ["a", "b", "c"], np.array([-1, -1, -1]), embeddings=np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        ... )
        >>> EmbeddingKMeans().select(pool, budget=1, rng=np.random.default_rng(0))
        array([1])
    """

    needs: ClassVar[tuple[str, ...]] = ("embeddings",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        free, points = _free_points(pool)
        clustering = KMeans if len(free) <= _EXACT_CLUSTERING_LIMIT else MiniBatchKMeans
        model = clustering(n_clusters=budget, n_init=1, random_state=int(rng.integers(2**31))).fit(points)
        similarity = normalize(model.cluster_centers_) @ points.T
        # The largest clusters come first, so that a person who stops early has labelled the most common texts.
        order = np.argsort(-np.bincount(model.labels_, minlength=budget), kind="stable")
        chosen: list[int] = []
        for centre in order:
            similarity[centre, chosen] = -np.inf
            chosen.append(int(similarity[centre].argmax()))
        return free[chosen]


@dataclass(frozen=True)
class CoreSet:
    """Chooses texts by greedy k-centre: the next text is the one with the largest distance from all previous ones.

    If no text is labelled, the first choice is the text nearest to the mean.

    Source: Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018.

    Example:

        >>> pool = Pool(
        ...     ["a", "b", "c"], np.array([-1, -1, -1]), embeddings=np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        ... )
        >>> CoreSet().select(pool, budget=1, rng=np.random.default_rng(0))
        array([1])
    """

    needs: ClassVar[tuple[str, ...]] = ("embeddings",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        free, points = _free_points(pool)
        chosen: list[int] = []
        if len(pool.labelled):
            assert pool.embeddings is not None
            distance = 1 - (points @ normalize(pool.embeddings[pool.labelled]).T).max(axis=1)
        else:
            chosen.append(_central(points))
            distance = 1 - points @ points[chosen[0]]
        while len(chosen) < budget:
            distance[chosen] = -np.inf
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, 1 - points @ points[chosen[-1]])
        return free[chosen]


@dataclass(frozen=True)
class ContrastiveActiveLearning:
    """Chooses texts whose prediction differs most from those of similar labelled texts.

    The score is the mean Kullback-Leibler divergence between the prediction for a text and those for its neighbours,
    also over the labels if a text can have any number of them.

    Source: Margatina et al., "Active learning by acquiring contrastive examples", EMNLP 2021.

    Args:
        neighbours (`int`, *optional*, defaults to 10): The number of labelled texts to compare with.

    Example:

        >>> labels = np.array([0, -1, -1])
        >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
        >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
        >>> pool = Pool(["a", "b", "c"], labels, embeddings, probabilities)
        >>> ContrastiveActiveLearning().select(pool, budget=1, rng=np.random.default_rng(0))
        array([2])
    """

    neighbours: int = 10
    needs: ClassVar[tuple[str, ...]] = ("embeddings", "probabilities")

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.embeddings is not None and pool.probabilities is not None
        points, labelled = normalize(pool.embeddings), pool.labelled
        if not len(labelled):
            raise InputError("Contrastive active learning needs labelled texts: give some with --labelled.")
        index = NearestNeighbors(n_neighbors=min(self.neighbours, len(labelled))).fit(points[labelled])
        nearest = labelled[index.kneighbors(points, return_distance=False)]
        logs = np.log(np.clip(pool.probabilities, 1e-12, None))
        divergence = (pool.probabilities[nearest] * (logs[nearest] - logs[:, None])).sum(axis=-1).mean(axis=1)
        return highest(divergence, pool, budget)


@dataclass(frozen=True)
class DiscriminativeActiveLearning:
    """Chooses texts that a classifier separates best from the labelled ones, in several steps.

    If no text is labelled, the first choice is the text nearest to the mean.

    Source: Gissin and Shalev-Shwartz, "Discriminative active learning", arXiv 1907.06347. The classifier is a logistic
    regression on the embeddings.

    Args:
        steps (`int`, *optional*, defaults to 10): The number of steps in which the budget is spent.
        unlabelled_factor (`int`, *optional*, defaults to 10): The number of unlabelled training texts for each
            labelled one.

    Example:

        >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> pool = Pool(["a", "b", "c"], np.array([0, -1, -1]), embeddings)
        >>> DiscriminativeActiveLearning().select(pool, budget=1, rng=np.random.default_rng(0))
        array([2])
    """

    steps: int = 10
    unlabelled_factor: int = 10
    needs: ClassVar[tuple[str, ...]] = ("embeddings",)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy`."""
        assert pool.embeddings is not None
        points = normalize(pool.embeddings)
        is_known = pool.is_labelled
        chosen: list[int] = []
        if not is_known.any():
            chosen.append(_central(points))
            is_known[chosen] = True
        for part in np.array_split(np.arange(budget - len(chosen)), min(self.steps, budget)):
            known, free = np.flatnonzero(is_known), np.flatnonzero(~is_known)
            if not len(part):
                continue
            sample = rng.choice(free, size=min(len(free), self.unlabelled_factor * len(known)), replace=False)
            is_new = np.repeat([0, 1], [len(known), len(sample)])
            model = LogisticRegression(class_weight="balanced", max_iter=1000)
            model.fit(points[np.concatenate([known, sample])], is_new)
            best = np.argsort(-model.decision_function(points[free]), kind="stable")[: len(part)]
            chosen.extend(free[best].tolist())
            is_known[free[best]] = True
        return np.array(chosen)


def _free_points(pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    assert pool.embeddings is not None
    return pool.unlabelled, normalize(pool.embeddings[pool.unlabelled])


def _central(points: np.ndarray) -> int:
    return int((points @ points.mean(axis=0)).argmax())
