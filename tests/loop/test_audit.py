import csv
import io
import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Value
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from freeal_hf import TextClassification
from freeal_hf.cli.main import main
from freeal_hf.errors import InputError
from freeal_hf.loop.audit import audited_human_labels, draw_audit, score_audit
from freeal_hf.loop.audit_labels import keep_audited_labels
from freeal_hf.loop.audit_sheet import read_sheet, write_sheet
from freeal_hf.loop.folder import AUDIT_CSV, RunFolder

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
    rows = rows.cast_column("note", Value("string"))
    finish(tmp_path, rows, {"estimated_label_accuracy": 0.9})
    (tmp_path / "config.yaml").write_text("task: {labels: {fruit: '', tool: ''}}")
    return RunFolder(tmp_path)


def gold_of(folder):
    labels = Dataset.from_parquet(str(folder / "labels.parquet"))
    return labels, np.array(labels["gold"])


def answer_truly(folder):
    from freeal_hf.kinds.rounds import read_labels

    labels = read_labels(folder / "labels.parquet")
    gold = dict(zip(labels["id"], labels["gold"], strict=True))
    rows = [{**row, "label": TASK.label_names[gold[row["id"]]]} for row in read_sheet(folder)]
    write_sheet(folder, rows)


def test_the_sheet_has_no_labels_of_the_run(folder):
    path = draw_audit(folder, TASK, 100)
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig")))
    assert list(rows[0]) == ["id", "text", "label"]
    assert len({row["id"] for row in rows}) == 100
    assert {row["label"] for row in rows} == {""}


def test_without_answers_there_is_no_accuracy(folder):
    draw_audit(folder, TASK, 10)
    assert score_audit(folder, TASK) is None


@pytest.mark.slow
def test_the_accuracy_is_unbiased_and_its_interval_covers_it(folder):
    results = []
    for seed in range(240):
        draw_audit(folder, TASK, 100, seed=seed)
        answer_truly(folder)
        results.append(score_audit(folder, TASK))
    labels, gold = gold_of(folder)
    truth = np.mean(np.array(labels["label"]) == gold)
    assert np.mean([result.accuracy for result in results]) == pytest.approx(truth, abs=0.015)
    assert np.mean([result.low <= truth <= result.high for result in results]) >= 0.9


def test_a_sheet_with_some_answers_is_scored(folder):
    draw_audit(folder, TASK, 40)
    answer_truly(folder)
    rows = read_sheet(folder)
    write_sheet(folder, [{**row, "label": row["label"] if i % 2 else ""} for i, row in enumerate(rows)])
    result = score_audit(folder, TASK)
    assert (result.answered, result.drawn) == (20, 40)


def test_a_sheet_saved_by_a_spreadsheet_is_read(folder):
    draw_audit(folder, TASK, 5)
    rows = [{**row, "text": "Grüße"} for row in read_sheet(folder)]
    with (folder / "audit.csv").open("w", encoding="cp1252", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert read_sheet(folder) == rows


def test_an_answer_that_is_not_a_label_is_refused_with_its_value(folder):
    draw_audit(folder, TASK, 5)
    write_sheet(folder, [{**row, "label": "stone"} for row in read_sheet(folder)])
    with pytest.raises(InputError, match="'stone'"):
        score_audit(folder, TASK)


def test_two_answers_about_the_same_text_are_refused(folder):
    draw_audit(folder, TASK, 5)
    row = {**read_sheet(folder)[0], "label": "tool"}
    write_sheet(folder, [row, {**row, "id": f" {row['id']} "}])
    with pytest.raises(InputError, match=r"row 1 and .*row 2 answer the question about the same text"):
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


def test_formulas_in_texts_are_escaped_in_the_sheet_and_restored(folder):
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


def test_the_command_draws_a_sheet_and_scores_its_answers(folder, capsys, monkeypatch):
    assert main(["audit", str(folder.path), "--n", "10"]) == 0
    assert "audit.csv" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("1\ntool\nnonsense\n2\n\nq\n"))
    assert main(["audit", str(folder.path), "--terminal"]) == 0
    printed = capsys.readouterr().out
    assert "'nonsense' is not a label" in printed
    assert "from 3 of 10 answers" in printed


def test_a_new_sheet_is_not_reported_as_empty(folder, capsys, caplog):
    assert main(["audit", str(folder.path), "--n", "5"]) == 0
    assert not caplog.records
    assert "WARNING" not in capsys.readouterr().err


