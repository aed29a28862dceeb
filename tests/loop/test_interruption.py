"""A run that is killed in any phase and started again has the same result as one that is not killed."""

import subprocess
import sys
import time

import pytest

from freeal_hf.kinds.rounds import read_labels

pytestmark = pytest.mark.slow

# What appears while a phase is under way: the moment to kill.
PHASES = {
    "annotating": "cache.sqlite",
    "in the middle of training": "round-0/training/checkpoint-*/trainer_state.json",
    "selecting": "round-0/student",
    "writing": "round-0/labels.parquet",
    "refining": "round-1",
    "second training": "round-1/training/checkpoint-*",
}


def start(folder, student, data):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.slow_run", str(folder), str(student), str(data)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_when(folder, pattern, process):
    """Waits until the file is there, then kills; a process that ends before that is a mistake of the test."""
    while not any(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.002)
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "corpus.parquet"
    corpus.to_parquet(path)
    return path


@pytest.fixture(scope="module")
def undisturbed(student_folder, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(folder, student_folder, data)
    assert process.wait(timeout=200) == 0, process.stderr.read().decode()[-2000:]
    return read_labels(folder / "labels.parquet").to_dict()


def test_a_run_that_is_killed_in_any_phase_gives_the_same_labels(undisturbed, student_folder, data, tmp_path):
    folder = tmp_path / "run"
    for pattern in PHASES.values():
        kill_when(folder, pattern, start(folder, student_folder, data))
    process = start(folder, student_folder, data)
    assert process.wait(timeout=200) == 0, process.stderr.read().decode()[-2000:]
    assert read_labels(folder / "labels.parquet").to_dict() == undisturbed
