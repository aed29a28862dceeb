import json

import numpy as np
import pytest

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.loop.progress import Progress, read_progress
from freeal_hf.training.diagnostics import loss_histogram
from tests.conftest import QUICK_TRAINING, KeywordAnnotator


@pytest.fixture(scope="module")
def events(task, corpus, student_folder, tmp_path_factory):
    """What a run of two rounds noted."""
    folder = tmp_path_factory.mktemp("watched")
    args = FreeALConfig(output_dir=str(folder), **{**QUICK_TRAINING, "num_train_epochs": 4, "warm_up_epochs": 2})
    FreeAL(task, KeywordAnnotator(), str(student_folder), args).run(corpus)
    return read_progress(folder / "progress.jsonl")


def steps(events, round, phase):
    return [(e["done"], e["total"]) for e in events if e["round"] == round and e["phase"] == phase and "done" in e]


@pytest.mark.parametrize("round", [0, 1])
@pytest.mark.parametrize("phase", ["annotating", "training"])
def test_each_phase_of_each_round_is_noted_from_beginning_to_end(events, round, phase):
    noted = steps(events, round, phase)
    assert noted[0][0] == 0
    assert noted[-1][0] == noted[-1][1]
    assert noted == sorted(noted)


def test_every_selection_is_noted_with_its_losses_clean_and_noisy_apart(events, corpus):
    epochs = [event for event in events if event["round"] == 0 and "epoch" in event]
    assert [event["epoch"] for event in epochs] == [2, 3, 4]
    assert all(sum(event["clean"]) + sum(event["noisy"]) == len(set(corpus["text"])) for event in epochs)


@pytest.mark.parametrize(
    ("epochs", "steps_taken"), [({}, 80), ({"num_train_epochs": 3}, 30), ({"num_train_epochs": 6}, 60)]
)
def test_a_small_corpus_is_gone_through_more_often_unless_epochs_are_given(
    epochs, steps_taken, task, corpus, student_folder, tmp_path
):
    quick = {name: value for name, value in QUICK_TRAINING.items() if name != "num_train_epochs"}
    args = FreeALConfig(output_dir=str(tmp_path), **{**quick, **epochs})
    loop = LoopConfig(num_rounds=1, min_train_steps=75)
    FreeAL(task, KeywordAnnotator(), str(student_folder), args, loop).run(corpus)
    assert steps(read_progress(tmp_path / "progress.jsonl"), 0, "training")[-1] == (steps_taken, steps_taken)


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    path = tmp_path / "progress.jsonl"
    Progress(path).step(0, "annotating", 0, 3)
    with path.open("a") as file:
        file.write('{"round": 0, "pha')
    assert read_progress(path) == [{"round": 0, "phase": "annotating", "done": 0, "total": 3}]


def test_a_line_that_a_kill_tore_costs_no_more_than_the_one_after_it(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"round": 0, "pha')
    for done in (0, 3):
        Progress(path).step(0, "annotating", done, 3)
    assert read_progress(path) == [{"round": 0, "phase": "annotating", "done": 3, "total": 3}]


def test_a_phase_of_many_steps_does_not_fill_the_file(tmp_path):
    progress = Progress(tmp_path / "progress.jsonl")
    for done in range(10_001):
        progress.step(0, "annotating", done, 10_000)
    assert len((tmp_path / "progress.jsonl").read_text().splitlines()) < 1000


def test_a_run_without_a_progress_file_has_no_events(tmp_path):
    assert read_progress(tmp_path / "progress.jsonl") == []


def test_texts_without_a_label_are_in_no_bin():
    found = loss_histogram(np.array([0.1, 0.2, np.nan, 2.0]), np.array([True, True, False, False]))
    assert (sum(found["clean"]), sum(found["noisy"])) == (2, 1)
    assert found["edges"][-1] == 2.0
    json.dumps(found, allow_nan=False)
