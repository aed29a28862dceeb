"""FreeALTrainer on texts with any number of labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast, Trainer, pipeline

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.samples import PairSamples
from freeal_hf.training.samples.pairs import label_ids_read, label_values
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import NAMES, make_labelled_texts, make_texts, tiny_student

Configure = Callable[..., FreeALConfig]
Tokenizer = PreTrainedTokenizerFast


def trained(
    texts: Dataset, args: FreeALConfig, tokenizer: Tokenizer, dropout: float = 0.0, **more: Any
) -> FreeALTrainer:
    trainer = FreeALTrainer(
        tiny_student(dropout=dropout), args, train_dataset=texts, processing_class=tokenizer, **more
    )
    trainer.train()
    return trainer


def with_labels(texts: Dataset, labels: list[Any]) -> Dataset:
    return texts.remove_columns("labels").add_column("labels", labels)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return torch.sigmoid(torch.from_numpy(logits)).numpy()


def test_a_selection_has_a_value_for_each_text_and_label(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts(augmented=True)
    trainer = trained(texts, configure(), tokenizer)
    found = trainer.selection
    assert found is not None
    assert found.ids == texts["id"]
    assert found.labels.tolist() == texts["labels"]
    for values in (found.losses, found.posterior, found.is_clean, found.predictions, found.probabilities):
        assert values.shape == (48, 3)
    assert found.embeddings.shape == (48, 32)
    assert np.allclose(found.probabilities, sigmoid(trainer.predict(texts).predictions), atol=1e-5)
    assert repr(found).startswith("Selection(48 texts with 3 labels: ")


def test_a_flipped_label_is_told_from_the_right_labels_of_the_same_text(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    texts = make_labelled_texts(300, flips=0.15)
    found = trained(texts, configure(num_train_epochs=10, warm_up_epochs=4), tokenizer).selection
    assert found is not None
    wrong = np.array(texts["labels"]) != np.array(texts["gold"])
    assert found.is_clean[~wrong].mean() > 0.85
    assert found.is_clean[wrong].mean() < 0.15
    mixed = wrong.any(axis=1) & ~wrong.all(axis=1)
    told = (found.is_clean[mixed] == ~wrong[mixed]).all(axis=1)
    assert told.mean() > 0.6


def test_the_student_serves_one_probability_for_each_label(
    tokenizer: Tokenizer, configure: Configure, tmp_path: Path
) -> None:
    texts = make_labelled_texts()
    trainer = trained(texts, configure(), tokenizer)
    trainer.save_model(str(tmp_path / "served"))
    tokenizer.save_pretrained(tmp_path / "served")
    answers = pipeline("text-classification", str(tmp_path / "served"), top_k=None)(texts["text"][0])
    scores = {answer["label"]: answer["score"] for answer in answers[0]}
    expected = sigmoid(trainer.predict(texts).predictions)[0]
    assert scores == pytest.approx(dict(zip(NAMES, expected.tolist(), strict=True)), abs=1e-5)


def test_a_saved_student_has_a_threshold_for_each_label(
    tokenizer: Tokenizer, configure: Configure, tmp_path: Path
) -> None:
    trainer = trained(make_labelled_texts(240, flips=0.1), configure(), tokenizer)
    trainer.save_model(str(tmp_path / "served"))
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "served").config
    assert saved.problem_type == "multi_label_classification"
    assert len(saved.thresholds) == 3
    assert all(0 < threshold < 1 for threshold in saved.thresholds)
    assert trainer.selection is not None
    assert (trainer.selection.predictions == (trainer.selection.probabilities > saved.thresholds)).all()


def test_plain_cross_entropy_learns_what_trainer_learns_with_the_loss_of_transformers(
    tokenizer: Tokenizer, configure: Configure, tmp_path: Path
) -> None:
    texts = make_labelled_texts()
    args = configure(objective="cross_entropy", calibration_share=0.0)
    ours = trained(texts, args, tokenizer).model.state_dict()
    encoded = texts.map(lambda row: dict(tokenizer(row["text"])), remove_columns=["text", "id", "gold"])
    plain = FreeALTrainer(tiny_student(), args, train_dataset=texts, processing_class=tokenizer)
    theirs = Trainer(
        tiny_student(problem_type="multi_label_classification"),
        args,
        train_dataset=encoded,
        processing_class=tokenizer,
    )
    theirs._get_train_sampler = plain._get_train_sampler
    theirs.train()
    for name, weight in theirs.model.state_dict().items():
        assert torch.allclose(weight, ours[name], atol=2e-4), name


def test_evaluation_loss_is_that_of_transformers(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts()
    trainer = trained(texts, configure(), tokenizer)
    logits = torch.from_numpy(trainer.predict(texts).predictions)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(texts["labels"])).item()
    assert trainer.evaluate(texts)["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_metrics_of_users_get_logits_and_one_value_for_each_label(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts(8)
    labels = [[1.0, -1.0, 0.0], *texts["labels"][1:]]

    def shapes(found: Any) -> dict[str, float]:
        assert found.predictions.shape == found.label_ids.shape == (8, 3)
        return {"unanswered": float((found.label_ids == -100).sum())}

    trainer = trained(texts, configure(num_train_epochs=1), tokenizer, compute_metrics=shapes)
    assert trainer.evaluate(with_labels(texts, labels))["eval_unanswered"] == 1


def test_labels_without_an_answer_are_not_selected_and_have_no_loss(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    texts = make_labelled_texts()
    labels: list[Any] = [list(row) for row in texts["labels"]]
    labels[0], labels[1], labels[2][1], labels[3] = [-1.0] * 3, [-100.0] * 3, -1.0, None
    found = trained(with_labels(texts, labels), configure(), tokenizer).selection
    assert found is not None
    unanswered = found.labels == -1
    assert np.argwhere(unanswered).tolist() == [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
        [2, 1],
        *([3, label] for label in range(3)),
    ]
    assert not found.is_clean[unanswered].any()
    assert np.isnan(found.losses[unanswered]).all()
    assert np.isfinite(found.losses[~unanswered]).all()
    assert np.isfinite(found.probabilities).all()


def test_texts_without_any_answer_teach_nothing_in_warm_up(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts(10)
    trainer = trained(with_labels(texts, [[-1.0] * 3] * 10), configure(num_train_epochs=1), tokenizer)
    before = tiny_student().state_dict()
    for name, weight in trainer.model.state_dict().items():
        if "bias" in name:  # weight decay leaves these alone
            assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize("labels", [[[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])
def test_labels_that_all_or_no_texts_have_train(
    tokenizer: Tokenizer, configure: Configure, labels: list[list[float]]
) -> None:
    texts = make_labelled_texts(40)
    found = trained(with_labels(texts, (labels * 40)[:40]), configure(), tokenizer).selection
    assert found is not None
    assert np.isfinite(found.probabilities).all() and np.isfinite(found.losses).all()


def test_a_trusted_text_keeps_all_its_labels(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts(flips=0.2)
    wrong = (np.array(texts["labels"]) != np.array(texts["gold"])).any(axis=1)
    trainer = trained(texts.add_column("is_trusted", wrong.tolist()), configure(max_clean_share=0.5), tokenizer)
    assert trainer.selection is not None
    assert trainer.selection.is_clean[wrong].all()


def test_a_single_label_can_be_trusted(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts(flips=0.2)
    wrong = np.array(texts["labels"]) != np.array(texts["gold"])
    trainer = trained(texts.add_column("is_trusted", wrong.tolist()), configure(max_clean_share=0.5), tokenizer)
    assert trainer.selection is not None
    assert trainer.selection.is_clean[wrong].all()
    assert not trainer.selection.is_clean[wrong.any(axis=1)].all()


def test_gold_has_no_influence(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts(flips=0.2)
    without = trained(texts.remove_columns("gold"), configure(), tokenizer)
    trainer = trained(texts, configure(), tokenizer)
    assert trainer.selection is not None and without.selection is not None
    assert (trainer.selection.probabilities == without.selection.probabilities).all()
    assert trainer.model.config.thresholds == without.model.config.thresholds


def test_lists_of_class_numbers_are_read_as_labels(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_labelled_texts()
    numbers = [np.flatnonzero(row).tolist() for row in texts["labels"]]
    features = Features({"text": Value("string"), "labels": Sequence(ClassLabel(names=NAMES))})
    sets = Dataset.from_dict({"text": texts["text"], "labels": numbers}, features=features)
    of_numbers, of_values = (trained(data, configure(), tokenizer).selection for data in (sets, texts))
    assert of_numbers is not None and of_values is not None
    assert (of_numbers.labels == of_values.labels).all()
    assert (of_numbers.probabilities == of_values.probabilities).all()


def test_a_student_that_is_built_from_a_name_gives_each_text_any_number_of_labels(
    tokenizer: Tokenizer, configure: Configure, tmp_path: Path
) -> None:
    tiny_student().save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    texts = make_labelled_texts(8)
    args = configure(num_train_epochs=1)
    config = FreeALTrainer(tmp_path / "encoder", args, train_dataset=texts, class_names=NAMES).model.config
    assert config.problem_type == "multi_label_classification"
    assert config.id2label == dict(enumerate(NAMES))


def test_a_student_for_one_label_is_refused(tokenizer: Tokenizer, configure: Configure) -> None:
    student = tiny_student(problem_type="single_label_classification")
    with pytest.raises(ValueError, match="problem_type='multi_label_classification'"):
        FreeALTrainer(student, configure(), train_dataset=make_labelled_texts(4), processing_class=tokenizer)


def test_class_numbers_are_refused_if_the_student_gives_any_number_of_labels(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    student = tiny_student(problem_type="multi_label_classification")
    with pytest.raises(ValueError, match=r"row 0 has 0 as `label`.*list of 3 values"):
        FreeALTrainer(student, configure(), train_dataset=make_texts(4), processing_class=tokenizer)


@pytest.mark.parametrize("objective", ["soft_targets", "freeal", "cross_entropy"])
@pytest.mark.parametrize("view", ["augmented", "token_dropout"])
def test_each_loss_recipe_trains(tokenizer: Tokenizer, configure: Configure, objective: str, view: str) -> None:
    texts = make_labelled_texts(flips=0.2, augmented=True)
    args = configure(objective=objective, second_view=view, num_train_epochs=4)
    trainer = trained(texts, args, tokenizer, dropout=0.1)
    logged = {name for line in trainer.state.log_history for name in line}
    assert {"clean_share", "clean_below/0/yes", "clean_below/0/no", "supervised_loss"} <= logged
    assert ({"mixup_loss", "consistency_loss"} <= logged) == (objective != "cross_entropy")


def test_a_loss_of_the_user_gets_logits_and_one_value_for_each_label(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    texts = make_labelled_texts(16)
    seen = []

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        seen.append((outputs.logits.shape, labels.shape, labels.dtype))
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs.logits, labels)

    found = trained(texts, configure(num_train_epochs=2), tokenizer, compute_loss_func=loss).selection
    assert set(seen) == {((8, 3), (8, 3), torch.float32)}
    assert found is not None and np.isfinite(found.losses).all()


def test_a_run_that_is_resumed_within_an_epoch_ends_as_if_it_had_not_been_stopped(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    texts = make_labelled_texts(flips=0.2, augmented=True)
    args = configure(save_strategy="steps", save_steps=4)
    whole = trained(texts, args, tokenizer)
    resumed = FreeALTrainer(tiny_student(), args, train_dataset=texts, processing_class=tokenizer)
    resumed.train(resume_from_checkpoint=f"{args.output_dir}/checkpoint-8")  # of 6 steps each
    assert whole.selection is not None and resumed.selection is not None
    assert (whole.selection.is_clean == resumed.selection.is_clean).all()
    assert np.allclose(whole.selection.probabilities, resumed.selection.probabilities, atol=1e-5)
    assert whole.model.config.thresholds == resumed.model.config.thresholds


def test_few_texts_with_a_label_share_a_group_with_those_of_other_rare_labels() -> None:
    labels = np.zeros((40, 3), dtype=np.int64)
    labels[:20, 0], labels[:2, 1], labels[5:9, 2] = 1, 1, 1
    groups = PairSamples(NAMES).groups(labels.reshape(-1))[0].reshape(-1, 3)
    assert len(set(groups[:2, 1]) | set(groups[5:9, 2])) == 1
    assert set(groups[:20, 0]).isdisjoint(groups[:2, 1])
    assert len(np.unique(groups)) == 5


ANSWERS = st.one_of(st.sampled_from([0, 1, 0.0, 1.0, True, False]), st.sampled_from([None, -1, -100, float("nan")]))


@given(st.lists(ANSWERS, min_size=1, max_size=6))
def test_values_are_yes_no_or_no_answer(values: list[Any]) -> None:
    found = label_values(values, 0, "labels", num_labels=len(values), no_label=-100)
    for value, read in zip(values, found, strict=True):
        assert read == (-100 if value is None or value != value or value < 0 else float(value))


@given(st.lists(st.sampled_from([0, 1]), min_size=1, max_size=6))
def test_class_numbers_and_values_mean_the_same(values: list[int]) -> None:
    numbers = [number for number, value in enumerate(values) if value]
    settings = {"num_labels": len(values), "no_label": -1}
    assert label_ids_read(numbers, 0, "labels", **settings) == label_values(values, 0, "labels", **settings)


@pytest.mark.parametrize("value", [0.5, 2, -2, "1", [1]])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"row 7 has .* in `labels`: use 1 for a label that applies"):
        label_values([0, value], 7, "labels", num_labels=2, no_label=-1)


def test_a_list_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="row 7 has 2 values in `labels`, but the student has 3 labels"):
        label_values([0, 1], 7, "labels", num_labels=3, no_label=-1)


def test_a_class_number_that_is_no_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 7 has 3 in `labels`: the class numbers .* between 0 and 2"):
        label_ids_read([3], 7, "labels", num_labels=3, no_label=-1)


def test_the_card_says_that_a_text_can_have_any_number_of_labels(tokenizer: Tokenizer, configure: Configure) -> None:
    trainer = trained(make_labelled_texts(8), configure(num_train_epochs=1), tokenizer)
    trainer.create_model_card()
    assert "any number of labels" in Path(str(trainer.args.output_dir), "README.md").read_text()


def test_classes_are_balanced_within_each_label(tokenizer: Tokenizer, configure: Configure) -> None:
    rows = [{"text": text, "labels": [float(i % 8 == 0), float(i % 2), 0.0]} for i, text in enumerate(["a"] * 48)]
    args = configure(class_balance=1.0, min_clean_share=1.0, soft_targets=False, calibration_share=0.0)
    targets = trained(Dataset.from_list(rows), args, tokenizer).targets
    weights, given = targets.weights.view(48, 3).numpy(), np.array([row["labels"] for row in rows])
    for label, ratio in ((0, 7), (1, 1)):
        yes, no = (weights[given[:, label] == answer, label].mean() for answer in (1, 0))
        assert yes / no == pytest.approx(ratio, rel=1e-3)
    assert weights.mean(axis=0) == pytest.approx(np.ones(3), rel=1e-3)


def test_targets_are_mixtures_of_the_label_and_the_averaged_prediction(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    targets = trained(make_labelled_texts(flips=0.2), configure(), tokenizer).targets
    yes = targets.distributions[:, 1]
    assert ((yes > 0.01) & (yes < 0.99)).any()
    assert torch.allclose(targets.distributions.sum(1), torch.ones(len(yes)))
