import json

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import TextClassification, read_data
from freeal_hf.data.texts import is_usable, stream_texts
from freeal_hf.errors import InputError

TASK = TextClassification(["good", "bad"])
ROWS = [{"text": "fine film", "gold": "good"}, {"text": "dull, slow film", "gold": "bad"}]


def write_csv(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


@pytest.fixture(params=["csv", "tsv", "json", "jsonl", "parquet", "Dataset", "DataFrame"])
def source(request, tmp_path):
    frame, path = pd.DataFrame(ROWS), tmp_path / f"data.{request.param}"
    if request.param in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="\t" if request.param == "tsv" else ",")
    elif request.param == "json":
        path.write_text(json.dumps(ROWS))
    elif request.param == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    elif request.param == "parquet":
        frame.to_parquet(path)
    else:
        return Dataset.from_list(ROWS) if request.param == "Dataset" else frame
    return path


def test_every_format_gives_the_same_dataset(source):
    data = read_data(source, TASK, gold_column="gold")
    assert data["text"][:] == ["fine film", "dull, slow film"]
    assert data["gold"][:] == [0, 1]
    assert data["note"][:] == [None, None]


def test_gold_is_a_class_label_of_the_task(source):
    assert read_data(source, TASK, gold_column="gold").features["gold"] == ClassLabel(names=["good", "bad"])


def test_ids_do_not_depend_on_the_order_of_rows():
    data = read_data(Dataset.from_list(ROWS))
    turned = read_data(Dataset.from_list(ROWS[::-1]))
    assert dict(zip(data["text"], data["id"], strict=True)) == dict(zip(turned["text"], turned["id"], strict=True))


@given(texts=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=12))
def test_ids_are_unique_even_for_equal_texts(texts):
    ids = read_data(Dataset.from_dict({"text": texts}))["id"][:]
    assert len(set(ids)) == len(texts)


def test_several_columns_are_joined_by_name_without_empty_values():
    rows = Dataset.from_dict({"title": ["Lamp", "Pan"], "body": ["It flickers", ""], "stars": ["1", "5"]})
    data = read_data(rows, text_columns=["title", "body", "stars"])
    assert data["text"][:] == ["title: Lamp, body: It flickers, stars: 1", "title: Pan, stars: 5"]


def test_the_word_na_is_a_text_and_not_a_missing_value(tmp_path):
    data = read_data(write_csv(tmp_path / "x.csv", "text\nNA\nnull\n"))
    assert data["text"][:] == ["NA", "null"]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    assert read_data(write_csv(tmp_path / "x.csv", "text\nhello\n", "utf-8-sig"))["text"][:] == ["hello"]


def test_zero_bytes_behind_a_byte_order_mark_of_utf_8_do_not_mean_utf_16(tmp_path):
    assert read_data(write_csv(tmp_path / "x.csv", "text\na\0b\n", "utf-8-sig"))["text"][:] == ["a\0b"]


@pytest.mark.parametrize(
    ("value", "note"),
    [(None, "missing"), ("", "empty"), (" \n", "empty")],
)
def test_a_row_without_a_text_is_kept_with_the_reason(value, note):
    data = read_data(Dataset.from_dict({"text": ["hello", value]}))
    assert len(data) == 2
    assert note in data["note"][1]
    assert not is_usable(data["note"][1])


def test_a_value_that_is_not_a_string_is_kept_with_the_reason(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "hello"}\n{"text": null}\n')
    frame = pd.DataFrame({"text": ["hello", "you"]})
    assert read_data(path)["note"][:] == [None, "the text is missing"]
    assert read_data(frame)["note"][:] == [None, None]


def test_json_values_of_mixed_types_are_distinguished(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "hello"}\n{"text": 17}\n')
    data = read_data(path)
    assert data["text"][1] == "17"
    assert data["note"][1] == "the text is a int, not a string"


def test_a_very_long_text_is_cut_and_has_a_note():
    data = read_data(Dataset.from_dict({"text": ["x" * 100_000, "y"]}))
    assert len(data["text"][0]) == 20_000
    assert data["note"][0] == "text cut from 100000 to 20000 characters"
    assert is_usable(data["note"][0])


def test_a_cell_of_half_a_megabyte_can_be_read_from_csv(tmp_path):
    data = read_data(write_csv(tmp_path / "x.csv", "text\n" + "x" * 500_000 + "\n"))
    assert data["note"][0].startswith("text cut from 500000")


