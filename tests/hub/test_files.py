"""The files of a round on their way to the Hub."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Value

from freeal_hf.hub import files as hub_files
from freeal_hf.hub.files import dataset_files, own_columns, public_config, student_files
from freeal_hf.loop.folder import RunFolder


@pytest.fixture
def folder(tmp_path, task):
    """A run of one round with 25,000 texts, gold and a further column."""
    folder, count = RunFolder(tmp_path / "run"), 25_000
    place = folder.round(0).path
    place.mkdir(parents=True)
    label = ClassLabel(names=task.label_names)
    rows = {"id": list(map(str, range(count))), "text": [f"text {i}" for i in range(count)], "label": [0, 1] * 12_500}
    features = Features(id=Value("string"), text=Value("string"), label=label)
    Dataset.from_dict({**rows, "gold": rows["label"]}, features=Features({**features, "gold": label})).to_parquet(
        place / "labels.parquet"
    )
    Dataset.from_dict({**rows, "mine": rows["id"], "note": rows["id"]}).to_parquet(folder / "input.parquet")
    (place / "demonstrations.jsonl").write_text("")
    (place / "metrics.json").write_text(json.dumps({"round": 0, "cost": None, "novel": 1}))
    return folder


@pytest.fixture
def staging(tmp_path):
    staging = tmp_path / "staging"
    staging.mkdir()
    return staging


def test_large_data_is_split_into_shards_with_every_row_in_order(folder, task, staging, monkeypatch):
    monkeypatch.setattr(hub_files, "SHARD_BYTES", (folder.path / "round-0" / "labels.parquet").stat().st_size // 3)
    files = dataset_files(folder, 0, task, [], staging)
    names = sorted(name for name in files if name.startswith("data/"))
    assert names == [f"data/train-{i:05d}-of-00004.parquet" for i in range(4)]
    ids = [row for name in names for row in pq.read_table(files[name])["id"].to_pylist()]
    assert ids == list(map(str, range(25_000)))


def test_shards_keep_the_label_names(folder, task, staging):
    files = dataset_files(folder, 0, task, [], staging)
    features = Features.from_arrow_schema(pq.read_schema(files["data/train-00000-of-00001.parquet"]))
    assert features["label"].names == ["fruit", "tool"]


@pytest.mark.parametrize(
    ("asked", "gold", "mine"), [([], False, False), (["gold"], True, False), (["mine"], False, True)]
)
def test_only_requested_columns_are_pushed(folder, task, staging, asked, gold, mine):
    files = dataset_files(folder, 0, task, asked, staging)
    assert ("gold" in pq.read_schema(files["data/train-00000-of-00001.parquet"]).names) == gold
    assert ("mine" in pq.read_schema(files["state/input.parquet"]).names) == mine


@pytest.mark.parametrize(
    ("asked", "taken"), [(["gold"], ["gold"]), (["sentiment", "mine"], ["sentiment", "mine", "gold"])]
)
def test_the_gold_column_can_be_requested_by_either_name(folder, asked, taken):
    (folder / "config.yaml").write_text("gold_column: sentiment\n")
    assert own_columns(folder, 0, asked) == taken


def test_gold_is_not_pushed_if_only_one_split_has_it(folder):
    (folder / "config.yaml").write_text("{}")
    Dataset.from_dict({"id": ["1"], "text": ["a"]}).to_parquet(folder.round(0).test_labels_path)
    assert own_columns(folder, 0, ["gold"]) == []


def test_the_types_of_the_tables_do_not_depend_on_the_values(folder, task, staging):
    files = dataset_files(folder, 0, task, [], staging)
    rounds = Features.from_arrow_schema(pq.read_schema(files["rounds/train-00000-of-00001.parquet"]))
    assert rounds["label_accuracy"] == rounds["cost"] == Value("float64")
    assert "novel" not in rounds
    shots = Features.from_arrow_schema(pq.read_schema(files["demonstrations/train-00000-of-00001.parquet"]))
    assert shots["label"].names == ["fruit", "tool"]


def test_the_configuration_of_a_student_has_no_paths_and_its_pickle_is_not_pushed(folder, staging):
    student = folder.round(0).student_path
    student.mkdir()
    (student / "config.json").write_text(json.dumps({"_name_or_path": "/home/ada/models/x", "hidden_size": 3}))
    (student / "training_args.bin").write_bytes(b"pickle")
    files = student_files(folder, 0, staging)
    assert set(files) == {"config.json"}
    assert json.loads(files["config.json"].read_text()) == {"hidden_size": 3}


@pytest.mark.parametrize(
    ("key", "value", "public"),
    [
        ("annotator", "endpoint:http://user:key@host:80/v1?key=1", "endpoint:http://host:80/v1"),
        ("annotator", "endpoint:org/model@https://key@host/v1", "endpoint:org/model@https://host/v1"),
        ("annotator", "column:theirs", "column:annotator_label"),
        (
            "annotator_options",
            {"base_url": "https://key@host", "retries": 3},
            {"base_url": "https://host", "retries": 3},
        ),
        ("data", "reviews.csv", "ada/reviews"),
        ("text_columns", "title,body", None),
        ("student", "/models/mine", None),
        ("prices", "prices.yaml", None),
        ("hub_model_id", "ada/m", None),
        ("push_to_hub", True, None),
        ("shots", 4, 4),
    ],
)
def test_the_public_configuration_has_no_key_no_path_and_no_column_name(folder, key, value, public):
    (folder / "config.yaml").write_text(yaml.safe_dump({key: value}))
    assert public_config(folder, "ada/reviews", has_gold=False).options().get(key) == public


def test_only_the_columns_that_are_needed_are_read(folder):
    labels = hub_files.label_columns(folder.path / "round-0" / "labels.parquet", ["label", "absent"])
    assert labels.column_names == ["label"]
    assert labels["label"][:].sum() == 12_500
