"""Entities by several annotators."""

import json

import numpy as np

from freeal_hf import Annotation, FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli.main import main
from freeal_hf.data.spans import Span
from freeal_hf.kinds.entity_answers import EntityAnswers, fuse
from freeal_hf.kinds.registry import kind_of
from tests.conftest import QUICK_TRAINING
from tests.entities import TASK, KnowingAnnotator, make_sentences

QUICK = {**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1, "report_to": "none"}
APPLE, PIE, APPLE_PIE = Span(0, 1, "fruit"), Span(1, 2, "tool"), Span(0, 2, "fruit")


def answers(*spans):
    missing = [None if found is not None else "no answer" for found in spans]
    return EntityAnswers(list(spans), missing, np.ones(len(spans), dtype=int))


def test_the_entities_of_several_annotators_are_fused_by_votes():
    found = fuse([answers([APPLE], None), answers([APPLE, PIE], None), answers([], None)])
    assert found.spans == [[APPLE], None]
    assert found.reasons == [None, "no answer"]
    assert found.dropped.tolist() == [3, 3]


def test_of_overlapping_entities_in_an_answer_the_longest_is_kept_and_the_others_are_counted():
    found = EntityAnswers.none(1)
    found.take(0, Annotation(0, spans=(APPLE, APPLE_PIE, PIE), num_dropped=1))
    assert found.spans == [[APPLE_PIE]]
    assert found.dropped.tolist() == [3]


def test_answers_of_a_refine_annotator_replace_the_others():
    found = answers([APPLE], [PIE], None).refined_by(answers([APPLE_PIE], None, None))
    assert found.spans == [[APPLE_PIE], [PIE], None]
    assert found.reasons == [None, None, "no answer"]


def test_answers_of_several_are_read_back_from_disk(tmp_path):
    whole = answers([APPLE], None)
    whole.parts = [answers([APPLE], None), answers([APPLE, PIE], None)]
    whole.save(tmp_path / "answers.json", {"cost": 1.0})
    loaded, costs = EntityAnswers.load(tmp_path / "answers.json")
    assert costs == {"cost": 1.0}
    assert [part.spans for part in loaded.parts] == [part.spans for part in whole.parts]
    assert loaded.spans == whole.spans


def test_the_most_disputed_sentences_are_refined_first(student_folder, tmp_path):
    refiner = KnowingAnnotator()
    data = kind_of(TASK).read_rows(make_sentences(), gold_column="gold", extra_columns=["noisy"])
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK)
    loop = FreeAL(TASK, "column:noisy", str(student_folder), args, LoopConfig(refine="all"), refine_annotator=refiner)
    result = loop.run(data)
    with np.load(tmp_path / "run" / "round-0" / "selection.npz") as selection:
        losses = np.split(selection["losses"], np.cumsum([len(words) for words in _distinct(data)])[:-1])
    worst = {" ".join(words): loss.max() for words, loss in zip(_distinct(data), losses, strict=True)}
    asked = [worst[request.text] for request in refiner.asked]
    assert asked == sorted(asked, reverse=True)
    assert result.rounds[1]["annotator_f1"] == 1.0


def _distinct(data):
    return list(dict.fromkeys(tuple(words) for words in data["tokens"]))


def test_the_command_line_fuses_columns_by_majority_in_each_round(student_folder, tmp_path):
    def missing(row, number):
        return ["O" if i % 3 == number else tag for i, tag in enumerate(row["gold"])]

    rows = make_sentences().map(lambda row: {name: missing(row, i) for i, name in enumerate("abc")})
    rows.to_json(tmp_path / "data.jsonl")
    TASK.save(tmp_path / "task.yaml")
    training = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK.items()]
    command = [
        *(
            "run",
            "--data",
            str(tmp_path / "data.jsonl"),
            "--task",
            str(tmp_path / "task.yaml"),
            "--gold-column",
            "gold",
        ),
        *("--annotator", "column:a,b", "--annotator", "column:c", "--student", str(student_folder)),
        *("--output-dir", str(tmp_path / "run"), *training),
    ]
    assert main(command) == 0
    first, second = json.loads((tmp_path / "run" / "metrics.json").read_text())
    # Each misses every third word, and no two of them the same.
    assert first["annotator_f1"] == second["annotator_f1"] == 1.0
    assert sorted(one["annotator"] for one in first["annotator_ranking"]) == [1, 2, 3]
    assert all(0 < one["f1_with_others"] < 1 for one in first["annotator_ranking"])
    assert first["annotator_calls"] == 3 * len(_distinct(rows))
