import numpy as np
import pytest

from freeal_hf.cli.select import STRATEGIES
from freeal_hf.errors import InputError
from freeal_hf.select import diversity, uncertainty
from freeal_hf.select.diversity import (
    ContrastiveActiveLearning,
    CoreSet,
    DiscriminativeActiveLearning,
    EmbeddingKMeans,
    RandomSampling,
)
from freeal_hf.select.pool import Pool, select_instances
from freeal_hf.select.student import described_pool
from freeal_hf.select.uncertainty import BALD, BreakingTies, LeastConfidence, PredictionEntropy

ALL = [RandomSampling, EmbeddingKMeans, CoreSet, LeastConfidence, BreakingTies, PredictionEntropy, BALD]
ALL += [ContrastiveActiveLearning, DiscriminativeActiveLearning]


def random_pool(count=60, labelled=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.full(count, -1)
    labels[rng.choice(count, labelled, replace=False)] = 0
    return Pool(
        texts=[f"text {i}" for i in range(count)],
        labels=labels,
        embeddings=rng.normal(size=(count, 8)),
        probabilities=rng.dirichlet(np.ones(3), size=count),
        dropout_probabilities=rng.dirichlet(np.ones(3), size=(4, count)),
    )


def clusters(labels):
    """Four tight clusters of five points in the plane of a circle."""
    rng = np.random.default_rng(0)
    angles = np.repeat(np.arange(4) * np.pi / 2, 5) + rng.normal(0, 0.02, 20)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Pool([f"text {i}" for i in range(20)], np.array(labels), embeddings=points)


def pool_of(probabilities, labels=None):
    probabilities = np.array(probabilities, dtype=float)
    labels = np.full(len(probabilities), -1) if labels is None else np.array(labels)
    return Pool([str(i) for i in range(len(labels))], labels, probabilities=probabilities)


def chosen(strategy, pool, budget, seed=0):
    return [item.index for item in select_instances(strategy, pool, budget, seed=seed)]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("budget", [1, 7, 54])
def test_every_strategy_chooses_exactly_the_budget(kind, budget, caplog):
    pool = random_pool()
    found = chosen(kind(), pool, budget)
    assert len(set(found)) == budget
    assert not caplog.text  # nothing had to be drawn at random


@pytest.mark.parametrize("kind", ALL)
def test_the_same_seed_gives_the_same_choice(kind):
    assert chosen(kind(), random_pool(), 9, seed=3) == chosen(kind(), random_pool(), 9, seed=3)


@pytest.mark.parametrize("kind", ALL)
def test_every_strategy_except_random_cites_its_source(kind):
    assert kind is RandomSampling or "Source: " in kind.__doc__


@pytest.mark.parametrize("kind", [EmbeddingKMeans, CoreSet])
def test_without_labels_diverse_strategies_choose_one_text_of_each_cluster(kind):
    found = chosen(kind(), clusters([-1] * 20), 4)
    assert {index // 5 for index in found} == {0, 1, 2, 3}


def test_core_set_chooses_a_labelled_cluster_last():
    found = chosen(CoreSet(), clusters([0] * 4 + [-1] * 16), 3)
    assert {index // 5 for index in found} == {1, 2, 3}


def test_discriminative_first_chooses_the_text_least_similar_to_labelled_ones():
    found = chosen(DiscriminativeActiveLearning(), clusters([0] * 4 + [-1] * 16), 1)
    assert found[0] // 5 == 2


def test_least_confidence_uses_the_most_probable_label():
    assert chosen(LeastConfidence(), pool_of([[0.9, 0.1, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3]]), 3) == [2, 1, 0]


def test_breaking_ties_uses_the_two_most_probable_labels():
    assert chosen(BreakingTies(), pool_of([[0.9, 0.1, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3]]), 3) == [1, 2, 0]


def test_entropy_uses_all_labels():
    assert chosen(PredictionEntropy(), pool_of([[0.5, 0.5, 0], [0.6, 0.2, 0.2]]), 2) == [1, 0]


def test_bald_prefers_certain_passes_that_disagree_to_uncertain_passes():
    passes = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])
    pool = Pool(["disputed", "doubted"], np.array([-1, -1]), dropout_probabilities=passes)
    assert chosen(BALD(), pool, 1) == [0]


def test_contrastive_chooses_the_text_whose_prediction_differs_from_its_labelled_neighbours():
    pool = Pool(
        ["labelled", "alike and judged alike", "alike and judged otherwise"],
        np.array([0, -1, -1]),
        embeddings=np.array([[1.0, 0.0], [1.0, 0.1], [1.0, -0.1]]),
        probabilities=np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]),
    )
    assert chosen(ContrastiveActiveLearning(), pool, 1) == [2]


def test_contrastive_without_labels_is_refused_with_the_remedy():
    pool = random_pool(labelled=0)
    with pytest.raises(InputError, match="--labelled"):
        chosen(ContrastiveActiveLearning(), pool, 1)


def test_an_uncertainty_strategy_without_labels_is_refused_with_the_remedy(student_folder):
    pool = Pool(["a", "b"], np.array([-1, -1]))
    with pytest.raises(InputError, match="give some with --labelled"):
        described_pool(pool, PredictionEntropy(), None, student=str(student_folder))


def test_an_encoder_that_cannot_be_loaded_is_reported():
    pool = Pool(["a", "b"], np.array([-1, -1]))
    with pytest.raises(InputError, match="'nowhere/none' cannot be loaded as an encoder"):
        described_pool(pool, CoreSet(), None, student="nowhere/none")


def test_a_student_describes_all_texts(corpus, task, student_folder):
    texts, gold = corpus["text"][:], [task.label2id[name] for name in corpus["gold"]]
    labels = np.where(np.arange(len(texts)) < 24, gold, -1)

    class Curious:
        needs = ("embeddings", "probabilities", "dropout_probabilities")

    pool = described_pool(Pool(texts, labels), Curious(), task, student=str(student_folder), epochs=2)
    assert pool.embeddings.shape == (80, 32)
    assert pool.probabilities.shape == (80, 2)
    assert pool.dropout_probabilities.shape == (10, 80, 2)
    assert np.allclose(pool.probabilities.sum(axis=1), 1, atol=1e-5)
    assert pool.dropout_probabilities.std(axis=0).max() > 0


def test_every_strategy_has_a_name_on_the_command_line():
    from freeal_hf.select.llm import LLMSelection

    classes = {
        value
        for module in (diversity, uncertainty)
        for value in vars(module).values()
        if isinstance(value, type) and hasattr(value, "needs")
    }
    assert len({*classes, LLMSelection}) == len(STRATEGIES)
