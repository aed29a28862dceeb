"""FreeALTrainer does what users of transformers' Trainer expect of a Trainer."""

import importlib.util
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainingArguments,
)

from freeal_hf.config import changed_arguments
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import label_ids
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.test_token_trainer import make_sentences, tiny_tagger
from tests.training.tiny import NAMES, make_texts, tiny_student

Configure = Callable[..., FreeALConfig]
Tokenizer = PreTrainedTokenizerFast


@pytest.fixture
def make(configure: Configure, tokenizer: Tokenizer) -> Callable[..., FreeALTrainer]:
    """Makes a trainer of two short epochs; keywords of the trainer, and `changes` of the arguments."""

    def make(changes: dict[str, Any] | None = None, **options: Any) -> FreeALTrainer:
        args = options.pop("args", None) or configure(**{"num_train_epochs": 2, **(changes or {})})
        options.setdefault("train_dataset", make_texts(24, flips=0.2))
        options.setdefault("processing_class", tokenizer)
        if "model_init" not in options:
            options.setdefault("model", tiny_student())
        return FreeALTrainer(args=args, **options)

    return make


Make = Callable[..., FreeALTrainer]


def plain(tmp_path: Path, **changes: Any) -> TrainingArguments:
    settings = {"output_dir": str(tmp_path / "plain"), "use_cpu": True, "report_to": "none", "save_strategy": "no"}
    return TrainingArguments(**{**settings, "num_train_epochs": 1, "disable_tqdm": True, **changes})


# ---- Arguments ----


