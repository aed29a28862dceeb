"""A run that stops for an audit after its first round, and continues with the answers."""

import json
import logging

import numpy as np
import pytest

from freeal_hf import Annotation, FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli.main import main
from freeal_hf.errors import InputError
from freeal_hf.kinds import single_label
from freeal_hf.loop.audit import score_audit
from freeal_hf.loop.audit_sheet import read_sheet, write_sheet
from freeal_hf.loop.folder import RunFolder
from tests.conftest import QUICK_TRAINING, KeywordAnnotator

QUICK = {**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1}


@pytest.fixture
def run(task, corpus, student_folder, tmp_path):
    """Starts the same run, each time with an annotator that has not been asked anything."""

    def run(*, audit=20, num_rounds=2, annotator=None, overwrite=False, human_labels=()):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK)
        loop = LoopConfig(audit=audit, num_rounds=num_rounds, pool_size=0, generated_per_label=0)
        freeal = FreeAL(task, annotator or KeywordAnnotator(), str(student_folder), args, loop)
        return freeal.run(corpus, human_labels=human_labels, overwrite=overwrite)

    return run


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture
def answer(task, folder, corpus):
    """Fills in the first cells of the sheet, truly; all by default."""

    def answer(count=None):
        gold = dict(zip(corpus["text"], corpus["gold"], strict=True))
        rows = read_sheet(folder)
        write_sheet(
            folder,
            [{**row, "label": gold[row["text"]] if count is None or i < count else ""} for i, row in enumerate(rows)],
        )
        return {row["id"]: gold[row["text"]] for row in rows[:count]}

    return answer


def test_the_run_stops_after_its_first_round_with_the_sheet_to_fill_in(run, folder):
    result = run()
    assert result.audit_sheet == folder / "audit.csv"
    assert [record["round"] for record in result.rounds] == [0]
    assert len(read_sheet(folder)) == 20
    assert {row["label"] for row in read_sheet(folder)} == {""}


def test_a_continued_run_uses_the_answers_as_labels_of_a_random_sample(run, folder, answer, task):
    run()
    given = answer()
    result = run()
    assert result.audit_sheet is None
    assert [record["round"] for record in result.rounds] == [0, 1]
    final = dict(zip(result.dataset["id"], result.dataset["label"], strict=True))
    notes = dict(zip(result.dataset["id"], result.dataset["note"], strict=True))
    assert {id_: task.label_names[final[id_]] for id_ in given} == given
    assert {notes[id_] for id_ in given} == {"labelled by a person"}
    known = folder.round(1).read_human_labels()
    assert {label.id for label in known} == set(given)
    assert {label.probability for label in known} == {20 / 80}


def test_the_result_of_the_answers_is_written_to_the_audited_round(run, folder, answer, task):
    run()
    answer()
    found = score_audit(folder, task)
    before, after = run().rounds
    assert before["audited_label_accuracy"] == found.accuracy
    assert before["estimated_label_accuracy"] == found.accuracy
    assert before["estimated_label_accuracy_source"] == "audit"
    assert "audited_label_accuracy" not in after
    assert "model_estimate" not in after
    assert f"{100 * found.accuracy:.1f} %" in (folder / "report.html").read_text()


def test_a_run_continues_with_some_answers(run, folder, answer):
    run()
    given = answer(7)
    result = run()
    assert result.audit_sheet is None
    assert {label.id for label in folder.round(1).read_human_labels()} == set(given)
    assert result.rounds[0]["audited_texts"] == 7


def test_without_answers_the_run_continues_without_them(run, folder, tmp_path, caplog):
    run()
    assert folder.metrics(1) is None
    with caplog.at_level(logging.WARNING):
        audited = run()
    assert "has no answers, so the run continues without them" in caplog.text
    plain = run(audit=0, overwrite=True)
    assert audited.audit_sheet is None
    for column in ("label", "label_confidence", "note"):
        assert audited.dataset[column] == plain.dataset[column]
    names = set(plain.rounds[1]) - {"seconds"}
    assert {name: audited.rounds[1][name] for name in names} == {name: plain.rounds[1][name] for name in names}


def test_if_all_rounds_are_complete_only_the_labels_are_made_again(run, folder, answer, task):
    first = run(num_rounds=1)
    assert first.audit_sheet is not None
    given = answer()
    trained = (folder / "round-0" / "selection.npz").stat().st_mtime_ns
    annotator = KeywordAnnotator()
    result = run(num_rounds=1, annotator=annotator)
    assert annotator.asked == []
    assert (folder / "round-0" / "selection.npz").stat().st_mtime_ns == trained
    final = dict(zip(result.dataset["id"], result.dataset["label"], strict=True))
    assert {id_: task.label_names[final[id_]] for id_ in given} == given
    [record] = result.rounds
    assert record["audited_texts"] == 20
    assert "model_estimate" not in record  # the labels are others, and so is their estimate
    assert record["annotator_calls"] == first.rounds[0]["annotator_calls"]
    assert folder.round(0).read_human_labels() != []


def test_labels_are_made_again_only_once(run, folder, answer):
    run(num_rounds=1)
    answer()
    run(num_rounds=1)
    before = (folder / "round-0" / "labels.parquet").stat().st_mtime_ns
    run(num_rounds=1)
    assert (folder / "round-0" / "labels.parquet").stat().st_mtime_ns == before