def test_the_result_of_an_audit_is_in_the_metrics_and_the_report(folder, capsys):
    assert main(["audit", str(folder.path), "--n", "50"]) == 0
    assert "audited_label_accuracy" not in (folder / "metrics.json").read_text()
    answer_truly(folder)
    assert main(["audit", str(folder.path)]) == 0
    found = score_audit(folder, TASK)
    for record in (folder.metrics(0), json.loads((folder / "metrics.json").read_text())[-1]):
        assert record["audited_label_accuracy"] == found.accuracy
        assert record["audited_label_accuracy_range"] == [found.low, found.high]
        assert record["audited_texts"] == 50
    page = (folder / "report.html").read_text()
    assert "A person checked 50 of the labels" in page
    assert f"{100 * found.accuracy:.1f} %" in page


def test_the_estimate_of_the_audit_replaces_that_of_the_round_which_is_kept(folder, capsys):
    draw_audit(folder, TASK, 50)
    answer_truly(folder)
    for _ in range(2):  # noting it again changes nothing
        assert main(["audit", str(folder.path)]) == 0
        record, found = folder.metrics(0), score_audit(folder, TASK)
        assert record["estimated_label_accuracy"] == found.accuracy
        assert record["estimated_label_accuracy_range"] == [found.low, found.high]
        assert record["estimated_label_accuracy_source"] == "audit"
        assert set(record["estimated_label_accuracy_by_label"]) == {"fruit", "tool"}
        assert record["model_estimate"]["estimated_label_accuracy"] == 0.9
    page = (folder / "report.html").read_text()
    assert "90.0 %</b>estimated accuracy without the audit" in page


def test_shares_precision_recall_and_kappa_are_in_the_record(folder):
    draw_audit(folder, TASK, 1000)
    answer_truly(folder)
    assert main(["audit", str(folder.path)]) == 0
    record, (labels, gold) = folder.metrics(0), gold_of(folder)
    final, annotator = np.array(labels["label"]), np.array(labels["annotator_label"])
    for label, name in enumerate(TASK.label_names):
        about = record["audited_by_label"][name]
        assert about["share"]["value"] == pytest.approx(np.mean(gold == label))
        assert about["precision"]["value"] == pytest.approx(np.mean(gold[final == label] == label))
        assert about["recall"]["value"] == pytest.approx(np.mean(final[gold == label] == label))
    assert record["audited_annotator_accuracy"]["value"] == pytest.approx(np.mean(annotator == gold))
    assert record["audited_annotator_kappa"]["value"] == pytest.approx(cohen_kappa_score(annotator, gold))
    assert record["audited_annotator_confusion"] == [*confusion_matrix(annotator, gold).tolist(), [0, 0]]


def test_earlier_human_labels_count_as_right_and_are_not_drawn(folder):
    place = folder / "labels.parquet"
    labels = Dataset.from_parquet(str(place)).to_pandas()
    labels.loc[:499, "note"] = "labelled by a person"
    labels.loc[:499, "label"] = labels.loc[:499, "gold"]
    features = Dataset.from_parquet(str(place)).features
    for path in (place, folder / "round-0" / "labels.parquet"):
        Dataset.from_pandas(labels, features=features).to_parquet(str(path))
    draw_audit(folder, TASK, 500)
    assert {row["id"] for row in read_sheet(folder)} == {f"id{i}" for i in range(500, 1000)}
    answer_truly(folder)
    found = score_audit(folder, TASK)
    right = labels["label"] == labels["gold"]
    assert found.accuracy == pytest.approx(right.mean())
    for label in (0, 1):
        true, given = labels["gold"] == label, labels["label"] == label
        assert found.labels.shares[label].value == pytest.approx(true.mean())
        assert found.labels.precision[label].value == pytest.approx(right[given].mean())
        assert found.labels.recall[label].value == pytest.approx(right[true].mean())


def test_equal_texts_are_drawn_once(folder):
    place = folder / "round-0" / "labels.parquet"
    labels = Dataset.from_parquet(str(place)).to_pandas()
    labels["text"] = [f"text {i // 2}" for i in range(1000)]
    Dataset.from_pandas(labels, features=Dataset.from_parquet(str(place)).features).to_parquet(str(place))
    draw_audit(folder, TASK, 1000)
    assert [row["id"] for row in sorted(read_sheet(folder), key=lambda row: int(row["id"][2:]))] == [
        f"id{i}" for i in range(0, 1000, 2)
    ]


