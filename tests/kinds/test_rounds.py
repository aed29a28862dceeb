import numpy as np
import pytest

from freeal_hf.kinds.rounds import Selection


@pytest.mark.parametrize("held_out", [None, np.full((2, 3), 1 / 3)])
def test_a_selection_is_read_as_it_was_written(tmp_path, held_out):
    written = Selection(
        np.zeros(2), np.ones(2, dtype=bool), np.eye(2, 3), np.ones((2, 4)), np.ones((2, 4)), held_out=held_out
    )
    written.save(tmp_path / "selection.npz")
    found = Selection.load(tmp_path / "selection.npz")
    assert (found.probabilities == written.probabilities).all()
    assert (found.held_out is None) == (held_out is None)
    assert held_out is None or (found.held_out == held_out).all()