def test_later_answers_are_used_too(run, folder, answer):
    run(num_rounds=1)
    answer(10)
    run(num_rounds=1)
    given = answer()
    result = run(num_rounds=1)
    assert {label.id for label in folder.round(0).read_human_labels()} == set(given)
    assert result.rounds[0]["audited_texts"] == 20


def test_other_human_labels_need_a_further_round(run, folder, answer, corpus):
    run(num_rounds=1)
    answer()
    with pytest.raises(InputError, match="--num-rounds 2"):
        run(num_rounds=1, human_labels=corpus.select([0]).rename_column("gold", "label"))


def test_a_finished_run_is_audited_after_its_last_round(run, folder):
    run(audit=0)
    result = run(audit=10)
    assert result.audit_sheet is not None
    assert json.loads((folder / "audit.json").read_text())["round"] == 1


def test_a_run_that_is_overwritten_draws_again_and_keeps_the_answers(run, folder, answer):
    run()
    answer()
    result = run(overwrite=True)
    assert result.audit_sheet is not None
    assert {row["label"] for row in read_sheet(folder)} == {""}
    assert "fruit" in (folder / "audit-1.csv").read_text()


def test_an_invalid_answer_stops_the_run_before_the_first_call(run, folder):
    run()
    write_sheet(folder, [{**row, "label": "stone"} for row in read_sheet(folder)])
    annotator = KeywordAnnotator()
    with pytest.raises(InputError, match="'stone'"):
        run(annotator=annotator)
    assert annotator.asked == []


def test_gold_does_not_reach_the_draw(run, folder, task, corpus, student_folder, tmp_path):
    run()
    drawn = {row["text"] for row in read_sheet(folder)}
    shuffled = corpus.remove_columns("gold").add_column("gold", list(reversed(corpus["gold"])))
    args = FreeALConfig(output_dir=str(tmp_path / "other"), **QUICK)
    loop = LoopConfig(audit=20, pool_size=0, generated_per_label=0)
    FreeAL(task, KeywordAnnotator(), str(student_folder), args, loop).run(shuffled)
    assert {row["text"] for row in read_sheet(RunFolder(tmp_path / "other"))} == drawn


@pytest.mark.parametrize("value", [-1, 1.5, "ten"])
def test_a_number_of_texts_that_cannot_be_drawn_is_refused(value):
    with pytest.raises(InputError, match="audit"):
        LoopConfig(audit=value)


def test_the_command_prints_what_to_do_and_exits_with_0(corpus, student_folder, tmp_path, capsys):
    rows = corpus.add_column("said", corpus["gold"])
    rows.to_csv(str(tmp_path / "data.csv"))
    command = [
        *("run", "--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--annotator", "column:said"),
        *("--student", str(student_folder), "--output-dir", str(tmp_path / "run"), "--audit", "8"),
        *("--num-train-epochs", "2", "--warm-up-epochs", "1", "--end-file", str(tmp_path / "end.json")),
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "1 of 2 rounds are complete. The run stopped for an audit: fill in the column `label` of" in said
    assert json.loads((tmp_path / "end.json").read_text())["state"] == "waiting for an audit"
    assert main(command) == 0
    assert "stopped for an audit" not in capsys.readouterr().out
    assert json.loads((tmp_path / "end.json").read_text())["state"] == "finished"


class Guesses(KeywordAnnotator):
    """Errs on three of four texts."""

    @staticmethod
    def _answer(text):
        label = KeywordAnnotator._answer(text).label
        return Annotation(1 - label if sum(map(ord, text)) % 4 else label)


def test_the_answers_show_which_of_several_annotators_is_worse(run, folder, answer, caplog):
    annotators = [KeywordAnnotator(), Guesses()]
    run(audit=40, num_rounds=1, annotator=annotators)
    answer()
    record = run(audit=40, num_rounds=1, annotator=annotators).rounds[-1]
    assert [(worse["annotator"], worse["best"]) for worse in record["worse_annotators"]] == [(2, 1)]
    assert "annotator 2 of the run labels" in caplog.text
    assert "Annotator 2 is not used" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_answers_calibrate_the_student(run, answer):
    from transformers import pipeline

    before = run(num_rounds=1)
    answer()
    after = run(num_rounds=1)
    assert after.rounds[-1]["student_temperature"] != before.rounds[-1]["student_temperature"]
    rows = after.dataset.select(range(5))
    found = pipeline("text-classification", model=str(after.student))(rows["text"][:])
    assert [answer["score"] for answer in found] == pytest.approx(rows["student_confidence"][:], abs=0.01)


def test_human_labels_are_compared_with_the_student_that_was_not_trained_on_them(run, folder, answer, monkeypatch):
    run()
    given, untaught = answer(), []
    whole = single_label.final_labels
    monkeypatch.setattr(
        single_label, "final_labels", lambda *args, **more: untaught.append(more["untaught"]) or whole(*args, **more)
    )
    run()
    first, second = (folder.round(number).read_selection().probabilities for number in (0, 1))
    is_given = np.isin(folder.round(1).read_labels()["id"], list(given))
    assert (untaught[-1] == np.where(is_given[:, None], first, second)).all()