def test_without_arguments_it_trains_with_the_defaults_into_trainers_own_folder(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = FreeALTrainer(tiny_student(), train_dataset=make_texts(8), processing_class=tokenizer)
    assert isinstance(trainer.args, FreeALConfig)
    assert (trainer.args.output_dir, trainer.args.num_train_epochs) == ("tmp_trainer", 6)


def test_plain_training_arguments_keep_their_values_and_train(make: Make, tmp_path: Path) -> None:
    trainer = make(args=plain(tmp_path, learning_rate=3e-3, per_device_train_batch_size=12, bf16=True))
    assert (trainer.args.learning_rate, trainer.args.train_batch_size, trainer.args.bf16) == (3e-3, 12, True)
    assert trainer.args.label_trust == 0.5
    assert trainer.train().global_step == 2


def test_a_model_is_needed_and_only_one(make: Make) -> None:
    with pytest.raises(RuntimeError, match="model_init"):
        make(model=None)
    # transformers 4 only warns.
    with pytest.raises((ValueError, FutureWarning), match="not both"), warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        make(model=tiny_student(), model_init=tiny_student)


def test_positions_are_those_of_trainer(configure: Configure, tokenizer: Tokenizer) -> None:
    collator = DataCollatorWithPadding(tokenizer)
    trainer = FreeALTrainer(tiny_student(), configure(), collator, make_texts(8), make_texts(4), tokenizer)
    assert len(trainer.train_dataset) == 8
    assert len(trainer.eval_dataset) == 4


def test_the_former_positions_still_work_and_warn(configure: Configure, tokenizer: Tokenizer) -> None:
    with pytest.warns(DeprecationWarning, match="by name"):
        trainer = FreeALTrainer(tiny_student(), configure(), make_texts(8), make_texts(4), processing_class=tokenizer)
    assert (len(trainer.train_dataset), len(trainer.eval_dataset)) == (8, 4)


def test_names_of_classes_given_as_label_names_still_work_and_warn(
    tokenizer: Tokenizer, configure: Configure, tmp_path: Path
) -> None:
    tiny_student().save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    texts = make_texts(8).cast(Dataset.from_dict({"text": ["a"], "label": [0], "id": ["a"], "gold": [0]}).features)
    with pytest.warns(DeprecationWarning, match="class_names"):
        old = FreeALTrainer(tmp_path / "encoder", configure(), train_dataset=texts, label_names=NAMES)
    new = FreeALTrainer(tmp_path / "encoder", configure(), train_dataset=texts, class_names=NAMES)
    assert old.model.config.id2label == new.model.config.id2label == dict(enumerate(NAMES))


def test_label_names_of_the_arguments_mean_inputs_as_in_trainer(configure: Configure) -> None:
    assert configure(label_names=["labels"]).label_names == ["labels"]
    with pytest.raises(ValueError, match="class_names"):
        configure(label_names=["positive", "negative"])


def test_a_student_with_another_number_of_classes_is_refused(make: Make) -> None:
    texts = make_texts(8).cast(Dataset.from_dict({"text": ["a"], "label": [0], "id": ["a"], "gold": [0]}).features)
    with pytest.raises(ValueError, match="3 classes and class_names has 2 names"):
        make(train_dataset=texts, class_names=["good", "bad"])


# ---- What trains ----


def test_model_init_makes_a_new_student_for_every_training(make: Make) -> None:
    made = []

    def init() -> Any:
        made.append(tiny_student())
        return made[-1]

    fixed = {"mixup_alpha": 0.0}  # pairs are drawn by the generator, which making a model moves on
    trainer = make(fixed, model_init=init)
    trainer.train()
    assert trainer.model is made[-1]
    given = make(fixed)
    given.train()
    assert trainer.selection is not None and given.selection is not None
    assert np.allclose(trainer.selection.probabilities, given.selection.probabilities, atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")
def test_hyperparameters_of_trainer_and_of_freeal_are_searched(make: Make) -> None:
    trainer = make({"eval_strategy": "epoch"}, model_init=lambda: tiny_student(), eval_dataset=make_texts(12, seed=1))
    seen = []

    class Watch(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seen.append((trainer.targets.warm_up_epochs, trainer.targets.memory.momentum, args.learning_rate))

    trainer.add_callback(Watch())

    def space(trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
            "warm_up_epochs": trial.suggest_int("warm_up_epochs", 1, 1),
            "prediction_momentum": trial.suggest_float("prediction_momentum", 0.1, 0.5),
        }

    best = trainer.hyperparameter_search(space, n_trials=2, backend="optuna")
    assert math.isfinite(best.objective)
    assert {"learning_rate", "prediction_momentum"} <= best.hyperparameters.keys()
    assert len(set(seen)) == 2


def test_optimizer_and_schedule_of_the_user_are_used(make: Make) -> None:
    model = tiny_student()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    trainer = make({"weight_decay": 0.0}, model=model, optimizers=(optimizer, schedule))
    trainer.train()
    rates = [line["learning_rate"] for line in trainer.state.log_history if "learning_rate" in line]
    assert set(rates) == {0.5}


def test_a_collator_of_the_user_pads_the_batches(make: Make, tokenizer: Tokenizer) -> None:
    padded = DataCollatorWithPadding(tokenizer, padding="max_length", max_length=20)
    texts = make_texts(24, flips=0.2, augmented=True)
    widths = set()
    model = tiny_student()
    model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.add(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    trainer = make(model=model, data_collator=padded, train_dataset=texts)
    trainer.train()
    assert widths == {20}
    assert trainer.selection is not None
    default = make(train_dataset=texts)
    default.train()
    assert default.selection is not None
    assert (trainer.selection.is_clean == default.selection.is_clean).all()


def test_a_loss_of_the_user_replaces_the_objective(make: Make) -> None:
    counts = []

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        counts.append((int((labels >= 0).sum()), int(num_items_in_batch)))
        summed = torch.nn.functional.cross_entropy(outputs.logits, labels, ignore_index=-100, reduction="sum")
        return 2 * summed / num_items_in_batch

    labels = [0, 1, 2, None] * 6
    texts = make_texts(24, augmented=True).remove_columns("label").add_column("label", labels)
    trainer = make({"logging_steps": 1}, compute_loss_func=loss, train_dataset=texts)
    trainer.train()
    first = next(line["loss"] for line in trainer.state.log_history if "loss" in line)
    assert first == pytest.approx(2 * math.log(3), rel=0.1)
    assert all(labelled == items for labelled, items in counts)  # no unlabelled row is counted
    assert trainer.selection is not None
    assert trainer.evaluate(make_texts(6))["eval_loss"] > 1.1


def test_an_objective_and_a_loss_of_the_user_exclude_each_other(make: Make) -> None:
    with pytest.raises(ValueError, match="objective and compute_loss_func"):
        make(objective="freeal", compute_loss_func=lambda *_, **__: None)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"num_train_epochs": 1}, 3),
        ({"num_train_epochs": 1.5}, 5),
        ({"max_steps": 4}, 4),
        ({"max_steps": 7}, 7),
        ({"num_train_epochs": 1, "gradient_accumulation_steps": 2}, 2),
        ({"num_train_epochs": 1, "per_device_train_batch_size": 10, "dataloader_drop_last": True}, 2),
    ],
)
def test_as_many_steps_are_taken_as_asked_for(make: Make, changes: dict[str, Any], steps: int) -> None:
    trainer = make(changes)
    output = trainer.train()
    assert output.global_step == trainer.state.global_step == steps
    assert math.isfinite(output.training_loss)
    assert trainer.selection is not None


