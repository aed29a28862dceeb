"""Several processes train the student that one process trains."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import transformers
from packaging.version import Version
from transformers import PreTrainedTokenizerFast

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def launch(
    processes: int,
    batch_size: int,
    count: int,
    tokenizer: Path,
    output: Path,
    resume: Path | None = None,
    kind: str = "text",
) -> dict[str, np.ndarray]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output.mkdir()
    command = [sys.executable]
    if processes > 1:  # `--multi_gpu` is accelerate's name for torchrun; the script itself asks for the CPU and gloo
        command += [
            "-m",
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_machines",
            "1",
            "--mixed_precision",
            "no",
        ]
        command += ["--num_processes", str(processes), "--main_process_port", str(port), "--dynamo_backend", "no"]
    command += ["-m", "tests.training.distributed_run"]
    command += [str(tokenizer), str(output), str(batch_size), str(count), kind, *([str(resume)] if resume else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(output / "found.npz") as found:
        return dict(found)


@pytest.mark.parametrize("count", [48, 45], ids=["even", "with a tail"])
def test_two_processes_select_what_one_selects(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, count: int) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    one = launch(1, 8, count, tmp_path / "tokenizer", tmp_path / "one")
    two = launch(2, 4, count, tmp_path / "tokenizer", tmp_path / "two")
    assert two["embeddings"].any(axis=1).all()  # no sample was lost
    if count % 8 == 0:  # a tail is filled up with samples of the epoch's start, which are then learnt twice
        assert (one["is_clean"] == two["is_clean"]).all()
        assert np.allclose(one["losses"], two["losses"], atol=1e-3)
        for line in json.loads((tmp_path / "two" / "logs.json").read_text()):
            if "loss" in line:  # parts are averaged over the processes, as the loss is
                parts = line["supervised_loss"] + line.get("consistency_loss", 0.0)
                assert parts == pytest.approx(line["loss"], rel=1e-3)


def test_two_processes_select_the_labels_of_a_text_that_one_selects(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    one = launch(1, 8, 48, tmp_path / "tokenizer", tmp_path / "one", kind="pairs")
    two = launch(2, 4, 48, tmp_path / "tokenizer", tmp_path / "two", kind="pairs")
    assert one["is_clean"].shape == (48, 3)
    assert (one["is_clean"] == two["is_clean"]).all()
    assert np.allclose(one["losses"], two["losses"], atol=1e-3)


# It passes the device `cpu:0` on to torch.load, which knows only `cpu`.
@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5"),
    reason="transformers 4 cannot load an optimizer in one of several CPU processes",
)
def test_two_processes_resumed_within_an_epoch_end_as_if_they_had_not_been_stopped(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    whole = launch(2, 4, 48, tmp_path / "tokenizer", tmp_path / "whole")
    within_second_epoch = tmp_path / "whole" / "checkpoint-8"  # of 6 steps each
    resumed = launch(2, 4, 48, tmp_path / "tokenizer", tmp_path / "resumed", within_second_epoch)
    assert (whole["is_clean"] == resumed["is_clean"]).all()
    assert np.allclose(whole["losses"], resumed["losses"], atol=1e-5)
