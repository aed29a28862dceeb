"""The running average of predictions."""

import pytest
import torch

from freeal_hf.training.memory import PredictionMemory

CPU = torch.device("cpu")


def alone(value: torch.Tensor) -> torch.Tensor:
    """The sum over the only process."""
    return value.clone()


def memory_after(epochs: list[float], momentum: float = 0.7) -> PredictionMemory:
    memory = PredictionMemory(2, 2, momentum, CPU)
    for share in epochs:
        memory.record(torch.tensor([0]), torch.tensor([[share, 1 - share]]))
        memory.finish_epoch(alone)
    return memory


def test_early_epochs_weigh_alike() -> None:
    assert memory_after([0.2, 0.4, 0.6]).average[0, 0] == pytest.approx(0.4)


def test_later_epochs_fade_by_the_momentum() -> None:
    assert memory_after([0.0] * 9 + [1.0], momentum=0.5).average[0, 0] == pytest.approx(0.5)


def test_what_the_average_begins_with_weighs_as_much_as_an_epoch() -> None:
    memory = PredictionMemory(1, 2, 0.7, CPU)
    memory.begin(torch.tensor([[0.9, 0.1]]))
    memory.record(torch.tensor([0]), torch.tensor([[0.2, 0.8]]))
    memory.finish_epoch(alone)
    assert memory.average[0, 0] == pytest.approx(0.55)


def test_a_sample_that_was_not_seen_keeps_its_average() -> None:
    assert memory_after([0.2, 0.4]).average[1].tolist() == [0.5, 0.5]


def test_a_sample_seen_twice_in_an_epoch_counts_once() -> None:
    memory = PredictionMemory(1, 2, 0.7, CPU)
    memory.record(torch.tensor([0, 0]), torch.tensor([[0.2, 0.8], [0.4, 0.6]]))
    memory.finish_epoch(alone)
    assert memory.average[0].tolist() == pytest.approx([0.3, 0.7])


def test_a_state_saved_within_an_epoch_goes_on_as_if_never_saved() -> None:
    straight, saved = memory_after([]), memory_after([])
    for memory in (straight, saved):
        memory.begin(torch.full((2, 2), 0.5))
        memory.record(torch.tensor([0]), torch.tensor([[0.9, 0.1]]))
    loaded = PredictionMemory(2, 2, 0.7, CPU)
    loaded.load(saved.state(alone), is_main_process=True)
    for memory in (straight, loaded):
        memory.record(torch.tensor([1]), torch.tensor([[0.4, 0.6]]))
        memory.finish_epoch(alone)
    assert torch.equal(straight.average, loaded.average)
    assert straight.epochs == loaded.epochs


def test_sums_of_all_processes_are_taken_over_by_one() -> None:
    saved = memory_after([])
    saved.record(torch.tensor([0]), torch.tensor([[0.9, 0.1]]))
    other = PredictionMemory(2, 2, 0.7, CPU)
    other.load(saved.state(alone), is_main_process=False)
    assert not other.counts.any()
