"""Reading tables in all formats and layouts, completely and in pieces."""

import bz2
import csv
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from freeal_hf.data.cells import cell_text, normal_cell
from freeal_hf.data.tables import open_table, raw_table, read_tables
from freeal_hf.errors import InputError

files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
characters = st.characters(codec="utf-8", exclude_characters="\0\ufeff")
difficult = st.text(st.one_of(st.sampled_from("\",;\t|\n\r \\'=ä"), characters), max_size=6)
pieces = st.integers(1, 5)


def tables(cells, widths=(1, 4)):
    """Random tables as a list of rows, the first of them a header of different names."""

    def of(width):
        rows = st.lists(st.lists(cells, min_size=width, max_size=width), max_size=6)
        return rows.map(lambda found: [[f"name {i}" for i in range(width)], *found])

    return st.integers(*widths).flatmap(of)


def read(path, rows=None, **options):
    """The header and the rows of a table, read in pieces."""
    table = open_table(path, **options)
    found = [list(row) for piece in table.read(rows=rows) for row in zip(*piece.values(), strict=True)]
    assert list(table.texts(rows=2)) == [list(map(cell_text, row)) for row in found]
    return [table.names, *found]


def written(rows, **dialect):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n", **dialect).writerows(rows)  # \r in a cell is not quoted with others
    return file.getvalue()


# ---- CSV ----


@files
@given(
    tables(difficult),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    pieces,
)
def test_the_cells_of_a_quoted_file_are_read_as_they_were_written(tmp_path, rows, delimiter, quotes, encoding, piece):
    path = tmp_path / "x.csv"
    path.write_bytes(written(rows, delimiter=delimiter, quoting=quotes).encode(encoding))
    assert read(path, piece, delimiter=delimiter, quoting="csv") == rows


@files
@given(tables(difficult, widths=(2, 4)), st.sampled_from(",;\t|"), pieces)
@example([["label", "text"], ["ham", "a\nspam\tb"]], "\t", 1)
def test_a_quoted_file_is_read_correctly_or_refused_with_the_remedy(tmp_path, rows, delimiter, piece):
    path = tmp_path / "x.csv"
    path.write_text(written(rows, delimiter=delimiter), encoding="utf-8", newline="")
    try:
        assert read(path, piece, delimiter=delimiter) == rows
    except InputError as error:
        assert "give --quoting none" in str(error)
        assert "give --quoting csv" in str(error)


unquoted = st.text(st.one_of(st.sampled_from("\"'ab ,;"), characters), max_size=6).filter(
    lambda text: not set("\t\r\n") & set(text)
)


@files
@given(tables(unquoted, widths=(2, 4)), st.sampled_from(["\n", "\r\n"]), pieces)
def test_the_cells_of_an_unquoted_file_are_read_as_they_were_written(tmp_path, rows, end, piece):
    path = tmp_path / "x.tsv"
    path.write_bytes("".join("\t".join(row) + end for row in rows).encode())
    assert read(path, piece, quoting="none") == rows


