"""FreeALTrainer with words in place of texts."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature
from transformers import BertConfig, BertForTokenClassification, set_seed

from freeal_hf.tasks import bio_tags
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import WORDS

TAGS = bio_tags(["THING"])


def tiny_tagger():
    set_seed(0)
    config = BertConfig(
        vocab_size=65,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=len(TAGS),
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
    )
    return BertForTokenClassification(config)


def make_sentences(count=48, missed=0.0, seed=0):
    """Sentences in which each of the last twenty words is a thing; some of their tags are missed."""
    rng = np.random.default_rng(seed)
    words = [rng.choice(WORDS, size=rng.integers(3, 13)).tolist() for _ in range(count)]
    gold = [[int(WORDS.index(word) >= 40) for word in row] for row in words]
    noisy = [[0 if rng.random() < missed else tag for tag in row] for row in gold]
    rows = {"tokens": words, "label": noisy, "id": [f"row-{i}" for i in range(count)], "gold": gold}
    features = {"tokens": ListFeature(Value("string")), "label": ListFeature(ClassLabel(names=TAGS))}
    return Dataset.from_dict(
        rows, features=Features({**features, "id": Value("string"), "gold": ListFeature(Value("int64"))})
    )


@pytest.fixture
def train(configure, tokenizer):
    def train(dataset, **changes):
        trainer = FreeALTrainer(tiny_tagger(), configure(**changes), train_dataset=dataset, processing_class=tokenizer)
        trainer.train()
        return trainer

    return train


def test_words_are_selected_after_half_of_the_epochs_unless_warm_up_is_given(train):
    def first_selection(**changes):
        history = train(make_sentences(count=16), num_train_epochs=6, **changes).state.log_history
        return min(entry["epoch"] for entry in history if "clean_share" in entry)

    assert first_selection(warm_up_epochs=None) == 3
    assert first_selection(warm_up_epochs=1) == 1


def test_every_word_has_a_loss_a_posterior_and_a_prediction(train):
    dataset = make_sentences(count=20)
    selection = train(dataset).selection
    words = sum(len(row) for row in dataset["tokens"])
    assert len(selection.losses) == len(selection.is_clean) == words
    assert selection.probabilities.shape == (words, len(TAGS))
    assert selection.num_words.tolist() == [len(row) for row in dataset["tokens"]]
    assert selection.embeddings.shape == (20, 32)
    np.testing.assert_allclose(selection.probabilities.sum(1), 1, atol=1e-5)


def test_most_entities_that_were_missed_are_not_trusted_as_outside_and_found_by_the_student(train):
    dataset = make_sentences(count=96, missed=0.2)
    selection = train(dataset, num_train_epochs=8, learning_rate=5e-3, mixup_alpha=0.0).selection
    gold = np.concatenate(dataset["gold"])
    missed = (gold == 1) & (selection.labels == 0)
    assert (selection.predictions[missed] == 1).mean() > 0.6
    assert selection.is_clean[missed].mean() < 0.3
    assert selection.is_clean[(gold == 0)].mean() > 0.9


def test_words_without_a_label_are_in_no_supervised_loss_before_the_first_selection(configure, tokenizer):
    dataset = make_sentences(count=8)
    blank = dataset.map(lambda row: {"label": [-1] * len(row["tokens"])}, features=dataset.features)
    trainer = FreeALTrainer(
        tiny_tagger(), configure(num_train_epochs=1, weight_decay=0.0), train_dataset=blank, processing_class=tokenizer
    )
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    assert all((before[name] == value).all() for name, value in trainer.model.state_dict().items())


def test_a_sentence_in_windows_is_one_sentence_in_the_selection(train):
    dataset = make_sentences(count=12)
    selection = train(dataset, max_length=6).selection
    assert selection.embeddings.shape == (12, 32)
    assert np.isfinite(selection.losses).all()


@pytest.mark.parametrize(
    "changes", [{"second_view": "token_dropout"}, {"second_view": "dropout"}, {"mixup_clean_only": True}]
)
def test_views_and_mixtures_of_words_can_be_trained_on(changes, train):
    assert np.isfinite(train(make_sentences(count=16), **changes).selection.losses).all()


def test_token_dropout_never_hides_an_entity(configure, tokenizer):
    dataset = make_sentences(count=8)
    args = configure(second_view="token_dropout", token_dropout=0.99)
    trainer = FreeALTrainer(tiny_tagger(), args, train_dataset=dataset, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
    index = batch.pop("sample_index")
    labels = batch.pop("labels")
    views = trainer._step.with_made_view(batch, index, trainer.targets)
    second = views["attention_mask"][8:]
    assert second[labels > 0].all()
    assert second[labels == 0].float().mean() < 0.5


def test_evaluation_pads_predictions_as_transformers_does(configure, tokenizer):
    dataset = make_sentences(count=10)
    trainer = FreeALTrainer(tiny_tagger(), configure(), train_dataset=dataset, processing_class=tokenizer)
    output = trainer.predict(dataset)
    assert output.predictions.shape[:2] == output.label_ids.shape
    assert (output.label_ids >= 0).sum() == sum(len(row) for row in dataset["tokens"])
    assert np.isfinite(trainer.evaluate(dataset)["eval_loss"])
