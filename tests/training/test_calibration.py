"""The served student's logits are divided by a temperature, which becomes a part of its weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    pipeline,
)

from freeal_hf.training.calibration import calibrate_saved, fit_temperature, fold_temperature
from freeal_hf.training.losses import sharpen
from freeal_hf.training.temperature import at_temperature
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import make_texts, tiny_student

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
ENCODERS = ["bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert", "xlm-roberta", "mpnet"]


def softmax(logits):
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def logits_of(model):
    tokens = torch.tensor([[2, 9, 11, 3], [2, 8, 10, 3]])
    model.eval()
    with torch.no_grad():
        return model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits


def drawn(seed, count=1500):
    """Logits, and labels that are drawn by their probabilities."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, 3))
    labels = (softmax(logits).cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, labels


@settings(max_examples=10)
@given(temperature=st.floats(0.4, 2.5), flips=st.sampled_from([0.0, 0.2, 0.4]), seed=st.integers(0, 99))
def test_the_temperature_of_distorted_probabilities_is_found_although_labels_were_flipped(temperature, flips, seed):
    logits, labels = drawn(seed)
    rng = np.random.default_rng(seed)
    noisy = np.where(rng.random(len(labels)) < flips, (labels + rng.integers(1, 3, len(labels))) % 3, labels)
    assert fit_temperature(softmax(logits * temperature), noisy) == pytest.approx(temperature, rel=0.35)


def test_predictions_that_prefer_no_label_keep_their_temperature():
    assert fit_temperature(np.full((5, 2), 0.5), np.array([0, 1, 0, 1, 1])) == pytest.approx(1)


def test_no_predictions_keep_their_temperature():
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1


def test_predictions_that_are_no_numbers_keep_their_temperature():
    assert fit_temperature(np.full((3, 2), np.nan), np.array([0, 1, 0])) == 1


def test_few_predictions_change_the_temperature_little():
    logits, labels = drawn(0)
    few, many = (fit_temperature(softmax(3 * logits[:count]), labels[:count]) for count in (5, 1500))
    assert abs(np.log(few)) < abs(np.log(many))


def test_probabilities_at_a_temperature_are_those_of_divided_logits():
    logits = drawn(0, 10)[0]
    np.testing.assert_allclose(at_temperature(softmax(logits), 2.0), softmax(logits / 2), atol=1e-9)


def small(encoder, head):
    config = AutoConfig.for_model(encoder, vocab_size=65, num_labels=3, pad_token_id=0, **SIZES)
    torch.manual_seed(0)
    return head.from_config(config)


@pytest.mark.parametrize("head", [AutoModelForSequenceClassification, AutoModelForTokenClassification])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_temperature_becomes_a_part_of_the_weights(encoder, head):
    model = small(encoder, head)
    before = logits_of(model)
    assert fold_temperature(model, 2.0)
    torch.testing.assert_close(logits_of(model), before / 2.0)


def test_a_pipeline_gives_calibrated_scores(tokenizer, tmp_path):
    model = tiny_student()
    plain = {score["label"]: score["score"] for score in pipeline_of(model, tokenizer, tmp_path / "plain")}
    fold_temperature(model, 0.1)
    scores = {score["label"]: score["score"] for score in pipeline_of(model, tokenizer, tmp_path / "calibrated")}
    wanted = softmax(np.log([list(plain.values())]) / 0.1)[0]
    np.testing.assert_allclose([scores[name] for name in plain], wanted, atol=1e-4)


def pipeline_of(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return scores_of(folder)


def scores_of(folder):
    return pipeline("text-classification", model=str(folder), top_k=None)("w1 w2 w30")[0]


def test_a_saved_student_has_the_temperature_that_was_set_last(tokenizer, tmp_path):
    plain = {score["label"]: score["score"] for score in pipeline_of(tiny_student(), tokenizer, tmp_path)}
    for temperature in (5.0, 0.1, 0.1):
        calibrate_saved(tmp_path, temperature)
    found = {score["label"]: score["score"] for score in scores_of(tmp_path)}
    wanted = softmax(np.log([list(plain.values())]) / 0.1)[0]
    np.testing.assert_allclose([found[name] for name in plain], wanted, atol=1e-4)


class CappedHead(torch.nn.Module):
    """A head whose logits do not grow with the weights of its linear layer."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(32, 3)

    def forward(self, states):
        return torch.tanh(10 * self.linear(states))


def test_a_head_that_does_not_end_in_a_linear_layer_is_left_as_it_was(caplog):
    model = tiny_student()
    model.classifier = CappedHead()
    before = logits_of(model)
    assert not fold_temperature(model, 2.0)
    torch.testing.assert_close(logits_of(model), before)
    assert "BertForSequenceClassification" in caplog.text


@pytest.fixture
def trained(configure, tokenizer):
    def train(dataset=None, **settings):
        dataset = make_texts(90, flips=0.3) if dataset is None else dataset
        trainer = FreeALTrainer(
            tiny_student(),
            configure(**settings),
            train_dataset=dataset,
            processing_class=tokenizer,
        )
        trainer.train()
        return trainer

    return train


def test_the_trained_student_gives_the_probabilities_of_its_selection(trained):
    texts = make_texts(90, flips=0.3)
    trainer = trained(texts, calibration_share=0.3)
    assert trainer.targets.is_held_out.any()
    predicted = softmax(trainer.predict(texts).predictions)
    np.testing.assert_allclose(predicted, trainer.selection.probabilities, atol=1e-4)


def test_calibration_changes_no_prediction_of_the_student(trained, monkeypatch):
    plain = trained(calibration_share=0.3)
    monkeypatch.setattr("freeal_hf.training.trainer.fit_temperature", lambda *_: 3.0)
    warm = trained(calibration_share=0.3)
    assert (warm.selection.predictions == plain.selection.predictions).all()
    assert warm.selection.probabilities.max(axis=1).mean() < plain.selection.probabilities.max(axis=1).mean()


def test_a_share_of_every_label_is_held_out(trained):
    held_out = trained(make_texts(90), calibration_share=0.3).targets.is_held_out
    assert np.bincount(np.array(make_texts(90)["label"])[held_out]).tolist() == [9, 9, 9]


def test_fewer_than_twenty_labels_are_not_held_out(trained):
    assert not trained(make_texts(90), calibration_share=0.2).targets.is_held_out.any()


def test_after_warm_up_held_out_texts_are_taught_the_students_guesses(trained):
    targets = trained(make_texts(90), calibration_share=0.3).targets
    guesses = sharpen(targets.memory.average, targets.args.guess_temperature)
    torch.testing.assert_close(targets.distributions[targets.is_held_out], guesses[targets.is_held_out])


def test_in_warm_up_held_out_labels_teach_the_student_nothing(trained):
    texts = make_texts(90)
    held_out = trained(texts, calibration_share=0.3).targets.is_held_out
    labels = np.array(texts["label"])
    hidden = texts.remove_columns("label").add_column("label", np.where(held_out, -1, labels).tolist())
    hidden = hidden.cast_column("label", texts.features["label"])
    taught = {"start_with_probe": False, "warm_up_epochs": 3}
    told, untold = trained(texts, calibration_share=0.3, **taught), trained(hidden, calibration_share=0.0, **taught)
    assert (told.selection.predictions == untold.selection.predictions).all()
    np.testing.assert_allclose(told.targets.memory.average, untold.targets.memory.average, atol=1e-5)


def test_labels_that_are_trusted_are_always_taught(trained):
    texts = make_texts(90).add_column("is_trusted", [True] * 90)
    assert not trained(texts, calibration_share=0.5).targets.is_held_out.any()


def test_held_out_labels_can_be_clean(trained):
    found = trained(make_texts(90), calibration_share=0.5)
    assert found.selection.is_clean[found.targets.is_held_out].any()


@pytest.mark.parametrize("objective", ["soft_targets", "freeal", "cross_entropy"])
def test_every_label_is_taught_by_default(trained, objective):
    assert not trained(objective=objective).targets.is_held_out.any()