@files
@given(tables(unquoted, widths=(2, 4)), pieces)
@example([["label", "text"], ["ham", '"Hello'], ["ham", "what"], ["spam", 'win"']], 1)
@example([["label", "text"], ["ham", '"Hello'], ["ham", "what"]], 1)
@example([["label", "a", "text"], ["ham", '"Hello', 'you"']], 1)
def test_rows_of_an_unquoted_file_are_never_joined(tmp_path, rows, piece):
    path = tmp_path / "x.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8", newline="")
    try:
        assert len(read(path, piece)) == len(rows)
    except InputError as error:
        assert "give --quoting none" in str(error)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_that_quotes_may_have_joined_are_refused_with_their_line_numbers(delimiter, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('label;text\nham;fine\nham;"Hello\nspam;win now\nham;bye"\n'.replace(";", delimiter))
    with pytest.raises(InputError, match=r"lines 3 to 5.*--quoting none.*--quoting csv"):
        read(path)
    assert len(read(path, quoting="none")) == 5
    assert read(path, quoting="csv")[2][1] == f"Hello\nspam{delimiter}win now\nham{delimiter}bye"


@pytest.mark.parametrize(
    "text",
    ["one line\nand another", "Dear sir,\nit came late", "first,\nsecond,\nthird", "one\n\ntwo", 'a "quote",\nb'],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_quoted_text_of_several_lines_is_one_cell(text, delimiter, order, tmp_path):
    rows = [row[::order] for row in (["text", "label"], ["short", "good"], [text, "bad"])]
    path = tmp_path / "x.csv"
    path.write_text(written(rows, delimiter=delimiter), newline="")
    assert read(path) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", "line 3: .*3 cells and the header 2"),
        ('a,b\n1,2\n1,"2\n3",4\n', "lines 3 to 4: .*--quoting none"),
        ('a,b\n1,2\n1,"2\n\n3",4,5\n', "lines 3 to 5: .*4 cells"),
        ('a,b\n1,2\n1,"2\n', "line 3: .*a quote is opened here and never closed.*--quoting none"),
        ('a,b\n1,2\n"1" x,2\n', "line 3: .*there is text after a closing quote.*--quoting none"),
        ("a,b\n1,2\n1,x\ry\n", "line 3: .*there is a carriage return in a cell without quotes"),
        ("text\none, two\n", "line 2: .*--delimiter that does not occur"),
    ],
)
def test_a_row_that_cannot_be_parsed_is_reported_with_its_line_number(content, message, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(content, newline="")
    with pytest.raises(InputError, match=message):
        read(path)


def test_missing_cells_of_a_row_are_empty_and_counted(tmp_path, caplog):
    path = tmp_path / "x.csv"
    path.write_text("a,b,c\n1,2,3\n1\n\n1,2\n")
    assert read(path, 1)[1:] == [["1", "2", "3"], ["1", None, None], ["1", "2", None]]
    assert "fewer cells than the header: 2, the first one is row 2" in caplog.text


def test_a_blank_line_is_only_a_row_if_there_is_a_single_column(tmp_path, caplog):
    path = tmp_path / "x.csv"
    path.write_text("\ntext\none\n\ntwo\n")
    assert read(path) == [["text"], ["one"], [None], ["two"]]
    assert not caplog.records


prose = st.lists(st.sampled_from(["good", "day,", "ü;", "a|b", "tab", '"so"', "1.5"]), min_size=1, max_size=4).map(
    " ".join
)


@files
@given(
    st.lists(st.tuples(prose, st.sampled_from(["ham", "spam"])), min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["x.csv", "x.tsv"]),
)
def test_the_separator_is_detected(tmp_path, rows, delimiter, name):
    path = tmp_path / name
    rows = [["text", "label"], *map(list, rows)]
    path.write_text(written(rows, delimiter=delimiter), encoding="utf-8", newline="")
    assert read(path, quoting="csv") == rows


def test_an_unusual_separator_is_reported(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "x.csv").write_text("a;b\n1;2\n")
    read(tmp_path / "x.csv")
    assert "the separator is ';'" in caplog.text


def test_a_column_name_with_commas_does_not_hide_the_separator(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("What did you like, and why?;label\nthe food, mostly, and you;good\n")
    assert read(path)[0] == ["What did you like, and why?", "label"]


@pytest.mark.parametrize("line", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n"])
@pytest.mark.parametrize("delimiter", [None, ";"])
def test_the_separator_in_the_first_line_of_excel_is_used(line, delimiter, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(line + "text;label\na, b;ham\n", newline="")
    assert read(path, delimiter=delimiter) == [["text", "label"], ["a, b", "ham"]]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_determines_the_encoding(encoding, tmp_path):
    for name, content in {"x.csv": "text\nä\n", "x.jsonl": '{"text": "ä"}\n', "x.json": '[{"text": "ä"}]'}.items():
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert read(tmp_path / name) == [["text"], ["ä"]]


def test_windows_1252_is_read_and_reported_with_an_example(tmp_path, caplog):
    path = tmp_path / "x.csv"
    path.write_bytes("text;label\n„Schöne“ Grüße – für 5 €;gut\n".encode("cp1252"))
    assert read(path)[1][0] == "„Schöne“ Grüße – für 5 €"
    assert "read as Windows-1252 (cp1252), for example '„Schöne“'" in caplog.text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Привет, как дела", "cp1251"),
        ("Привет, как дела", "koi8-r"),
        ("Καλημέρα σας", "cp1253"),
        ("こんにちは", "shift-jis"),
        ("你好，世界", "gbk"),
        ("Zażółć gęślą jaźń", "cp1250"),
        ("Příliš žluťoučký kůň", "cp1250"),
        ("Teşekkür ederim, ağaç", "cp1254"),
        ("Schöne Grüße", "cp850"),
        ("Schöne Grüße", "mac-roman"),
    ],
)
def test_other_encodings_are_refused(text, encoding, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(f"text\n{text}\n".encode(encoding))
    with pytest.raises(InputError, match=r"line 2 cannot be decoded.*--encoding"):
        read(path)
    if "," not in text:
        assert read(path, encoding=encoding) == [["text"], [text]]


def test_zero_bytes_are_refused_with_the_likely_encoding(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("text\nä\n".encode("utf-16-le"))
    with pytest.raises(InputError, match="--encoding utf-16-le"):
        read(path)
    assert read(path, encoding="utf-16-le") == [["text"], ["ä"]]


def _write_workbook(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


def _write_database(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE texts (text TEXT)")


@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    ("write", "said"),
    [
        (_write_workbook, "is a ZIP archive, such as a workbook of Excel .*; save the table as CSV"),
        (_write_database, "is an SQLite database, .* export the table as CSV"),
        (lambda path: pd.DataFrame({"text": ["ä"]}).to_parquet(path), "is a Parquet file, .* rename it to .parquet"),
        (lambda path: path.write_bytes(gzip.compress(b"text")), "is compressed by gzip, .* add .gz to its name"),
    ],
)
def test_a_binary_file_that_is_named_as_a_text_file_is_refused_with_the_remedy(tmp_path, write, said, encoding):
    path = tmp_path / "x.csv"
    write(path)
    with pytest.raises(InputError, match=said):
        read(path, encoding=encoding)


@pytest.mark.parametrize("encoding", ["klingon", "base64"])
def test_an_unknown_encoding_is_refused(tmp_path, encoding):
    path = tmp_path / "x.csv"
    path.write_text("text\na\n")
    with pytest.raises(InputError, match=f"Encoding '{encoding}' is unknown; use utf-8"):
        read(path, encoding=encoding)


# ---- JSON ----

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(characters), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(characters), inner, max_size=2)),
    max_leaves=4,
)


@files
@given(tables(json_values), st.sampled_from(["x.json", "x.jsonl", "x.ndjson"]), st.sampled_from([None, 1]), pieces)
@pytest.mark.parametrize("has_lines", [True, False])
def test_json_objects_are_read_as_they_were_written(tmp_path, has_lines, rows, name, indent, piece):
    names, *rows = rows
    rows = rows or [[None] * len(names)]
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    path = tmp_path / name
    if has_lines:
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects), encoding="utf-8")
    else:
        path.write_text(json.dumps(objects, indent=indent), encoding="utf-8")
    alone = has_lines and len(rows) == 1 and name == "x.json" and all(isinstance(v, list | dict) for v in rows[0])
    if alone:
        with pytest.raises(InputError, match="list of objects"):
            read(path)
    else:
        assert read(path, piece) == [names, *rows]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", '{"data": [{"text": "a"}]}', "list of objects"),
        ("x.json", '{"text": {"0": "a", "1": "b"}}', "list of objects"),
        ("x.json", '{\n"text": ["a", "b"]\n}', "list of objects"),
        ("x.jsonl", '["text"]\n["a"]\n', "list of objects"),
        ("x.jsonl", "{}\n{}\n", "list of objects"),
        ("x.jsonl", "\n\n", "is empty"),
        ("x.json", '[{"text": "a"},\n{"text": }]', "line 2: not valid JSON"),
        ("x.jsonl", '{"text": "a"}\n{"text": ' + "9" * 5000 + "}\n", "line 2: this JSON cannot be read"),
        ("x.jsonl", '{"text": ' + "[" * 100_000 + "\n", "line 1: this JSON cannot be read"),
    ],
)
def test_json_that_is_not_a_table_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_repeated_name_in_a_json_object_is_refused_only_if_it_is_needed(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "n": 1}\n{"text": "b", "n": 1, "n": 2}\n')
    table = open_table(path)
    assert next(table.read(["text"])) == {"text": ["a", "b"]}
    with pytest.raises(InputError, match=r"row 2 has 'n' more than once"):
        next(table.read(["n"]))


