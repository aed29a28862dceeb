import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.labels import annotator_probabilities, fuse


@given(seed=st.integers(0, 1000), n=st.integers(1, 20), num_labels=st.integers(2, 6))
def test_the_distributions_of_the_annotator_sum_to_one(seed, n, num_labels):
    rng = np.random.default_rng(seed)
    student = rng.dirichlet(np.ones(num_labels), n)
    confidences = np.where(rng.random(n) < 0.5, np.nan, rng.random(n))
    found = annotator_probabilities(rng.integers(-1, num_labels, n), confidences, student)
    assert found.sum(axis=1) == pytest.approx(np.ones(n))
    assert (found >= 0).all()


def test_the_surer_of_the_two_decides():
    student = np.array([[0.2, 0.8], [0.45, 0.55]])
    labels, _ = fuse(np.array([0, 0]), np.array([0.6, 0.9]), student)
    assert labels.tolist() == [1, 0]


def test_where_the_annotator_has_no_label_the_student_decides():
    labels, confidence = fuse(np.array([-1]), np.array([np.nan]), np.array([[0.1, 0.2, 0.7]]))
    assert labels.tolist() == [2]
    assert 1 / 3 < confidence[0] < 0.7
