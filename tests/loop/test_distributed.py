"""`accelerate launch -m freeal_hf run`: the first process annotates, all of them train."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from freeal_hf.kinds.rounds import Selection, read_labels
from tests.conftest import FRUIT, QUICK_TRAINING
from tests.servers.chat import Behaviour, ChatServer, serve
from tests.training.tiny import sampling

pytestmark = pytest.mark.slow

# Without what each process draws for itself: dropout, and the pairs of mixup.
SAME_IN_EACH_PROCESS = {**QUICK_TRAINING, **sampling("group_by_length"), "dropout": 0.0, "mixup_alpha": 0.0}
# So many of the 80 labels that the student is calibrated.
SAME_IN_EACH_PROCESS["calibration_share"] = 0.3

# Named, since Accelerate shards the embeddings of a BERT twice if it is to find the classes itself.
WRAPPING = ["--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "--fsdp_transformer_layer_cls_to_wrap", "BertLayer"]


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


def command(processes, *words, sharded=False):
    module = "tests.fsdp_on_cpu" if sharded else "freeal_hf"
    if processes == 1:
        return [sys.executable, "-m", module, "run", *words]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `--multi_gpu` is accelerate's name for torchrun; the run itself asks for the CPU and gloo
    strategy = ["--use_fsdp", "--fsdp_version", "2", *WRAPPING] if sharded else ["--multi_gpu"]
    launcher = [*strategy, "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher += ["--num_processes", str(processes), "--main_process_port", str(port)]
    return [sys.executable, "-m", "accelerate.commands.launch", *launcher, "-m", module, "run", *words]


@pytest.fixture
def start(data, student, tmp_path):
    def start(processes, url, *, sharded=False):
        # 80 texts in batches of 32: one process scores a batch less than the other
        training = {**SAME_IN_EACH_PROCESS, "use_cpu": True, "per_device_eval_batch_size": 32}
        training["per_device_train_batch_size"] //= processes
        if processes > 1:
            training["ddp_backend"] = "gloo"
        words = ["--data", str(data), "--gold-column", "gold", "--labels", "fruit,tool", "--student", str(student)]
        words += ["--annotator", f"endpoint:{url}", "--output-dir", str(tmp_path / f"by-{processes}")]
        words += [f"--{name}={value}" for name, value in training.items()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "0"}
        log = (tmp_path / f"log-{processes}").open("wb")
        return subprocess.Popen(
            command(processes, *words, sharded=sharded), env=environment, stderr=log, start_new_session=True
        )

    return start


@pytest.fixture
def run(start, tmp_path):
    def run(processes, url, *, sharded=False):
        code = start(processes, url, sharded=sharded).wait(timeout=250)
        return code, (tmp_path / f"log-{processes}").read_text()

    return run


def kill_all(launcher):
    """The processes of training, too, which torchrun starts in sessions of their own."""
    processes = [*psutil.Process(launcher.pid).children(recursive=True), launcher]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes[:-1])
    launcher.wait()


def assert_two_processes_did_as_one(folder):
    one, two = (read_labels(folder / f"by-{count}" / "labels.parquet") for count in (1, 2))
    for column in ("id", "text", "label", "annotator_label", "student_label", "is_clean"):
        assert list(two[column]) == list(one[column])
    # Sums of gradients are added up in another order, which 60 steps of training make visible.
    assert np.allclose(two["label_confidence"], one["label_confidence"], atol=1e-3)
    for number in (0, 1):
        found = [Selection.load(folder / f"by-{count}" / f"round-{number}" / "selection.npz") for count in (1, 2)]
        assert (found[0].is_clean == found[1].is_clean).all()
        assert np.allclose(found[0].first_embeddings, found[1].first_embeddings, atol=1e-3)
        files = [{path.name for path in (folder / f"by-{count}" / f"round-{number}").iterdir()} for count in (1, 2)]
        assert files[0] == files[1]


def test_two_processes_annotate_each_text_once_and_give_the_labels_of_one_process(run, tmp_path):
    asked = {}
    for processes in (1, 2):
        with serve(ChatServer(Behaviour(oracle=oracle))) as server:
            code, log = run(processes, server.url)
            asked[processes] = server.stats.asked
        assert code == 0, log[-3000:]
    assert asked[2] == asked[1]
    assert_two_processes_did_as_one(tmp_path)


def test_two_processes_with_sharded_weights_give_the_labels_of_one_process_also_after_a_kill(start, run, tmp_path):
    with serve(ChatServer(Behaviour(oracle=oracle))) as server:
        code, log = run(1, server.url)
        assert code == 0, log[-3000:]
        killed = start(2, server.url, sharded=True)
        training = tmp_path / "by-2" / "round-0" / "training"
        while not any(training.glob("checkpoint-*/trainer_state.json")):
            assert killed.poll() is None, (tmp_path / "log-2").read_text()[-3000:]
            time.sleep(0.01)
        kill_all(killed)
        assert any(training.glob("checkpoint-*/pytorch_model_fsdp_0"))  # the weights were in parts
        code, log = run(2, server.url, sharded=True)
    assert code == 0, log[-3000:]
    assert "is not calibrated" not in log
    assert_two_processes_did_as_one(tmp_path)


def test_an_error_of_the_first_process_ends_all_processes(run):
    code, log = run(2, "http://127.0.0.1:9/v1")
    assert code != 0
    assert "freeal-hf: error:" in log
    assert "http://127.0.0.1:9" in log
