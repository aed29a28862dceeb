"""Runs whose texts have any number of labels on the Hub: what a user loads, and how the run continues from there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset
from huggingface_hub import DatasetCard

from freeal_hf import FreeAL, FreeALConfig, HumanLabel, LoopConfig, MultiLabelClassification, kind_of
from freeal_hf.kinds.rounds import read_labels
from tests.hub.conftest import DATASET, hub_environment
from tests.kinds.test_multi_label import MULTI_TRAINING, make_rows

TASK = MultiLabelClassification({"fruit": "something to eat", "tool": "something to work with"})
USER = """
import json
from datasets import load_dataset
from transformers import pipeline

data = load_dataset("ada/reviews-freeal", split="train")
classify = pipeline("text-classification", model="ada/reviews-student", top_k=None)
print(json.dumps({
    "features": str(data.features),
    "annotator": data["annotator_label"][:],
    "thresholds": classify.model.config.thresholds,
    "scores": classify("an old apple"),
    "rounds": load_dataset("ada/reviews-freeal", "rounds", split="train").to_list(),
    "shots": load_dataset("ada/reviews-freeal", "demonstrations", split="train").to_list(),
}))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(student_folder, tmp_path_factory) -> Path:
    """A run of two rounds with test data, gold and two human labels."""
    folder = tmp_path_factory.mktemp("multi") / "reviews"
    args = FreeALConfig(output_dir=str(folder), **MULTI_TRAINING)
    kind = kind_of(TASK)
    data = kind.read_rows(Dataset.from_list(make_rows(60)), gold_column="gold", extra_columns=["answers"])
    test = kind.read_rows(Dataset.from_list(make_rows(10)), gold_column="gold")
    loop = LoopConfig(stop_on="never")
    human = [HumanLabel(tuple(data["gold"][i]), id=data["id"][i]) for i in (0, 2)]
    FreeAL(TASK, "column:answers", str(student_folder), args, loop).run(data, test, human_labels=human)
    return folder


@pytest.fixture
def run_dir(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "reviews", ignore=shutil.ignore_patterns("training"))


def test_a_user_loads_lists_of_labels_and_a_student_with_thresholds(freeal_hf, hub, run_dir, tmp_path):
    done = freeal_hf("push", run_dir)
    assert done.code == 0, done.err
    environment = hub_environment(hub, tmp_path / "empty")
    done = subprocess.run([sys.executable, "-c", USER], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for column in ("label", "annotator_label", "student_label"):
        assert f"'{column}': List(ClassLabel(names={TASK.label_names}))" in found["features"]
    assert found["annotator"].count(None) == 3
    assert [] in found["annotator"]
    assert len(found["thresholds"]) == 2
    assert [row["round"] for row in found["rounds"]] == [0, 1]
    assert all(0 <= row["label_micro_f1"] <= 1 for row in found["rounds"])
    assert all((shot["label"] == -1) == (shot["labels"] == []) for shot in found["shots"])
    card = DatasetCard(hub.read(*DATASET, "README.md").decode(), ignore_metadata_errors=True)
    assert "an empty list means that none of the labels applies" in card.text
    assert "A person checked 2 of them" in card.text


def test_a_run_continues_from_the_hub_alone_as_if_it_had_not_stopped(
    freeal_hf, hub, run_dir, student_folder, tmp_path
):
    (run_dir / "round-1").rename(tmp_path / "round-1")
    assert freeal_hf("push", run_dir).code == 0
    elsewhere = tmp_path / "elsewhere"
    done = freeal_hf(
        *("run", "--resume-from", DATASET[1], "--num-rounds", 2, "--student", student_folder),
        *("--output-dir", elsewhere),
    )
    assert done.code == 0, done.err
    # The notes of texts without an answer name the column, which is another one on the Hub.
    expected = read_labels(tmp_path / "round-1" / "labels.parquet").remove_columns(["gold", "note"])
    assert read_labels(elsewhere / "labels.parquet").remove_columns("note").to_dict() == expected.to_dict()
