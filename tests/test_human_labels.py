import json

import numpy as np
import pytest
from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli import main
from freeal_hf.errors import InputError
from freeal_hf.human_labels import read_human_labels
from freeal_hf.round_files import read_labels
from tests.conftest import QUICK_TRAINING


@pytest.fixture
def run(task, annotator, student_folder, tmp_path):
    def run(data, human_labels=(), *, annotator=annotator, num_rounds=1, **loop):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        loop = FreeAL(task, annotator, str(student_folder), args, LoopConfig(num_rounds=num_rounds, **loop))
        return loop.run(data, human_labels=human_labels)

    return run


@pytest.fixture
def said(corpus):
    """What a person says of six texts, against what is plainly right: only their word can explain it."""
    other = {"fruit": "tool", "tool": "fruit"}
    rows = corpus.select(range(6))
    return Dataset.from_dict({"text": rows["text"], "label": [other[gold] for gold in rows["gold"]]})


def rows_of(result, texts):
    return [row for row in result.dataset if row["text"] in set(texts)]


def test_a_human_label_is_final_clean_and_marked(run, corpus, said):
    result = run(corpus, said)
    by_text = dict(zip(said["text"], said["label"], strict=True))
    names = result.dataset.features["label"].names
    for row in rows_of(result, said["text"]):
        assert names[row["label"]] == by_text[row["text"]]
        assert (row["is_clean"], row["label_confidence"], row["note"]) == (True, 1.0, "labelled by a person")


def test_texts_with_a_human_label_are_never_asked(run, corpus, said, annotator):
    run(corpus, said, num_rounds=2, refine="all")
    assert not {request.text for request in annotator.asked} & set(said["text"])


def test_human_labels_are_the_demonstrations_of_round_0(run, corpus, said, annotator, task):
    run(corpus, said)
    shown = {(shot.text, task.label_names[shot.label]) for shot in annotator.asked[0].demonstrations}
    assert shown == set(zip(said["text"], said["label"], strict=True))


def test_a_correction_enters_with_the_next_round_and_stays_without_being_given_again(run, corpus, said, annotator):
    run(corpus)
    asked = len(annotator.asked)
    run(corpus, said, num_rounds=2)
    assert said["text"][0] in {shot.text for request in annotator.asked[asked:] for shot in request.demonstrations}
    last = run(corpus, num_rounds=3)
    assert {row["note"] for row in rows_of(last, said["text"])} == {"labelled by a person"}
    assert all(row["annotator_label"] >= 0 for row in rows_of(last, said["text"]))


def test_a_finished_run_asks_for_a_round_to_put_new_human_labels_to_use(run, corpus, said):
    run(corpus)
    with pytest.raises(InputError, match="--num-rounds 2"):
        run(corpus, said)


def test_a_newer_human_label_takes_the_place_of_an_older_one(run, corpus, said):
    run(corpus, said)
    changed = Dataset.from_dict({"text": said["text"][:1], "label": corpus["gold"][:1]})
    row = rows_of(run(corpus, changed, num_rounds=2), said["text"][:1])[0]
    assert row["label"] == ["fruit", "tool"].index(corpus["gold"][0])


def test_an_example_from_elsewhere_is_shown_but_is_no_row_of_the_output(run, corpus, annotator):
    examples = Dataset.from_dict({"text": ["melon near the door", "old saw"], "label": ["fruit", "tool"]})
    result = run(corpus, examples, num_rounds=2)
    assert len(result.dataset) == len(corpus)
    assert {shot.text for shot in annotator.asked[0].demonstrations} == set(examples["text"])
    selected = [json.loads(line) for line in (result.output_dir / "round-0/demonstrations.jsonl").open()]
    assert "human" in {shot["source"] for shot in selected}


def test_a_round_that_was_stopped_starts_again_with_the_new_labels(run, corpus, said):
    first = run(corpus, num_rounds=2)
    (first.output_dir / "round-1" / "metrics.json").unlink()
    assert {row["note"] for row in rows_of(run(corpus, said, num_rounds=2), said["text"])} == {"labelled by a person"}


def test_the_annotator_is_not_blamed_for_texts_that_it_was_never_asked(run, corpus):
    right = Dataset.from_dict({"text": corpus["text"][:40], "label": corpus["gold"][:40]})
    result = run(corpus, right)
    asked = [row for row in result.dataset if row["annotator_label"] >= 0]
    correct = np.mean([row["annotator_label"] == row["gold"] for row in asked])
    assert result.rounds[0]["annotator_accuracy"] == pytest.approx(correct)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "label": ["stone"]}, "'stone'.*no label of the task"),
        ({"text": ["a"], "answer": ["tool"]}, "no column 'label'"),
        ({"body": ["a"], "label": ["tool"]}, "needs a column 'id', or 'text'"),
        ({"text": [""], "label": ["tool"]}, "row 1 has a label but no text"),
        ({"id": ["1"], "label": ["tool"], "label_confidence": [0.4]}, "nobody has checked"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(task, columns, message):
    with pytest.raises(InputError, match=message):
        read_human_labels(Dataset.from_dict(columns), task)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["77"], "label": ["tool"]}, "row 1: no row of the data has the id '77'"),
        ({"text": ["a", "a"], "label": ["tool", "fruit"]}, "row 1 and .* row 2 give the same text two labels"),
    ],
)
def test_labels_that_do_not_fit_the_data_are_refused_before_anything_is_asked(
    run, corpus, annotator, columns, message
):
    with pytest.raises(InputError, match=message):
        run(corpus, Dataset.from_dict(columns))
    assert annotator.asked == []


def test_rows_without_a_label_are_left_out(task):
    found = read_human_labels(Dataset.from_dict({"id": ["1", "2"], "label": ["", "tool"]}), task)
    assert [(item.id, item.label) for item in found] == [("2", 1)]


def test_the_command_line_reads_csv_and_json_together(corpus, student_folder, tmp_path):
    corpus.select_columns(["text"]).to_csv(tmp_path / "data.csv")
    (tmp_path / "labels.csv").write_text(f"text,label\n{corpus['text'][0]},fruit\n")
    (tmp_path / "examples.json").write_text(json.dumps([{"text": "old saw", "label": "tool"}]))
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK_TRAINING.items()]
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--num-rounds", "1"),
        *("--human-labels", str(tmp_path / "labels.csv"), "--examples", str(tmp_path / "examples.json")),
        *("--student", str(student_folder), "--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 0
    row = read_labels(tmp_path / "run" / "labels.parquet")[0]
    assert (row["label"], row["note"]) == (0, "labelled by a person")
    shown = (tmp_path / "run" / "round-0" / "generated.jsonl").read_text()
    assert "old saw" in shown


def test_a_table_that_nobody_has_filled_in_is_told_so(task, caplog):
    assert read_human_labels(Dataset.from_dict({"id": ["1", "2"], "label": ["", ""]}), task) == []
    assert "'label' is empty in every row" in caplog.text


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("text,label\nschön,fruit\n", "utf-8"),  # as freeal-hf writes it
        ("text;label\nschön;fruit\n", "utf-8"),
        ("text;label\nschön;fruit\n", "cp1252"),
    ],
)
def test_a_file_has_the_separator_and_encoding_of_the_corpus_or_our_own(content, encoding, task, tmp_path):
    path = tmp_path / "said.csv"
    path.write_bytes(content.encode(encoding))
    [label] = read_human_labels(path, task, delimiter=";", encoding="cp1252")
    assert (label.text, task.label_names[label.label]) == ("schön", "fruit")