def test_a_callback_can_stop_the_training(make: Make) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == 2

    trainer = make(callbacks=[Stop()])
    assert trainer.train().global_step == 2
    assert trainer.selection is not None


def test_only_so_many_checkpoints_are_kept(make: Make) -> None:
    trainer = make({"save_strategy": "steps", "save_steps": 2, "save_total_limit": 2})
    trainer.train()
    folders = sorted(path.name for path in Path(str(trainer.args.output_dir)).glob("checkpoint-*"))
    assert folders == ["checkpoint-4", "checkpoint-6"]


# ---- Logs ----


def test_the_summary_of_the_training_is_the_last_log(make: Make) -> None:
    trainer = make({"eval_strategy": "epoch"}, eval_dataset=make_texts(6))
    trainer.train()
    assert "train_runtime" in trainer.state.log_history[-1]
    assert "clean_share" in trainer.state.log_history[-2]


def test_nothing_is_logged_once_trackers_have_closed_their_runs(make: Make) -> None:
    events = []

    class Tracker(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            events.append("log")

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            events.append("end")

    make(callbacks=[Tracker()]).train()
    assert events[-1] == "end"
    assert events.count("end") == 1


def test_the_selection_is_there_when_callbacks_are_told_of_the_end(make: Make) -> None:
    found = []

    class Watch(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            found.append(trainer.selection)

    trainer = make(callbacks=[Watch()])
    trainer.train()
    assert found == [trainer.selection]
    assert found[0] is not None


@pytest.mark.parametrize("logging_steps", [1, 4, 5])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_parts_of_the_loss_add_up_to_it(make: Make, logging_steps: int, accumulation: int) -> None:
    texts = make_texts(24, flips=0.2, augmented=True)
    changes = {"num_train_epochs": 4, "logging_steps": logging_steps, "gradient_accumulation_steps": accumulation}
    trainer = make({**changes, "per_device_train_batch_size": 4}, train_dataset=texts)
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert any("mixup_loss" in line for line in lines)
    for line in lines:
        parts = sum(line.get(f"{name}_loss", 0.0) for name in ("supervised", "consistency", "mixup"))
        assert parts == pytest.approx(line["loss"], rel=1e-4)


# ---- Resuming ----


@pytest.mark.parametrize("name", ["checkpoint-99", "elsewhere"])
def test_a_checkpoint_that_is_not_there_is_refused_as_in_trainer(make: Make, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="Can't find a valid checkpoint at .*" + name):
        make().train(resume_from_checkpoint=str(tmp_path / name))


def test_resuming_without_any_checkpoint_is_refused_as_in_trainer(make: Make) -> None:
    with pytest.raises(ValueError, match="No valid checkpoint found in output directory"):
        make().train(resume_from_checkpoint=True)


def test_a_checkpoint_of_another_trainer_is_refused(make: Make) -> None:
    trainer = make({"save_strategy": "epoch"})
    trainer.train()
    folder = Path(str(trainer.args.output_dir)) / "checkpoint-3"
    (folder / "selection.npz").unlink()
    with pytest.raises(ValueError, match=r"no selection.npz"):
        make().train(resume_from_checkpoint=str(folder))


def test_a_finished_training_resumed_selects_the_same_again(make: Make) -> None:
    trainer = make({"save_strategy": "steps", "save_steps": 6})
    trainer.train()
    again = make({"save_strategy": "no"})
    again.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-6")
    assert trainer.selection is not None and again.selection is not None
    assert np.array_equal(trainer.selection.is_clean, again.selection.is_clean)
    assert again.targets.memory.epochs == 2


# ---- Evaluation and prediction ----


def test_predictions_carry_the_labels_and_minus_100_where_there_is_none(make: Make) -> None:
    labels = [0, 1, None, 2, -1, -100]
    texts = make_texts(6).remove_columns("label").add_column("label", labels)
    output = make().predict(texts)
    assert output.label_ids.tolist() == [0, 1, -100, 2, -100, -100]
    assert output.predictions.shape == (6, 3)
    assert math.isfinite(output.metrics["test_loss"])


def test_texts_without_labels_are_predicted_without_a_loss(make: Make) -> None:
    output = make().predict(make_texts(6).remove_columns("label"))
    assert output.label_ids is None
    assert "test_loss" not in output.metrics


@pytest.mark.parametrize("kind", ["texts", "words"])
def test_a_stream_is_evaluated_like_a_dataset(make: Make, kind: str) -> None:
    texts, options = make_texts(12, seed=1), {}
    if kind == "words":
        texts, options = make_sentences(12), {"model": tiny_tagger(), "train_dataset": make_sentences(8)}
    trainer = make(**options, eval_dataset=texts.to_iterable_dataset())
    assert trainer.evaluate()["eval_loss"] == pytest.approx(trainer.evaluate(texts)["eval_loss"], rel=1e-5)
    assert np.allclose(trainer.predict(texts.to_iterable_dataset()).predictions, trainer.predict(texts).predictions)


def test_metrics_bear_the_prefix_that_is_given(make: Make) -> None:
    def share(found: Any) -> dict[str, float]:
        return {"zero": float((found.predictions == 0).mean())}

    trainer = make(compute_metrics=share, preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1))
    metrics = trainer.evaluate(make_texts(6), metric_key_prefix="mine")
    assert {"mine_loss", "mine_zero"} <= metrics.keys()


def test_an_empty_dataset_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="training set has no rows"):
        make(train_dataset=make_texts(3).select([]))
    with pytest.raises(ValueError, match="evaluation set has no rows"):
        make(eval_dataset=make_texts(3).select([]))


