import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.data.spreadsheets import harmless, restored

CELLS = st.one_of(st.text(), st.text("=+-@'\t\r\n1.,e% a"))


@pytest.mark.parametrize("cell", ["=1+1", "+SUM(A1)", "-cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "- a", "-1-2"])
def test_a_cell_that_a_spreadsheet_would_execute_gets_an_apostrophe(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1", "+3.5", "-1e-5", "-1,5", "-10%", "a=1", "", "'quoted'", "1-2"])
def test_numbers_and_other_cells_are_not_changed(cell):
    assert harmless(cell) == cell


@given(CELLS)
def test_every_cell_is_restored(cell):
    assert restored(harmless(cell)) == cell


@given(CELLS)
def test_no_cell_begins_with_a_formula(cell):
    written = harmless(cell)
    assert not written.startswith(("=", "@", "\t", "\r", "\n"))
    assert not written.startswith(("+", "-")) or not set(written[1:].lower()) - set("0123456789.,e+-%")
