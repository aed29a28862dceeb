"""Callbacks of a run: when each of their methods is called."""

import json

import pytest
from torch import distributed

from freeal_hf import FreeAL, FreeALConfig, LoopCallback, LoopConfig
from freeal_hf.errors import InputError
from tests.conftest import QUICK_TRAINING, KeywordAnnotator
from tests.loop.conftest import LessAndLessConfident


class Recorder(LoopCallback):
    """Keeps the calls of its methods."""

    def __init__(self):
        self.calls = []

    def on_run_begin(self, run):
        self.calls.append(("run begin", run.num_rounds, sorted(path.name for path in run.output_dir.iterdir())))

    def on_annotation_progress(self, run, round, done, total):
        self.calls.append(("answers", round, done, total))

    def on_train_step(self, run, round, done, total):
        self.calls.append(("steps", round, done, total))

    def on_selection(self, run, round, diagnostics):
        self.calls.append(("selection", round, diagnostics["epoch"]))

    def on_round_end(self, run, record):
        stored = json.loads((run.output_dir / "metrics.json").read_text())
        self.calls.append(("round end", record["round"], record == stored[-1]))

    def on_run_end(self, run):
        self.calls.append(("run end",))

    def named(self, *names):
        return [call for call in self.calls if call[0] in names]


@pytest.fixture
def loop_with(task, student_folder, tmp_path):
    def loop_with(*callbacks, **training):
        quick = {**QUICK_TRAINING, "num_train_epochs": 3, "warm_up_epochs": 2, **training}
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **quick)
        return FreeAL(task, KeywordAnnotator(), str(student_folder), args, LoopConfig(), callbacks=callbacks)

    return loop_with


@pytest.fixture(scope="module")
def recorder(task, corpus, student_folder, tmp_path_factory):
    """What a run of two rounds called."""
    recorder = Recorder()
    quick = {**QUICK_TRAINING, "num_train_epochs": 3, "warm_up_epochs": 2}
    args = FreeALConfig(output_dir=str(tmp_path_factory.mktemp("run") / "run"), **quick)
    FreeAL(task, LessAndLessConfident(), str(student_folder), args, LoopConfig(), callbacks=[recorder]).run(corpus)
    return recorder


def test_on_run_begin_is_called_before_the_answer_cache_exists(recorder):
    assert recorder.calls[0][:2] == ("run begin", 2)
    assert "config.yaml" in recorder.calls[0][2]
    assert "cache.sqlite" not in recorder.calls[0][2]


def test_on_round_end_is_called_once_for_each_round_and_then_on_run_end(recorder):
    assert recorder.named("round end", "run end") == [
        ("round end", 0, True),
        ("round end", 1, True),
        ("run end",),
    ]


def test_every_answer_of_round_0_is_counted(recorder, corpus):
    total = len(set(corpus["text"]))
    assert recorder.named("answers")[: total + 1] == [("answers", 0, done, total) for done in range(total + 1)]


def test_every_step_of_the_training_is_counted(recorder):
    assert [call for call in recorder.named("steps") if call[1] == 0] == [("steps", 0, done, 30) for done in range(31)]


def test_each_selection_is_reported_with_its_epoch(recorder):
    assert recorder.named("selection") == [("selection", round, epoch) for round in (0, 1) for epoch in (2, 3)]


def test_a_finished_run_calls_only_on_run_begin_and_on_run_end(loop_with, corpus):
    loop_with().run(corpus)
    recorder = Recorder()
    loop_with(recorder).run(corpus)
    assert [call[0] for call in recorder.calls] == ["run begin", "run end"]


def test_an_error_of_a_callback_ends_the_run_which_can_be_continued(loop_with, corpus, tmp_path):
    class Failing(LoopCallback):
        def on_round_end(self, run, record):
            raise RuntimeError("no connection")

    with pytest.raises(RuntimeError, match="no connection"):
        loop_with(Failing()).run(corpus)
    assert not (tmp_path / "run" / "round-1").exists()
    recorder = Recorder()
    assert len(loop_with(recorder).run(corpus).rounds) == 2
    assert recorder.named("round end") == [("round end", 1, True)]


@pytest.mark.parametrize(("callback", "shown"), [(Recorder, "the class Recorder"), (print, "builtin_function")])
def test_an_object_that_is_not_a_callback_is_refused(loop_with, callback, shown):
    with pytest.raises(InputError, match=f"A callback is {shown}.*freeal_hf.LoopCallback"):
        loop_with(callback)


def test_a_constructor_does_not_wait_for_other_processes(loop_with, monkeypatch):
    waited = []
    monkeypatch.setattr(distributed, "new_group", lambda **options: waited.append(options))
    monkeypatch.setattr(FreeALConfig, "world_size", 2)
    assert loop_with().is_main
    assert waited == []