# ---- Columns ----


def test_columns_have_the_names_that_the_configuration_gives(make: Make) -> None:
    texts = make_texts(24, flips=0.2, augmented=True)
    names = {"text": "review", "label": "stars", "augmented_text": "other"}
    renamed = texts.rename_columns(names).add_column("text", ["not this"] * 24)
    changes = {f"dataset_{old}_field": new for old, new in names.items()}
    usual = make(train_dataset=texts)
    usual.train()
    other = make(changes, train_dataset=renamed)
    other.train()
    assert usual.selection is not None and other.selection is not None
    assert np.array_equal(usual.selection.probabilities, other.selection.probabilities)
    assert other.evaluate(renamed)["eval_loss"] == pytest.approx(usual.evaluate(texts)["eval_loss"])


def test_a_named_column_that_is_missing_is_not_replaced_by_the_usual_one(make: Make) -> None:
    with pytest.raises(ValueError, match=r"no column 'review' \(dataset_text_field\)"):
        make({"dataset_text_field": "review"})


def test_words_may_stand_in_a_column_of_another_name(make: Make) -> None:
    sentences = make_sentences(8).rename_columns({"tokens": "words", "label": "ner_tags"})
    changes = {"dataset_tokens_field": "words", "dataset_label_field": "ner_tags"}
    trainer = make(changes, model=tiny_tagger(), train_dataset=sentences)
    trainer.train()
    assert trainer.selection is not None and trainer.selection.num_words is not None


