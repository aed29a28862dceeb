"""The audit of a run whose texts have any number of labels: the answers are sets of labels."""

import csv

import numpy as np
import pytest
from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli.main import main
from freeal_hf.loop.audit import draw_audit, score_audit
from freeal_hf.loop.folder import RunFolder
from tests.kinds.test_multi_label import MULTI_TRAINING, make_rows, task, truth_of  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def finished(task, student_folder, tmp_path_factory):  # noqa: F811
    """A run that stopped for an audit of 40 texts after its first round, and continued with the answers."""
    folder = tmp_path_factory.mktemp("audit") / "run"

    def run():
        args = FreeALConfig(output_dir=str(folder), **MULTI_TRAINING)
        loop = LoopConfig(num_rounds=2, stop_on="never", audit=40)
        return FreeAL(task, "column:answers", str(student_folder), args, loop).run(Dataset.from_list(make_rows()))

    first = run()
    assert first.audit_sheet is not None
    assert len(first.rounds) == 1
    fill_in(first.audit_sheet)
    return run()


def fill_in(sheet):
    """Answers as a person who reads the texts."""
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = ";".join(truth_of(row["text"])) or "(none)"
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_the_answers_of_the_audit_are_human_labels_of_the_next_round(finished):
    notes = finished.dataset["note"][:]
    human = [i for i, note in enumerate(notes) if note == "labelled by a person"]
    assert len(human) == 40
    assert all(finished.dataset["label"][i] == finished.dataset["gold"][i] for i in human)
    assert [] in [finished.dataset["label"][i] for i in human]


def test_the_audit_measures_the_share_of_exactly_right_texts_and_each_label(finished):
    record = finished.rounds[0]
    right = np.mean(record["label_exact_match"])
    low, high = record["audited_label_accuracy_range"]
    assert low <= right <= high
    assert set(record["audited_by_label"]) == {"fruit", "tool"}
    assert 0.4 < record["audited_by_label"]["fruit"]["share"]["value"] < 0.6
    assert record["audited_by_label"]["tool"]["precision"]["value"] > 0.8


def test_human_labels_of_a_random_sample_estimate_exact_match_and_f1(finished):
    record = finished.rounds[1]
    assert record["estimated_label_accuracy_source"] == "audit"
    # The audited texts are harder than the others: the annotator is right for 75 and for 82 % of them.
    low, high = record["estimated_label_accuracy_range"]
    assert low - 0.05 <= record["label_exact_match"] <= high + 0.05
    low, high = record["estimated_label_micro_f1_range"]
    assert low - 0.05 <= record["label_micro_f1"] <= high + 0.05
    assert set(record["estimated_label_f1_by_label"]) == {"fruit", "tool"}


def test_final_labels_with_human_labels_are_better_than_the_annotators(finished):
    assert finished.rounds[1]["label_micro_f1"] > finished.rounds[1]["annotator_micro_f1"] + 0.02


def test_a_second_person_is_compared_by_whole_sets(finished, task):  # noqa: F811
    folder = RunFolder(finished.output_dir)
    sheet = draw_audit(folder, task, 30, seed=3)
    fill_in(sheet)
    result = score_audit(folder, task, sheet)
    assert result.people.texts == 30
    assert result.people.agreement.value == 1


def test_the_terminal_takes_numbers_of_several_labels_and_none(finished, monkeypatch, capsys):
    said = iter(["1, 2", "0", "nonsense", "tool", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    assert main(["audit", str(finished.output_dir), "--n", "8", "--new", "--terminal"]) == 0
    with (finished.output_dir / "audit.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)][:4] == ['["fruit", "tool"]', "(none)", "tool", ""]
    assert "0 none of them" in capsys.readouterr().out
