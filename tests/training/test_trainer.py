"""FreeALTrainer as a user meets it: data in, student and selection out."""

from collections.abc import Callable

import numpy as np
import pytest
from conftest import NAMES, make_texts
from datasets import ClassLabel, Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.trainer import FreeALTrainer

Configure = Callable[..., FreeALConfig]


def test_selection_is_aligned_with_the_training_set(student, tokenizer, configure: Configure) -> None:
    texts = make_texts(augmented=True)
    trainer = FreeALTrainer(student, configure(), texts, processing_class=tokenizer)
    trainer.train()
    selection = trainer.selection
    assert selection.ids == texts["id"]
    assert selection.labels.tolist() == texts["label"]
    assert selection.probabilities.shape == (48, 3)
    assert selection.embeddings.shape == (48, 32)
    assert (selection.predictions == selection.probabilities.argmax(1)).all()
    logits = trainer.predict(texts).predictions
    assert (logits.argmax(1) == selection.predictions).all()


def test_flipped_labels_are_found(student, tokenizer, configure: Configure) -> None:
    texts = make_texts(240, flips=0.2)
    trainer = FreeALTrainer(student, configure(num_train_epochs=4), texts, processing_class=tokenizer)
    trainer.train()
    wrong = np.array(texts["label"]) != np.array(texts["gold"])
    assert trainer.selection.is_clean[~wrong].mean() > 0.9
    assert trainer.selection.is_clean[wrong].mean() < 0.1


def test_same_seed_same_labels(tokenizer, configure: Configure) -> None:
    from conftest import tiny_bert_config
    from transformers import BertForSequenceClassification, set_seed

    def probabilities() -> np.ndarray:
        set_seed(0)
        model = BertForSequenceClassification(tiny_bert_config(hidden_dropout_prob=0.1))
        trainer = FreeALTrainer(model, configure(), make_texts(augmented=True), processing_class=tokenizer)
        trainer.train()
        return trainer.selection.probabilities

    assert (probabilities() == probabilities()).all()


def test_a_student_built_from_a_name_knows_its_labels(
    student: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, configure: Configure, tmp_path
) -> None:
    student.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    trainer = FreeALTrainer(str(tmp_path / "encoder"), configure(num_train_epochs=1), make_texts())
    trainer.train()
    trainer.save_model()
    saved = AutoModelForSequenceClassification.from_pretrained(trainer.args.output_dir)
    assert saved.config.id2label == dict(enumerate(NAMES))
    assert AutoTokenizer.from_pretrained(trainer.args.output_dir)("w1 w2")["input_ids"]


def test_a_name_without_class_names_is_refused(tokenizer, configure: Configure) -> None:
    with pytest.raises(ValueError, match="label_names"):
        FreeALTrainer(
            "anything", configure(), Dataset.from_dict({"text": ["w1"], "label": [0]}), processing_class=tokenizer
        )


@pytest.mark.parametrize("labels", [[0] * 9 + [1], [-1] * 10, [0, 1, -1, -1, -1, 0, 0, 1, 1, -1]])
def test_ten_texts_with_rare_or_missing_labels_train(student, tokenizer, configure: Configure, labels) -> None:
    texts = make_texts(10, augmented=True).remove_columns("label")
    texts = texts.add_column("label", labels).cast_column("label", ClassLabel(names=NAMES))
    trainer = FreeALTrainer(student, configure(), texts, processing_class=tokenizer)
    trainer.train()
    unlabelled = np.array(labels) == -1
    assert not trainer.selection.is_clean[unlabelled].any()
    assert np.isnan(trainer.selection.losses[unlabelled]).all()
    assert np.isfinite(trainer.selection.probabilities).all()


@pytest.mark.parametrize("strategy", ["random", "group_by_length"])
def test_a_run_resumed_within_an_epoch_ends_with_the_same_weights(
    tokenizer, configure: Configure, strategy: str
) -> None:
    from conftest import tiny_bert_config
    from transformers import BertForSequenceClassification, TrainingArguments, set_seed

    grouping = (
        {"train_sampling_strategy": strategy}
        if hasattr(TrainingArguments, "train_sampling_strategy")
        else {"group_by_length": strategy == "group_by_length"}
    )

    def trainer() -> FreeALTrainer:
        set_seed(0)
        model = BertForSequenceClassification(tiny_bert_config(hidden_dropout_prob=0.1))
        settings = configure(save_strategy="steps", save_steps=3, **grouping)
        return FreeALTrainer(model, settings, make_texts(augmented=True), processing_class=tokenizer)

    whole = trainer()
    whole.train()
    for step in (6, 9, 15):  # the end of the first epoch, and the middle of the second and the third
        resumed = trainer()
        resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-{step}")
        for name, weight in whole.model.state_dict().items():
            assert (weight == resumed.model.state_dict()[name]).all(), (step, name)
        assert (whole.selection.is_clean == resumed.selection.is_clean).all()
        assert np.array_equal(whole.selection.losses, resumed.selection.losses)
