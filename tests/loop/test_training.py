"""What later rounds need not compute again."""

import pytest

from freeal_hf import FreeAL, FreeALConfig, LoopCallback, LoopConfig
from freeal_hf.training.samples import TextSamples
from freeal_hf.training.trainer import FreeALTrainer
from tests.conftest import QUICK_TRAINING, KeywordAnnotator
from tests.loop.conftest import LessAndLessConfident

# The student has to learn nothing here.
SHORT = {**QUICK_TRAINING, "num_train_epochs": 2, "warm_up_epochs": 1}


class Trained(LoopCallback):
    def __init__(self):
        self.rounds = set()

    def on_train_step(self, run, number, *figures):
        self.rounds.add(number)


@pytest.fixture
def run(task, corpus, student_folder, tmp_path):
    def run(annotator, **options):
        trained = Trained()
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **SHORT)
        loop = FreeAL(
            task, annotator, str(student_folder), args, LoopConfig(num_rounds=2, refine="all"), callbacks=[trained]
        )
        return loop.run(corpus, **options), trained.rounds

    return run


def test_a_student_is_kept_for_a_round_that_changes_no_label(run):
    result, trained = run(KeywordAnnotator())
    assert trained == {0}
    weights = [result.output_dir / f"round-{number}" / "student" / "model.safetensors" for number in (0, 1)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert result.pipeline()("a ripe apple")[0]["label"] in ("fruit", "tool")


def test_a_run_that_is_overwritten_trains_its_first_student_again(run):
    run(KeywordAnnotator())
    assert run(KeywordAnnotator(), overwrite=True)[1] == {0}


def test_texts_are_embedded_once_and_the_probe_is_trained_once_a_round(run, monkeypatch):
    scored, probed = [], []
    score, probe = FreeALTrainer._score_training_set, TextSamples.probe
    monkeypatch.setattr(FreeALTrainer, "_score_training_set", lambda trainer: scored.append(trainer) or score(trainer))
    monkeypatch.setattr(TextSamples, "probe", lambda kind, *args: probed.append(kind) or probe(kind, *args))
    _, trained = run(LessAndLessConfident())
    assert trained == {0, 1}
    assert len(scored) == 1 + 2  # once before the trainings, and after each of them
    assert len(probed) == 2
