"""Cards have the measured values, and keep the text of the owner."""

from dataclasses import replace

import pytest
from huggingface_hub import DatasetCard, ModelCard

from freeal_hf import TextClassification
from freeal_hf.cards import BEGIN, END, CardFacts, Score, dataset_card, merge, student_card

TASK = TextClassification({"good": "they | liked <b>it</b>", "bad": ""}, f"Did they like it?\n{END}\n# Pwned")
FACTS = CardFacts(
    name="reviews",
    task=TASK,
    dataset_id="ada/reviews-freeal",
    model_id="ada/reviews-student",
    round=1,
    annotator="endpoint:org/model",
    annotator_prompt="Say ``` good or bad.",
    base_model="org/encoder",
    base_revision="0123abc",
    arguments={"learning_rate": 2e-5},
    scores=[Score("accuracy", 0.91, "reviews, held-out texts", "ada/reviews-freeal", "test")],
    rounds=[["round", "final label"], ["0", "88.0 %"], ["1", "91.0 %"]],
    pictures={"Quality per round": "figures/quality.png"},
    facts={"cost of the annotator": "$1.20"},
    estimate="Estimated without gold: 90 %.",
    label_counts={"good": 70, "bad": 30},
    splits={"train": 100, "test": 20},
    columns=["id", "text", "label"],
    config="num_rounds: 2",
    examples={"good": "I would buy it again."},
)
BARE = CardFacts(name="student", task=TASK)


@pytest.mark.parametrize("fact", ["org/encoder", "0123abc", "$1.20", "Estimated without gold: 90 %", "91.0 %"])
def test_both_cards_have_the_facts(fact):
    assert fact in dataset_card(FACTS).text
    assert fact in student_card(FACTS).text


def test_the_dataset_card_shows_how_to_load_and_reproduce_it():
    text = dataset_card(FACTS).text
    assert 'load_dataset("ada/reviews-freeal", revision="round-1")' in text
    assert "num_rounds: 2" in text
    assert "--resume-from ada/reviews-freeal" in text


def test_metadata_can_be_read_by_the_classes_of_huggingface_hub():
    dataset, model = DatasetCard(str(dataset_card(FACTS))), ModelCard(str(student_card(FACTS)))
    splits = [{"split": "train", "path": "data/train-*"}, {"split": "test", "path": "data/test-*"}]
    assert dataset.data.configs[0]["data_files"] == splits
    assert dataset.data.size_categories == ["n<1K"]
    assert model.data.base_model == "org/encoder"
    (result,) = model.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.91, "test")


def test_the_page_of_a_student_has_a_text_to_try():
    assert ModelCard(str(student_card(FACTS))).data.to_dict()["widget"] == [
        {"example_title": "good", "text": "I would buy it again."}
    ]
    assert "widget" not in student_card(BARE).data.to_dict()


@pytest.mark.parametrize("make", [dataset_card, student_card])
def test_the_license_is_left_to_the_owner(make):
    card = make(FACTS)
    assert card.data.license is None
    assert "freeal-hf does not choose one" in card.text


def test_a_card_without_scores_has_no_evaluation_results():
    card = student_card(BARE)
    assert card.data.eval_results is None
    assert "its accuracy is not known" in card.text
    assert "None" not in str(card)


@pytest.mark.parametrize("make", [dataset_card, student_card])
def test_both_cards_have_the_number_of_checked_labels(make):
    assert "No person checked them" in make(FACTS).text
    assert "no person checked them" in make(FACTS).text
    audited = make(replace(FACTS, checked=100)).text
    assert "A person checked 100 of them" in audited
    assert "people checked only a sample of them" in audited


def test_names_and_descriptions_are_escaped_in_cards():
    text = dataset_card(FACTS).text
    assert text.count(END) == 1
    assert "they \\| liked &lt;b>it&lt;/b>" in text
    assert "\n# Pwned" not in text
    assert "````text\nSay ``` good or bad." in text


def test_only_the_part_between_the_marks_is_replaced():
    first = f"Above.\n{student_card(FACTS)}".replace("Above.\n---", "---").replace(BEGIN, f"Above.\n{BEGIN}")
    text = merge(f"{first}\nBelow.\n", student_card(BARE))
    assert text.index("Above.") < text.index(BEGIN) < text.index("# student") < text.index(END) < text.index("Below.")
    assert "# reviews" not in text


def test_the_card_is_added_at_the_end_of_a_readme_without_marks():
    text = merge("---\nlicense: mit\n---\nMy data.\n", dataset_card(FACTS))
    assert text.index("My data.") < text.index(BEGIN)
    assert DatasetCard(text).data.license == "mit"


def test_the_metadata_of_the_owner_is_kept_unless_it_must_match_the_files():
    owned = dataset_card(FACTS)
    owned.data.pretty_name, owned.data.size_categories = "Mine", ["n>1T"]
    owned.data.tags = ["film"]
    owned.data.configs = [{"config_name": "mine", "data_files": "mine/*"}, *owned.data.configs]
    data = DatasetCard(merge(str(owned), dataset_card(FACTS))).data
    assert data.pretty_name == "Mine"
    assert data.size_categories == ["n<1K"]
    assert data.tags[0] == "film" and "freeal-hf" in data.tags
    assert [config["config_name"] for config in data.configs] == ["default", "demonstrations", "rounds", "mine"]


def test_merging_again_changes_nothing():
    once = merge("---\nlicense: mit\n---\nMy data.\n", dataset_card(FACTS))
    assert merge(once, dataset_card(FACTS)) == once
