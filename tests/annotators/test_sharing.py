"""Texts that are alike share a list of demonstrations."""

import numpy as np
import pytest

from freeal_hf.annotators.sharing import cluster_queries

EMBEDDINGS = np.random.default_rng(0).normal(size=(60, 8))


def test_texts_of_a_cluster_have_one_query() -> None:
    queries = cluster_queries(EMBEDDINGS, 10)
    assert len(np.unique(queries, axis=0)) <= 6


def test_with_one_text_per_list_each_text_keeps_its_embedding() -> None:
    queries = cluster_queries(EMBEDDINGS, 1)
    np.testing.assert_allclose(queries, EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True), rtol=1e-5)


def test_well_separated_clusters_are_found() -> None:
    centres = np.repeat(np.eye(8)[:3], 20, axis=0)
    queries = cluster_queries(centres + 0.01 * EMBEDDINGS, 20)
    assert (np.argmax(queries, axis=1) == np.argmax(centres, axis=1)).all()


def test_the_same_seed_gives_the_same_lists() -> None:
    np.testing.assert_array_equal(cluster_queries(EMBEDDINGS, 10, seed=3), cluster_queries(EMBEDDINGS, 10, seed=3))


@pytest.mark.parametrize("count", [0, 1])
def test_a_very_small_corpus_is_accepted(count: int) -> None:
    assert cluster_queries(EMBEDDINGS[:count].reshape(count, 8), 10).shape == (count, 8)


def test_less_than_one_text_per_list_is_refused() -> None:
    with pytest.raises(ValueError, match="texts_per_list"):
        cluster_queries(EMBEDDINGS, 0)