# ---- Columns ----


def difficult_columns():
    """Columns with types that datasets do not support, or with the same name."""
    return pa.table(
        [
            pa.array(["a", "b", "c"], pa.large_string()),
            pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            pa.array([b"1" * 16, None, b"2" * 16], pa.binary(16)).cast(pa.uuid()),
            pa.array([2**50, None, 0], pa.timestamp("ms")),
            pa.nulls(3),
            pa.array(["x", "y", "x"]).dictionary_encode(),
            pa.array(["x", "y", None], pa.string_view()),
            pa.array([{"p": {"q": [1]}}, None, {"p": None}]),
            pa.array([1, 2, 3]),
            pa.array([4, 5, 6]),
        ],
        names=["text", "map", "uuid", "far", "null", "kind", "view", "nested", "n", "n"],
    )


def test_unneeded_columns_can_be_invalid(tmp_path):
    pq.write_table(difficult_columns().drop_columns(["view"]), tmp_path / "x.parquet")
    table = open_table(tmp_path / "x.parquet")
    assert [piece["text"] for piece in table.read(["text"], rows=2)] == [["a", "b"], ["c"]]
    assert len(list(table.texts())) == 3
    with pytest.raises(InputError, match="2 columns named 'n'"):
        table.read(["n"])


@pytest.mark.parametrize("is_file", [True, False])
def test_columns_of_any_arrow_type_are_read(is_file, tmp_path):
    data = difficult_columns()
    if is_file:
        data = data.drop_columns(["view"])
        pq.write_table(data, tmp_path / "x.parquet")
        data = tmp_path / "x.parquet"
    table = open_table(data)
    found = next(table.read([name for name in table.names if name != "n"]))
    assert found["map"] == [[["k", 1]], None, []]
    assert [value and str(value) for value in found["uuid"]] == [
        "31313131-3131-3131-3131-313131313131",
        None,
        "32323232-3232-3232-3232-323232323232",
    ]
    assert found["far"][1] is None
    assert found["kind"] == ["x", "y", "x"]
    assert found["nested"] == [{"p": {"q": [1]}}, None, {"p": None}]


