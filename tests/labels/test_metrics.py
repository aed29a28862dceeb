"""The calibration error: the distance of confidences from the share of right predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.labels.metrics import calibration_error


def test_confidences_that_match_the_accuracy_of_their_bin_have_no_error():
    assert calibration_error(np.full(4, 0.75), np.array([True, True, True, False])) == 0


def test_bins_are_weighed_by_their_predictions():
    confidences = np.array([1.0, 1.0, 1.0, 0.5])
    is_right = np.array([True, True, False, False])
    assert calibration_error(confidences, is_right) == pytest.approx(3 / 4 * 1 / 3 + 1 / 4 * 0.5)


def test_predictions_without_a_confidence_do_not_count():
    assert calibration_error(np.array([1.0, np.nan]), np.array([True, False])) == 0


def test_no_confidences_have_no_calibration_error():
    assert calibration_error(np.array([np.nan]), np.array([True])) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_the_error_is_a_share_and_at_least_the_distance_of_the_means(pairs):
    confidences, is_right = (np.array(column) for column in zip(*pairs, strict=True))
    error = calibration_error(confidences, is_right)
    assert abs(confidences.mean() - is_right.mean()) - 1e-9 <= error <= 1
