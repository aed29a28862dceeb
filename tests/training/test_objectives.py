"""Loss recipes: by name, by object, and one from outside."""

import numpy as np
import pytest
import torch

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.losses import soft_cross_entropy
from freeal_hf.training.objectives import OBJECTIVES, Evidence, Objective, SoftTargets, objective_named
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import make_texts, tiny_student


@pytest.fixture
def train(configure, tokenizer):
    def train(objective=None, recipe="soft_targets", **changes):
        args = configure(**{"objective": recipe, **changes})
        texts = make_texts(24, flips=0.2, augmented=True)
        trainer = FreeALTrainer(
            tiny_student(dropout=0.1), args, train_dataset=texts, processing_class=tokenizer, objective=objective
        )
        trainer.train()
        return trainer

    return train


def parts_logged(trainer):
    return {name for line in trainer.state.log_history for name in line if name.endswith("_loss")} - {"train_loss"}


def test_a_recipe_from_outside_is_ten_lines(train):
    class Focal(Objective):
        """Labels that the student finds hard count more (Lin et al., ICCV 2017)."""

        def parts(self, batch, args):
            losses = soft_cross_entropy(batch.logits[0], batch.targets)
            return {"focal_loss": (batch.weights * (1 - torch.exp(-losses)) ** 2 * losses).sum()}

    trainer = train(objective=Focal())
    assert parts_logged(trainer) == {"focal_loss"}
    assert np.isfinite(trainer.selection.losses).all()


def test_the_published_recipe_is_the_default_one_with_the_published_settings(train):
    published = {
        "prediction_momentum": 0.0,
        "start_with_probe": False,
        "clean_threshold": 0.7,
        "soft_targets": False,
        "noisy_weight": 0.0,
        "mixup_clean_only": True,
        "ramp_up_epochs": 10.0,
        "calibration_share": 0.0,
    }
    by_settings, by_name = train(**published), train(recipe="freeal")
    assert parts_logged(by_name) == {"supervised_loss", "consistency_loss", "mixup_loss"}
    assert np.array_equal(by_settings.selection.is_clean, by_name.selection.is_clean)
    assert np.allclose(by_settings.selection.probabilities, by_name.selection.probabilities, atol=1e-6)


def test_cross_entropy_reads_one_view_and_learns_from_every_label(train):
    trainer = train(recipe="cross_entropy")
    assert parts_logged(trainer) == {"supervised_loss"}
    assert "augmented_input_ids" not in trainer.train_dataset.column_names
    labels = torch.tensor(trainer.selection.labels)
    assert torch.equal(trainer.targets.distributions.argmax(-1), labels)
    assert trainer.targets.weights.min() == 1


@pytest.mark.parametrize(("slips", "trust"), [(0.0, 1.0), (1.0, 0.4), (0.5, 0.7)])
def test_labels_are_trusted_as_far_as_none_of_them_is_wrong_at_random(configure, slips, trust):
    known = Evidence(
        labels=torch.tensor([0, -1]),
        guesses=torch.tensor([[0.5, 0.5], [0.5, 0.5]]),
        posterior=torch.tensor([0.8, 0.0]),
        is_clean=torch.tensor([True, False]),
        is_trusted=torch.tensor([False, False]),
        slips=slips,
    )
    targets, _ = SoftTargets().targets(known, configure(label_trust=0.5))
    torch.testing.assert_close(targets, torch.tensor([[(1 + trust) / 2, (1 - trust) / 2], [0.5, 0.5]]))


def test_a_third_of_the_epochs_is_warm_up(train):
    assert train(num_train_epochs=9, warm_up_epochs=None).targets.warm_up_epochs == 3
    assert train(num_train_epochs=3, warm_up_epochs=None).targets.warm_up_epochs == 2


def test_an_object_and_its_name_train_alike(train):
    by_object, by_name = train(objective=objective_named("cross_entropy")), train(recipe="cross_entropy")
    assert np.array_equal(by_object.selection.probabilities, by_name.selection.probabilities)


def test_what_is_given_is_kept_and_the_rest_comes_from_the_recipe(configure):
    args = configure(objective="freeal", clean_threshold=0.5, warm_up_epochs=None)
    assert (args.clean_threshold, args.ramp_up_epochs, args.warm_up_epochs) == (0.5, 10.0, 3)
    assert (configure().clean_threshold, configure().ramp_up_epochs) == (0.5, 2.0)


def test_an_unknown_recipe_is_refused_with_those_that_there_are(configure):
    with pytest.raises(ValueError, match=r"'nothing'.*soft_targets, freeal, cross_entropy"):
        configure(objective="nothing")


def test_the_option_offers_every_recipe():
    assert FreeALConfig.__dataclass_fields__["objective"].metadata["choices"] == list(OBJECTIVES)


def test_a_recipe_without_a_loss_cannot_be_made():
    with pytest.raises(TypeError, match="parts"):
        type("Empty", (Objective,), {})()