@pytest.mark.parametrize(
    "values", [pd.period_range("2024-01", periods=2, freq="M"), pd.interval_range(0, 2)], ids=["period", "interval"]
)
def test_a_parquet_file_with_pandas_extension_types_is_read(values, tmp_path):
    pd.DataFrame({"text": ["a", "b"], "more": values}).to_parquet(tmp_path / "x.parquet")
    pd.read_parquet(tmp_path / "x.parquet")  # registers the types
    table = open_table(tmp_path / "x.parquet")
    assert next(table.read(["text"])) == {"text": ["a", "b"]}
    assert len(list(table.texts())) == len(next(table.read(["more"]))["more"]) == 2


def test_column_names_can_be_empty_or_repeated(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(",text,,n,n\n0,a,1,2,3\n")
    table = open_table(path)
    assert table.names == ["", "text", "", "n", "n"]
    assert next(table.read(["text"])) == {"text": ["a"]}
    assert list(table.texts()) == [["0", "a", "1", "2", "3"]]
    for name in ("", "n"):
        with pytest.raises(InputError, match=f"2 columns named {name!r}"):
            table.read([name])


def test_a_column_is_found_by_the_normal_form_of_its_name(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id, Gro\u0308ße \n1,a\n", encoding="utf-8")
    assert next(open_table(path).read(["Größe"])) == {"Größe": ["a"]}


# ---- Data in memory ----


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (np.str_("a"), "a"),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        (np.array("a"), "a"),
        (pa.scalar("a"), "a"),
        (pa.scalar(None), None),
        (pa.array([1, None]), [1, None]),
        (pd.Series([1.0, None]), [1.0, None]),
        (("a", {"b": np.nan}), ["a", {"b": None}]),
        (b"\xc3\xa4", "ä"),
        (b"\xff", b"\xff"),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        (["\ud83d"], ["\ufffd"]),
        (pd.Period("2024-01"), "2024-01"),
        (pd.Interval(0, 1), "(0, 1]"),
    ],
)
def test_a_cell_has_the_same_form_in_every_source(value, expected):
    found = normal_cell(value)
    assert found == expected
    assert type(found) is type(expected)


