"""The configuration of a run: what is declared of each option."""

from dataclasses import fields
from pathlib import Path

import pytest

from freeal_hf import FreeALConfig
from freeal_hf.config import (
    OPTIONS,
    SECTIONS,
    AnnotatorConfig,
    EngineConfig,
    HubConfig,
    LoopConfig,
    RunConfig,
    changed_arguments,
    metadata_of,
    section,
)
from freeal_hf.errors import InputError


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_help(name):
    assert OPTIONS[name].metadata["help"]


def test_no_option_belongs_to_two_sections():
    assert len(OPTIONS) == sum(len(fields(part)) for part in SECTIONS.values())


@pytest.mark.parametrize("name", [item.name for item in fields(FreeALConfig) if item.name.endswith("_token")])
def test_a_token_is_private(name):
    assert metadata_of(name)["private"]


@pytest.mark.parametrize("name", [item.name for item in fields(FreeALConfig) if "hub" in item.name])
def test_where_a_run_is_pushed_may_change_and_is_not_pushed(name):
    known = metadata_of(name)
    assert known["resumable"]
    assert known.get("local") or known.get("private")


def test_a_private_argument_is_not_written(tmp_path):
    args = FreeALConfig(output_dir=str(tmp_path), hub_token="hf_secret", learning_rate=1e-3)
    changed = changed_arguments(args)
    assert changed["learning_rate"] == 1e-3
    assert "hf_secret" not in str(changed)


def test_a_section_takes_its_own_options_only():
    assert section(EngineConfig, {"ray_workers": 3, "shots": 4}) == EngineConfig(ray_workers=3)


def test_columns_to_push_are_a_list_or_separated_by_commas():
    assert HubConfig(push_columns="gold, mine").push_columns == HubConfig(push_columns=["gold", "mine"]).push_columns


TASK = {"type": "text-classification", "labels": {"fruit": "", "tool": ""}}
FLAT = {
    "freeal_hf": "0.1.0",
    "data": "reviews.csv",
    "task": TASK,
    "annotator": "embedding",
    "student": "roberta-base",
    "learning_rate": 2e-5,
    "shots": 4,
    "hub_dataset_id": "ada/reviews",
    "engine": "ray",
}
NESTED = {
    "freeal_hf": "0.1.0",
    "task": TASK,
    "data": {"data": "reviews.csv"},
    "annotators": {"annotator": "embedding"},
    "student": {"student": "roberta-base"},
    "training": {"learning_rate": 2e-5},
    "loop": {"shots": 4},
    "hub": {"hub_dataset_id": "ada/reviews"},
    "engine": {"engine": "ray"},
}


def test_the_configuration_of_a_run_is_written_in_sections_with_the_complete_loop():
    written = RunConfig.from_options(FLAT).to_dict()
    assert {**written, "loop": {"shots": written["loop"]["shots"]}} == NESTED
    assert written["loop"]["num_rounds"] == LoopConfig().num_rounds


def test_the_configuration_of_a_user_is_written_without_defaults():
    assert RunConfig.from_options({"shots": 4, "data": "a.csv"}).to_dict() == {
        "data": {"data": "a.csv"},
        "loop": {"shots": 4},
    }


@pytest.mark.parametrize("values", [FLAT, NESTED, {**NESTED, "student": "roberta-base"}])
def test_a_configuration_is_read_with_sections_and_without(values):
    assert RunConfig.from_dict(values).options() == FLAT


def test_the_names_in_a_configuration_may_have_hyphens_and_a_section_may_be_empty():
    config = RunConfig.from_dict({"loop": {"num-rounds": 3}, "hub": None, "max-cost": 1})
    assert config.options() == {"num_rounds": 3, "max_cost": 1}


def test_the_options_of_the_task_are_beside_the_sections():
    options = {"task": "task.yaml", "instructions": ["Decide."], "label_map": {"1": "good"}}
    assert RunConfig.from_dict(RunConfig.from_options(options).to_dict()).options() == options


def test_a_repeatable_option_can_be_a_list_in_a_file():
    config = RunConfig.from_dict({"annotator": ["embedding", "column:a"], "annotator-option": ["concurrency=8"]})
    assert config.annotators == AnnotatorConfig("embedding + column:a", None, {"concurrency": 8})


def test_a_private_option_is_never_written():
    config = RunConfig.from_options({"learning_rate": 1e-3, "hub_token": "hf_secret"})
    assert config.to_dict()["training"] == {"learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loop": 3}, "loop in the configuration is 3; it must be a mapping"),
        ({"loop": {"annotator": "embedding"}}, "section loop .* no option 'annotator': it belongs to annotators"),
        ({"loop": {"learning_speed": 1}}, "section loop .* no option 'learning_speed': it does not exist"),
        ({"training": {"shots": 1}}, "section training .* no option 'shots': it belongs to loop"),
        ({"loop": {"shots": 1}, "shots": 2}, "gives 'shots' twice"),
    ],
)
def test_a_configuration_with_an_error_names_it(values, message):
    with pytest.raises(InputError, match=message):
        RunConfig.from_dict(values)


def test_options_replace_those_of_a_file():
    assert RunConfig.from_dict(NESTED, shots=7, learning_rate=1e-3).options() == {
        **FLAT,
        "shots": 7,
        "learning_rate": 1e-3,
    }


def test_the_differences_of_two_configurations_are_listed_with_defaults():
    found = RunConfig.from_options({"shots": 4, "seed": 1}).differences(RunConfig.from_options({"pool_size": 5}))
    assert found == {"seed": (1, None), "shots": (4, 10), "pool_size": (100, 5)}


@pytest.mark.parametrize("form", ["flat", "nested"])
def test_the_configuration_of_a_former_run_is_read(form):
    config = RunConfig.from_yaml(Path(__file__).parent / "stored_runs" / form / "config.yaml")
    assert config.annotators.annotator == "column:llm"
    assert config.freeal_hf


def test_a_configuration_that_is_written_is_read_again_without_private_options(tmp_path):
    config = RunConfig.from_options({"data": "a.csv", "shots": 4, "learning_rate": 1e-3, "hub_token": "hf_secret"})
    config.to_yaml(tmp_path / "config.yaml")
    read = RunConfig.from_yaml(tmp_path / "config.yaml")
    assert (read.data, read.loop, read.training) == (config.data, config.loop, {"learning_rate": 1e-3})
