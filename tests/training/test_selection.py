"""Small-loss selection: which labels are trusted, given losses, labels and the student's probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freeal_hf.training.selection import Selection, SelectionRules, clean_posterior, select_clean

finite_losses = arrays(np.float64, st.integers(0, 60), elements=st.floats(0, 50))


def choose(losses: np.ndarray, labels: np.ndarray, classes: int = 2, **rules: float) -> np.ndarray:
    probabilities = np.full((len(labels), classes), 1 / classes)
    return select_clean(losses, labels, probabilities, SelectionRules(**rules))[1]


def two_groups(right: int, wrong: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0.3, 0.1, right), rng.normal(2.0, 0.3, wrong)])


@given(finite_losses)
def test_posterior_is_a_probability_that_never_rises_with_the_loss(losses: np.ndarray) -> None:
    posterior = clean_posterior(losses)
    assert ((posterior >= 0) & (posterior <= 1)).all()
    assert (np.diff(posterior[np.argsort(losses)]) <= 1e-12).all()


@given(finite_losses, st.floats(0.01, 100), st.floats(-10, 10))
def test_posterior_does_not_depend_on_the_unit(losses: np.ndarray, scale: float, shift: float) -> None:
    # Whole multiples keep rounding from moving a loss into the next bin of the histogram.
    losses, scale, shift = np.round(losses), 2.0 ** np.round(np.log2(scale)), np.round(shift)
    assert np.allclose(clean_posterior(losses), clean_posterior(losses * scale + shift))


@given(finite_losses, st.randoms(use_true_random=False))
def test_posterior_follows_its_sample_when_samples_are_shuffled(losses: np.ndarray, random) -> None:
    order = list(range(len(losses)))
    random.shuffle(order)
    assert (clean_posterior(losses)[order] == clean_posterior(losses[order])).all()


@pytest.mark.parametrize("value", [0.0, 0.7, 1e6])
def test_equal_losses_speak_against_no_label(value: float) -> None:
    assert (clean_posterior(np.full(20, value)) == 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_losses_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        clean_posterior(np.array([0.1, value]))


@pytest.mark.parametrize(("right", "wrong"), [(90, 10), (50, 50), (20, 20), (300, 3)])
def test_two_groups_of_losses_are_told_apart(right: int, wrong: int) -> None:
    chosen = choose(two_groups(right, wrong), np.zeros(right + wrong, dtype=int))
    assert chosen[:right].mean() > 0.95
    assert not chosen[right:].any()


def test_each_class_is_judged_by_its_own_losses() -> None:
    easy, hard = two_groups(80, 20), two_groups(80, 20) + 5
    chosen = choose(np.concatenate([easy, hard]), np.repeat([0, 1], 100))
    assert (chosen[:100] == chosen[100:]).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_rare_class_keeps_at_least_one_sample(count: int) -> None:
    losses = np.concatenate([two_groups(80, 20), np.linspace(3, 4, count)])
    chosen = choose(losses, np.concatenate([np.zeros(100, dtype=int), np.ones(count, dtype=int)]))
    assert chosen[100:].any()


def test_a_class_without_samples_breaks_nothing() -> None:
    assert choose(two_groups(80, 20), np.zeros(100, dtype=int), classes=5)[:80].all()


def test_unlabelled_samples_are_never_clean() -> None:
    labels = np.array([0, -1, 0, -1])
    posterior, chosen = select_clean(
        np.array([0.1, np.nan, 0.2, np.nan]), labels, np.full((4, 2), 0.5), SelectionRules(agreement_confidence=0)
    )
    assert not chosen[labels == -1].any()
    assert (posterior[labels == -1] == 0).all()


@given(finite_losses, st.floats(0, 1), st.floats(0, 1))
def test_clean_share_stays_between_floor_and_ceiling(losses: np.ndarray, floor: float, ceiling: float) -> None:
    floor, ceiling = sorted([floor, ceiling])
    chosen = choose(losses, np.zeros(len(losses), dtype=int), min_clean_share=floor, max_clean_share=ceiling).sum()
    fewest = max(1, np.ceil(floor * len(losses))) if len(losses) else 0
    assert fewest <= chosen <= max(fewest, np.floor(ceiling * len(losses)))


def test_the_ceiling_leaves_out_the_largest_losses() -> None:
    losses = np.linspace(0.1, 0.2, 10)
    assert choose(losses, np.zeros(10, dtype=int), max_clean_share=0.3).tolist() == [True] * 3 + [False] * 7


def test_a_confident_student_that_agrees_makes_a_label_clean() -> None:
    losses, labels = two_groups(80, 20), np.zeros(100, dtype=int)
    probabilities = np.full((100, 2), 0.5)
    probabilities[-1] = [0.99, 0.01]
    chosen = select_clean(losses, labels, probabilities, SelectionRules(agreement_confidence=0.95))[1]
    assert chosen[-1]
    assert not chosen[-20:-1].any()


def test_a_selection_says_how_many_labels_are_clean_and_shows_no_array() -> None:
    labels, none = np.array([0, 1, 1, -1]), np.zeros(4)
    found = Selection(list("abcd"), labels, none, none, np.array([True, True, False, False]), labels, none, none)
    assert repr(found) == "Selection(4 texts: 2 clean, 1 noisy, 1 unlabelled)"
    found.num_words = np.array([3, 1])
    assert repr(found) == "Selection(4 words of 2 sentences: 2 clean, 1 noisy, 1 unlabelled)"
