"""Runs that push as they go, rounds that are pulled back, and runs that go on from the Hub alone."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml

from freeal_hf import TextClassification
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import RunFolder
from tests.hub.conftest import DATASET, MODEL, ROOT, hub_environment
from tests.servers.hub import READ_TOKEN, TOKEN

pytestmark = pytest.mark.slow

LABELS = ("--labels", "fruit,tool")
TRAINING = (
    "--num-train-epochs",
    7,
    "--warm-up-epochs",
    4,
    "--per-device-train-batch-size",
    8,
    "--learning-rate",
    2e-3,
)


@pytest.fixture
def run_words(corpus, student_folder, tmp_path):
    """The words of a `run` whose labels come from a column in which every ninth is wrong."""
    table = corpus.to_pandas()
    other = {"fruit": "tool", "tool": "fruit"}
    table["theirs"] = [other[gold] if row % 9 == 0 else gold for row, gold in enumerate(table["gold"])]
    table["place"] = "shop"
    data = tmp_path / "corpus.csv"
    table.to_csv(data, index=False)

    def words(name, *more):
        source = ("--data", data, "--gold-column", "gold", "--annotator", "column:theirs", "--student", student_folder)
        return ["run", *source, *LABELS, "--output-dir", tmp_path / name, *TRAINING, *more]

    return words


def test_a_run_pushes_every_round_when_it_ends(freeal_hf, hub, run_words, tmp_path):
    done = freeal_hf(*run_words("reviews", "--push-to-hub", "--push-columns", "gold"))
    assert done.code == 0, done.err
    for repo in (DATASET, MODEL):
        assert list(hub.repos[repo].titles.values())[1:] == ["Round 0", "Round 1"]
    config = (tmp_path / "reviews" / "config.yaml").read_text()
    assert "push_to_hub: true" in config
    assert TOKEN not in config


PUSHED_FROM_PYTHON = """
import sys
from freeal_hf import FreeAL, FreeALConfig, LoopConfig, PushToHubCallback, TextClassification

