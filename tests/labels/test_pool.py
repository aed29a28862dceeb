import numpy as np

from freeal_hf.labels.pool import fit_pool


def situation(n=300, seed=0):
    """Gold, an annotator's log probabilities that are right in 80 %, held-out predictions and features of gold."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 2, n)
    said = np.where(rng.random(n) < 0.8, gold, 1 - gold)
    evidence = np.log(np.where(said[:, None] == np.arange(2), 0.8, 0.2))
    return gold, said, evidence, np.log(np.full((n, 2), 0.5)), rng


def test_features_that_say_nothing_change_few_answers():
    gold, said, evidence, texts, rng = situation()
    human = np.where(np.arange(len(gold)) < 50, gold, -1)
    features = rng.normal(size=(len(gold), 20)) / np.sqrt(20)
    found = fit_pool(human, [lambda known: evidence], [(texts, texts)], features).probabilities.argmax(axis=1)
    assert np.mean(found[50:] == gold[50:]) > np.mean(said[50:] == gold[50:]) - 0.04


def test_features_that_tell_the_labels_apart_mend_the_annotator():
    gold, said, evidence, texts, _ = situation()
    human = np.where(np.arange(len(gold)) < 50, gold, -1)
    features = np.eye(2)[gold] - 0.5
    found = fit_pool(human, [lambda known: evidence], [(texts, texts)], features).probabilities.argmax(axis=1)
    assert np.mean(found[50:] == gold[50:]) > np.mean(said[50:] == gold[50:]) + 0.1


def test_a_held_out_prediction_does_not_know_the_texts_own_human_label():
    gold, _, evidence, texts, _ = situation()
    human = np.where(np.arange(len(gold)) < 50, gold, -1)
    human[0] = 1 - gold[0]
    features = np.eye(2)[gold] - 0.5
    pool = fit_pool(human, [lambda known: evidence], [(texts, texts)], features)
    assert pool.rows.tolist() == list(range(50))
    assert pool.held_out[pool.rows[0]].argmax() == gold[0]


def test_the_better_evidence_is_used():
    gold, said, evidence, texts, _ = situation()
    human = np.where(np.arange(len(gold)) < 50, gold, -1)
    reversed_ = evidence[:, ::-1]
    found = fit_pool(
        human, [lambda known: reversed_, lambda known: evidence], [(texts, texts)], np.zeros((len(gold), 1))
    ).probabilities.argmax(axis=1)
    assert (found == said).all()