def test_tensors_are_read_as_lists():
    torch = pytest.importorskip("torch")
    assert normal_cell(torch.tensor([1, 2])) == [1, 2]


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_encoded(text):
    assert normal_cell(text).encode() is not None


def labelled(names=("n", "p")):
    features = Features(
        {
            "text": Value("string"),
            "label": ClassLabel(names=list(names)),
            "tags": List(ClassLabel(names=["O", "B-X"])),
        }
    )
    rows = {"text": ["a", None, "c"], "label": [0, 1, -1], "tags": [[0, 1], [], None]}
    return Dataset.from_dict(rows, features=features)


EXPECTED = [["a", "n", ["O", "B-X"]], [None, "p", []], ["c", None, None]]


@pytest.mark.parametrize("format", [None, "arrow", "numpy", "torch", "pandas"])
@pytest.mark.parametrize("rows", [None, 1, 2])
def test_a_dataset_is_read_the_same_in_every_format(format, rows):
    assert read(labelled().with_format(format), rows)[1:] == EXPECTED
    assert read(labelled().select([2, 1, 0]).with_format(format), rows)[1:] == EXPECTED[::-1]


def test_a_transform_of_a_dataset_is_applied():
    data = Dataset.from_dict({"raw": ["a", "b"]})
    data.set_transform(
        lambda batch: {"text": [value.upper() for value in batch["raw"]], "n": np.zeros((len(batch["raw"]), 2))}
    )
    assert read(data, 1) == [["text", "n"], ["A", [0.0, 0.0]], ["B", [0.0, 0.0]]]


def test_label_names_of_a_parquet_file_are_read(tmp_path):
    labelled().to_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", 2)[1:] == EXPECTED


@pytest.mark.parametrize("rows", [None, 1])
def test_missing_values_of_a_data_frame_are_missing(rows):
    frame = pd.DataFrame(
        {
            "text": pd.array(["a", pd.NA], dtype="string"),
            "n": pd.array([1, None], dtype="Int64"),
            "kind": pd.Categorical(["x", None]),
            "when": pd.to_datetime(["2024-01-01", None]),
        },
        index=[7, 7],
    )
    found = read(frame, rows)
    assert found[2] == [None] * 4
    assert [str(value) for value in found[1]] == ["a", "1", "x", "2024-01-01 00:00:00"]


