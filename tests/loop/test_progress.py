import json

import numpy as np
import pytest

from freeal_hf import (
    FreeAL,
    FreeALConfig,
    HubConfig,
    MultiLabelClassification,
    TextClassification,
    TokenClassification,
)
from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.data.spans import Span
from freeal_hf.loop.callbacks import RunState
from freeal_hf.loop.progress import ProgressFile, read_progress
from freeal_hf.training.diagnostics import loss_histogram
from tests.conftest import QUICK_TRAINING
from tests.loop.conftest import LessAndLessConfident


@pytest.fixture(scope="module")
def events(task, corpus, student_folder, tmp_path_factory):
    """What a run of two rounds noted."""
    folder = tmp_path_factory.mktemp("watched")
    args = FreeALConfig(output_dir=str(folder), **{**QUICK_TRAINING, "num_train_epochs": 4, "warm_up_epochs": 2})
    FreeAL(task, LessAndLessConfident(), str(student_folder), args).run(corpus)
    return read_progress(folder / "progress.jsonl")


def steps(events, round, phase):
    return [(e["done"], e["total"]) for e in events if e["round"] == round and e["phase"] == phase and "done" in e]


@pytest.mark.parametrize("round", [0, 1])
@pytest.mark.parametrize("phase", ["annotating", "training"])
def test_each_phase_of_each_round_is_written_from_beginning_to_end(events, round, phase):
    noted = steps(events, round, phase)
    assert noted[0][0] == 0
    assert noted[-1][0] == noted[-1][1]
    assert noted == sorted(noted)


def test_every_selection_is_written_with_the_losses_of_clean_and_noisy_samples(events, corpus):
    epochs = [event for event in events if event["round"] == 0 and "epoch" in event]
    assert [event["epoch"] for event in epochs] == [2, 3, 4]
    assert all(sum(event["clean"]) + sum(event["noisy"]) == len(set(corpus["text"])) for event in epochs)


def test_the_first_labelled_texts_of_a_round_are_written_with_label_and_confidence(events, corpus):
    labelled = [row for event in events if event["round"] == 0 for row in event.get("labelled", [])]
    assert {text for text, _, _ in labelled} == set(corpus["text"])
    assert {label for _, label, _ in labelled} == {"fruit", "tool"}
    assert all(0 <= confidence <= 1 for _, _, confidence in labelled)


def test_no_more_than_200_texts_are_written_and_long_ones_are_cut(watched, tmp_path):
    progress = ProgressFile()
    for done in range(1, 1001):
        progress.on_answer(watched, 0, AnnotationRequest("a" * 1000), Annotation(0, confidence=0.5))
        progress.on_annotation_progress(watched, 0, done, 1000)
    labelled = [row for event in read_progress(tmp_path / "progress.jsonl") for row in event.get("labelled", [])]
    assert len(labelled) == 200
    assert {len(text) for text, _, _ in labelled} == {300}


@pytest.mark.parametrize(
    ("task", "request_", "answer", "shown"),
    [
        (TextClassification(["fruit", "tool"]), AnnotationRequest("a plum"), Annotation(0), "fruit"),
        (
            MultiLabelClassification(["fruit", "tool"]),
            AnnotationRequest("a plum and a saw"),
            Annotation(0, labels=(0, 1)),
            "fruit, tool",
        ),
        (MultiLabelClassification(["fruit", "tool"]), AnnotationRequest("a song"), Annotation(0, labels=()), "none"),
        (
            TokenClassification(["person"]),
            AnnotationRequest("Ada Byron wrote", words=("Ada", "Byron", "wrote")),
            Annotation(0, spans=(Span(0, 2, "person"),)),
            "person: Ada Byron",
        ),
        (TokenClassification(["person"]), AnnotationRequest("rain", words=("rain",)), Annotation(0, spans=()), "noth"),
    ],
)
def test_an_answer_of_each_kind_is_shown_in_words(task, request_, answer, shown):
    assert prompts_of(task).in_words(request_, answer).startswith(shown)


@pytest.fixture
def watched(task, tmp_path):
    return RunState(task, tmp_path, 1, FreeALConfig(output_dir=str(tmp_path)), HubConfig())


def test_an_incomplete_last_line_is_left_out(watched, tmp_path):
    path = tmp_path / "progress.jsonl"
    ProgressFile().on_annotation_progress(watched, 0, 0, 3)
    with path.open("a") as file:
        file.write('{"round": 0, "pha')
    assert [event["done"] for event in read_progress(path)] == [0]


def test_a_line_broken_by_a_kill_loses_only_the_next_event(watched, tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"round": 0, "pha')
    for done in (0, 3):
        ProgressFile().on_annotation_progress(watched, 0, done, 3)
    assert [event["done"] for event in read_progress(path)] == [3]


def test_a_phase_of_many_steps_does_not_fill_the_file(watched, tmp_path):
    progress = ProgressFile()
    for done in range(10_001):
        progress.on_annotation_progress(watched, 0, done, 10_000)
    assert len((tmp_path / "progress.jsonl").read_text().splitlines()) < 1000


def test_a_run_without_a_progress_file_has_no_events(tmp_path):
    assert read_progress(tmp_path / "progress.jsonl") == []


def test_texts_without_a_label_are_not_in_the_histogram():
    found = loss_histogram(np.array([0.1, 0.2, np.nan, 2.0]), np.array([True, True, False, False]))
    assert (sum(found["clean"]), sum(found["noisy"])) == (2, 1)
    assert found["edges"][-1] == 2.0
    json.dumps(found, allow_nan=False)
