"""Tables that may be larger than memory."""

import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.data.arrow import PIECE, StringColumn, dataset_of, spooled, table_of
from freeal_hf.data.texts import read_data
from freeal_hf.errors import RunError
from freeal_hf.kinds.text_corpus import distinct_texts


def numbers(count, start=0):
    return pa.table({"number": pa.array(range(start, start + count))})


@pytest.mark.parametrize("in_memory", [2**20, 8])
def test_pieces_are_joined_in_order_in_memory_and_on_disk(in_memory):
    pieces = (numbers(3, start) for start in (0, 3, 6))
    assert spooled(pieces, in_memory=in_memory)["number"].to_pylist() == list(range(9))


def test_a_small_table_needs_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "there is no such folder"))
    assert len(spooled([numbers(3)])) == 3


def test_a_large_table_takes_no_memory_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = pa.total_allocated_bytes()
    table = spooled((numbers(100_000) for _ in range(20)), in_memory=1000)
    assert pa.total_allocated_bytes() - before < 2_000_000 < table.nbytes
    assert os.listdir(tmp_path) == []
    assert table["number"][1_999_999].as_py() == 99_999


def test_a_full_disk_is_reported_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "there is no such folder"))
    with pytest.raises(RunError, match="TMPDIR"):
        spooled([numbers(3)], in_memory=1)


def test_selected_rows_of_a_dataset_become_a_table():
    dataset = dataset_of(numbers(5))
    assert table_of(dataset)["number"].to_pylist() == [0, 1, 2, 3, 4]
    assert table_of(dataset.select([4, 1]))["number"].to_pylist() == [4, 1]


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30), st.data())
def test_a_column_of_strings_behaves_like_a_list(texts, data):
    rows = data.draw(st.lists(st.sampled_from(range(len(texts))), unique=True).map(sorted))
    more = data.draw(st.lists(st.text(max_size=3), max_size=3))
    halves = [texts[: len(texts) // 2], texts[len(texts) // 2 :]]
    column = StringColumn(pa.chunked_array(halves, pa.string()), np.array(rows, dtype=int)).followed_by(more)
    expected = [*(texts[row] for row in rows), *more]
    assert list(column) == expected
    assert len(column) == len(expected)
    assert [column[i] for i in range(len(expected))] == expected
    assert column[1:] == expected[1:]
    if expected:
        assert column[-1] == expected[-1]


@pytest.mark.parametrize("index", [1, -2])
def test_an_index_out_of_range_raises_an_error(index):
    with pytest.raises(IndexError):
        StringColumn(pa.chunked_array([["one"]]), np.array([0]))[index]


def test_equal_texts_are_found_and_numbered_across_pieces(tmp_path):
    texts = [f"text {i % (PIECE + 10)}" for i in range(PIECE + 30)]
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "\n".join(texts) + "\n")
    dataset = read_data(path)
    assert dataset["text"][:] == texts
    assert len(set(dataset["id"])) == len(texts)
    assert dataset["id"][PIECE + 10] == f"{dataset['id'][0]}-1"
    corpus = distinct_texts(dataset)
    assert list(corpus.texts) == texts[: PIECE + 10]
    assert corpus.index_of_row.tolist() == [*range(PIECE + 10), *range(20)]


def test_a_column_that_begins_in_a_late_json_line_is_read(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a"}\n' * PIECE + '{"text": "b", "note_of_mine": "late"}\n')
    assert read_data(path, extra_columns=["note_of_mine"])["note_of_mine"][PIECE] == "late"


def test_a_large_file_is_stored_on_disk_after_reading(tmp_path):
    path = tmp_path / "texts.csv"
    with path.open("w") as file:
        file.write("text\n")
        for i in range(60_000):
            file.write(f"{i} " + "x" * 2000 + "\n")
    before = pa.total_allocated_bytes()
    dataset = read_data(path)
    assert len(dataset) == 60_000
    assert pa.total_allocated_bytes() - before < path.stat().st_size / 20
