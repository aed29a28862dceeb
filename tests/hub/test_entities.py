"""Runs with entities on the Hub: what a stranger can do with one, and how it goes on from there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from freeal_hf import FreeAL, FreeALConfig
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from tests.conftest import QUICK_TRAINING
from tests.entities import TASK, make_sentences
from tests.hub.conftest import DATASET, MODEL, hub_environment

STRANGER = """
import json
from datasets import load_dataset
from transformers import pipeline

data = load_dataset("ada/reviews-freeal")
find = pipeline("token-classification", model="ada/reviews-student", aggregation_strategy="simple")
print(json.dumps({
    "rows": {split: len(rows) for split, rows in data.items()},
    "features": str(data["train"].features),
    "first": data["train"][0],
    "entities": [entity["entity_group"] for text in data["train"]["text"][:20] for entity in find(text)],
    "rounds": load_dataset("ada/reviews-freeal", "rounds", split="train").to_list(),
    "shots": load_dataset("ada/reviews-freeal", "demonstrations", split="train").to_list(),
}))
"""


@pytest.fixture(scope="module")
def finished_entities(student_folder, tmp_path_factory) -> Path:
    """A run of two rounds with test data and gold."""
    folder = tmp_path_factory.mktemp("entities") / "reviews"
    args = FreeALConfig(output_dir=str(folder), **{**QUICK_TRAINING, "num_train_epochs": 3, "warm_up_epochs": 1})
    data = kind_of(TASK).read_rows(make_sentences(), gold_column="gold", extra_columns=["noisy"])
    test = kind_of(TASK).read_rows(make_sentences().select(range(10)), gold_column="gold")
    FreeAL(TASK, "column:noisy", str(student_folder), args).run(data, test)
    return folder


@pytest.fixture
def entities_dir(finished_entities, tmp_path) -> Path:
    return shutil.copytree(finished_entities, tmp_path / "reviews", ignore=shutil.ignore_patterns("training"))


def test_anyone_can_load_tags_and_spans_and_find_entities(freeal_hf, hub, entities_dir, tmp_path):
    done = freeal_hf("push", entities_dir)
    assert done.code == 0, done.err
    done = subprocess.run(
        [sys.executable, "-c", STRANGER],
        cwd=tmp_path,
        env=hub_environment(hub, tmp_path / "empty"),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == {"train": 60, "test": 10}
    for column in ("label", "annotator_label", "student_label"):
        assert f"'{column}': List(ClassLabel(names={TASK.tags}))" in found["features"]
    assert "gold" not in found["first"]
    spans = [found["first"]["text"][span["start"] : span["end"]] for span in found["first"]["spans"]]
    assert set(spans) <= set(found["first"]["tokens"])
    assert set(found["entities"]) <= set(TASK.label_names)
    assert [row["round"] for row in found["rounds"]] == [0, 1]
    assert all(0 <= row["label_f1"] <= 1 for row in found["rounds"])
    for shot in found["shots"]:
        assert (shot["label"] == -1) == (shot["entities"] == [])
        assert all(entity["text"] in shot["text"] for entity in shot["entities"])


def test_the_cards_have_the_entity_types_and_their_scores(freeal_hf, hub, entities_dir):
    freeal_hf("push", entities_dir)
    record = json.loads((entities_dir / "round-1" / "metrics.json").read_text())
    dataset = DatasetCard(hub.read(*DATASET, "README.md").decode())
    model = ModelCard(hub.read(*MODEL, "README.md").decode())
    assert dataset.data.task_categories == ["token-classification"]
    assert model.data.pipeline_tag == "token-classification"
    assert {result.metric_type: result.metric_value for result in model.data.eval_results} == {
        name: record[f"student_{name}"] for name in ("precision", "recall", "f1")
    }
    for text in (dataset.text, model.text):
        for name, f1 in record["label_f1_by_type"].items():
            assert f"F1 of {name} by the final labels, against gold | {100 * f1:.1f} %" in text
    assert "`spans`" in dataset.text
    assert 'aggregation_strategy="simple"' in model.text
    assert "give every text one" not in model.text
    labels = read_labels(entities_dir / "round-1" / "labels.parquet")
    count = sum(span["type"] == "fruit" for spans in labels["spans"] for span in spans)
    assert f"| fruit | something to eat | {count} |" in dataset.text


def test_a_run_continues_from_the_hub_with_the_same_results(freeal_hf, hub, entities_dir, student_folder, tmp_path):
    (entities_dir / "round-1").rename(tmp_path / "round-1")
    assert freeal_hf("push", entities_dir).code == 0
    elsewhere = tmp_path / "elsewhere"
    done = freeal_hf(
        *("run", "--resume-from", DATASET[1], "--num-rounds", 2, "--student", student_folder),
        *("--output-dir", elsewhere, "--push-to-hub"),
    )
    assert done.code == 0, done.err
    assert list(hub.repos[DATASET].tags) == ["round-0", "round-1"]
    expected = read_labels(tmp_path / "round-1" / "labels.parquet").remove_columns("gold")
    assert read_labels(elsewhere / "labels.parquet").to_dict() == expected.to_dict()


def test_a_round_is_pulled_by_its_tag(freeal_hf, entities_dir, tmp_path):
    freeal_hf("push", entities_dir)
    done = freeal_hf("pull", DATASET[1], "--revision", "round-0", "--output-dir", tmp_path / "old")
    assert done.code == 0, done.err
    expected = read_labels(entities_dir / "round-0" / "labels.parquet").remove_columns("gold")
    pulled = read_labels(tmp_path / "old" / "labels.parquet")
    assert pulled.to_dict() == expected.to_dict()
    assert pulled.features == expected.features
    for name in ("demonstrations.jsonl", "annotations.parquet"):
        assert (tmp_path / "old" / "round-0" / name).read_bytes() == (entities_dir / "round-0" / name).read_bytes()


def test_anyone_can_reproduce_the_run_from_its_pushed_configuration(
    freeal_hf, hub, entities_dir, student_folder, tmp_path
):
    (entities_dir / "round-1").rename(tmp_path / "round-1")
    freeal_hf("push", entities_dir)
    config = tmp_path / "config.yaml"
    values = yaml.safe_load(hub.read(*DATASET, "config.yaml"))
    config.write_text(yaml.safe_dump({**values, "loop": {**values["loop"], "num_rounds": 1}}))
    done = freeal_hf("run", config, "--student", student_folder, "--output-dir", tmp_path / "stranger")
    assert done.code == 0, done.err
    expected = read_labels(entities_dir / "round-0" / "labels.parquet").remove_columns("gold")
    assert read_labels(tmp_path / "stranger" / "labels.parquet").to_dict() == expected.to_dict()
