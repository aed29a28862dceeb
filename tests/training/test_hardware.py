"""The precision and the threads that a student is trained with if none are given."""

from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from freeal_hf.cli.training import parse_training
from freeal_hf.training.config import FreeALConfig, as_freeal_config
from freeal_hf.training.hardware import computes_bf16, limit_threads

pytestmark = pytest.mark.skipif(
    not hasattr(TrainingArguments, "train_sampling_strategy"), reason="transformers 5 chooses the precision"
)


@pytest.mark.parametrize(("name", "has_it"), [("amx_bf16", True), ("avx512_bf16", True), ("avx512_f", False)])
def test_the_precision_follows_the_instructions_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, has_it: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", name: True})
    args = FreeALConfig(str(tmp_path), use_cpu=True)
    assert args.mixed_precision == ("bf16" if has_it else "no")


def test_a_configuration_of_a_machine_with_bf16_can_be_used_on_others(tmp_path: Path) -> None:
    assert FreeALConfig(str(tmp_path)).to_dict()["bf16"] is None


@pytest.mark.parametrize("given", [{"bf16": False}, {"fp16": True}])
def test_a_given_precision_is_kept(tmp_path: Path, given: dict[str, bool]) -> None:
    args = FreeALConfig(str(tmp_path), use_cpu=True, **given)
    assert args.mixed_precision == ("fp16" if "fp16" in given else "no")


def test_arguments_of_transformers_keep_their_precision(tmp_path: Path) -> None:
    assert as_freeal_config(TrainingArguments(str(tmp_path), use_cpu=True)).mixed_precision == "no"


@pytest.mark.parametrize("words", [["--bf16"], ["--bf16", "true"], ["--bf16=True"]])
def test_the_option_needs_no_value(words: list[str]) -> None:
    assert parse_training(words, []) == {"bf16": True}


def test_a_device_without_matrix_products_of_bf16_has_none() -> None:
    assert not computes_bf16(torch.device("meta"))


def test_torch_has_no_more_threads_than_the_process_may_use_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeal_hf.training.hardware.cpu_count", lambda: 2)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            limit_threads()
            found.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert found == [1, 2, 2]