def second_person(folder, path, share):
    """A copy of the sheet, in which a second person agrees on a share of the texts."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "label"], extrasaction="ignore")
        writer.writeheader()
        for i, row in enumerate(read_sheet(folder)):
            differs = i >= share * 100
            writer.writerow({**row, "label": TASK.label_names[TASK.label2id[row["label"]] ^ differs]})


def test_a_second_sheet_gives_the_agreement_of_people_and_the_alt_test(folder, tmp_path, capsys):
    draw_audit(folder, TASK, 100)
    answer_truly(folder)
    second_person(folder, tmp_path / "second.csv", 0.75)
    assert main(["audit", str(folder.path), "--second-annotator", str(tmp_path / "second.csv")]) == 0
    record, said = folder.metrics(0), capsys.readouterr().out
    assert record["people_texts"] == 100
    assert record["people_agreement"]["value"] == 0.75
    assert record["people_kappa"]["value"] == pytest.approx(0.5, abs=0.05)
    assert record["alt_test"]["passed"] is True
    assert "The two people agree on 75.0 %" in said
    assert "the annotator can replace one of the people" in said


def test_a_second_person_who_answered_other_texts_cannot_be_compared(folder, tmp_path, capsys):
    draw_audit(folder, TASK, 10)
    answer_truly(folder)
    sheet = read_sheet(folder)
    write_sheet(folder, [{**row, "label": row["label"] if i < 5 else ""} for i, row in enumerate(sheet)])
    second = tmp_path / "second.csv"
    second.write_text("id,label\n" + "".join(f"{row['id']},tool\n" for row in sheet[5:]))
    assert main(["audit", str(folder.path), "--second-annotator", str(second)]) == 1
    assert "the two people cannot be compared" in capsys.readouterr().err


def test_a_second_sheet_without_ids_is_refused(folder, tmp_path, capsys):
    draw_audit(folder, TASK, 10)
    answer_truly(folder)
    second = tmp_path / "second.csv"
    second.write_text("text,label\ntext 1,tool\n")
    assert main(["audit", str(folder.path), "--second-annotator", str(second)]) == 1
    assert "no column 'id'" in capsys.readouterr().err


def test_a_second_sheet_is_refused_if_the_first_has_no_answers(folder, tmp_path, capsys):
    assert main(["audit", str(folder.path), "--second-annotator", str(tmp_path / "second.csv")]) == 1
    assert "has no answers yet" in capsys.readouterr().err


def test_the_result_of_an_audit_is_written_to_the_audited_round(folder, capsys):
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


def test_answers_about_replaced_labels_are_kept_and_not_scored(folder, capsys):
    draw_audit(folder, TASK, 50)
    answer_truly(folder)
    labels = Dataset.from_parquet(str(folder / "round-0" / "labels.parquet"))
    others = labels.map(lambda row: {"label": 1 - row["label"]})
    others.to_parquet(str(folder / "round-0" / "labels.parquet"))
    assert main(["audit", str(folder.path)]) == 1
    assert "--new" in capsys.readouterr().err
    assert "audited_label_accuracy" not in (folder / "metrics.json").read_text()


def test_an_audit_scores_the_labels_before_they_are_made_again_with_its_answers(folder, capsys):
    draw_audit(folder, TASK, 50)
    answer_truly(folder)
    before = score_audit(folder, TASK)
    keep_audited_labels(folder)
    place = folder / "round-0" / "labels.parquet"
    others = Dataset.from_parquet(str(place)).map(lambda row: {"label": 1 - row["label"]})
    others.to_parquet(str(place))
    keep_audited_labels(folder)  # does not replace those that are kept
    assert score_audit(folder, TASK) == before
    assert main(["audit", str(folder.path)]) == 0
    record = folder.metrics(0)
    assert record["audited_label_accuracy"] == before.accuracy
    assert record["estimated_label_accuracy"] == 0.9


def test_a_new_draw_keeps_the_earlier_answers(folder):
    draw_audit(folder, TASK, 5)
    draw_audit(folder, TASK, 5, seed=1)
    assert not (folder / "audit-1.csv").exists()
    answer_truly(folder)
    answered = (folder / AUDIT_CSV).read_bytes()
    draw_audit(folder, TASK, 5, seed=2)
    assert (folder / "audit-1.csv").read_bytes() == answered
    assert score_audit(folder, TASK) is None


def test_a_folder_without_labels_is_refused(tmp_path, capsys):
    assert main(["audit", str(tmp_path)]) == 1
    assert "not a run with labels" in capsys.readouterr().err


def test_the_answers_are_human_labels_with_their_inclusion_probability(folder):
    draw_audit(folder, TASK, 100)
    answer_truly(folder)
    rows = read_sheet(folder)
    write_sheet(folder, [{**row, "label": row["label"] if i < 60 else ""} for i, row in enumerate(rows)])
    found = audited_human_labels(folder, TASK)
    assert [label.id for label in found] == [row["id"] for row in rows[:60]]
    assert [TASK.label_names[label.label] for label in found] == [row["label"] for row in rows[:60]]
    assert {label.probability for label in found} == {0.1}
