"""The audit of an entity task: sentences with all of their entities, and single entities."""

import io
import json

import pytest
from datasets import ClassLabel, Dataset, Sequence

from freeal_hf import FreeAL, FreeALConfig, LoopConfig, TokenClassification
from freeal_hf.cli.main import main
from freeal_hf.data.spans import Span
from freeal_hf.errors import InputError
from freeal_hf.kinds.entity_audit import parts_of, read_written, written
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.audit import audited_human_labels, draw_audit, score_audit
from freeal_hf.loop.audit_sheet import read_sheet, write_sheet
from freeal_hf.loop.folder import AUDIT_ENTITIES_CSV, RunFolder
from tests import entities
from tests.conftest import QUICK_TRAINING
from tests.loop.test_audit import finish

TASK = TokenClassification(["fruit"])


@pytest.fixture
def entity_folder(tmp_path):
    """A run of 40 sentences, half of them with an entity, and one without words."""
    tags = ["O", "B-fruit", "I-fruit"]
    names = [[0, 1, 0] if i % 2 else [0, 0, 0] for i in range(40)]
    rows = Dataset.from_dict(
        {
            "id": [f"id{i}" for i in range(41)],
            "text": [f"an apple {i}" for i in range(40)] + [""],
            "tokens": [["an", "apple", str(i)] for i in range(40)] + [[]],
            "token_starts": [[0, 3, 9]] * 40 + [[]],
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


def test_sentences_are_audited_as_right_or_wrong_with_all_their_entities(entity_folder, capsys):
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
    assert "Entity F1" not in said  # the wrong ones are not corrected
    assert entity_folder.metrics(0)["audited_label_accuracy"] == pytest.approx(0.75)
    assert "of the sentences have exactly the right entities, audited" in (entity_folder / "report.html").read_text()


def test_a_second_sheet_is_refused_for_entities(entity_folder, tmp_path, capsys):
    assert main(["audit", str(entity_folder.path), "--second-annotator", str(tmp_path / "second.csv")]) == 1
    assert "labels of texts" in capsys.readouterr().err


def test_an_invalid_answer_about_a_sentence_is_refused(entity_folder, capsys):
    draw_audit(entity_folder, TASK, 5)
    write_sheet(entity_folder, [{**row, "label": "fruit"} for row in read_sheet(entity_folder)])
    assert main(["audit", str(entity_folder.path)]) == 1
    assert "'right', 'wrong'" in capsys.readouterr().err


def test_entities_are_shown_in_the_terminal(entity_folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n" * 4))
    assert main(["audit", str(entity_folder.path), "--n", "4", "--terminal"]) == 0
    said = capsys.readouterr().out
    assert "apple (fruit)" in said
    assert "100.0 % of the sentences" in said
    assert "from 4 of 4 answers" in said


def test_entities_are_corrected_and_judged_in_the_terminal(entity_folder, capsys, monkeypatch):
    said = ["2", "pear (fruit)", "none", "1", "2", "", "1", "1", "2"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(said)))
    assert main(["audit", str(entity_folder.path), "--n", "4", "--entities", "2", "--terminal"]) == 0
    assert "'pear' is not in the sentence" in capsys.readouterr().out
    rows = [(row["label"], row["corrected"]) for row in read_sheet(entity_folder)]
    assert rows == [("wrong", "none"), ("right", ""), ("wrong", ""), ("right", "")]
    assert [row["label"] for row in read_sheet(entity_folder, AUDIT_ENTITIES_CSV)] == ["right", "wrong"]


def answer(folder, **corrections):
    """Corrects some sentences by id, and confirms the others."""
    rows = read_sheet(folder)
    write_sheet(
        folder,
        [
            {**row, "label": "wrong", "corrected": corrections[row["id"]]}
            if row["id"] in corrections
            else {**row, "label": "right"}
            for row in rows
        ],
    )


def test_corrected_sentences_give_f1_precision_and_recall(entity_folder, capsys):
    draw_audit(entity_folder, TASK, 40)
    # Of 20 found entities two are wrong, and 4 are missed.
    answer(entity_folder, id1="none", id3="none", **{f"id{i}": "apple (fruit)" for i in (0, 2, 4, 6)})
    assert main(["audit", str(entity_folder.path)]) == 0
    said = capsys.readouterr().out
    assert "Entity F1 is 85.7 %" in said
    found = entity_folder.metrics(0)["audited_entities"]
    assert found["f1"]["value"] == pytest.approx(2 * 18 / (20 + 22))
    assert found["precision"]["value"] == pytest.approx(18 / 20)
    assert found["recall"]["value"] == pytest.approx(18 / 22)
    assert "Audited entities: F1 86 %" in (entity_folder / "report.html").read_text()


def test_single_entities_are_judged_in_a_sheet_of_their_own(entity_folder, capsys):
    command = ["audit", str(entity_folder.path), "--n", "10", "--entities", "20"]
    assert main(command) == 0
    assert AUDIT_ENTITIES_CSV in capsys.readouterr().out
    answer(entity_folder)
    rows = read_sheet(entity_folder, AUDIT_ENTITIES_CSV)
    assert {row["entity"] for row in rows} == {"apple (fruit)"}
    assert rows[0]["text"].startswith("an [[apple]] ")
    judged = [{**row, "label": "wrong" if i < 5 else "right"} for i, row in enumerate(rows)]
    write_sheet(entity_folder, judged, AUDIT_ENTITIES_CSV)
    assert main(command) == 0
    found = entity_folder.metrics(0)["audited_entities"]
    assert (found["sentences"], found["entities"]) == (10, 20)
    assert 0.75 < found["precision"]["value"] < 0.85
    assert found["precision"]["low"] < 0.75
    assert main([*command, "--new"]) == 0
    assert (entity_folder / "audit_entities-1.csv").is_file()


def test_entities_with_more_votes_are_in_other_strata(entity_folder):
    labels = entity_folder.round(0).read_labels()
    apple = [Span(1, 2, "fruit")]
    voted = [
        [apple] * 40,
        [apple if i < 20 else [] for i in range(40)],
        [apple if i < 10 else None for i in range(40)],
    ]
    parts = parts_of(labels, range(40), voted)
    assert [(part.id, part.support // 4) for part in parts] == [
        (f"id{i}#1", 3 if i < 10 else 2 if i < 20 else 1) for i in range(1, 40, 2)
    ]


def test_answers_are_human_labels_with_all_entities_of_the_sentence(entity_folder):
    draw_audit(entity_folder, TASK, 40)
    answer(entity_folder, id0="apple (fruit)", id1="none", id2="")
    found = {item.id: item.tags for item in audited_human_labels(entity_folder, TASK)}
    assert found["id0"] == ("O", "B-fruit", "O")
    assert found["id1"] == ("O", "O", "O")
    assert found["id3"] == ("O", "B-fruit", "O")  # called right
    assert "id2" not in found  # called wrong, and not corrected
    assert score_audit(entity_folder, TASK).entities is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("pear (fruit)", "'pear' does not stand in the sentence|'pear' is not in the sentence"),
        ("apple (tool)", "is no list of entities; write them as 'none' or as 'words \\(type\\)"),
        ("apple", "is no list of entities"),
    ],
)
def test_a_correction_that_cannot_be_read_is_named_with_its_place(entity_folder, said, message):
    draw_audit(entity_folder, TASK, 40)
    answer(entity_folder, id0=said)
    with pytest.raises(InputError, match=f"audit.csv, 'id0': .*({message})"):
        score_audit(entity_folder, TASK)


def test_a_sentence_cannot_be_right_and_corrected(entity_folder):
    draw_audit(entity_folder, TASK, 40)
    rows = read_sheet(entity_folder)
    write_sheet(entity_folder, [{**row, "label": "right", "corrected": "an (fruit)"} for row in rows])
    with pytest.raises(InputError, match="are called right, and corrected as 'an \\(fruit\\)'"):
        score_audit(entity_folder, TASK)


@pytest.mark.parametrize(
    "spans",
    [
        [],
        [Span(0, 2, "fruit")],
        [Span(0, 1, "fruit"), Span(3, 4, "a (b) 2; c")],
        [Span(2, 3, "fruit"), Span(4, 5, "fruit")],
    ],
)
def test_written_entities_are_read_back(spans):
    task = TokenClassification(["fruit", "a (b) 2; c"])
    words = ["x;", "(y)", "z", "x;", "z"]
    row = {"text": "x; (y) z x; z", "tokens": words, "token_starts": [0, 3, 7, 9, 12]}
    tags = ["O"] * 5
    for start, end, name in spans:
        tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
    assert read_written(written(row, tags), words, task, "here") == spans


def test_a_run_stops_for_an_audit_and_learns_from_its_sentences(student_folder, tmp_path):
    args = FreeALConfig(
        output_dir=str(tmp_path / "run"),
        report_to="none",
        **{**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1},
    )
    data = kind_of(entities.TASK).read_rows(entities.make_sentences(), extra_columns=["noisy"])

    def run():
        loop = FreeAL(entities.TASK, "column:noisy", str(student_folder), args, LoopConfig(num_rounds=2, audit=10))
        return loop.run(data)

    assert run().audit_sheet is not None
    folder = RunFolder(tmp_path / "run")
    rows = read_sheet(folder)
    write_sheet(folder, [{**row, "label": "wrong", "corrected": "none"} for row in rows])
    result = run()
    audited = {row["id"] for row in rows}
    labelled = [row for row in result.dataset if row["note"] == "labelled by a person"]
    assert audited <= {row["id"] for row in labelled}
    assert all(set(row["label"]) == {0} for row in labelled)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())[0]["audited_entities"]["f1"]["value"] == 0.0