folder, student = sys.argv[1:]
quick = {"num_train_epochs": 2, "warm_up_epochs": 1, "report_to": "none"}
args, task = FreeALConfig(output_dir=f"{folder}/reviews", **quick), TextClassification(["fruit", "tool"])
loop = FreeAL(task, "column:gold", student, args, LoopConfig(num_rounds=1), callbacks=[PushToHubCallback()])
loop.run(f"{folder}/corpus.csv")
"""


def test_the_callback_pushes_a_run_without_the_option(hub, run_words, student_folder, tmp_path):
    run_words("reviews")  # writes the data
    command = [sys.executable, "-c", PUSHED_FROM_PYTHON, str(tmp_path), str(student_folder)]
    subprocess.run(command, env=hub_environment(hub, tmp_path / "home"), cwd=ROOT, check=True)
    assert list(hub.repos[DATASET].tags) == list(hub.repos[MODEL].tags) == ["round-0"]


def test_a_finished_run_can_be_pushed_later(freeal_hf, hub, run_words):
    assert freeal_hf(*run_words("reviews", "--num-rounds", 1)).code == 0
    done = freeal_hf(*run_words("reviews", "--num-rounds", 1, "--push-to-hub"))
    assert done.code == 0, done.err
    assert list(hub.repos[DATASET].tags) == list(hub.repos[MODEL].tags) == ["round-0"]


def test_the_hub_is_checked_before_any_call_of_an_annotator(freeal_hf, run_words, tmp_path):
    refused = freeal_hf(*run_words("reviews", "--push-to-hub"), token=READ_TOKEN)
    assert refused.code == 1
    assert "has no write access to ada/reviews-freeal" in refused.err
    assert not (tmp_path / "reviews" / "cache.sqlite").exists()


def test_a_run_whose_pushes_fail_is_complete_on_disk_and_reports_the_remedy(freeal_hf, hub, run_words, tmp_path):
    hub.fail("commit", *[503] * 100)
    folder = tmp_path / "reviews"
    failed = freeal_hf(*run_words("reviews", "--num-rounds", 1, "--push-to-hub"))
    assert failed.code == 1
    assert "The push failed, and the run continues" in failed.err
    assert f"Repeat with: freeal-hf push {folder}" in failed.err
    assert len(read_labels(folder / "labels.parquet")) == 80
    hub.failures.clear()
    assert freeal_hf("push", folder).code == 0
    assert list(hub.repos[MODEL].tags) == ["round-0"]


def test_a_run_continues_from_the_hub_with_the_same_results(freeal_hf, hub, run_words, student_folder, tmp_path):
    undisturbed = freeal_hf(*run_words("alone"))
    assert undisturbed.code == 0, undisturbed.err
    assert freeal_hf(*run_words("reviews", "--num-rounds", 1, "--push-to-hub")).code == 0
    elsewhere = tmp_path / "elsewhere"
    done = freeal_hf(
        *("run", "--resume-from", DATASET[1], "--num-rounds", 2, "--student", student_folder),
        *("--output-dir", elsewhere, "--push-to-hub"),
    )
    assert done.code == 0, done.err
    assert list(hub.repos[DATASET].tags) == list(hub.repos[MODEL].tags) == ["round-0", "round-1"]
    expected = read_labels(tmp_path / "alone" / "labels.parquet").remove_columns("gold")
    assert read_labels(elsewhere / "labels.parquet").to_dict() == expected.to_dict()


def test_a_round_that_a_former_version_pushed_is_pulled_with_its_answers(freeal_hf, hub, run_dir, tmp_path):
    shutil.rmtree(run_dir / "round-1")
    first = RunFolder(run_dir).round(0)
    kind = kind_of(TextClassification(["fruit", "tool"]))
    answers, costs = first.read_answers(kind)
    former = {
        "costs": costs,
        "labels": answers.labels.tolist(),
        "confidences": [None] * len(answers.labels),
        "reasons": answers.reasons,
        "human_labels": [],
        "parts": [],
    }
    (first.path / "annotations.json").write_text(json.dumps(former))
    (first.path / "annotations.parquet").unlink()
    (first.path / "human_labels.jsonl").unlink()
    assert freeal_hf("push", run_dir).code == 0
    done = freeal_hf("pull", DATASET[1], "--output-dir", tmp_path / "elsewhere")
    assert done.code == 0, done.err
    pulled = RunFolder(tmp_path / "elsewhere").round(0)
    assert pulled.read_answers(kind)[0].labels.tolist() == answers.labels.tolist()


def test_a_run_continued_from_the_hub_knows_its_text_columns(freeal_hf, hub, run_words, student_folder, tmp_path):
    first = freeal_hf(*run_words("reviews", "--text-columns", "text,place", "--num-rounds", 1, "--push-to-hub"))
    assert first.code == 0, first.err
    elsewhere = tmp_path / "elsewhere"
    words = ("run", "--resume-from", DATASET[1], "--num-rounds", 2, "--student", student_folder)
    done = freeal_hf(*words, "--output-dir", elsewhere)
    assert done.code == 0, done.err
    assert json.loads((elsewhere / "student" / "config.json").read_text())["text_columns"] == ["text", "place"]


def test_the_first_machine_cannot_overwrite_the_second(freeal_hf, hub, first_round, student_folder, tmp_path):
    freeal_hf("push", first_round)
    pulled = tmp_path / "second"
    assert freeal_hf("pull", DATASET[1], "--output-dir", pulled).code == 0
    for folder, seconds in ((pulled, 1), (first_round, 2)):
        _add_round(folder, first_round.parent / "round-1", seconds)
    assert freeal_hf("push", pulled).code == 0
    refused = freeal_hf("push", first_round)
    assert refused.code == 1
    assert "another round 1 of this run" in refused.err


def test_a_resumed_finished_run_reports_how_to_add_a_round(freeal_hf, run_dir, student_folder, tmp_path):
    freeal_hf("push", run_dir)
    done = freeal_hf(
        *("run", "--resume-from", DATASET[1], "--student", student_folder, "--annotator", "embedding"),
        *("--output-dir", tmp_path / "again"),
    )
    assert done.code == 0, done.err
    assert "--num-rounds 3 adds one" in done.err


def test_the_example_continues_a_run_of_the_hub_and_pushes_the_new_round(
    freeal_hf, hub, run_dir, student_folder, tmp_path
):
    freeal_hf("push", run_dir)
    script, folder = ROOT / "examples" / "resume_from_hub.py", tmp_path / "again"
    done = freeal_hf(script, DATASET[1], folder, f"student={student_folder}", "annotator=embedding")
    assert done.code == 0, done.err
    assert len(list(folder.glob("round-*"))) == 3
    assert "round-2" in hub.repos[DATASET].tags


def test_the_same_command_continues_in_the_pulled_folder(freeal_hf, hub, run_dir, student_folder, tmp_path):
    freeal_hf("push", run_dir)
    again = ("run", "--resume-from", DATASET[1], "--student", student_folder, "--annotator", "embedding")
    assert freeal_hf("pull", DATASET[1], "--output-dir", tmp_path / "again").code == 0
    hub.requests.clear()
    done = freeal_hf(*again, "--output-dir", tmp_path / "again")
    assert done.code == 0, done.err
    assert hub.requests == []


def test_anyone_can_reproduce_the_run_from_its_pushed_configuration(
    freeal_hf, hub, run_words, student_folder, tmp_path
):
    assert freeal_hf(*run_words("reviews", "--num-rounds", 1, "--push-to-hub")).code == 0
    config = tmp_path / "config.yaml"
    config.write_bytes(hub.read(*DATASET, "config.yaml"))
    done = freeal_hf("run", config, "--student", student_folder, "--output-dir", tmp_path / "stranger")
    assert done.code == 0, done.err
    expected = read_labels(tmp_path / "reviews" / "labels.parquet").remove_columns("gold")
    assert read_labels(tmp_path / "stranger" / "labels.parquet").to_dict() == expected.to_dict()


def test_resuming_requires_options_that_were_local_to_the_first_machine(freeal_hf, run_dir, tmp_path):
    freeal_hf("push", run_dir)
    refused = freeal_hf("run", "--resume-from", DATASET[1], "--output-dir", tmp_path / "again")
    assert refused.code == 1
    assert "give one with --annotator" in refused.err


def test_a_round_is_pulled_by_its_tag(freeal_hf, run_dir, tmp_path):
    freeal_hf("push", run_dir)
    done = freeal_hf("pull", DATASET[1], "--revision", "round-0", "--output-dir", tmp_path / "old")
    assert done.code == 0, done.err
    pulled = read_labels(tmp_path / "old" / "labels.parquet")
    expected = read_labels(run_dir / "round-0" / "labels.parquet").remove_columns("gold")
    assert pulled.to_dict() == expected.to_dict()
    assert pulled.features == expected.features
    assert [record["round"] for record in json.loads((tmp_path / "old" / "metrics.json").read_text())] == [0]
    names = {path.name for path in (tmp_path / "old").iterdir()}
    assert names >= {"config.yaml", "labels.csv", "student", "report.html", "round-0"}


def test_pulling_into_a_folder_with_files_is_refused(freeal_hf, run_dir, tmp_path):
    freeal_hf("push", run_dir)
    refused = freeal_hf("pull", DATASET[1], "--output-dir", run_dir)
    assert refused.code == 1
    assert "is not empty" in refused.err


def test_pulling_a_repository_not_made_by_freeal_hf_is_refused(freeal_hf, hub, tmp_path):
    hub.create(*DATASET)
    refused = freeal_hf("pull", DATASET[1], "--output-dir", tmp_path / "new")
    assert refused.code == 1
    assert "was not made by freeal-hf" in refused.err
    assert not (tmp_path / "new").exists()


def test_pulling_an_unknown_round_is_refused(freeal_hf, run_dir, tmp_path):
    freeal_hf("push", run_dir)
    refused = freeal_hf("pull", DATASET[1], "--revision", "round-7", "--output-dir", tmp_path / "new")
    assert refused.code == 1
    assert "round-7" in refused.err


def test_no_trace_of_an_unpushed_column_is_pushed(freeal_hf, hub, run_words):
    assert freeal_hf(*run_words("reviews", "--num-rounds", 1, "--push-to-hub")).code == 0
    config = yaml.safe_load(hub.read(*DATASET, "config.yaml"))
    assert config["annotators"]["annotator"] == "column:annotator_label"
    assert not [content for content in hub.uploaded() if b"theirs" in content]


def _add_round(folder, template, seconds):
    """A second round in a folder, told from another one by the time it took."""

    shutil.copytree(template, folder / "round-1")
    record = json.loads((folder / "round-1" / "metrics.json").read_text())
    (folder / "round-1" / "metrics.json").write_text(json.dumps({**record, "seconds": seconds}))
