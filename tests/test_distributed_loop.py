"""`accelerate launch -m freeal_hf run`: the first process annotates, all of them train."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from freeal_hf.round_files import Selection, read_labels
from tests.conftest import FRUIT, QUICK_TRAINING
from tests.servers.chat import Behaviour, ChatServer, serve
from tests.training.tiny import sampling

# Without what each process draws for itself: dropout, and the pairs of mixup.
SAME_IN_EACH_PROCESS = {**QUICK_TRAINING, **sampling("group_by_length"), "dropout": 0.0, "mixup_alpha": 0.0}


def oracle(text, num_labels):
    """Knows fruit from tools, but errs on every tenth text."""
    right = 0 if any(word in text for word in FRUIT) else 1
    return 1 - right if sum(map(ord, text)) % 10 == 0 else right


@pytest.fixture
def data(corpus, tmp_path):
    path = tmp_path / "corpus.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["text", "gold"])
        writer.writeheader()
        writer.writerows(corpus)
    return path


@pytest.fixture
def student(student_folder, tmp_path):
    """The tiny student without dropout of attention, which is no training argument."""
    folder = shutil.copytree(student_folder, tmp_path / "student")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "attention_probs_dropout_prob": 0.0}))
    return folder


def launch(processes, *words):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `--multi_gpu` is accelerate's name for torchrun; the run itself asks for the CPU and gloo
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"]
    launcher += ["--num_processes", str(processes), "--main_process_port", str(port), "--dynamo_backend", "no"]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "freeal_hf", "run", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "0"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def run(data, student, tmp_path):
    def run(processes, url, *more):
        training = {**SAME_IN_EACH_PROCESS, "use_cpu": True}
        training["per_device_train_batch_size"] //= processes
        if processes > 1:
            training["ddp_backend"] = "gloo"
        words = ["--data", str(data), "--gold-column", "gold", "--labels", "fruit,tool", "--student", str(student)]
        words += ["--annotator", f"endpoint:{url}", "--output-dir", str(tmp_path / f"by-{processes}"), *more]
        return launch(processes, *words, *(f"--{name}={value}" for name, value in training.items()))

    return run


def test_two_processes_annotate_once_and_give_the_labels_of_one(run, corpus, tmp_path):
    asked = {}
    for processes in (1, 2):
        with serve(ChatServer(Behaviour(oracle=oracle))) as server:
            done = run(processes, server.url)
            asked[processes] = server.stats.asked
        assert done.returncode == 0, done.stderr[-3000:]
    assert asked[2] == asked[1]
    one, two = (read_labels(tmp_path / f"by-{count}" / "labels.parquet") for count in (1, 2))
    for column in ("id", "text", "label", "annotator_label", "student_label", "is_clean"):
        assert list(two[column]) == list(one[column])
    # Sums of gradients are added up in another order, which 60 steps of training make visible.
    assert np.allclose(two["label_confidence"], one["label_confidence"], atol=1e-3)
    for number in (0, 1):
        found = [Selection.load(tmp_path / f"by-{count}" / f"round-{number}" / "selection.npz") for count in (1, 2)]
        assert (found[0].is_clean == found[1].is_clean).all()
        files = [{path.name for path in (tmp_path / f"by-{count}" / f"round-{number}").iterdir()} for count in (1, 2)]
        assert files[0] == files[1]


def test_an_error_of_the_first_process_ends_all(run, tmp_path):
    done = run(2, "http://127.0.0.1:9/v1")
    assert done.returncode != 0
    assert "freeal-hf: error:" in done.stderr
    assert "http://127.0.0.1:9" in done.stderr
