import numpy as np
import pytest

from freeal_hf.labels.label_set_pool import fit_label_pools


def situation(count=400, num_labels=6, seed=0):
    """Rare labels, an annotator that names many labels too often, and one that misses some."""
    rng = np.random.default_rng(seed)
    gold = (rng.random((count, num_labels)) < 0.04).astype(int)
    eager = np.where(rng.random(gold.shape) < 0.2, 1, gold)
    careful = np.where(rng.random(gold.shape) < 0.2, 0, gold)
    return gold, np.stack([eager, careful], axis=1)


def human_labels(gold, count):
    return np.where(np.arange(len(gold))[:, None] < count, gold, -1)


def test_labels_without_a_positive_human_label_use_the_weights_of_the_others():
    gold, votes = situation()
    gold[:60, 0] = 0
    nothing = np.full(gold.shape, 0.5)
    pools = fit_label_pools(human_labels(gold, 60), votes, [(nothing, nothing)])
    first = pools[0].probabilities[:, 1]
    assert first[votes[:, 1, 0] == 1].min() > first[votes[:, 1, 0] == 0].max()


def test_a_student_that_agrees_with_people_outweighs_one_that_does_not():
    gold, votes = situation()
    rng = np.random.default_rng(1)
    good, poor = 0.8 * gold + 0.1, rng.random(gold.shape)
    no_votes = np.full_like(votes, -1)
    pools = fit_label_pools(human_labels(gold, 100), no_votes, [(poor, poor), (good, good)])
    found = np.column_stack([pool.probabilities[:, 1] for pool in pools])
    assert found[gold == 1].min() > found[gold == 0].max() - 0.2


def test_a_held_out_prediction_does_not_know_the_texts_own_human_label():
    gold, votes = situation()
    human = human_labels(gold, 60)
    turned = human.copy()
    turned[0] = 1 - turned[0]
    nothing = np.full(gold.shape, 0.5)
    before, after = (fit_label_pools(some, votes, [(nothing, nothing)])[2] for some in (human, turned))
    assert before.rows[0] == 0
    assert before.held_out[0] == pytest.approx(after.held_out[0], abs=1e-3)
    assert abs(before.probabilities[0] - after.probabilities[0]).max() > 1e-3


def test_the_student_that_chooses_the_labels_is_weighted_by_the_one_that_people_were_compared_with():
    gold, votes = situation()
    nothing, good = np.full(gold.shape, 0.5), 0.8 * gold + 0.1
    pools = fit_label_pools(human_labels(gold, 100), votes, [(good, nothing)])
    assert (pools[0].held_out[:, 1] != pools[0].probabilities[:, 1]).any()
    assert np.ptp(pools[0].probabilities[votes[:, :, 0].sum(axis=1) == 0, 1]) < 1e-6
