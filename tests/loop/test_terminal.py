import datasets
import pytest
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from tests.conftest import QUICK_TRAINING


class Tracker(TrainerCallback):
    """A tracker such as report_to names."""

    received: set[str]

    def on_log(self, args, state, control, logs=None, **_):
        type(self).received |= set(logs)


@pytest.mark.parametrize("disable_tqdm", [True, False])
def test_raw_metrics_are_sent_to_trackers_and_not_printed(
    disable_tqdm, task, annotator, corpus, student_folder, tmp_path, monkeypatch, capfd
):
    Tracker.received = set()
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tracker", Tracker)
    short = {"num_train_epochs": 2, "warm_up_epochs": 1, "disable_tqdm": disable_tqdm, "report_to": ["tracker"]}
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **{**QUICK_TRAINING, **short})
    FreeAL(task, annotator, str(student_folder), args, LoopConfig(num_rounds=1)).run(corpus)
    shown = "".join(capfd.readouterr())
    assert "train_runtime" not in shown
    assert "clean_share" not in shown
    assert ("20/20" in shown) != disable_tqdm
    assert {"clean_share", "train_runtime"} <= Tracker.received


@pytest.fixture
def all_bars_shown():
    """Undoes the changes of other tests."""
    shown = bars_shown()
    transformers.utils.logging.enable_progress_bar()
    datasets.enable_progress_bars()
    enable_progress_bars()
    yield
    if not shown[0]:
        transformers.utils.logging.disable_progress_bar()
    (enable_progress_bars if shown[1] else disable_progress_bars)()
    (datasets.enable_progress_bars if shown[2] else datasets.disable_progress_bars)()


def bars_shown():
    bars = transformers.utils.logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    return (*bars, not datasets.utils.are_progress_bars_disabled())


@pytest.mark.parametrize("hub_shows", [True, False])
def test_disable_tqdm_hides_the_bars_of_the_libraries_during_the_run(
    hub_shows, task, annotator, corpus, student_folder, tmp_path, capfd, all_bars_shown
):
    if not hub_shows:
        disable_progress_bars()
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **{**QUICK_TRAINING, "disable_tqdm": True})
    corpus.to_csv(tmp_path / "corpus.csv")
    capfd.readouterr()
    run = FreeAL(task, annotator, str(student_folder), args, LoopConfig(num_rounds=1))
    run.run(str(tmp_path / "corpus.csv"))
    assert "%|" not in "".join(capfd.readouterr())
    assert bars_shown() == (True, hub_shows, True)
