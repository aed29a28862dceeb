"""Shares lists of demonstrations between texts, so that a server can use its prefix cache."""

import math

import numpy as np
from sklearn.cluster import MiniBatchKMeans


def cluster_queries(embeddings: np.ndarray, texts_per_list: int, *, seed: int = 0) -> np.ndarray:
    """Replaces the embeddings by the centroids of clusters. The texts of a cluster then get the same demonstrations.

    Pass the result to `freeal_hf.demonstrations.nearest_demonstrations` in place of the embeddings. What that saves,
    and what it costs in similarity, is in `benchmarks/README.md`.

    Args:
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings of the texts.
        texts_per_list (`int`): Texts that share a list, on average; 1 gives the embeddings back.
        seed (`int`, *optional*, defaults to 0): Seed of the clustering.

    Returns:
        `np.ndarray` of shape `(n, d)`: One query a text, of unit length.

    Raises:
        ValueError: If `texts_per_list` is below 1.
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
