import csv
import io
import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Sequence
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import TextClassification, TokenClassification
from freeal_hf.cli.main import main
from freeal_hf.errors import InputError
from freeal_hf.loop.audit import (
    AUDIT_CSV,
    _allocate,
    draw_audit,
    read_sheet,
    score_audit,
    stratified_wilson,
    write_sheet,
)
from freeal_hf.loop.folder import RunFolder

TASK = TextClassification(["fruit", "tool"])


def finish(folder, rows, figures):
    """Writes what a run of one round leaves that an audit reads."""
    record = {"round": 0, "label_accuracy": None, "clean_fraction": 0.8, "prompt_tokens": 0, "completion_tokens": 0}
    record |= figures
    (folder / "round-0").mkdir()
    for place in (folder, folder / "round-0"):
        rows.to_parquet(str(place / "labels.parquet"))
    (folder / "round-0" / "metrics.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text(json.dumps([record]))


@pytest.fixture
def folder(tmp_path):
    """A run of 1,000 labels, 80 % of them right, the surer the more; `gold` says which."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.6, 1.0, 1000)
    gold = rng.integers(0, 2, 1000)
    final = np.where(rng.random(1000) < confidence, gold, 1 - gold)
    label = ClassLabel(names=TASK.label_names)
    student = np.where(rng.random(1000) < 0.9, final, 1 - final)
    rows = Dataset.from_dict(
        {
            "id": [f"id{i}" for i in range(1000)],
            "text": [f"text {i}" for i in range(1000)],
            "label": final,
            "label_confidence": confidence,
            "annotator_label": final,
            "student_label": student,
            "loss": rng.exponential(size=1000),
            "is_clean": rng.random(1000) < 0.8,
            "note": [None] * 1000,
            "gold": gold,
        }
    )
    for column in ("label", "annotator_label", "student_label", "gold"):
        rows = rows.cast_column(column, label)
    finish(tmp_path, rows, {"estimated_label_accuracy": 0.9})
    (tmp_path / "config.yaml").write_text("task: {labels: {fruit: '', tool: ''}}")
    return RunFolder(tmp_path)


def answer_truly(folder):
    from freeal_hf.kinds.rounds import read_labels

    labels = read_labels(folder / "labels.parquet")
    gold = dict(zip(labels["id"], labels["gold"], strict=True))
    rows = [{**row, "label": TASK.label_names[gold[row["id"]]]} for row in read_sheet(folder)]
    write_sheet(folder, rows)


def test_the_sheet_shows_texts_and_nothing_that_the_run_says_of_them(folder):
    path = draw_audit(folder, TASK, 100)
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig")))
    assert list(rows[0]) == ["id", "text", "label"]
    assert len({row["id"] for row in rows}) == 100
    assert {row["label"] for row in rows} == {""}


def test_without_answers_there_is_no_accuracy(folder):
    draw_audit(folder, TASK, 10)
    assert score_audit(folder, TASK) is None


def test_the_accuracy_is_right_on_average_and_the_interval_holds_it(folder):
    results = []
    for seed in range(60):
        draw_audit(folder, TASK, 100, seed=seed)
        answer_truly(folder)
        results.append(score_audit(folder, TASK))
    truth = np.mean([row["label"] == row["gold"] for row in Dataset.from_parquet(str(folder / "labels.parquet"))])
    assert np.mean([result.accuracy for result in results]) == pytest.approx(truth, abs=0.015)
    assert np.mean([result.low <= truth <= result.high for result in results]) >= 0.9


def test_half_filled_sheets_are_scored_by_what_is_there(folder):
    draw_audit(folder, TASK, 40)
    answer_truly(folder)
    rows = read_sheet(folder)
    write_sheet(folder, [{**row, "label": row["label"] if i % 2 else ""} for i, row in enumerate(rows)])
    result = score_audit(folder, TASK)
    assert (result.answered, result.drawn) == (20, 40)


def test_a_sheet_that_a_spreadsheet_saved_in_its_layout_is_read(folder):
    draw_audit(folder, TASK, 5)
    rows = [{**row, "text": "Grüße"} for row in read_sheet(folder)]
    with (folder / "audit.csv").open("w", encoding="cp1252", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert read_sheet(folder) == rows


def test_an_answer_that_is_no_label_is_named(folder):
    draw_audit(folder, TASK, 5)
    write_sheet(folder, [{**row, "label": "stone"} for row in read_sheet(folder)])
    with pytest.raises(InputError, match="'stone'"):
        score_audit(folder, TASK)


def test_two_answers_for_one_text_are_refused(folder):
    draw_audit(folder, TASK, 5)
    row = {**read_sheet(folder)[0], "label": "tool"}
    write_sheet(folder, [row, {**row, "id": f" {row['id']} "}])
    with pytest.raises(InputError, match=r"row 1 and .*row 2 answer for the same text"):
        score_audit(folder, TASK)


def test_a_sheet_that_a_spreadsheet_saved_in_another_layout_is_read(folder):
    path = draw_audit(folder, TASK, 20)
    answer_truly(folder)
    expected = read_sheet(folder), score_audit(folder, TASK)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="cp1252", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    assert (read_sheet(folder), score_audit(folder, TASK)) == expected


def test_texts_that_a_spreadsheet_would_execute_come_back_from_the_sheet(folder):
    draw_audit(folder, TASK, 1)
    write_sheet(folder, [{**read_sheet(folder)[0], "text": "=1+1"}])
    assert "'=1+1" in (folder / AUDIT_CSV).read_text()
    write_sheet(folder, read_sheet(folder))
    assert read_sheet(folder)[0]["text"] == "=1+1"


def test_an_answer_for_a_text_that_was_not_drawn_is_refused(folder):
    draw_audit(folder, TASK, 5)
    write_sheet(folder, [{"id": "id-of-another", "text": "", "label": "tool"}])
    with pytest.raises(InputError, match="was not drawn"):
        score_audit(folder, TASK)


@given(right=st.integers(0, 30), asked=st.integers(1, 30))
def test_one_stratum_gives_the_plain_wilson_interval(right, asked):
    right = min(right, asked)
    share, low, high = stratified_wilson(np.array([right]), np.array([asked]), np.array([1.0]))
    z, p = 1.96, right / asked
    middle, half = p + z**2 / (2 * asked), z * np.sqrt(p * (1 - p) / asked + z**2 / (4 * asked**2))
    assert share == p
    expected = [(middle - half) / (1 + z**2 / asked), (middle + half) / (1 + z**2 / asked)]
    assert [low, high] == pytest.approx(expected, abs=1e-9)


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8), share=st.floats(0, 1))
def test_every_stratum_is_drawn_from_and_none_beyond_its_size(sizes, share):
    n = max(len(sizes), round(share * sum(sizes)))
    counts = _allocate(np.array(sizes), n)
    assert counts.sum() == n
    assert ((counts >= 1) & (counts <= np.array(sizes))).all()


def test_the_command_draws_asks_and_scores(folder, capsys, monkeypatch):
    assert main(["audit", str(folder.path), "--n", "10"]) == 0
    assert "audit.csv" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("1\ntool\nnonsense\n2\n\nq\n"))
    assert main(["audit", str(folder.path), "--terminal"]) == 0
    printed = capsys.readouterr().out
    assert "'nonsense' is none of them" in printed
    assert "3 of 10 answered" in printed


def test_what_an_audit_found_stands_in_the_metrics_and_the_report(folder, capsys):
    assert main(["audit", str(folder.path), "--n", "50"]) == 0
    assert "audited_label_accuracy" not in (folder / "metrics.json").read_text()
    answer_truly(folder)
    assert main(["audit", str(folder.path)]) == 0
    found = score_audit(folder, TASK)
    for record in (folder.metrics(0), json.loads((folder / "metrics.json").read_text())[-1]):
        assert record["audited_label_accuracy"] == found.accuracy
        assert record["audited_label_accuracy_range"] == [found.low, found.high]
        assert record["audited_texts"] == 50
        assert record["estimated_label_accuracy"] == 0.9
    page = (folder / "report.html").read_text()
    assert "A person checked 50 of the labels" in page
    assert f"{100 * found.accuracy:.1f} %" in page


def test_an_audit_is_noted_with_the_round_that_it_was_drawn_from(folder, capsys):
    draw_audit(folder, TASK, 50)
    answer_truly(folder)
    later = {**folder.metrics(0), "round": 1}
    (folder / "round-1").mkdir()
    (folder / "round-1" / "metrics.json").write_text(json.dumps(later))
    (folder / "metrics.json").write_text(json.dumps([folder.metrics(0), later]))
    assert main(["audit", str(folder.path)]) == 0
    records = json.loads((folder / "metrics.json").read_text())
    assert "audited_label_accuracy" in records[0]
    assert "audited_label_accuracy" not in records[1]


def test_answers_for_labels_that_are_gone_are_kept_and_not_noted(folder, capsys):
    draw_audit(folder, TASK, 50)
    answer_truly(folder)
    labels = Dataset.from_parquet(str(folder / "round-0" / "labels.parquet"))
    others = labels.map(lambda row: {"label": 1 - row["label"]})
    others.to_parquet(str(folder / "round-0" / "labels.parquet"))
    assert main(["audit", str(folder.path)]) == 1
    assert "--new" in capsys.readouterr().err
    assert "audited_label_accuracy" not in (folder / "metrics.json").read_text()


def test_a_folder_without_labels_is_refused(tmp_path, capsys):
    assert main(["audit", str(tmp_path)]) == 1
    assert "no folder of a run" in capsys.readouterr().err


@pytest.fixture
def entity_folder(tmp_path):
    """A run of 40 sentences, half of them with an entity, and one without words."""
    tags = ["O", "B-fruit", "I-fruit"]
    names = [[0, 1] if i % 2 else [0, 0] for i in range(40)]
    rows = Dataset.from_dict(
        {
            "id": [f"id{i}" for i in range(41)],
            "text": [f"an apple{i}" for i in range(40)] + [""],
            "label": [*names, []],
            "spans": [[{"start": 3, "end": 8, "type": "fruit"}] if row[1] else [] for row in names] + [[]],
            "label_confidence": [0.5 + i / 100 for i in range(40)] + [None],
            "annotator_label": [*names, []],
            "student_label": [*names, []],
            "loss": [0.1] * 40 + [None],
            "is_clean": [True] * 41,
            "note": [None] * 40 + ["the text is empty"],
        }
    )
    for column in ("label", "annotator_label", "student_label"):
        rows = rows.cast_column(column, Sequence(ClassLabel(names=tags)))
    finish(tmp_path, rows, {"estimated_label_accuracy": None, "label_f1": None})
    (tmp_path / "config.yaml").write_text("task: {type: token-classification, labels: [fruit]}")
    return RunFolder(tmp_path)


def test_sentences_are_audited_with_their_entities_right_or_wrong_as_a_whole(entity_folder, capsys):
    command = ["audit", str(entity_folder.path), "--n", "40"]
    assert main(command) == 0
    assert "(right, wrong)" in capsys.readouterr().out
    rows = read_sheet(entity_folder)
    assert len(rows) == 40
    assert {row["entities"] for row in rows} == {"apple (fruit)", "none"}
    wrong = [row["id"] for row in rows if row["entities"] == "none"][:10]
    write_sheet(entity_folder, [{**row, "label": "wrong" if row["id"] in wrong else "right"} for row in rows])
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "75.0 % of the sentences have exactly the right entities" in said
    assert "--human-labels" not in said
    assert entity_folder.metrics(0)["audited_label_accuracy"] == 0.75
    assert "sentences right in the audit by a person" in (entity_folder / "report.html").read_text()


def test_a_verdict_that_is_none_is_refused(entity_folder, capsys):
    draw_audit(entity_folder, TokenClassification(["fruit"]), 5)
    write_sheet(entity_folder, [{**row, "label": "fruit"} for row in read_sheet(entity_folder)])
    assert main(["audit", str(entity_folder.path)]) == 1
    assert "'right', 'wrong'" in capsys.readouterr().err


def test_entities_are_shown_in_the_terminal(entity_folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n" * 4))
    assert main(["audit", str(entity_folder.path), "--n", "4", "--terminal"]) == 0
    said = capsys.readouterr().out
    assert "apple (fruit)" in said
    assert "4 of 4 answered: 100.0 %" in said
