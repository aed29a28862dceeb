"""Runs of a task with any number of labels for each text, from the file to the labels."""

import csv
import re
import shutil
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from freeal_hf import (
    Annotation,
    FreeAL,
    FreeALConfig,
    LoopConfig,
    MultiLabelClassification,
    kind_of,
    read_human_labels,
)
from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.cli.main import main
from freeal_hf.data.label_sets import LabelSetColumn
from freeal_hf.errors import InputError
from freeal_hf.kinds.rounds import Selection
from tests.conftest import FILLERS, FRUIT, QUICK_TRAINING, TOOLS

NAMES = ("fruit", "tool")
MULTI_TRAINING = {**QUICK_TRAINING, "num_train_epochs": 6, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def task():
    return MultiLabelClassification({"fruit": "something to eat", "tool": "something to work with"})


def truth_of(text):
    return [name for name, words in zip(NAMES, (FRUIT, TOOLS), strict=True) if set(words) & set(text.split())]


def make_rows(count=96):
    """Texts about fruit, tools, both or neither, in equal parts; the annotator misses or adds a label in some."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        words = [
            *rng.choice(FILLERS, 4),
            *(FRUIT[i // 4 % 6 :][:1] if i % 2 else []),
            *(TOOLS[i % 6 :][:1] if i % 4 > 1 else []),
        ]
        text = " ".join(rng.permutation(words))
        said = truth_of(text)
        if i % 12 == 0:
            said = ["fruit"]
        elif i % 12 == 7:
            said = said[:1]
        rows.append({"text": text, "gold": truth_of(text), "answers": None if i % 24 == 9 else said})
    return rows


@pytest.fixture(scope="module")
def run(task, student_folder, tmp_path_factory):
    """A run of two rounds on lists of labels."""
    folder = tmp_path_factory.mktemp("multi") / "run"
    args = FreeALConfig(output_dir=str(folder), **MULTI_TRAINING)
    data = Dataset.from_list(make_rows())
    return FreeAL(task, "column:answers", str(student_folder), args, LoopConfig(num_rounds=2, stop_on="never")).run(
        data
    )


def test_a_run_of_two_rounds_labels_texts_with_several_labels_one_and_none(run):
    found = {tuple(labels) for labels in run.dataset["label"] if labels is not None}
    assert found == {(), (0,), (1,), (0, 1)}
    assert run.rounds[-1]["label_micro_f1"] > run.rounds[-1]["annotator_micro_f1"]
    assert run.rounds[-1]["student_micro_f1"] > 0.6


def test_no_answer_and_none_of_the_labels_are_kept_apart(run):
    said = run.dataset["annotator_label"][:]
    assert [i for i, labels in enumerate(said) if labels is None] == list(range(9, 96, 24))
    assert said.count([]) > 10
    table = pq.read_table(run.output_dir / "labels.parquet")
    assert table["annotator_label"].null_count == 4
    with (run.output_dir / "labels.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert rows[9]["annotator_label"] == ""
    assert {row["annotator_label"] for row in rows} == {"", "(none)", "fruit", "tool", "fruit;tool"}
    assert rows[9]["note"] == "column 'answers' is empty"


def test_demonstrations_cover_each_label_their_combination_and_none(task):
    kind, rows = kind_of(task), kind_of(task).read_rows(Dataset.from_list(make_rows()), gold_column="gold")
    corpus, count = kind.collect(rows), len(rows)
    answers = kind.no_answers(corpus)
    for i, labels in enumerate(rows["gold"][:]):
        answers.take(i, Annotation(0, labels=tuple(labels)))
    embeddings = np.random.default_rng(0).normal(size=(count, 4))
    losses, is_clean = np.random.default_rng(1).random((count, 2)), np.ones((count, 2), dtype=bool)
    selection = Selection(losses, is_clean, answers.labels * 0.9, embeddings, embeddings, np.array([0.5, 0.5]))
    pool = kind.choose_pool(corpus, answers, selection, LoopConfig(pool_size=16), seed=0)
    assert Counter(shot.labels for shot in pool) == {(): 4, (0,): 4, (1,): 4, (0, 1): 4}
    assert all(shot.label == -1 if not shot.labels else shot.label in shot.labels for shot in pool)


def test_gold_as_truth_values_and_a_separated_string_give_the_same_run_on_the_command_line(student_folder, tmp_path):
    rows = make_rows(48)
    for row in rows:
        for name in NAMES:
            row[f"is_{name}"] = name in row["gold"]
        row["gold"] = ";".join(row["gold"]) or "(none)"
        row["answers"] = "" if row["answers"] is None else " ; ".join(row["answers"]) or "(none)"
    with (tmp_path / "data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    common = ["--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--multi-label", "--num-rounds", "1"]
    common += ["--annotator", "column:answers", "--student", str(student_folder)]
    training = [f"--{name.replace('_', '-')}={value}" for name, value in MULTI_TRAINING.items()]
    found = []
    for number, gold in enumerate(("gold", "is_*")):
        folder = tmp_path / f"run-{number}"
        own = ["--gold-column", gold, "--output-dir", str(folder)]
        assert main(["run", *common, *own, *training]) == 0
        found.append(pq.read_table(folder / "labels.parquet")["gold"].to_pylist())
    assert found[0] == found[1]
    assert [] in found[0] and [0, 1] in found[0]
    output = tmp_path / "predictions.csv"
    model = str(tmp_path / "run-0" / "student")
    data = str(tmp_path / "data.csv")
    assert main(["predict", "--model", model, "--data", data, "--output", str(output), "--probabilities"]) == 0
    with output.open() as file:
        predicted = list(csv.DictReader(file))
    assert {row["label"] for row in predicted} <= {"(none)", "fruit", "tool", "fruit;tool"}
    assert all(0 <= float(row[f"probability_{name}"]) <= 1 for row in predicted for name in NAMES)


def test_predict_writes_the_most_probable_labels_with_their_probabilities(run, tmp_path):
    (tmp_path / "data.csv").write_text("text\nan old apple\nthe hammer of the day\n")
    output, student = tmp_path / "predictions.csv", str(run.student)
    command = ["predict", "--model", student, "--data", str(tmp_path / "data.csv"), "--output", str(output)]
    assert main([*command, "--top-k", "2", "--probabilities"]) == 0
    with output.open() as file:
        predicted = list(csv.DictReader(file))
    for row in predicted:
        assert row["confidence_1"] >= row["confidence_2"]
        assert {row["label_1"], row["label_2"]} == set(NAMES)
        assert row["confidence_1"] == row[f"probability_{row['label_1']}"]


def test_human_labels_of_a_run_are_sets_and_an_empty_cell_is_not_filled_in(task, tmp_path):
    (tmp_path / "human.csv").write_text("id,label\na,fruit;tool\nb,(none)\nc,\n")
    found = read_human_labels(tmp_path / "human.csv", task)
    assert [(label.id, label.label) for label in found] == [("a", (0, 1)), ("b", ())]


def test_human_labels_can_be_columns_of_truth_values(task, tmp_path):
    (tmp_path / "human.csv").write_text("id,fruit,tool\na,1,0\nb,0,0\nc,,\n")
    found = read_human_labels(tmp_path / "human.csv", task)
    assert [(label.id, label.label) for label in found] == [("a", (0,)), ("b", ())]


@pytest.mark.parametrize("cell", ["fruit;metal", "none", "fruit+tool"])
def test_a_human_label_that_is_not_in_the_task_is_refused(task, tmp_path, cell):
    (tmp_path / "human.csv").write_text(f"id,label\na,{cell}\n")
    remedy = r"\(none\) means none of the labels, several are written as 'fruit;tool' .*--label-separator"
    with pytest.raises(InputError, match=rf"'{re.escape(cell)}'.*is not a label.*{remedy}"):
        read_human_labels(tmp_path / "human.csv", task)


def test_an_empty_human_label_is_not_filled_in_though_an_empty_cell_of_the_data_means_none(task, tmp_path):
    (tmp_path / "human.csv").write_text("id,label\na,fruit\nb,\n")
    found = read_human_labels(tmp_path / "human.csv", task.with_label_map({"": "(none)"}))
    assert [(label.id, label.label) for label in found] == [("a", (0,))]


def test_a_value_that_means_no_answer_is_neither_a_label_nor_an_error(task, tmp_path, caplog):
    mapped = task.with_label_map({"?": "(no answer)"})
    (tmp_path / "human.csv").write_text("id,label\na,fruit\nb,?\n")
    assert [label.id for label in read_human_labels(tmp_path / "human.csv", mapped)] == ["a"]
    column = LabelSetColumn(mapped, "column 'gpt'")
    assert column.ids(["fruit", "?"]) == [[0], None]
    column.check()
    assert not caplog.records
    said = prompts_of(mapped).from_column("?", "gpt", AnnotationRequest("a text"))
    assert said.reason == "column 'gpt': no answer"


def test_mostly_empty_cells_without_a_cell_for_none_are_refused_with_the_remedy(task):
    rows = [{"text": f"text {i}", "gold": "fruit" if i < 2 else ""} for i in range(9)]
    data = Dataset.from_list(rows)
    with pytest.raises(InputError, match=r"7 of 9 cells are empty.*label map with .*\(none\)"):
        kind_of(task).read_rows(data, gold_column="gold")
    mapped = task.with_label_map({"": "(none)"})
    assert kind_of(mapped).read_rows(data, gold_column="gold")["gold"][:] == [[0], [0], *[[]] * 7]


def test_a_few_empty_cells_without_a_cell_for_none_are_reported(task, caplog):
    data = Dataset.from_list([{"text": f"text {i}", "gold": "" if i < 2 else "fruit"} for i in range(9)])
    assert kind_of(task).read_rows(data, gold_column="gold")["gold"][:] == [None, None, *[[0]] * 7]
    assert "2 of 9 cells are empty" in caplog.text
    assert "counts as a missing answer" in caplog.text


def test_the_student_is_a_plain_classifier_of_transformers_with_a_threshold_for_each_label(run):
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(run.student), top_k=None)
    [scores] = classify(["an old apple"])
    assert {score["label"] for score in scores} == set(NAMES)
    assert sum(score["score"] for score in scores) != pytest.approx(1)
    assert len(classify.model.config.thresholds) == 2
    assert run.pipeline()(["an old apple"]) == [scores]


@pytest.mark.parametrize("first_missing", ["training-set", "selection.npz", "labels.parquet", "demonstrations.jsonl"])
def test_a_run_that_was_killed_before_it_wrote_a_file_gives_the_same_labels(
    run, task, student_folder, tmp_path, first_missing
):
    folder, files = tmp_path / "run", ["annotations.parquet", "training-set", "training", "student", "selection.npz"]
    files += ["labels.parquet", "demonstrations.jsonl", "metrics.json"]
    shutil.copytree(run.output_dir, folder)
    written = [folder / "round-1" / name for name in files[files.index(first_missing) :]]
    for path in [*written, folder / "labels.parquet", folder / "metrics.json", folder / "student"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    args = FreeALConfig(output_dir=str(folder), **MULTI_TRAINING)
    loop = LoopConfig(num_rounds=2, stop_on="never")
    again = FreeAL(task, "column:answers", str(student_folder), args, loop).run(Dataset.from_list(make_rows()))
    assert again.dataset.to_dict() == run.dataset.to_dict()
    assert again.rounds[-1]["label_micro_f1"] == run.rounds[-1]["label_micro_f1"]
