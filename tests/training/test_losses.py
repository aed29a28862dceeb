"""The parts of the student's loss, each on its own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from freeal_hf.training.losses import (
    HiddenMixup,
    class_weights,
    mixup_pairs,
    ramp_up,
    sharpen,
    soft_cross_entropy,
    soft_targets,
    symmetric_kl,
)
from tests.training.tiny import tiny_student

seeds = st.integers(0, 10_000)


def random_logits(seed: int, rows: int = 5) -> Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed)) * 3


@given(seeds)
def test_soft_cross_entropy_of_a_label_is_cross_entropy(seed: int) -> None:
    logits, labels = random_logits(seed), torch.tensor([0, 1, 2, 0, 1])
    expected = F.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(soft_cross_entropy(logits, F.one_hot(labels, 3).float()), expected, atol=1e-5)


@given(seeds, st.floats(0.2, 2))
def test_symmetric_kl_is_a_divergence(seed: int, temperature: float) -> None:
    first, second = random_logits(seed), random_logits(seed + 1)
    there, back = symmetric_kl(first, second, temperature), symmetric_kl(second, first, temperature)
    assert torch.allclose(there, back)
    assert (there >= 0).all()
    assert torch.allclose(symmetric_kl(first, first, temperature), torch.zeros(5))


@given(seeds, st.floats(0.3, 1))
def test_sharpening_keeps_the_order_and_commits(seed: int, temperature: float) -> None:
    guess = random_logits(seed).softmax(-1)
    sharp = sharpen(guess, temperature)
    assert torch.allclose(sharp.sum(-1), torch.ones(5))
    assert (sharp.max(-1).values >= guess.max(-1).values - 1e-6).all()
    assert torch.equal(sharp.argmax(-1), guess.argmax(-1))


def test_a_trusted_label_is_its_own_target_and_a_missing_one_leaves_the_guess() -> None:
    guesses = torch.tensor([[0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    targets = soft_targets(torch.tensor([0, 0, -1]), guesses, torch.tensor([1.0, 0.5, 1.0]))
    assert torch.allclose(targets, torch.tensor([[1.0, 0.0], [0.6, 0.4], [0.2, 0.8]]))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50), st.floats(0, 1))
def test_class_weights_favour_rare_classes_and_leave_the_mean_weight_at_one(labels: list[int], power: float) -> None:
    weights = class_weights(torch.tensor(labels), 4, power)
    counts = torch.bincount(torch.tensor(labels), minlength=4).clamp_min(1)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1, abs=1e-4)
    assert (weights[counts.argsort()].diff() <= 1e-5).all()


def test_ramp_up_is_linear_and_ends() -> None:
    assert [ramp_up(progress, 4) for progress in (-1, 0, 1, 4, 9)] == [0, 0, 0.25, 1, 1]
    assert ramp_up(0, 0) == 1


@given(seeds)
def test_mixup_stays_closest_to_the_first_row_and_uses_each_row_once(seed: int) -> None:
    torch.manual_seed(seed)
    first, second, share = mixup_pairs(torch.tensor([1, 4, 6, 7]), alpha=4.0)
    assert first.tolist() == [1, 4, 6, 7]
    assert sorted(second.tolist()) == [1, 4, 6, 7]
    assert ((share >= 0.5) & (share <= 1)).all()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    ids = torch.randint(5, 65, (4, 6), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": (torch.arange(6) < torch.tensor([[6], [3], [4], [6]])).long()}


def test_mixed_rows_are_scored_beside_unchanged_ones(batch: dict[str, Tensor]) -> None:
    model = tiny_student().eval()
    plain = model(**batch).logits
    mixup = HiddenMixup(model.base_model)
    pairs = (torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([0.8, 0.6]))
    mixed = model(**mixup.arm(batch, pairs)).logits
    mixup.disarm()
    share = pairs[2][:, None]
    assert torch.allclose(mixed[:4], plain, atol=1e-6)
    pooled = model.bert(**batch).pooler_output
    assert torch.allclose(mixed[4:], model.classifier(share * pooled[:2] + (1 - share) * pooled[2:]), atol=1e-6)


def test_a_row_mixed_with_itself_is_unchanged(batch: dict[str, Tensor]) -> None:
    model = tiny_student().eval()
    rows = torch.arange(4)
    mixup = HiddenMixup(model.base_model)
    logits = model(**mixup.arm(batch, (rows, rows, torch.full((4,), 0.7)))).logits
    assert torch.allclose(logits[:4], logits[4:], atol=1e-6)


def test_gradients_reach_both_partners(batch: dict[str, Tensor]) -> None:
    model = tiny_student().eval()
    mixup = HiddenMixup(model.base_model)
    pairs = (torch.tensor([0]), torch.tensor([1]), torch.tensor([0.7]))
    model(**mixup.arm(batch, pairs)).logits[4].sum().backward()
    gradients = model.get_input_embeddings().weight.grad.abs().sum(-1)
    assert all(gradients[i] > 0 for i in batch["input_ids"][0])
    assert all(gradients[i] > 0 for i in batch["input_ids"][1][:3])


def test_a_disarmed_mixup_changes_nothing(batch: dict[str, Tensor]) -> None:
    model = tiny_student().eval()
    plain = model(**batch).logits
    mixup = HiddenMixup(model.base_model)
    mixup.arm(batch, (torch.tensor([0]), torch.tensor([1]), torch.tensor([0.7])))
    mixup.disarm()
    assert torch.equal(model(**batch).logits, plain)
