"""Small seeded runs whose results are stored in `tests/golden`: moving code must not change what a run does.

Each kind of task runs twice for two rounds: with the embedding annotator, and with a chat server on loopback. The
second run is killed and resumed. `python -m tests.test_golden_runs` stores the results of the code as it is.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from tests.conftest import FRUIT, QUICK_TRAINING, TOOLS
from tests.entities import TASK, TYPES, make_sentences
from tests.servers.chat import Behaviour, ChatServer, serve

pytestmark = pytest.mark.slow

STORED = Path(__file__).parent / "golden"
RUNS = ["labels-embedding", "labels-chat", "entities-embedding", "entities-chat"]
# Round 0 is finished, and round 1 is under way. It changes no label, so that only a new process trains its student.
KILL_AT = "round-1/annotations.parquet"
# The thousandth allows for another order of summation on another processor.
TOLERANCE = 1e-3
# What a clock decides.
UNSTABLE = {"seconds", "wait_seconds"}


def errs(text: str) -> bool:
    return sum(map(ord, text)) % 7 == 0


def label_of(text: str, num_labels: int) -> int:
    right = 0 if any(word in text for word in FRUIT) else 1
    return 1 - right if errs(text) else right


def entities_of(text: str) -> list[dict[str, str]]:
    named = [{"text": word, "type": TYPES[word]} for word in text.split() if word in TYPES]
    return named[1:] if errs(text) else named


def sentences_for(instructions: str) -> list[dict[str, Any]]:
    return [
        {"text": f"the {word} is near my door", "entities": [{"text": word, "type": TYPES[word]}]}
        for word in (*FRUIT[:3], *TOOLS[:3])
    ]


def write_input(kind: str, corpus: Dataset, folder: Path) -> list[str]:
    """Writes the data, and for entities the task; returns the options that name them."""
    if kind == "labels":
        corpus.to_csv(folder / "data.csv")
        return ["--data", str(folder / "data.csv"), "--labels", "fruit,tool", "--gold-column", "gold"]
    make_sentences().to_json(folder / "data.jsonl")
    TASK.save(folder / "task.yaml")
    data = ["--data", str(folder / "data.jsonl"), "--gold-column", "gold"]
    return [*data, "--task", str(folder / "task.yaml")]


def command(options: list[str], annotator: str, student: Path, output: Path) -> list[str]:
    training = [f"--{name}={value}" for name, value in QUICK_TRAINING.items()]
    start = [sys.executable, "-m", "freeal_hf", "run", "--student", str(student), "--annotator", annotator]
    return [*start, "--generated-per-label", "3", "--output-dir", str(output), *training, *options]


@contextmanager
def annotator_named(name: str) -> Iterator[str]:
    behaviour = Behaviour(oracle=label_of, entities=entities_of, sentences=sentences_for)
    with serve(ChatServer(behaviour)) if name == "chat" else nullcontext() as server:
        yield f"endpoint:{server.url}" if server else name


def run(name: str, corpus: Dataset, student: Path, folder: Path) -> dict[str, Any]:
    """Does one of `RUNS` in a folder; returns what is compared."""
    kind, annotator = name.split("-")
    output = folder / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0" if annotator == "chat" else "1"}
    with annotator_named(annotator) as named:
        asked = command(write_input(kind, corpus, folder), named, student, output)
        if annotator == "chat":
            kill_in_round_1(asked, output, environment)
        done = subprocess.run(asked, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return summary(output)


def kill_in_round_1(asked: list[str], output: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(asked, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(output.glob(KILL_AT)):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def summary(output: Path) -> dict[str, Any]:
    """Labels and confidences of both rounds, the metrics, and the demonstration pools of a run."""
    rounds = []
    for number in (0, 1):
        rows = Dataset.from_parquet(str(output / f"round-{number}" / "labels.parquet"))
        pool = (output / f"round-{number}" / "demonstrations.jsonl").read_text(encoding="utf-8").splitlines()
        rounds.append(
            {
                "label": rows["label"][:],
                "annotator_label": rows["annotator_label"][:],
                "student_label": rows["student_label"][:],
                "is_clean": rows["is_clean"][:],
                "label_confidence": rows["label_confidence"][:],
                "loss": rows["loss"][:],
                "note": rows["note"][:],
                "demonstrations": sorted(json.loads(line)["text"] for line in pool),
            }
        )
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    stable = [{name: value for name, value in record.items() if name not in UNSTABLE} for record in metrics]
    return {"rounds": rounds, "metrics": stable}


def compare(found: Any, stored: Any, place: str) -> None:
    """Compares nested values: numbers with a fraction within `TOLERANCE`, everything else exactly."""
    if isinstance(stored, dict):
        assert sorted(found) == sorted(stored), place
        for key, value in stored.items():
            compare(found[key], value, f"{place}.{key}")
    elif isinstance(stored, list) and any(isinstance(value, float) for value in stored):
        found, stored = (np.array(values, dtype=float) for values in (found, stored))
        np.testing.assert_allclose(found, stored, atol=TOLERANCE, err_msg=place)
    elif isinstance(stored, list) and any(isinstance(value, dict) for value in stored):
        assert len(found) == len(stored), place
        for i, value in enumerate(stored):
            compare(found[i], value, f"{place}[{i}]")
    elif isinstance(stored, float):
        assert found == pytest.approx(stored, abs=TOLERANCE), place
    else:
        assert found == stored, place


@pytest.mark.parametrize("name", RUNS)
def test_a_run_gives_the_stored_labels_metrics_and_demonstrations(name, corpus, student_folder, tmp_path):
    stored = json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))
    compare(json.loads(json.dumps(run(name, corpus, student_folder, tmp_path))), stored, name)


def main() -> None:
    from tests.conftest import make_corpus, save_student

    for name in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            student = save_student(Path(folder, "student"))
            found = run(name, make_corpus(), student, Path(folder))
        text = json.dumps(found, ensure_ascii=False, sort_keys=True)
        (STORED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