def test_gold_can_be_empty_and_case_is_ignored():
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "gold": ["Good", "", " bad "]})
    assert read_data(rows, TASK, gold_column="gold")["gold"][:] == [0, -1, 1]


def test_gold_of_a_class_label_is_matched_by_name():
    features = Features({"text": Value("string"), "gold": ClassLabel(names=["bad", "good"])})
    rows = Dataset.from_dict({"text": ["a", "b"], "gold": [0, 1]}, features=features)
    assert read_data(rows, TASK, gold_column="gold")["gold"][:] == [1, 0]


def test_a_second_view_is_kept_under_its_name():
    rows = Dataset.from_dict({"text": ["a", "b"], "back": ["A", None]})
    assert read_data(rows, augmented_column="back")["augmented_text"][:] == ["A", ""]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("x.csv", "", {}, "is empty"),
        ("x.csv", "text\n", {}, "no rows"),
        ("x.csv", "body\nhello\n", {}, "no column 'text'; its columns are 'body'.*--text-columns"),
        ("x.csv", "text;gold\nhello, you, there\n", {"delimiter": "|"}, "try --delimiter ';'"),
        ("x.csv", "text,gold\nhello, you,good\n", {}, "line 2.*3 cells and the header 2"),
        ("x.csv", 'text\n"hello\n', {}, "line 2"),
        ("x.csv", "text,text\na,b\n", {}, "2 columns named 'text'"),
        (
            "x.csv",
            "text,gold\nhello,great\n",
            {"gold_column": "gold"},
            "gold column 'gold': none of 1 value .*'great' .1 row..*'good', 'bad'.*--label-map",
        ),
        ("x.csv", "text,gold\nhello,good\n", {"gold_column": "label"}, "no column 'label'"),
        ("x.csv", "text,n\na,1\nb,1\n", {"id_column": "n"}, "id '1' is in 2 rows"),
        ("x.csv", "text,n\na,1\nb,\n", {"id_column": "n"}, "row 2 has no id"),
        ("x.csv", "text,n\n,1\n,2\n", {}, "no usable text"),
        ("x.jsonl", '{"text": "a"}\n{"text": \n', {}, "line 2: not valid JSON"),
        ("x.json", "{}", {}, "list of objects"),
        ("x.json", "[]", {}, "is empty"),
        ("x.txt", "hello", {}, "the format '.txt' is unknown; save the file as .csv"),
        ("x.conll", "Ada B-PER", {}, "`freeal-hf convert` reads CoNLL"),
        ("x.parquet", "hello", {}, "cannot be read as a Parquet file"),
        ("x.csv", "text\nhello\n", {"encoding": "utf-99"}, "Encoding 'utf-99' is unknown"),
    ],
)
def test_an_unusable_file_is_refused_with_the_place_and_the_remedy(name, content, options, message, tmp_path):
    path = write_csv(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        read_data(path, TASK, **options)


def test_a_file_in_another_encoding_is_refused_with_the_likely_encoding(tmp_path):
    path = write_csv(tmp_path / "x.csv", "text\nfine\ncafé\n", "latin-1")
    with pytest.raises(InputError, match=r"not utf-8: byte 0xe9 in line 3.*--encoding cp1252.*'café'"):
        read_data(path, encoding="utf-8")
    assert read_data(path, encoding="cp1252")["text"][:] == ["fine", "café"]


def test_a_missing_file_is_reported():
    with pytest.raises(InputError, match=r"no data file 'nowhere/x\.csv'"):
        read_data("nowhere/x.csv")


def test_a_source_that_is_neither_a_file_nor_on_the_hub_is_reported(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="no file 'someone/nothing'"):
        read_data("someone/nothing")


def test_a_split_of_a_dataset_dict_is_read():
    splits = DatasetDict(train=Dataset.from_list(ROWS), test=Dataset.from_list(ROWS[:1]))
    with pytest.raises(InputError, match="choose one, such as"):
        read_data(splits)
    assert len(read_data(splits, split="test")) == 1


def test_a_stream_gives_the_same_texts_and_notes_as_reading_everything(source):
    pieces = list(stream_texts(source, rows=1))
    whole = read_data(source)
    assert [row for piece in pieces for row in piece] == list(
        zip(whole["id"], whole["text"], whole["note"], strict=True)
    )


@pytest.mark.parametrize("name", ["large.csv", "large.jsonl", "large.parquet"])
def test_a_stream_reads_a_file_in_pieces(name, tmp_path):
    frame, path = pd.DataFrame({"text": [f"text {i}" for i in range(10)]}), tmp_path / name
    writers = {"csv": frame.to_csv, "jsonl": lambda p: frame.to_json(p, orient="records", lines=True)}
    writers.get(path.suffix[1:], frame.to_parquet)(path)
    assert [len(piece) for piece in stream_texts(path, rows=4)] == [4, 4, 2]


def test_the_memory_of_a_stream_does_not_depend_on_the_number_of_rows(tmp_path):
    import tracemalloc

    def peak(rows):
        path = write_csv(tmp_path / f"{rows}.csv", "text\n" + "".join(f"a text numbered {i}\n" for i in range(rows)))
        tracemalloc.start()
        for _ in stream_texts(path, rows=100):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # imports
    assert peak(20_000) < 1.5 * peak(2_000)


def test_a_stream_reports_the_line_of_a_late_error(tmp_path):
    path = write_csv(tmp_path / "x.csv", "text\n" + "fine\n" * 7 + "two,cells\n")
    stream = stream_texts(path, rows=5)
    assert len(next(stream)) == 5
    with pytest.raises(InputError, match="line 9"):
        next(stream)


@pytest.mark.parametrize(("content", "message"), [("text\n", "no rows"), ('text\n""\n""\n', "no usable text")])
def test_a_stream_without_a_usable_text_is_refused(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        list(stream_texts(write_csv(tmp_path / "x.csv", content)))


def write_shards(folder):
    folder.mkdir()
    (folder / "b.csv").write_text("text\nthird\nfirst\n")
    (folder / "a.jsonl").write_text('{"text": "first"}\n{"text": "second"}\n')
    (folder / "notes.md").write_text("no table")
    return folder


def test_the_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path):
    dataset = read_data(str(write_shards(tmp_path / "shards")))
    assert list(dataset["text"]) == ["first", "second", "third", "first"]
    assert len(set(dataset["id"])) == 4


def test_shards_at_an_address_are_read_like_those_of_a_folder(tmp_path):
    import fsspec

    shards = write_shards(tmp_path / "shards")
    memory = fsspec.filesystem("memory")
    for path in shards.iterdir():
        memory.pipe(f"/texts/{path.name}", path.read_bytes())
    remote = [row for rows in stream_texts("memory://texts", rows=1) for row in rows]
    assert remote == [row for rows in stream_texts(str(shards), rows=3) for row in rows]
    assert [row.text for row in remote] == ["first", "second", "third", "first"]
    for pattern in ("memory://texts/*.*", f"file://{shards}/*.*", f"{shards}/*.*"):
        assert [row for rows in stream_texts(pattern, rows=2) for row in rows] == remote


def test_a_pattern_without_matches_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no table"):
        read_data(f"{tmp_path}/*.csv")


@pytest.mark.parametrize("content", [{}, {"a.csv": "text\nx\n", "b.csv": "title\ny\n"}], ids=["no table", "columns"])
def test_a_folder_without_a_table_is_refused(content, tmp_path):
    for name, lines in content.items():
        (tmp_path / name).write_text(lines)
    with pytest.raises(InputError, match="has no table" if not content else "has the columns"):
        read_data(str(tmp_path))


def test_one_column_can_be_text_id_gold_and_annotator():
    data = read_data(
        Dataset.from_dict({"text": ["good", "bad"]}),
        TASK,
        gold_column="text",
        id_column="text",
        extra_columns=["text", "text"],
    )
    expected = {"id": ["good", "bad"], "text": ["good", "bad"], "note": [None, None], "gold": [0, 1]}
    assert data.to_dict() == {**expected, "column:text": ["good", "bad"]}


def test_columns_are_found_by_the_normal_form_of_their_names():
    rows = Dataset.from_dict({" my  text ": ["a", "b"], "Pru\u0308fung": ["good", "bad"], "text": ["x", "y"]})
    data = read_data(rows, TASK, text_columns=["my text"], gold_column="Pr\u00fcfung")
    assert (data["text"][:], data["gold"][:]) == (["a", "b"], [0, 1])
