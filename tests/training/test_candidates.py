"""Training on candidates: plausible classes of texts without a label."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from freeal_hf.errors import InputError
from freeal_hf.training.data import candidates_of
from freeal_hf.training.losses import restricted
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import make_texts, tiny_student


def with_candidates(count):
    """Texts of which the first ones have candidates in place of a label."""
    texts = make_texts(24)
    labels = [-1 if row < count else label for row, label in enumerate(texts["label"])]
    candidates = [[0, 1] if row < count else None for row in range(24)]
    return texts.remove_columns("label").add_column("label", labels).add_column("candidates", candidates)


@pytest.mark.parametrize("objective", ["soft_targets", "freeal", "cross_entropy"])
def test_each_recipe_learns_from_candidates_and_keeps_their_targets_within_them(configure, tokenizer, objective):
    args = configure(objective=objective)
    trainer = FreeALTrainer(tiny_student(), args, train_dataset=with_candidates(6), processing_class=tokenizer)
    first = trainer.targets.distributions[:6].clone()
    assert torch.allclose(first, torch.tensor([0.5, 0.5, 0.0]))
    trainer.train()
    targets = trainer.targets
    assert (targets.distributions[:6, 2] < 1e-9).all()
    assert not torch.allclose(targets.distributions[:6], first)
    assert (targets.weights[:6] > 0).all()
    assert not trainer.selection.is_clean[:6].any()


def test_a_distribution_is_restricted_to_its_candidates_even_if_they_have_no_probability():
    found = restricted(
        torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]), torch.tensor([[False, True, True], [False] * 3])
    )
    assert torch.allclose(found, torch.tensor([[0.0, 0.5, 0.5], [0.2, 0.3, 0.5]]))


def test_a_text_with_a_label_has_no_candidates(configure, tokenizer):
    texts = make_texts(24).add_column("candidates", [[0, 1]] * 24)
    trainer = FreeALTrainer(tiny_student(), configure(), train_dataset=texts, processing_class=tokenizer)
    assert np.allclose(trainer.targets.distributions.max(-1).values, 1)


@pytest.mark.parametrize(
    ("candidates", "message"), [(["a"], "row 0 has 'a' as `candidates`"), ([[0, 7]], "row 0 has 7 as `candidates`")]
)
def test_a_column_of_something_else_is_refused(candidates, message):
    with pytest.raises(InputError, match=message):
        candidates_of(Dataset.from_dict({"candidates": candidates}), num_classes=3)