@pytest.mark.parametrize("none", [None, -1, -100, float("nan")])
def test_every_way_to_say_no_label_is_the_same(make: Make, none: Any) -> None:
    def selected(missing: Any) -> Any:
        labels = [missing if i % 4 == 3 else i % 3 for i in range(24)]
        if isinstance(missing, float):
            labels = [float(label) for label in labels]
        trainer = make(train_dataset=make_texts(24).remove_columns("label").add_column("label", labels))
        trainer.train()
        return trainer.selection

    expected, found = selected(-1), selected(none)
    assert (expected.labels == found.labels).all()
    assert np.array_equal(expected.probabilities, found.probabilities)


@given(st.lists(st.one_of(st.integers(0, 4), st.sampled_from([None, -1, -100, math.nan])), max_size=20))
def test_labels_keep_their_numbers_and_nothing_else_becomes_one(labels: list[Any]) -> None:
    found = label_ids(labels, num_classes=5)
    assert found == [label if label in range(5) else -1 for label in labels]
    assert label_ids([float(label) for label in found], num_classes=5) == found


@given(st.one_of(st.integers(5), st.integers(max_value=-2).filter(lambda value: value != -100), st.floats(0.1, 0.9)))
def test_a_number_that_is_no_class_is_refused_with_its_row(wrong: Any) -> None:
    with pytest.raises(ValueError, match="row 2 has"):
        label_ids([0, None, wrong], num_classes=5)


@pytest.mark.parametrize("none", [None, -1, -100])
def test_a_word_without_a_label_may_be_marked_in_any_way(make: Make, none: Any) -> None:
    sentences = make_sentences(8)
    labels = [[none, *row[1:]] for row in sentences["label"]]
    if none is None:
        labels[1] = None
    trainer = make(model=tiny_tagger(), train_dataset=sentences.remove_columns("label").add_column("label", labels))
    trainer.train()
    assert trainer.selection is not None
    assert trainer.selection.labels[0] == -1


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("text", ["w1", "w2", None], "row 2 has no text"),
        ("text", [1, 2, 3], "row 0 has 1, which is not a text"),
        ("text", [1.0, float("nan"), 3.0], "row 0 has 1.0, which is not a text"),
        ("label", [0, 1, 7], "row 2 has 7 as .* between -1 .no label. and 2"),
        ("label", [0, -2, 1], "row 1 has -2"),
        ("label", [0.0, 0.5, 1.0], "row 1 has 0.5"),
        ("label", [0.0, float("inf"), 1.0], "row 1 has inf"),
        ("label", ["alpha", "beta", None], "row 0 has 'alpha' .*cast_column"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_row(
    make: Make, column: str, values: list[Any], message: str
) -> None:
    columns: dict[str, Any] = {"text": ["w1", "w2", "w3"], "label": [0, 1, 2], column: values}
    with pytest.raises(ValueError, match=message):
        make(train_dataset=Dataset.from_dict(columns))
    with pytest.raises(ValueError, match=message):
        make(eval_dataset=Dataset.from_dict(columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tokens": [["a"], None], "label": [[0], [0]]}, "row 1 has no words"),
        ({"tokens": [["a"], ["b", None]], "label": [[0], [0, 0]]}, "row 1 has None as word 1"),
        ({"tokens": [["a"], ["b"]], "label": [[0], [9]]}, "row 1 has 9"),
    ],
)
def test_a_word_that_cannot_be_used_is_named_with_its_row(make: Make, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(model=tiny_tagger(), train_dataset=Dataset.from_dict(columns))


@pytest.mark.parametrize("missing", ["text", "label"])
def test_a_missing_column_is_named_with_those_that_are_there(make: Make, missing: str) -> None:
    texts = make_texts(4)
    with pytest.raises(ValueError, match=f"`{missing}`.*gold"):
        make(train_dataset=texts.remove_columns(missing))


def test_epochs_that_are_given_are_written_down_even_if_they_are_the_default(configure: Configure) -> None:
    given, left = configure(num_train_epochs=6), configure(num_train_epochs=None)
    assert given.num_train_epochs == left.num_train_epochs == 6
    assert changed_arguments(given)["num_train_epochs"] == 6
    assert "num_train_epochs" not in changed_arguments(left)
