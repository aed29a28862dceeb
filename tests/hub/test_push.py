"""What a push leaves on the Hub, and what a stranger can do with it."""

import io
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import yaml
from huggingface_hub import DatasetCard, ModelCard

from freeal_hf import Demonstration, RunFolder
from freeal_hf.config import RunConfig
from tests.conftest import CONTRACT
from tests.hub.conftest import DATASET, MODEL, ROOT, hub_environment, second_round
from tests.servers.hub import TOKEN

STRANGER = """
import json
from datasets import load_dataset
from transformers import pipeline

found = {}
for revision in ("round-0", "round-1"):
    data = load_dataset("ada/reviews-freeal", revision=revision)
    features = {split: str(rows.features) for split, rows in data.items()}
    answer = pipeline("text-classification", model="ada/reviews-student", revision=revision)("my old apple")
    found[revision] = {
        "rows": {split: len(rows) for split, rows in data.items()},
        "columns": data["train"].column_names,
        "features": features,
        "round": data["train"]["round"][0],
        "answer": answer[0]["label"],
    }
found["rounds"] = load_dataset("ada/reviews-freeal", "rounds", split="train").to_list()
found["shots"] = load_dataset("ada/reviews-freeal", "demonstrations", split="train").to_list()
print(json.dumps(found))
"""


def test_each_round_is_one_commit_and_one_tag_in_each_private_repository(freeal_hf, hub, run_dir):
    done = freeal_hf("push", run_dir)
    assert done.code == 0, done.err
    for repo in (hub.repos[DATASET], hub.repos[MODEL]):
        assert list(repo.titles.values()) == ["initial commit", "Round 0", "Round 1"]
        assert list(repo.tags) == ["round-0", "round-1"]
        assert list(repo.tags.values()) == list(repo.commits)[1:]
        assert repo.private


