"""Shares lists of demonstrations between texts, so that a server can use its prefix cache."""

import math

import numpy as np
from sklearn.cluster import MiniBatchKMeans


def cluster_queries(embeddings: np.ndarray, texts_per_list: int, *, seed: int = 0) -> np.ndarray:
    """Replaces embeddings by the centroids of their clusters, so that the texts of a cluster get equal demonstrations.

    Pass the result to `freeal_hf.demonstrations.nearest_demonstrations` instead of the embeddings.
    `benchmarks/README.md` has the saved time and the loss of similarity.

    Args:
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings of the texts.
        texts_per_list (`int`): Average number of texts that share a list. With 1, the embeddings are not changed.
        seed (`int`, *optional*, defaults to 0): Seed of the clustering.

    Returns:
        `np.ndarray` of shape `(n, d)`: One query of unit length for each text.

    Raises:
        ValueError: If `texts_per_list` is below 1.

    Example:

        >>> embeddings = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
        >>> len(np.unique(cluster_queries(embeddings, texts_per_list=2), axis=0))
        2
    """
    if texts_per_list < 1:
        raise ValueError(f"texts_per_list must be at least 1, got {texts_per_list}.")
    points = _normalised(np.asarray(embeddings, dtype=np.float32))
    num_clusters = math.ceil(len(points) / texts_per_list)
    if num_clusters >= len(points):
        return points
    model = MiniBatchKMeans(n_clusters=num_clusters, n_init=1, random_state=seed).fit(points)
    return _normalised(model.cluster_centers_)[model.labels_]


def _normalised(points: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(lengths > 0, lengths, 1.0)
