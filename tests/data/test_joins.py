import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.data.joins import explain_unknown_id, rows_of_ids
from freeal_hf.data.row_ids import content_ids


@pytest.mark.parametrize(
    ("given_id", "ids", "row"),
    [
        ("b", ["a", "b"], 1),
        (" b\r\n", ["a", "b"], 1),
        ("cafe\u0301", ["a", "caf\u00e9"], 1),
        ("7", ["a", "007"], 1),
        ("7.0", ["70", "7"], 1),
        ("7", ["07", "7"], 1),
        ("0123456789abcdef-1", ["t0123456789abcdef", "t0123456789abcdef-1"], 1),
        ("t0123456789abcdef", ["a", "0123456789abcdef"], 1),
        ("7", ["07", "007"], None),  # could be either
        ("1E3", ["1000"], None),
        ("-7", ["7"], None),
        ("B", ["b"], None),
    ],
)
def test_an_id_is_found_after_a_spreadsheet_or_data_frame_changed_it(given_id, ids, row):
    assert rows_of_ids([given_id], ids) == ({} if row is None else {given_id: row})


@given(st.lists(st.text(max_size=4), unique=True), st.data())
def test_an_existing_id_is_found_in_its_own_row(ids, data):
    wanted = data.draw(st.lists(st.sampled_from(ids))) if ids else []
    assert rows_of_ids(wanted, ids) == {one: ids.index(one) for one in wanted}


@given(st.text())
def test_an_id_made_from_a_text_does_not_look_like_a_number(text):
    (sample,) = content_ids([text])
    assert sample[0] == "t"
    with pytest.raises(ValueError, match="could not convert"):
        float(sample)


@pytest.mark.parametrize(
    ("given_id", "message"),
    [
        ("6.72E+15", r"converted the id to a number and rounded it \(perhaps '6721512345678901'\)"),
        ("6,72E+15", r"converted the id to a number and rounded it \(perhaps '6721512345678901'\)"),
        ("9.87654E+15", r"rounded it \(perhaps 't9876543210123456'\)"),
        ("6721512345678900", r"kept 15 of its digits \(perhaps '6721512345678901'\)"),
        ("1.1E+20", "converted the id to a number and rounded it. Format the column 'id' as text"),
        ("02-Jan", "Spreadsheets change ids that look like numbers or dates"),
    ],
)
def test_a_message_explains_how_a_spreadsheet_changed_an_id(given_id, message):
    assert re.search(message, explain_unknown_id(given_id, ["a", "6721512345678901", "12", "t9876543210123456"]))
