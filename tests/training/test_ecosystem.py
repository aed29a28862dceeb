"""The student's trainer with the models, options and callbacks that people use with Trainer."""

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import LABELS, make_texts, sampling, tiny_student

Configure = Callable[..., FreeALConfig]
Tokenizer = PreTrainedTokenizerFast

SMALL: dict[str, Any] = {
    "vocab_size": 65,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    **LABELS,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Bert": SMALL,
    "Roberta": SMALL,
    "DistilBert": {"vocab_size": 65, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, **LABELS},
    "DebertaV2": SMALL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "Electra": SMALL | {"embedding_size": 16},
    "Albert": SMALL | {"embedding_size": 16},
    "XLNet": {"vocab_size": 65, "d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "pad_token_id": 0, **LABELS},
    "Funnel": {"vocab_size": 65, "block_sizes": [1, 1], "num_decoder_layers": 1, "d_model": 32, "n_head": 2}
    | {"d_head": 16, "d_inner": 64, "pad_token_id": 0, **LABELS},
    "Qwen2": SMALL | {"num_key_value_heads": 2},
    "ModernBert": SMALL
    | {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "classifier_pooling": "mean"},
}


def make_model(architecture: str) -> Any:
    set_seed(0)
    config = getattr(transformers, f"{architecture}Config")(**ARCHITECTURES[architecture])
    return getattr(transformers, f"{architecture}ForSequenceClassification")(config)


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def train(tokenizer: Tokenizer, args: FreeALConfig, model: Any = None, **kwargs: Any) -> FreeALTrainer:
    texts = make_texts(flips=0.2, augmented=True)
    trainer = FreeALTrainer(model or tiny_student(), args, train_dataset=texts, processing_class=tokenizer, **kwargs)
    trainer.train()
    return trainer


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_encoder_trains_with_every_part_of_the_loss(
    tokenizer: Tokenizer, configure: Configure, architecture: str
) -> None:
    trainer = train(tokenizer, configure(), make_model(architecture))
    logged = {name for line in trainer.state.log_history for name in line}
    assert {"supervised_loss", "mixup_loss"} <= logged
    assert trainer.selection is not None
    assert np.isfinite(trainer.selection.probabilities).all()
    assert trainer.selection.embeddings.shape == (48, 32)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mixing_a_row_with_itself_changes_no_score_whatever_the_head(architecture: str) -> None:
    from freeal_hf.training.losses import HiddenMixup
    from freeal_hf.training.student import encoder_of

    model = make_model(architecture).eval()
    inputs = {
        "input_ids": torch.randint(5, 65, (3, 7), generator=torch.Generator().manual_seed(0)),
        "attention_mask": (torch.arange(7) < torch.tensor([[7], [3], [5]])).long(),
    }
    rows = torch.arange(3)
    logits = model(**HiddenMixup(encoder_of(model)).arm(inputs, (rows, rows, torch.full((3,), 0.6)))).logits
    assert torch.allclose(logits[:3], logits[3:], atol=1e-5)


needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


@needs_peft
def test_a_lora_student_trains_its_adapter_alone(tokenizer: Tokenizer, configure: Configure) -> None:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"])
    model = get_peft_model(tiny_student(), lora)
    before = {name: weight.clone() for name, weight in model.named_parameters() if "lora_B" in name}
    frozen = model.get_base_model().bert.encoder.layer[0].output.dense.weight.clone()
    trainer = train(tokenizer, configure(), model)
    assert any("mixup_loss" in line for line in trainer.state.log_history)
    assert any(not torch.equal(weight, model.get_parameter(name)) for name, weight in before.items())
    assert torch.equal(frozen, model.get_base_model().bert.encoder.layer[0].output.dense.weight)


@needs_peft
def test_a_lora_student_is_evaluated(tokenizer: Tokenizer, configure: Configure) -> None:
    # PEFT hides the model's signature, by which Trainer guesses what the labels are called.
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_student(), LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"]))
    trainer = train(tokenizer, configure(num_train_epochs=1), model, compute_metrics=accuracy)
    assert {"eval_loss", "eval_accuracy"} <= trainer.evaluate(make_texts(12, seed=1)).keys()


def test_the_training_loop_is_transformers_own() -> None:
    for name in ("_inner_training_loop", "training_step", "prediction_step", "evaluation_loop"):
        assert getattr(FreeALTrainer, name) is getattr(Trainer, name)


def test_both_views_and_the_mixtures_share_one_forward(tokenizer: Tokenizer, configure: Configure) -> None:
    model, forwards = tiny_student(), 0

    def count(module: torch.nn.Module, *_: Any) -> None:
        nonlocal forwards
        forwards += module.training

    model.register_forward_pre_hook(count)
    assert forwards == train(tokenizer, configure(), model).state.global_step


def test_several_visible_gpus_without_a_launcher_do_not_tear_the_views_apart(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    args = configure()
    args._n_gpu = 2  # what Trainer would wrap in DataParallel, splitting each batch in the middle of its views
    trainer = FreeALTrainer(tiny_student(), args, train_dataset=make_texts(augmented=True), processing_class=tokenizer)
    assert trainer.args.n_gpu == 1


def test_bf16_autocast(tokenizer: Tokenizer, configure: Configure) -> None:
    trainer = train(tokenizer, configure(bf16=True))
    assert trainer.selection is not None
    assert np.isfinite(trainer.selection.probabilities).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 autocast needs a GPU")
def test_fp16_autocast(tokenizer: Tokenizer, configure: Configure) -> None:
    trainer = train(tokenizer, configure(fp16=True, use_cpu=False))
    assert trainer.selection is not None
    assert np.isfinite(trainer.selection.probabilities).all()


def gradients(tokenizer: Tokenizer, args: FreeALConfig) -> dict[str, torch.Tensor]:
    """Gradients of the last optimizer step."""
    found: dict[str, torch.Tensor] = {}

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            found.update({name: weight.grad.clone() for name, weight in model.named_parameters()})

    train(tokenizer, args, callbacks=[Watch()])
    return found


def test_accumulated_gradients_are_those_of_one_large_batch(tokenizer: Tokenizer, configure: Configure) -> None:
    # Mixup pairs rows of one batch, so it draws other pairs; all else must be the same. 48 rows make 3 steps of 16.
    settings: dict[str, Any] = {"mixup_alpha": 0.0, "max_grad_norm": 0.0, "max_steps": 8, **sampling("random")}
    large = gradients(tokenizer, configure(per_device_train_batch_size=16, **settings))
    small = gradients(tokenizer, configure(per_device_train_batch_size=4, gradient_accumulation_steps=4, **settings))
    for name, gradient in large.items():
        assert torch.allclose(gradient, small[name], atol=1e-5), name


def test_checkpointed_activations_give_the_same_student(tokenizer: Tokenizer, configure: Configure) -> None:
    name = "activation_checkpointing" if hasattr(TrainingArguments, "activation_checkpointing") else None
    plain = train(tokenizer, configure()).selection
    saving = train(tokenizer, configure(**{name or "gradient_checkpointing": True})).selection
    assert plain is not None and saving is not None
    assert np.allclose(plain.probabilities, saving.probabilities, atol=1e-4)


def test_a_compiled_student_learns_the_same(tokenizer: Tokenizer, configure: Configure) -> None:
    settings: dict[str, Any] = {"num_train_epochs": 2, **sampling("random")}
    plain = train(tokenizer, configure(**settings)).selection
    compiled = train(tokenizer, configure(torch_compile=True, torch_compile_backend="eager", **settings)).selection
    assert plain is not None and compiled is not None
    assert np.allclose(plain.probabilities, compiled.probabilities, atol=1e-4)


@pytest.mark.parametrize("remove", [True, False])
def test_unused_columns_are_no_concern_of_the_user(tokenizer: Tokenizer, configure: Configure, remove: bool) -> None:
    trainer = train(tokenizer, configure(remove_unused_columns=remove))
    assert trainer.evaluate(make_texts(12, seed=1))["eval_loss"] > 0


def test_metrics_and_callbacks_work_as_ever(tokenizer: Tokenizer, configure: Configure) -> None:
    seen: list[float] = []

    class Watch(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
            seen.append(metrics["eval_accuracy"])

    args = configure(eval_strategy="epoch")
    train(tokenizer, args, eval_dataset=make_texts(12, seed=1), compute_metrics=accuracy, callbacks=[Watch()])
    assert len(seen) == 3


def test_several_evaluation_sets_are_scored_by_name(tokenizer: Tokenizer, configure: Configure) -> None:
    sets = {"one": make_texts(12, seed=1), "two": make_texts(12, seed=2)}
    trainer = train(tokenizer, configure(eval_strategy="epoch"), eval_dataset=sets)
    logged = {name for line in trainer.state.log_history for name in line}
    assert {"eval_one_loss", "eval_two_loss"} <= logged


def test_early_stopping_ends_training_and_keeps_the_best_student(tokenizer: Tokenizer, configure: Configure) -> None:
    args = configure(
        num_train_epochs=20,
        learning_rate=0.0,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
    )
    evaluation = make_texts(12, seed=1)
    stop = EarlyStoppingCallback(early_stopping_patience=2)
    trainer = train(tokenizer, args, eval_dataset=evaluation, compute_metrics=accuracy, callbacks=[stop])
    assert trainer.state.epoch == 3
    assert trainer.selection is not None


def test_the_selection_describes_the_best_student_when_that_is_loaded(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    args = configure(eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True)
    trainer = train(tokenizer, args, eval_dataset=make_texts(12, seed=1))
    logits = torch.from_numpy(trainer.predict(make_texts(flips=0.2, augmented=True)).predictions)
    assert trainer.selection is not None
    assert np.allclose(trainer.selection.probabilities, logits.softmax(-1).numpy(), atol=1e-5)


def test_fsdp_of_version_1_is_refused(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ValueError, match="--fsdp_version 2"):
        configure()


def test_label_smoothing_is_refused(configure: Configure) -> None:
    with pytest.raises(ValueError, match="label_smoothing_factor"):
        configure(label_smoothing_factor=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"second_view": "mirror"},
        {"warm_up_epochs": 0},
        {"prediction_momentum": 1.0},
        {"token_dropout": -0.1},
        {"dropout": 2.0},
        {"learning_rate": -1e-4},
        {"learning_rate": math.nan},
        {"num_train_epochs": -1},
        {"per_device_train_batch_size": 0},
        {"max_length": 0},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(configure: Configure, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        configure(**wrong)


def test_every_field_has_help_that_fits_a_terminal() -> None:
    own = set(FreeALConfig.__annotations__)
    for name, field in FreeALConfig.__dataclass_fields__.items():
        if name in own:
            assert 0 < len(field.metadata["help"]) <= 110, name
