"""A Hub of our own, a process that talks to it, and a finished run to push."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from freeal_hf import FreeAL, FreeALConfig
from tests.conftest import QUICK_TRAINING, KeywordAnnotator
from tests.servers.hub import TOKEN, USER, HubServer, serve_hub

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def hub_environment(server: HubServer, home: Path) -> dict[str, str]:
    """The environment of a process that finds its Hub at the server and its cache in `home`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {
        **inherited,
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def running_hub(tmp_path_factory) -> Iterator[HubServer]:
    with serve_hub(HubServer(tmp_path_factory.mktemp("lfs"))) as server:
        yield server


@pytest.fixture
def hub(running_hub: HubServer) -> HubServer:
    """An empty Hub."""
    running_hub.clear()
    return running_hub


@pytest.fixture(scope="session")
def worker(running_hub: HubServer, tmp_path_factory) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hub.worker"],
        cwd=ROOT,
        env=hub_environment(running_hub, tmp_path_factory.mktemp("home")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(20)


@pytest.fixture
def freeal_hf(worker: subprocess.Popen, hub: HubServer) -> Command:
    """Runs a command line that talks to the Hub."""

    def run(*arguments: object, token: str = TOKEN) -> Outcome:
        worker.stdin.write(json.dumps({"arguments": [str(word) for word in arguments], "token": token}) + "\n")
        worker.stdin.flush()
        return Outcome(**json.loads(worker.stdout.readline()))

    return run


@pytest.fixture(scope="session")
def finished_run(task, corpus, student_folder, tmp_path_factory) -> Path:
    """A run of two rounds with test data and gold."""
    folder = tmp_path_factory.mktemp("finished") / "reviews"
    args = FreeALConfig(output_dir=str(folder), **QUICK_TRAINING)
    FreeAL(task, KeywordAnnotator(), str(student_folder), args).run(corpus, corpus.select(range(10)))
    return folder


@pytest.fixture
def run_dir(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run; named `reviews`, it goes to `ada/reviews-freeal` and `ada/reviews-student`."""
    return shutil.copytree(finished_run, tmp_path / "reviews", ignore=shutil.ignore_patterns("training"))


@pytest.fixture
def first_round(run_dir: Path) -> Path:
    """The run after its first round. `second_round` adds the second one."""
    (run_dir / "round-1").rename(run_dir.parent / "round-1")
    return run_dir


def second_round(run_dir: Path) -> None:
    """The second round finishes."""
    (run_dir.parent / "round-1").rename(run_dir / "round-1")


DATASET, MODEL = ("dataset", f"{USER}/reviews-freeal"), ("model", f"{USER}/reviews-student")
