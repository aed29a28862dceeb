"""A run with a server that has all faults at once, in processes that are killed."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.pacing import Reason
from freeal_hf.annotators.work import annotation_work
from freeal_hf.tasks import TextClassification
from tests.servers.chat import ChatServer, by_hash

ROOT = Path(__file__).parents[2]
TOKEN = "sk-very-secret-0123456789"
MAX_ATTEMPTS = 6
CANARY_CALLS = 2  # of the last process: for log-probabilities, for the first constraint
FAULTS = {
    "429": 0.10,
    "500": 0.05,
    "hang": 0.02,
    "broken": 0.01,
    "cut": 0.01,
    "reset": 0.02,
    "outside": 0.03,
    "empty": 0.01,
}
"""2 % cut-off JSON: half of it in the body of the response, half in what the model says."""


@pytest.fixture
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeal_hf.annotators.pacing._FIRST_BACKOFF", 0.02)


def test_5000_texts_against_a_server_with_every_fault(
    task: TextClassification, start: Callable[..., ChatServer], tmp_path: Path, quick_backoff: None
) -> None:
    server = start(retry_after="0.01")
    annotator = InferenceEndpointsAnnotator(server.url, concurrency=32, timeout=1.0, probabilities=False)
    list(run(annotation_work(annotator, task), [AnnotationRequest("warm up the canary")]))
    server.behaviour.faults = FAULTS
    texts = [f"message number {i}" for i in range(5000)]

    with AnswerCache(tmp_path / "cache.sqlite") as cache:
        requests = (AnnotationRequest(text) for text in texts)
        results = dict(run(annotation_work(annotator, task), requests, cache=cache, max_attempts=MAX_ATTEMPTS))

    assert sorted(results) == list(range(5000))
    reasons = {name for kind in get_args(Reason) for name in get_args(kind) or (kind,)}
    for i, text in enumerate(texts):
        assert results[i].is_labelled or results[i].reason in reasons
        assert results[i].label in (by_hash(text, 3), -1)
    labelled = sum(annotation.is_labelled for annotation in results.values())
    assert labelled >= 4960  # a text has none if its answer was unusable twice: 5 % of 5 %
    assert max(server.stats.asked[text] for text in texts) <= MAX_ATTEMPTS
    assert set(FAULTS) <= set(server.stats.met)


# ---- kill -9 ----

_RUN = """
import sys
from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.work import annotation_work
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.budget import Ledger
from freeal_hf.tasks import TextClassification

task = TextClassification(["billing", "shipping", "other"])
annotator = InferenceEndpointsAnnotator(sys.argv[1], concurrency=16, api_key_env="TEST_KEY")
ledger = Ledger(owner="round-0")
with AnswerCache(sys.argv[2]) as cache:
    requests = (AnnotationRequest(f"message {i}") for i in range(int(sys.argv[3])))
    for index, annotation in run(annotation_work(annotator, task), requests, cache=cache, ledger=ledger):
        print(index, annotation.label, flush=True)
print("ledger", ledger.calls, ledger.tokens, flush=True)
"""


def run_process(url: str, cache: Path, count: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TEST_KEY": TOKEN, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, url, str(cache), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def read_labels(lines: Iterator[str]) -> dict[int, int]:
    return {int(index): int(label) for index, label in (line.split() for line in lines if line[0].isdigit())}


def test_a_run_that_is_killed_three_times_only_repeats_active_calls(
    start: Callable[..., ChatServer], tmp_path: Path
) -> None:
    count, cache = 1200, tmp_path / "cache.sqlite"
    server = start(latency=0.01, token=TOKEN)
    draw = random.Random(0)
    for _ in range(3):
        process = run_process(server.url, cache, count)
        assert process.stdout is not None
        for _ in range(draw.randrange(50, 350)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    output, _ = run_process(server.url, cache, count).communicate(timeout=240)

    *lines, last = output.splitlines()
    assert read_labels(iter(lines)) == {i: by_hash(f"message {i}", 3) for i in range(count)}
    answered = sum(server.stats.answered[f"message {i}"] for i in range(count))
    assert count <= answered <= count + 3 * server.stats.most_parallel
    assert last.split()[:2] == ["ledger", str(count + CANARY_CALLS)]


def test_two_processes_that_share_a_cache_both_end_with_every_label(
    start: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server, cache = start(latency=0.005, token=TOKEN), tmp_path / "cache.sqlite"
    processes = [run_process(server.url, cache, 300) for _ in range(2)]
    outputs = [process.communicate(timeout=240)[0].splitlines() for process in processes]
    expected = {i: by_hash(f"message {i}", 3) for i in range(300)}
    assert [read_labels(iter(lines[:-1])) for lines in outputs] == [expected, expected]


# ---- Secrets ----


@pytest.mark.parametrize("behaviour", [{"token": TOKEN}, {"token": "another"}], ids=["right key", "wrong key"])
def test_the_key_is_in_no_file_of_a_run(
    behaviour: dict[str, Any], start: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start(**behaviour)
    process = run_process(server.url, tmp_path / "cache.sqlite", 50)
    output, errors = process.communicate(timeout=240)
    (tmp_path / "output.txt").write_text(output + errors)
    assert any(TOKEN in str(headers) for headers in server.stats.headers)
    for path in tmp_path.rglob("*"):
        assert TOKEN.encode() not in path.read_bytes(), path
