"""Tables in every format and layout."""

import json

import pytest
from datasets import Dataset

from freeal_hf.tables import raw_table

ROWS = [["1", " a, text ", ""], ["2", 'so "it" goes', "ä"]]


@pytest.mark.parametrize(("name", "delimiter"), [("x.csv", ","), ("x.tsv", "\t")])
def test_the_raw_cells_of_a_text_file_are_those_of_the_file(name, delimiter, tmp_path):
    path = tmp_path / name
    lines = [
        f"n{delimiter}text{delimiter}more",
        *(delimiter.join(f'"{c.replace(chr(34), chr(34) * 2)}"' for c in row) for row in ROWS),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    table = raw_table(path, rows=1)
    assert (table.names, list(table.rows), table.delimiter) == (["n", "text", "more"], ROWS, delimiter)


def test_raw_cells_that_are_no_strings_are_written_as_text(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"n": 1, "words": ["a", "ä"], "none": None}))
    table = raw_table(path)
    assert (table.names, list(table.rows)) == (["n", "words", "none"], [["1", '["a", "ä"]', ""]])


def test_raw_cells_of_a_data_set_are_in_its_order():
    table = raw_table(Dataset.from_dict({"b": [1, 2], "a": ["x", None]}), rows=1)
    assert (table.names, list(table.rows)) == (["b", "a"], [["1", "x"], ["2", ""]])
