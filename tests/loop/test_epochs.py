"""The number of training epochs: more for few texts, unless the user gives it."""

import pytest
import yaml

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from freeal_hf.cli.main import main
from freeal_hf.loop.progress import read_progress
from tests.conftest import QUICK_TRAINING, KeywordAnnotator

# A step is 8 of the 80 texts.
TRAINING = {name: value for name, value in QUICK_TRAINING.items() if name != "num_train_epochs"} | {
    "warm_up_epochs": 1
}
MIN_STEPS = 65


def steps_of(folder):
    events = read_progress(folder / "progress.jsonl")
    return next(event["total"] for event in events if event["phase"] == "training")


@pytest.fixture
def run(task, corpus, student_folder, tmp_path):
    def run(args):
        loop = LoopConfig(num_rounds=1, min_train_steps=MIN_STEPS)
        FreeAL(task, KeywordAnnotator(), str(student_folder), args, loop).run(corpus)
        return steps_of(tmp_path / "run")

    return run


@pytest.fixture
def command(corpus, student_folder, tmp_path):
    """The words of a run of one round."""
    corpus.to_csv(tmp_path / "data.csv")
    data = ["--data", str(tmp_path / "data.csv"), "--labels", "fruit,tool", "--annotator", "column:gold"]
    training = [f"--{name}={value}" for name, value in TRAINING.items()]
    loop = ["--num-rounds", "1", "--min-train-steps", str(MIN_STEPS), "--output-dir", str(tmp_path / "run")]
    return ["run", *data, "--student", str(student_folder), *loop, *training]


def test_few_texts_are_trained_on_for_more_epochs(run, tmp_path):
    assert run(FreeALConfig(output_dir=str(tmp_path / "run"), **TRAINING)) == 70


@pytest.mark.parametrize("epochs", [3, 6])
def test_given_epochs_are_kept_even_if_they_equal_the_default(run, tmp_path, epochs):
    assert run(FreeALConfig(output_dir=str(tmp_path / "run"), num_train_epochs=epochs, **TRAINING)) == 10 * epochs


def test_epochs_that_are_set_later_are_kept(run, tmp_path):
    args = FreeALConfig(output_dir=str(tmp_path / "run"), **TRAINING)
    args.num_train_epochs = 6
    assert run(args) == 60


def test_epochs_of_the_command_line_are_kept(command, tmp_path):
    assert main([*command, "--num-train-epochs", "6"]) == 0
    assert steps_of(tmp_path / "run") == 60


def test_epochs_of_a_configuration_file_are_kept(command, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"training": {"num_train_epochs": 6}}))
    assert main([command[0], str(tmp_path / "config.yaml"), *command[1:]]) == 0
    assert steps_of(tmp_path / "run") == 60
    again = tmp_path / "again"
    assert main(["run", str(tmp_path / "run" / "config.yaml"), "--output-dir", str(again)]) == 0
    assert steps_of(again) == 60


def test_a_run_without_given_epochs_writes_none_to_its_configuration(command, tmp_path):
    assert main(command) == 0
    assert steps_of(tmp_path / "run") == 70
    assert "num_train_epochs" not in yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["training"]
