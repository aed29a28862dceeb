import csv
import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from freeal_hf import FreeAL, FreeALConfig, LoopConfig, TextClassification
from freeal_hf.cli.main import main
from freeal_hf.data.texts import read_data
from freeal_hf.kinds.rounds import Selection
from tests.conftest import QUICK_TRAINING, KeywordAnnotator

TASK = TextClassification(["fruit", "tool"])
TEXTS = ["my old apple", "the new saw", "a red plum on the table"]


@pytest.fixture(scope="module")
def student(student_folder, tmp_path_factory):
    """A classifier with a random head on the tiny encoder: what it says is never asserted."""
    folder = tmp_path_factory.mktemp("predict") / "student"
    torch.manual_seed(0)
    names = ["fruit", "tool", "neither"]
    model = AutoModelForSequenceClassification.from_pretrained(
        student_folder, num_labels=3, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(student_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text\n" + "".join(f"{text}\n" for text in TEXTS))
    return path


def predict(student, data, *more):
    """Exit code, and the rows that were written."""
    output = data.parent / "deep" / "predictions.csv"
    code = main(["predict", "--model", str(student), "--data", str(data), "--output", str(output), *more])
    return code, list(csv.DictReader(output.open())) if output.exists() else None


def test_every_text_gets_its_most_probable_label(student, data):
    code, rows = predict(student, data)
    assert code == 0
    assert [row["text"] for row in rows] == TEXTS
    assert all(1 / 3 <= float(row["confidence"]) <= 1 for row in rows)


def test_a_row_without_a_text_is_kept_with_the_reason(student, data):
    data.write_text("n,text\n1,my old apple\n2,\n")
    rows = predict(student, data)[1]
    assert [row["label"] != "" for row in rows] == [True, False]
    assert rows[1]["note"] == "the text is empty"


def test_a_text_that_a_spreadsheet_would_execute_is_made_harmless_and_read_back(student, data):
    data.write_text('text\n"=HYPERLINK(""http://a.example"")"\n- the saw\n')
    _, rows = predict(student, data)
    assert [row["text"] for row in rows] == ['\'=HYPERLINK("http://a.example")', "'- the saw"]
    again = read_data(data.parent / "deep" / "predictions.csv")
    assert again["text"][:] == ['=HYPERLINK("http://a.example")', "- the saw"]


def test_a_text_that_is_longer_than_the_student_reads_is_cut(student, data):
    data.write_text("text\n" + "my old apple " * 1000 + "\n")
    assert predict(student, data)[1][0]["label"]


def test_top_k_gives_the_k_most_probable_labels_in_order(student, data):
    for row in predict(student, data, "--top-k", "3")[1]:
        confidences = [float(row[name]) for name in ("confidence", "confidence_2", "confidence_3")]
        assert confidences == sorted(confidences, reverse=True)
        assert {row["label"], row["label_2"], row["label_3"]} == {"fruit", "tool", "neither"}


def test_probabilities_of_all_labels_sum_to_one(student, data):
    for row in predict(student, data, "--probabilities")[1]:
        found = {name: float(row[f"probability_{name}"]) for name in ("fruit", "tool", "neither")}
        assert sum(found.values()) == pytest.approx(1, abs=1e-5)
        assert max(found, key=found.get) == row["label"]


def test_embeddings_are_the_same_as_during_training(student_folder, corpus, tmp_path):
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
    FreeAL(TASK, KeywordAnnotator(), str(student_folder), args, LoopConfig(num_rounds=1)).run(corpus)
    data = tmp_path / "run" / "input.parquet"
    code, rows = predict(tmp_path / "run" / "student", data, "--embeddings", "--id-column", "id")
    assert code == 0
    in_training = Selection.load(tmp_path / "run" / "round-0" / "selection.npz").embeddings
    assert np.allclose([json.loads(row["embedding"]) for row in rows], in_training, atol=0.01)


def test_the_batch_size_does_not_change_the_labels(student, data):
    assert predict(student, data, "--batch-size", "1")[1] == predict(student, data, "--batch-size", "3")[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--top-k", "4"], "top_k is 4; the student has 3 labels"),
        (["--top-k", "0"], "top_k is 0"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--text-columns", "body"], "no column 'body'"),
        (["--output", "DATA"], "is the file of the texts"),
        (["--output", "labels.parquet"], "would be a CSV file; give a name that ends with .csv"),
    ],
)
def test_invalid_options_end_with_one_line_and_no_file(more, message, student, data, capsys):
    code, rows = predict(student, data, *[str(data) if word == "DATA" else word for word in more])
    assert (code, rows) == (1, None)
    assert message in capsys.readouterr().err


def test_an_error_in_a_late_row_leaves_no_file(student, data):
    data.write_text("text\n" + "fine\n" * 5000 + "two,cells\n")
    assert predict(student, data) == (1, None)
    assert not list((data.parent / "deep").iterdir())


def test_columns_are_joined_by_name_with_empty_ones_left_out(student, data):
    data.write_text("title,body\nmy apple,on the table\n,the saw\n")
    rows = predict(student, data, "--text-columns", "title,body")[1]
    assert [row["text"] for row in rows] == ["title: my apple, body: on the table", "body: the saw"]


def test_a_student_knows_its_training_columns(student_folder, corpus, task, tmp_path):
    rows = [{"kind": "", "what": row["text"]} for row in corpus]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **{**QUICK_TRAINING, "num_train_epochs": 1})
    loop = FreeAL(task, KeywordAnnotator(), str(student_folder), args, text_columns=["kind", "what"])
    student = loop.run(path).student
    data = tmp_path / "new.csv"
    data.write_text("what,kind\nsaw,tool\n")
    assert predict(student, data)[1][0]["text"] == "kind: tool, what: saw"