def test_a_series_is_read_as_one_column():
    assert read(pd.Series(["a", None], name="body")) == [["body"], ["a"], [None]]
    assert read(pd.Series(["a"])) == [["text"], ["a"]]


def test_a_repeated_column_of_a_data_frame_is_refused_only_if_it_is_needed():
    table = open_table(pd.DataFrame([["a", 1, 2]], columns=["text", "n", "n"]))
    assert next(table.read(["text"])) == {"text": ["a"]}
    with pytest.raises(InputError, match="2 columns named 'n'"):
        table.read(["n"])


def test_a_dataset_dict_with_one_split_is_read():
    assert read(DatasetDict(test=Dataset.from_dict({"text": ["a"]}))) == [["text"], ["a"]]


def test_an_iterable_dataset_is_refused_with_the_remedy():
    with pytest.raises(InputError, match="IterableDataset: load it without streaming"):
        open_table(Dataset.from_dict({"text": ["a"]}).to_iterable_dataset())


# ---- Files and folders ----


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("__MACOSX/._x.csv", b"")
        archive.writestr("x.csv", content)
    return file.getvalue()


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


@pytest.mark.parametrize(
    ("ending", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstd), (".zip", zipped)],
)
def test_a_compressed_file_is_read(ending, compress, tmp_path):
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(compress(written([["text"], *[[f"ä {i}"] for i in range(50)]]).encode()))
    assert read(path, 7) == [["text"], *[[f"ä {i}"] for i in range(50)]]
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match="cannot be decompressed"):
        read(path)


def test_a_zip_file_with_several_tables_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.csv", "text\na\n")
        archive.writestr("b.csv", "text\nb\n")
    with pytest.raises(InputError, match=r"one table.*a\.csv, b\.csv"):
        read(tmp_path / "x.zip")


def folder_of(folder, contents):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_files_of_tools_in_a_folder_are_ignored(tmp_path):
    hidden = [
        ".ipynb_checkpoints/a-checkpoint.csv",
        ".git/x.json",
        "._a.csv",
        ".DS_Store",
        "_SUCCESS",
        "__MACOSX/._a.csv",
        "_temporary/0/part.csv",
        "__pycache__/x.json",
        "sub/.cache/x.csv",
    ]
    folder_of(tmp_path, {"a.csv": "text\na\n", "sub/b.csv": "text\nb\n", **dict.fromkeys(hidden, "")})
    assert read(tmp_path) == [["text"], ["a"], ["b"]]


def test_a_hidden_folder_is_read_if_its_path_is_given(tmp_path):
    assert read(folder_of(tmp_path / ".cache" / "_data", {"a.csv": "text\na\n"})) == [["text"], ["a"]]


def test_files_of_a_folder_can_have_different_layouts(tmp_path):
    folder_of(tmp_path, {"a.csv": "text;n\na;1\n", "b.csv": "n,text\n2,b\n", "c.jsonl": '{"text": "c", "n": "3"}'})
    assert read(tmp_path, 1) == [["text", "n"], ["a", "1"], ["b", "2"], ["c", "3"]]


def test_only_the_needed_columns_must_be_in_every_file(tmp_path):
    folder_of(tmp_path, {"a.csv": "text,n\na,1\n", "b.csv": "text,m,m\nb,2,3\n"})
    table = open_table(tmp_path)
    assert [piece["text"] for piece in table.read(["text"], rows=1)] == [["a"], ["b"]]
    assert [table.names, *table.texts()] == [["text", "n", "m", "m"], ["a", "1", "", ""], ["b", "", "2", "3"]]
    with pytest.raises(InputError, match=r"b.csv has the columns"):
        next(table.read(["n"]))


SPLITS = {"train": ["a", "b"], "test": ["c"]}