def test_an_audit_of_the_last_round_changes_how_much_each_annotator_counts(student_folder, tmp_path):
    sentences = entities.make_sentences()
    wrong = [["O" if tag != "O" else "B-tool" for tag in tags] for tags in sentences["gold"]]
    args = FreeALConfig(
        output_dir=str(tmp_path / "run"),
        report_to="none",
        **{**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1},
    )
    data = kind_of(entities.TASK).read_rows(
        sentences.add_column("wrong", wrong), gold_column="gold", extra_columns=["noisy", "wrong"]
    )

    def run():
        loop = LoopConfig(num_rounds=1, audit=20)
        return FreeAL(entities.TASK, ["column:noisy", "column:wrong"], str(student_folder), args, loop).run(data)

    before = run().dataset
    folder = RunFolder(tmp_path / "run")
    gold = {row["id"]: row["gold"] for row in data}
    rows = read_sheet(folder)
    words = dict(zip(data["id"], data["tokens"], strict=True))

    def corrected(row):
        found = [(word, tag) for word, tag in zip(words[row["id"]], gold[row["id"]], strict=True) if tag]
        return "; ".join(f"{word} ({entities.TYPES[word]})" for word, _ in found) or "none"

    write_sheet(folder, [{**row, "label": "wrong", "corrected": corrected(row)} for row in rows])
    after = run().dataset
    audited = {row["id"] for row in rows}
    changed = [
        (old["annotator_label"], new) for old, new in zip(before, after, strict=True) if new["id"] not in audited
    ]
    assert any(old != new["annotator_label"] for old, new in changed)
    assert all(new["annotator_label"] == new["label"] for _, new in changed)
