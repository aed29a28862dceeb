import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.data.ties import likeliest
from freeal_hf.labels.voting import agreed_labels, fuse_votes, majority, worse_annotators


def annotators(accuracies, n=2000, num_labels=3, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, num_labels, n)
    wrong = [(gold + rng.integers(1, num_labels, n)) % num_labels for _ in accuracies]
    return gold, np.column_stack(
        [np.where(rng.random(n) < a, gold, w) for a, w in zip(accuracies, wrong, strict=True)]
    )


def test_voters_are_weighed_by_how_far_they_are_right():
    gold, votes = annotators([0.95, 0.45, 0.45, 0.45])
    by_majority = np.mean(majority(votes, 3).argmax(axis=1) == gold)
    assert np.mean(fuse_votes(votes, 3).probabilities.argmax(axis=1) == gold) > by_majority + 0.1


def test_the_accuracy_of_each_voter_is_found():
    accuracies = [0.9, 0.75, 0.6, 0.5]
    found = [confusion.diagonal().mean() for confusion in fuse_votes(annotators(accuracies)[1], 3).confusions]
    assert found == pytest.approx(accuracies, abs=0.05)


def test_a_voter_that_always_errs_the_same_way_is_turned_round():
    gold, votes = annotators([0.8, 0.8, 0.8, 0.02], num_labels=2)
    found = fuse_votes(votes, 2)
    assert np.mean(found.probabilities.argmax(axis=1) == gold) > 0.95


def test_known_labels_are_certain():
    gold, votes = annotators([0.6, 0.6])
    known = np.where(np.arange(len(gold)) < 100, gold, -1)
    probabilities = fuse_votes(votes, 3, known).probabilities[:100]
    assert (probabilities[np.arange(100), gold[:100]] == 1).all()


@given(seed=st.integers(0, 100), n=st.integers(1, 12), m=st.integers(1, 4), num_labels=st.integers(2, 4))
def test_any_votes_give_distributions(seed, n, m, num_labels):
    votes = np.random.default_rng(seed).integers(-1, num_labels, (n, m))
    found = fuse_votes(votes, num_labels)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(n))
    assert found.confusions.sum(axis=2) == pytest.approx(np.ones((m, num_labels)))


def test_equally_probable_labels_give_no_label_unless_one_is_preferred():
    rows = np.array([[0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3], [0.2, 0.4, 0.4], [0.1, 0.2, 0.7], [np.nan, 0.2, 0.7]])
    assert likeliest(rows).tolist() == [-1, -1, -1, 2, -1]
    assert likeliest(rows, preferred=np.array([1, 2, 0, 0, -1])).tolist() == [1, 2, -1, 2, -1]


def test_voters_that_contradict_each_other_give_the_label_of_the_first_one():
    votes = np.array([[2, 1], [1, 2], [0, 2], [2, 0]] * 10)
    found = agreed_labels(votes, np.full((40, 3), 1 / 3))
    assert found.tolist() == [2, 1, 0, 2] * 10


def test_of_equally_probable_labels_the_one_with_more_votes_is_taken():
    votes = np.array([[0, 1, 1], [2, 0, 0], [-1, 2, 2], [-1, -1, -1]])
    assert agreed_labels(votes, np.full((4, 3), 1 / 3)).tolist() == [1, 0, 2, -1]


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), m=st.integers(1, 4), num_labels=st.integers(2, 4))
def test_renaming_the_labels_renames_what_the_voters_come_to(seed, n, m, num_labels):
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, num_labels, (n, m))
    new_id = np.array([*rng.permutation(num_labels), -1])
    first, second = (agreed_labels(v, fuse_votes(v, num_labels).probabilities) for v in (votes, new_id[votes]))
    assert (second == new_id[first]).all()
    assert ((first != -1) == (votes != -1).any(axis=1)).all()


def test_voters_that_people_show_to_be_worse_are_named_with_what_shows_it():
    gold, votes = annotators([0.9, 0.5, 0.88])
    known = np.where(np.arange(len(gold)) < 100, gold, -1)
    (worse,) = worse_annotators(votes, known)
    assert (worse.annotator, worse.best, worse.compared) == (1, 0, 100) or (worse.annotator, worse.best) == (1, 2)
    assert worse.accuracy < 0.65 < worse.best_accuracy
    assert worse_annotators(votes, np.full(len(gold), -1)) == []


def test_copies_of_a_voter_count_less_if_votes_are_tempered():
    gold, votes = annotators([0.8, 0.8, 0.7])
    votes = np.column_stack([votes, votes[:, 2], votes[:, 2], votes[:, 2], votes[:, 2]])
    known = np.where(np.arange(len(gold)) < 200, gold, -1)
    plain, tempered = (
        np.mean(fuse_votes(votes, 3, known, tempered=value).probabilities.argmax(axis=1) == gold)
        for value in (False, True)
    )
    assert tempered > plain