@pytest.mark.parametrize(
    "names",
    [
        {"train": "data/train-00000-of-00001.jsonl", "test": "data/test-00000-of-00001.jsonl"},
        {"train": "train.jsonl", "test": "test.jsonl"},
        {"train": "x/training/0.jsonl", "test": "x/eval/0.jsonl"},
    ],
)
def test_a_split_of_a_downloaded_repository_is_read(names, tmp_path, caplog):
    lines = {
        names[split]: "".join(json.dumps({"text": text}) + "\n" for text in texts) for split, texts in SPLITS.items()
    }
    folder_of(tmp_path, {**lines, "README.md": "---\nlicense: mit\n---\n", "dataset_infos.json": "{}"})
    assert read(tmp_path)[1:] == [["a"], ["b"]]
    assert "only the split 'train' is read" in caplog.text
    assert read(tmp_path, split="test")[1:] == [["c"]]
    with pytest.raises(InputError, match=r"the splits .*--split"):
        read(tmp_path, split="validation")


def test_the_splits_in_the_dataset_card_are_used(tmp_path):
    card = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: "first/*.csv"
  - split: test
    path: ["second/**"]
---
"""
    files = {"README.md": card, "first/x.csv": "text\na\n", "second/x.csv": "text\nb\n", "other.csv": "text\nc\n"}
    folder_of(tmp_path, files)
    assert read(tmp_path) == [["text"], ["a"]]
    assert read(tmp_path, split="test") == [["text"], ["b"]]


def test_several_configurations_are_refused(tmp_path):
    card = "---\nconfigs:\n- {config_name: de, data_files: de.csv}\n- {config_name: en, data_files: en.csv}\n---\n"
    folder_of(tmp_path, {"README.md": card, "de.csv": "text\na\n", "en.csv": "text\nb\n"})
    with pytest.raises(InputError, match="configurations 'de', 'en'"):
        read(tmp_path)


def test_splits_without_a_training_split_are_refused(tmp_path):
    folder_of(tmp_path, {"test.csv": "text\na\n", "dev.csv": "text\nb\n"})
    with pytest.raises(InputError, match=r"splits validation, test.*--split"):
        read(tmp_path)


def test_a_folder_with_one_split_is_read_completely(tmp_path):
    folder_of(tmp_path, {"a.csv": "text\na\n", "test.csv": "text\nb\n"})
    assert read(tmp_path)[1:] == [["a"], ["b"]]


def test_a_folder_of_save_to_disk_is_read(tmp_path):
    labelled().save_to_disk(tmp_path / "one")
    DatasetDict(train=labelled(), test=labelled().select([0])).save_to_disk(tmp_path / "two")
    assert read(tmp_path / "one")[1:] == EXPECTED
    assert read(tmp_path / "two", split="test")[1:] == EXPECTED[:1]
    with pytest.raises(InputError, match="splits 'train', 'test'"):
        read(tmp_path / "two")


def test_a_pattern_can_match_files_of_several_splits(tmp_path):
    folder_of(tmp_path, {"train.csv": "text\na\n", "test.csv": "text\nb\n"})
    assert read(f"{tmp_path}/t*.csv")[1:] == [["b"], ["a"]]


# ---- Raw cells ----


def test_raw_cells_are_the_cells_of_the_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('n;text\n01; a \n+2;"so ""it"" goes"\n')
    table = raw_table(path, rows=1)
    assert (table.names, list(table.rows), table.delimiter) == (
        ["n", "text"],
        [["01", " a "], ["+2", 'so "it" goes']],
        ";",
    )


def test_raw_cells_that_are_not_strings_are_converted_to_strings(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"n": 1, "words": ["a", "ä"], "none": None}))
    table = raw_table(path)
    assert (table.names, list(table.rows)) == (["n", "words", "none"], [["1", '["a", "ä"]', ""]])


def test_without_a_number_of_rows_there_is_one_piece():
    (table,) = read_tables(pd.DataFrame({"text": ["a", "b"]}), columns=["text"])[0]
    assert table == {"text": ["a", "b"]}
