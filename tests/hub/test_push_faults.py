"""A push under failures, interruptions and other people's changes: nothing is lost, nothing is done twice."""

import subprocess
import sys

import pytest

from tests.hub.conftest import DATASET, MODEL, ROOT, hub_environment, second_round
from tests.servers.hub import READ_TOKEN

STEPS = (
    "whoami",
    "create",
    "refs",
    "tree",
    "preupload",
    "validate",
    "batch",
    "put",
    "verify",
    "commit",
    "resolve",
    "tag",
)


def titles(hub, repo):
    return list(hub.repos[repo].titles.values())[1:]


def is_complete(hub):
    return all(
        titles(hub, repo) == ["Round 0", "Round 1"] and list(hub.repos[repo].tags) == ["round-0", "round-1"]
        for repo in (DATASET, MODEL)
    )


@pytest.mark.parametrize("way", [429, 500, "reset"])
def test_a_push_continues_after_a_failure_of_each_step(freeal_hf, hub, run_dir, way):
    for step in STEPS:
        hub.fail(step, way)
    done = freeal_hf("push", run_dir)
    assert done.code == 0, done.err
    assert is_complete(hub)
    assert not any(hub.failures.values())


@pytest.mark.parametrize("step", ["create", "commit", "tag"])
def test_a_commit_whose_response_is_lost_is_not_repeated(freeal_hf, hub, run_dir, step):
    hub.fail(step, "lost", "lost")
    done = freeal_hf("push", run_dir)
    assert done.code == 0, done.err
    assert is_complete(hub)


@pytest.mark.parametrize(("step", "status"), [("put", 400), ("commit", 503), ("tag", 429)])
def test_a_push_that_fails_is_reported_and_can_be_repeated(freeal_hf, hub, run_dir, step, status):
    hub.fail(step, *[status] * 30)
    failed = freeal_hf("push", run_dir)
    assert failed.code == 1
    assert str(status) in failed.err
    hub.failures.clear()
    assert freeal_hf("push", run_dir).code == 0
    assert is_complete(hub)


@pytest.mark.parametrize("moment", ["refs ada/reviews-student", "preupload ada/reviews-student", "tag"])
def test_a_killed_push_is_completed_by_the_next_one(freeal_hf, hub, run_dir, tmp_path, moment):
    # The first preupload of the student is the check; the second comes after the dataset's round.
    process = subprocess.Popen(
        [sys.executable, "-m", "freeal_hf", "push", str(run_dir)],
        cwd=ROOT,
        env=hub_environment(hub, tmp_path / "home"),
    )
    if moment.startswith("preupload"):
        hub.before["tag"] = lambda: hub.before.update({moment: process.kill})
    else:
        hub.before[moment] = process.kill
    assert process.wait(60) != 0
    assert not is_complete(hub)
    assert freeal_hf("push", run_dir).code == 0
    assert is_complete(hub)


def test_an_edit_of_the_card_during_the_push_is_kept(freeal_hf, hub, first_round):
    freeal_hf("push", first_round)
    card = hub.read(*DATASET, "README.md")
    hub.before[f"commit {DATASET[1]}"] = lambda: hub.write(*DATASET, "README.md", card + b"\nMine.\n") and None
    second_round(first_round)
    assert freeal_hf("push", first_round).code == 0
    assert hub.read(*DATASET, "README.md").rstrip().endswith(b"Mine.")
    assert titles(hub, DATASET) == ["Round 0", "Edit README.md", "Round 1"]


@pytest.mark.parametrize("when", ["before", "during"])
def test_labels_that_others_corrected_are_not_overwritten(freeal_hf, hub, first_round, when):
    freeal_hf("push", first_round)
    path = "data/train-00000-of-00001.parquet"

    def correct():
        hub.write(*DATASET, path, b"corrected by hand")

    if when == "before":
        correct()
    else:
        hub.before[f"commit {DATASET[1]}"] = correct
    second_round(first_round)
    refused = freeal_hf("push", first_round)
    assert refused.code == 1
    assert "'data/train" in refused.err and "was changed by others" in refused.err
    assert hub.read(*DATASET, path) == b"corrected by hand"
    assert freeal_hf("push", first_round, "--hub-exist-ok").code == 0
    assert titles(hub, DATASET)[-1] == "Round 1"


def test_files_that_the_owner_added_are_kept(freeal_hf, hub, first_round):
    freeal_hf("push", first_round)
    hub.write(*DATASET, "LICENSE", b"MIT")
    second_round(first_round)
    assert freeal_hf("push", first_round).code == 0
    assert hub.read(*DATASET, "LICENSE") == b"MIT"


def test_a_repository_with_other_content_is_refused_without_the_option(freeal_hf, hub, run_dir):
    hub.create(*DATASET)
    hub.write(*DATASET, "data/precious.csv", b"a,b")
    hub.write(*DATASET, "README.md", b"---\nlicense: mit\n---\nMy data.\n")
    refused = freeal_hf("push", run_dir)
    assert refused.code == 1
    assert "contains 'data/precious.csv', which freeal-hf did not make" in refused.err
    assert "--hub-exist-ok" in refused.err
    assert MODEL not in hub.repos
    assert freeal_hf("push", run_dir, "--hub-exist-ok").code == 0
    assert hub.read(*DATASET, "data/precious.csv") == b"a,b"
    assert b"My data." in hub.read(*DATASET, "README.md")


def test_the_repository_of_another_run_is_refused_with_the_remedy(freeal_hf, hub, run_dir):
    freeal_hf("push", run_dir)
    (run_dir / "hub.json").unlink()
    refused = freeal_hf("push", run_dir)
    assert refused.code == 1
    assert "--resume-from ada/reviews-freeal" in refused.err
    assert is_complete(hub)


def test_a_token_without_write_access_is_refused_before_any_call_of_an_annotator(freeal_hf, hub, run_dir):
    refused = freeal_hf("push", run_dir, token=READ_TOKEN)
    assert refused.code == 1
    assert "has no write access to ada/reviews-freeal (403)" in refused.err
    assert READ_TOKEN not in refused.err
    assert [request for request in hub.requests if not request.startswith("GET")] == ["POST /api/repos/create"]


def test_a_token_without_write_access_to_an_existing_repository_is_refused(freeal_hf, hub, run_dir):
    hub.create(*DATASET)
    refused = freeal_hf("push", run_dir, token=READ_TOKEN)
    assert refused.code == 1
    assert "403" in refused.err
    assert "POST /api/datasets/ada/reviews-freeal/preupload/main" in hub.requests


def test_a_wrong_token_is_refused_without_being_shown(freeal_hf, hub, run_dir):
    wrong = "hf_" + "wrong" * 6
    refused = freeal_hf("push", run_dir, token=wrong)
    assert refused.code == 1
    assert "hf auth login" in refused.err
    assert wrong not in refused.err


def test_a_missing_token_is_reported_with_the_remedy(freeal_hf, hub, run_dir):
    refused = freeal_hf("push", run_dir, token="")
    assert refused.code == 1
    assert "hf auth login" in refused.err
    assert hub.requests == []


def test_a_folder_that_is_not_a_run_is_refused(freeal_hf, tmp_path):
    refused = freeal_hf("push", tmp_path)
    assert refused.code == 1
    assert "not the folder of a run" in refused.err
