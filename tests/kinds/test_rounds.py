import numpy as np
import pytest

from freeal_hf.kinds.rounds import Selection, load_probabilities


@pytest.mark.parametrize("is_human", [None, np.array([True, False])])
def test_a_selection_is_read_as_it_was_written(tmp_path, is_human):
    written = Selection(
        np.zeros(2), np.ones(2, dtype=bool), np.eye(2, 3), np.ones((2, 4)), np.ones((2, 4)), is_human=is_human
    )
    written.save(tmp_path / "selection.npz")
    found = Selection.load(tmp_path / "selection.npz")
    assert (found.probabilities == written.probabilities).all()
    assert (found.is_human is None) == (is_human is None)
    assert is_human is None or (found.is_human == is_human).all()
    probabilities, by_hand = load_probabilities(tmp_path / "selection.npz")
    assert (probabilities == written.probabilities).all()
    assert (by_hand is None) == (is_human is None)