def test_anyone_can_load_every_round_in_a_new_process(freeal_hf, hub, run_dir, tmp_path):
    assert freeal_hf("push", run_dir).code == 0
    done = subprocess.run(
        [sys.executable, "-c", STRANGER],
        cwd=tmp_path,
        env=hub_environment(hub, tmp_path / "empty"),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    for number, revision in enumerate(("round-0", "round-1")):
        assert found[revision]["rows"] == {"train": 80, "test": 10}
        assert found[revision]["columns"] == CONTRACT
        assert found[revision]["round"] == number
        assert found[revision]["answer"] == "fruit"
        assert "'label': ClassLabel(names=['fruit', 'tool'])" in found[revision]["features"]["train"]
    assert found["round-0"]["features"] == found["round-1"]["features"]
    assert [row["round"] for row in found["rounds"]] == [0, 1]
    assert {shot["label"] for shot in found["shots"]} == {0, 1}


def test_a_repeated_push_changes_nothing(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    before = {key: list(repo.commits) for key, repo in hub.repos.items()}
    assert freeal_hf("push", run_dir).code == 0
    assert {key: list(repo.commits) for key, repo in hub.repos.items()} == before


def test_the_model_repository_has_safetensors_and_no_pickle(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    repo = hub.repos[MODEL]
    names = set(repo.commits[repo.head])
    assert {"model.safetensors", "config.json", "tokenizer.json", "training_arguments.json", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert json.loads(hub.read(*MODEL, "config.json"))["id2label"] == {"0": "fruit", "1": "tool"}
    assert json.loads(hub.read(*MODEL, "training_arguments.json"))["learning_rate"] == 2e-3


def test_gold_is_only_pushed_on_request(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    assert not [path for path, names in _columns(hub, DATASET).items() if "gold" in names]
    freeal_hf("push", run_dir, "--push-columns", "gold")
    with_gold = {path for path, names in _columns(hub, DATASET).items() if "gold" in names}
    assert with_gold == {
        "data/train-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
        "state/input.parquet",
    }


def test_the_commit_of_a_replaced_tag_keeps_a_tag(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    before = dict(hub.repos[DATASET].tags)
    freeal_hf("push", run_dir, "--push-columns", "gold")
    tags = hub.repos[DATASET].tags
    assert tags["round-0"] != before["round-0"]
    assert set(before.values()) <= set(tags.values())


def test_no_uploaded_file_contains_the_token_or_a_local_path(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    secrets = [TOKEN.encode(), str(run_dir).encode(), str(ROOT).encode(), b"/tmp/", b"/root/", b"/home/"]
    for content in hub.uploaded():
        for readable in (content, _unpacked(content)):
            assert not [secret for secret in secrets if secret in readable]


def test_the_pushed_configuration_runs_on_the_pushed_texts(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    config = yaml.safe_load(hub.read(*DATASET, "config.yaml"))
    assert config["data"]["data"] == DATASET[1]
    assert config["task"]["labels"] == {"fruit": "something to eat", "tool": "something to work with"}
    assert not {"output_dir", "gold_column", "push_to_hub", "student"} & set(RunConfig.from_dict(config).options())


def test_the_cards_have_the_metrics_of_the_run(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    record = json.loads((run_dir / "round-1" / "metrics.json").read_text())
    dataset = DatasetCard(hub.read(*DATASET, "README.md").decode())
    model = ModelCard(hub.read(*MODEL, "README.md").decode())
    assert "no person checked them" in dataset.text
    assert "no person checked them" in model.text
    assert f"{100 * record['label_accuracy']:.1f} %" in dataset.text
    assert [config["config_name"] for config in dataset.data.configs] == ["default", "demonstrations", "rounds"]
    assert model.data.eval_results[0].metric_value == record["student_accuracy"]
    assert model.data.datasets == [DATASET[1]]


def test_the_figures_of_the_cards_are_pushed(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    for kind, name in (DATASET, MODEL):
        text = hub.read(kind, name, "README.md").decode()
        for picture in ("quality", "losses", "confusion", "changes"):
            assert f"](figures/{picture}.png)" in text
            assert hub.read(kind, name, f"figures/{picture}.png").startswith(b"\x89PNG")


def test_text_and_metadata_of_the_owner_are_kept_in_the_next_round(freeal_hf, hub, first_round):
    freeal_hf("push", first_round)
    card = hub.read(*DATASET, "README.md").decode()
    edited = (
        card.replace("\n---\n", "\nlicense: mit\nlanguage:\n- en\n---\nMy own words above.\n", 1) + "\nAnd below.\n"
    )
    edited = edited.replace("pretty_name: reviews-freeal", "pretty_name: Reviews of fruit")
    hub.write(*DATASET, "README.md", edited.replace("machine-labelled", "mine").encode())
    second_round(first_round)
    assert freeal_hf("push", first_round).code == 0
    now = DatasetCard(hub.read(*DATASET, "README.md").decode())
    assert now.text.startswith("My own words above.")
    assert now.text.rstrip().endswith("And below.")
    assert "(round 1)" in now.text and "(round 0)" not in now.text
    assert now.data.license == "mit"
    assert now.data.pretty_name == "Reviews of fruit"
    assert "mine" in now.data.tags


def test_a_collection_contains_dataset_student_and_space(freeal_hf, hub, run_dir):
    asked = ("push", run_dir, "--hub-collection", "Fruit", "--hub-space-id", "ada/demo")
    assert freeal_hf(*asked).code == 0
    assert freeal_hf(*asked).code == 0
    (collection,) = hub.collections.values()
    assert collection["private"]
    items = {(item["type"], item["id"]) for item in collection["items"]}
    assert items == {DATASET, MODEL, ("space", "ada/demo")}
    assert len(collection["items"]) == 3


def test_names_and_visibility_can_be_chosen(freeal_hf, hub, run_dir):
    done = freeal_hf("push", run_dir, "--hub-dataset-id", "lab/d", "--hub-model-id", "m", "--hub-public")
    assert done.code == 0, done.err
    assert set(hub.repos) == {("dataset", "lab/d"), ("model", "ada/m")}
    assert not any(repo.private for repo in hub.repos.values())


def _columns(hub, repo):
    found = hub.repos[repo]
    paths = [path for path in found.commits[found.head] if path.endswith(".parquet")]
    return {path: pq.read_schema(io.BytesIO(hub.read(*repo, path))).names for path in paths}


def _unpacked(content):
    """What compression hides."""
    if content.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(content))
        return f"{table.schema} {table.to_pylist()}".encode()
    if content.startswith(b"PK"):
        return " ".join(np.load(io.BytesIO(content)).files).encode()
    return b""


def test_the_page_of_the_student_shows_a_text_of_the_annotator_to_try(freeal_hf, hub, run_dir, task):
    written = [Demonstration("a ripe plum", 0, source="generated"), Demonstration("nothing", -1, source="generated")]
    RunFolder(run_dir).round(0).write_generated(written, task)
    assert freeal_hf("push", run_dir).code == 0
    card = hub.read(*MODEL, "README.md").decode()
    assert "widget:\n- example_title: fruit\n  text: a ripe plum\n" in card
