"""FreeALTrainer as a user meets it: data in, student and selection out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from freeal_hf.training.batches import LengthGroupedSampler
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import NAMES, make_texts, tiny_student

Configure = Callable[..., FreeALConfig]
Tokenizer = PreTrainedTokenizerFast


def with_labels(texts: Dataset, labels: list[int]) -> Dataset:
    features = ClassLabel(names=NAMES)
    return texts.remove_columns("label").add_column("label", labels).cast_column("label", features)


def trained(texts: Dataset, args: FreeALConfig, tokenizer: Tokenizer | None, dropout: float = 0.0) -> FreeALTrainer:
    trainer = FreeALTrainer(tiny_student(dropout=dropout), args, train_dataset=texts, processing_class=tokenizer)
    trainer.train()
    return trainer


def test_a_text_longer_than_the_student_reads_is_cut(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts(9).map(lambda row: {"text": " ".join([row["text"]] * 40)})
    trainer = trained(texts, configure(num_train_epochs=1, max_length=128), tokenizer)
    assert trainer.model.config.max_position_embeddings == 40
    assert trainer.predict(texts).predictions.shape == (9, 3)


def test_selection_stands_in_the_order_of_the_training_set(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts(augmented=True)
    trainer = trained(texts, configure(), tokenizer)
    selection = trainer.selection
    assert selection is not None
    assert selection.ids == texts["id"]
    assert selection.labels.tolist() == texts["label"]
    assert selection.embeddings.shape == (48, 32)
    assert np.allclose(selection.probabilities, softmax(trainer.predict(texts).predictions), atol=1e-5)


def test_predictions_stand_in_the_order_of_the_data_set(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts()
    trainer = trained(texts, configure(), tokenizer)
    backwards = texts.select(range(47, -1, -1))
    assert np.allclose(trainer.predict(texts).predictions, trainer.predict(backwards).predictions[::-1], atol=1e-5)


def test_flipped_labels_are_told_from_right_ones(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts(240, flips=0.2)
    selection = trained(texts, configure(num_train_epochs=5, warm_up_epochs=2), tokenizer).selection
    assert selection is not None
    wrong = np.array(texts["label"]) != np.array(texts["gold"])
    assert selection.is_clean[~wrong].mean() > 0.9
    assert selection.is_clean[wrong].mean() < 0.1


@pytest.mark.parametrize(("with_probe", "weight"), [(True, 0.5), (False, 0.0)])
def test_averaged_predictions_begin_with_those_of_a_probe(
    tokenizer: Tokenizer, configure: Configure, with_probe: bool, weight: float
) -> None:
    args = configure(num_train_epochs=1, warm_up_epochs=1, start_with_probe=with_probe, learning_rate=0.0)
    texts = make_texts()
    trainer = trained(texts, args, tokenizer)
    assert trainer.selection is not None
    probe = held_out_probabilities(trainer.first_embeddings(), np.array(texts["label"]), 3, seed=args.seed)
    expected = weight * probe + (1 - weight) * trainer.selection.probabilities
    assert np.allclose(trainer.targets.memory.average, expected, atol=1e-5)


def test_a_trusted_label_stays_clean_and_whole_whatever_its_loss(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts(flips=0.2)
    wrong = np.array(texts["label"]) != np.array(texts["gold"])
    trainer = trained(texts.add_column("is_trusted", wrong.tolist()), configure(max_clean_share=0.5), tokenizer)
    assert trainer.selection is not None
    assert trainer.selection.is_clean[wrong].all()
    assert (trainer.targets.distributions[np.flatnonzero(wrong), np.array(texts["label"])[wrong]] == 1).all()


def test_gold_has_no_influence(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts(flips=0.2)
    without = trained(texts.remove_columns("gold"), configure(), tokenizer).selection
    selection = trained(texts, configure(), tokenizer).selection
    assert selection is not None and without is not None
    assert (selection.probabilities == without.probabilities).all()


def test_the_same_seed_gives_the_same_student(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts(augmented=True)
    first, second = (trained(texts, configure(), tokenizer, dropout=0.1).selection for _ in range(2))
    assert first is not None and second is not None
    assert (first.probabilities == second.probabilities).all()


def test_training_twice_forgets_the_first_selection(tokenizer: Tokenizer, configure: Configure) -> None:
    trainer = trained(make_texts(), configure(), tokenizer)
    trainer.train()
    assert trainer.targets.losses.shape == (48,)
    assert trainer.targets.memory.epochs == 3


@pytest.mark.parametrize("labels", [[0] * 9 + [1], [-1] * 10, [0, 1, -1, -1, -1, 0, 0, 1, 1, -1]])
def test_ten_texts_with_rare_or_missing_labels_train(
    tokenizer: Tokenizer, configure: Configure, labels: list[int]
) -> None:
    texts = with_labels(make_texts(10, augmented=True), labels)
    selection = trained(texts, configure(), tokenizer).selection
    assert selection is not None
    unlabelled = np.array(labels) == -1
    assert not selection.is_clean[unlabelled].any()
    assert np.isnan(selection.losses[unlabelled]).all()
    assert np.isfinite(selection.probabilities).all()


def test_unlabelled_samples_teach_nothing_in_warm_up(tokenizer: Tokenizer, configure: Configure) -> None:
    trainer = trained(with_labels(make_texts(10), [-1] * 10), configure(num_train_epochs=1), tokenizer)
    before = tiny_student().state_dict()
    for name, weight in trainer.model.state_dict().items():
        if "bias" in name:  # weight decay leaves these alone
            assert torch.equal(weight, before[name]), name


def test_unlabelled_samples_do_not_enter_the_evaluation_loss(tokenizer: Tokenizer, configure: Configure) -> None:
    args = configure(num_train_epochs=1, per_device_eval_batch_size=64)
    trainer = trained(make_texts(), args, tokenizer)
    texts = make_texts(8, seed=1)
    both = with_labels(make_texts(16, seed=1), make_texts(16, seed=1)["label"][:8] + [-1] * 8)
    half = both.select(range(8))
    assert len(texts) == len(half)
    assert trainer.evaluate(both)["eval_loss"] == pytest.approx(trainer.evaluate(half)["eval_loss"], rel=1e-5)


def test_evaluation_loss_is_plain_cross_entropy_and_repeatable(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts()
    trainer = trained(texts, configure(), tokenizer, dropout=0.1)
    logits = torch.from_numpy(trainer.predict(texts).predictions)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(texts["label"])).item()
    assert trainer.evaluate(texts)["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert trainer.evaluate(texts)["eval_loss"] == trainer.evaluate(texts)["eval_loss"]


def test_a_student_built_from_a_name_knows_its_labels(
    tokenizer: Tokenizer, configure: Configure, tmp_path: Path
) -> None:
    tiny_student().save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    trainer = FreeALTrainer(tmp_path / "encoder", configure(num_train_epochs=1), train_dataset=make_texts())
    trainer.train()
    trainer.save_model()
    saved = AutoModelForSequenceClassification.from_pretrained(str(trainer.args.output_dir))
    assert saved.config.id2label == dict(enumerate(NAMES))
    assert AutoTokenizer.from_pretrained(str(trainer.args.output_dir))("w1 w2")["input_ids"]


def test_ready_input_ids_need_no_tokenizer(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = make_texts()
    ids = tokenizer(list(texts["text"]))["input_ids"]
    ready = Dataset.from_dict({"input_ids": ids, "label": texts["label"]})
    by_ids = trained(ready, configure(), None).selection
    by_text = trained(texts, configure(), tokenizer).selection
    assert by_ids is not None and by_text is not None
    assert by_ids.ids == [str(i) for i in range(48)]
    assert (by_ids.probabilities == by_text.probabilities).all()


def test_log_shows_clean_share_thresholds_and_parts_of_the_loss(tokenizer: Tokenizer, configure: Configure) -> None:
    trainer = trained(make_texts(flips=0.2, augmented=True), configure(num_train_epochs=4), tokenizer)
    logged = {name for line in trainer.state.log_history for name in line}
    assert {"clean_share", "clean_below/0", "supervised_loss", "consistency_loss", "mixup_loss"} <= logged


@pytest.mark.parametrize("view", ["token_dropout", "dropout"])
def test_a_made_view_stands_in_for_augmented_text(tokenizer: Tokenizer, configure: Configure, view: str) -> None:
    args = configure(second_view=view, num_train_epochs=4)
    trainer = trained(make_texts(flips=0.2), args, tokenizer, dropout=0.1)
    assert any("consistency_loss" in line for line in trainer.state.log_history)


def test_no_second_view_is_used_when_none_is_wanted(tokenizer: Tokenizer, configure: Configure) -> None:
    args = configure(second_view="none", num_train_epochs=4)
    trainer = trained(make_texts(flips=0.2, augmented=True), args, tokenizer)
    assert not any("consistency_loss" in line for line in trainer.state.log_history)


def test_texts_are_grouped_by_the_longest_view_to_which_a_batch_is_padded(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    texts = Dataset.from_dict({"text": ["w1", "w1 w2"], "label": [0, 1], "augmented_text": ["w1 w2 w3", ""]})
    trainer = FreeALTrainer(tiny_student(), configure(), train_dataset=texts, processing_class=tokenizer)
    sampler = trainer._get_train_sampler()
    assert isinstance(sampler, LengthGroupedSampler)
    assert sampler.lengths == [3, 2]


def test_a_stream_is_refused(tokenizer: Tokenizer, configure: Configure) -> None:
    stream = make_texts().to_iterable_dataset()
    with pytest.raises(TypeError, match=r"IterableDataset.*from_generator"):
        FreeALTrainer(tiny_student(), configure(), train_dataset=stream, processing_class=tokenizer)


def test_a_name_without_class_names_is_refused(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = Dataset.from_dict({"text": ["w1"], "label": [0]})
    with pytest.raises(ValueError, match="class_names"):
        FreeALTrainer("anything", configure(), train_dataset=texts, processing_class=tokenizer)


def test_an_evaluation_set_that_numbers_its_classes_otherwise_is_refused(
    tokenizer: Tokenizer, configure: Configure
) -> None:
    other = make_texts().cast_column("label", ClassLabel(names=NAMES[::-1]))
    with pytest.raises(ValueError, match="classes of the evaluation set are"):
        FreeALTrainer(
            tiny_student(), configure(), train_dataset=make_texts(), eval_dataset=other, processing_class=tokenizer
        )


def test_a_label_that_is_no_class_is_refused(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = Dataset.from_dict({"text": ["w1"], "label": [3]})
    with pytest.raises(ValueError, match=r"between -1 .no label. and 2"):
        FreeALTrainer(tiny_student(), configure(), train_dataset=texts, processing_class=tokenizer)


def test_labels_as_strings_are_refused_with_the_cure(tokenizer: Tokenizer, configure: Configure) -> None:
    texts = Dataset.from_dict({"text": ["w1"], "label": ["alpha"]})
    with pytest.raises(ValueError, match="cast_column"):
        FreeALTrainer(tiny_student(), configure(), train_dataset=texts, processing_class=tokenizer)


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.from_numpy(logits), -1).numpy()
