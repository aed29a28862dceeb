import csv

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import FreeAL, FreeALConfig, LoopConfig, TextClassification, kind_of, read_data
from freeal_hf.cli.main import main
from freeal_hf.data.labels_csv import keep_columns, write_csv
from freeal_hf.data.spreadsheets import restored
from freeal_hf.data.tables import RawTable, open_table
from freeal_hf.errors import InputError
from freeal_hf.kinds.human_labels import read_human_labels
from tests.conftest import QUICK_TRAINING

FEATURES = Features(
    {
        "id": Value("string"),
        "text": Value("string"),
        "label": ClassLabel(names=["good", "bad"]),
        "label_confidence": Value("float64"),
        "note": Value("string"),
    }
)
CELL = kind_of(TextClassification(["good", "bad"])).cell
CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.text("=+-@'\t\r\n\";, a1")
)


def labels_of(texts):
    rows = {
        "id": [f"t{i}" for i in range(len(texts))],
        "text": texts,
        "label": [i % 3 - 1 for i in range(len(texts))],
        "label_confidence": [0.5] * len(texts),
        "note": [None] * len(texts),
    }
    return Dataset.from_dict(rows, features=FEATURES)


def written(folder, labels, names, rows, delimiter=",", repeated=()):
    table = RawTable(list(names), iter([list(row) for row in rows]), delimiter)
    keep_columns(folder / "columns.parquet", table, len(labels), repeated=repeated)
    write_csv(folder / "labels.csv", labels, folder / "columns.parquet", cell=CELL)
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_the_columns_of_the_user_come_first_and_the_columns_of_the_run_follow(tmp_path):
    names = ["b", "", "text", "a", "a"]
    header, first, second = written(tmp_path, labels_of(["x", "y"]), names, ["1ü3xz", "4567w"], ";", ["text"])
    assert header == [*names, "id", "label", "label_confidence", "note"]
    assert first == ["1", "ü", "3", "x", "z", "t0", "", "0.5", ""]
    assert second == ["4", "5", "6", "7", "w", "t1", "good", "0.5", ""]
    assert (tmp_path / "labels.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_column_of_the_run_is_renamed_if_the_user_has_one_of_the_same_name(tmp_path):
    names = ["label", "freeal_label", "id", "note", "text"]
    header = written(tmp_path, labels_of(["x"]), names, [names])[0]
    own = ["freeal_id", "freeal_text", "freeal_freeal_label", "label_confidence", "freeal_note"]
    assert header == [*names, *own]


def test_without_columns_of_the_user_only_those_of_the_run_are_written(tmp_path):
    write_csv(tmp_path / "labels.csv", labels_of(["=x"]), tmp_path / "columns.parquet", cell=CELL)
    assert open_table(tmp_path / "labels.csv").names == list(FEATURES)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4), delimiter=st.sampled_from(",;\t|"))
def test_no_cell_is_a_formula_and_every_cell_can_be_restored(rows, delimiter, tmp_path_factory):
    texts = [text for text, _ in rows]
    found = written(
        tmp_path_factory.mktemp("run"), labels_of(texts), ["text", "=more"], rows, delimiter, repeated=["text"]
    )
    for row in found:
        assert not any(cell.startswith(("=", "@", "\t", "\r", "\n")) for cell in row)
    assert [tuple(map(restored, row[:2])) for row in found[1:]] == rows


@given(texts=st.lists(CELLS.filter(str.strip), min_size=1, max_size=4))
def test_reading_labels_csv_as_data_gives_the_same_texts(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("run")
    written(folder, labels_of(texts), ["text", "x"], [(text, "x") for text in texts], repeated=["text"])
    assert read_data(folder / "labels.csv", delimiter=",")["text"][:] == texts


def test_a_table_whose_number_of_rows_has_changed_is_refused(tmp_path):
    with pytest.raises(InputError, match="has 1 row and had 2 before"):
        written(tmp_path, labels_of(["x", "y"]), ["text"], ["x"])


def test_labels_csv_has_the_columns_of_the_user_and_is_not_read_as_human_labels(
    corpus, task, student_folder, tmp_path
):
    texts = ["=apple", *corpus["text"][1:]]
    with (tmp_path / "data.csv").open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["größe", "text", "gold", "label"])
        writer.writerows(["-1", text, gold, "@x"] for text, gold in zip(texts, corpus["gold"], strict=True))
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK_TRAINING.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--num-rounds", "1"),
        *("--gold-column", "gold", "--annotator", "column:gold", "--student", str(student_folder)),
        *("--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 0
    path = tmp_path / "run" / "labels.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, first, *others = csv.reader(file, delimiter=";")
    assert header[:6] == ["größe", "text", "gold", "label", "id", "freeal_label"]
    assert first[:4] == ["-1", "'=apple", corpus["gold"][0], "'@x"]
    assert len(others) == len(corpus) - 1
    assert read_data(path)["text"][:] == texts
    with pytest.raises(InputError, match="no person has checked"):
        read_human_labels(path, task)


def test_a_dataset_in_memory_is_written_with_all_its_columns(corpus, task, annotator, student_folder, tmp_path):
    data = Dataset.from_dict({"text": corpus["text"], "more": [[i] for i in range(len(corpus))]})
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
    FreeAL(task, annotator, str(student_folder), args, LoopConfig(num_rounds=1)).run(data)
    with (tmp_path / "run" / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["more"]) for row in rows] == [(text, f"[{i}]") for i, text in enumerate(corpus["text"])]
