import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.errors import InputError
from freeal_hf.select.pool import Pool, distinct_indices, select_instances


class Says:
    """A strategy that always returns the same indices."""

    needs = ()

    def __init__(self, indices):
        self.indices = indices

    def select(self, pool, budget, rng):
        return self.indices


def pool_of(labels):
    return Pool([f"text {i}" for i in range(len(labels))], np.array(labels))


@given(
    labels=st.lists(st.sampled_from([-1, -1, 0]), min_size=1, max_size=12).filter(lambda labels: -1 in labels),
    indices=st.lists(st.integers(-3, 15), max_size=20),
    share=st.floats(0.01, 1),
)
def test_exactly_the_budget_is_chosen_for_any_result_of_a_strategy(labels, indices, share):
    pool = pool_of(labels)
    budget = max(1, int(share * len(pool.unlabelled)))
    chosen = [item.index for item in select_instances(Says(indices), pool, budget)]
    assert len(chosen) == len(set(chosen)) == budget
    assert set(chosen) <= set(pool.unlabelled.tolist())


def test_the_order_of_the_strategy_is_kept():
    assert [item.index for item in select_instances(Says([3, 0, 3, 9]), pool_of([-1] * 5), 2)] == [3, 0]


def test_missing_choices_are_drawn_at_random_and_marked(caplog):
    with caplog.at_level(logging.WARNING):
        chosen = select_instances(Says([2]), pool_of([-1] * 6), 4)
    assert [item.is_filler for item in chosen] == [False, True, True, True]
    assert "chose 1 of 4 texts; 3 were drawn at random" in caplog.text


@pytest.mark.parametrize(("budget", "message"), [(0, "budget is 0"), (4, "only has 3 different texts")])
def test_an_impossible_budget_is_refused(budget, message):
    with pytest.raises(InputError, match=message):
        select_instances(Says([]), pool_of([-1, -1, -1, 0]), budget)


def test_copies_that_differ_in_case_space_urls_and_retweet_marks_are_found():
    texts = ["Good  film", "good film https://t.co/x", "RT @me: Good film", "bad film", "https://t.co/y"]
    assert distinct_indices(texts) == [0, 3]
