"""The thresholds of labels, and the scores of what is predicted with them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, EvalPrediction

from freeal_hf.training.multi_label import multi_label_metrics, multi_label_scores
from freeal_hf.training.samples import PairSamples
from freeal_hf.training.thresholds import choose_threshold, decided, thresholds_of


def expected_f1(probabilities: np.ndarray, threshold: float) -> float:
    named = probabilities > threshold
    return float(2 * probabilities[named].sum() / (named.sum() + probabilities.sum()))


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=30))
def test_no_other_threshold_has_a_higher_expected_f1(values: list[float]) -> None:
    probabilities = np.array(values)
    chosen = choose_threshold(probabilities)
    best = max(expected_f1(probabilities, threshold) for threshold in np.arange(0.05, 0.951, 0.01).round(2))
    assert expected_f1(probabilities, chosen) == pytest.approx(best, abs=1e-6)


def test_the_threshold_of_a_rare_label_of_which_the_student_is_unsure_is_low() -> None:
    unsure = np.concatenate([np.full(95, 0.01), np.full(5, 0.3)])
    sure = np.concatenate([np.full(95, 0.01), np.full(5, 0.95)])
    assert choose_threshold(unsure) < 0.3
    assert choose_threshold(sure) == 0.5


def test_a_threshold_is_chosen_on_held_out_answers_if_enough_of_them_have_the_label() -> None:
    held_out = np.full((100, 2), -1)
    held_out[:30, :] = 0
    held_out[:10, 0] = 1
    held_out[:9, 1] = 1
    seen = np.where(np.arange(100) < 90, 0.02, 0.98)
    unseen = np.where(np.arange(100) < 10, 0.4, 0.1)
    yes = np.where(held_out[:, :1] == -1, seen[:, None], unseen[:, None]).repeat(2, axis=1).reshape(-1)
    config = BertConfig(num_labels=2)
    predicted = PairSamples(["often", "rare"]).conclude(config, np.stack([1 - yes, yes], axis=1), held_out.reshape(-1))
    assert config.thresholds[0] == choose_threshold(unseen[:30])
    assert config.thresholds[1] == choose_threshold(yes.reshape(-1, 2)[:, 1])
    assert (predicted.reshape(-1, 2) == (yes.reshape(-1, 2) > config.thresholds)).all()


def test_a_student_without_thresholds_decides_at_one_half() -> None:
    assert thresholds_of(BertConfig(num_labels=3)).tolist() == [0.5] * 3


def test_each_label_has_its_own_threshold() -> None:
    assert decided(np.array([[0.4, 0.4]]), np.array([0.3, 0.5])).tolist() == [[True, False]]


def test_scores_leave_out_pairs_without_an_answer() -> None:
    scores = multi_label_scores(np.array([[1, 1], [0, 1]]), np.array([[1, -100], [-100, -100]]))
    assert scores == {"micro_f1": 1.0, "macro_f1": 1.0, "exact_match": 1.0}


def test_scores_of_nothing_are_not_numbers() -> None:
    assert all(math.isnan(score) for score in multi_label_scores(np.ones((1, 2)), np.full((1, 2), -1)).values())


def test_metrics_read_logits_and_use_the_given_thresholds() -> None:
    found = EvalPrediction(np.array([[0.0, -1.0], [-3.0, 3.0]]), np.array([[1.0, 1.0], [0.0, 1.0]]))
    assert multi_label_metrics()(found)["exact_match"] == 0.5
    assert multi_label_metrics([0.4, 0.2])(found)["exact_match"] == 1.0
