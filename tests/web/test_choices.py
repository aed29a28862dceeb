"""The choices in the step Run, without a page."""

import re

import pytest
import yaml

from freeal_hf.config import RunConfig
from freeal_hf.errors import InputError
from freeal_hf.web.choices import (
    ANTHROPIC,
    OWN_URL,
    Choice,
    check_choice,
    confirm_answers,
    estimate,
    secrets_of,
    write_request,
)
from freeal_hf.web.settings import Settings, read_settings
from freeal_hf.web.store import Run

TASK = {"type": "text-classification", "description": "", "labels": {"fruit": "", "tool": ""}}


@pytest.fixture
def run(tmp_path):
    return Run("a", tmp_path, data={"text_columns": ["title, short", "body"], "gold_column": "kind"}, task=TASK)


@pytest.fixture
def settings():
    return Settings(students={"small": "some/encoder"}, training={"num_train_epochs": 2})


def test_the_configuration_of_a_run_has_each_choice_in_its_section(run, settings):
    choice = Choice(OWN_URL, "some/model", "https://host/v1", "small", 3)
    write_request(run, choice, settings)
    assert yaml.safe_load(run.request.read_text()) == {
        "data": {"data": str(run.texts), "text_columns": ["title, short", "body"], "gold_column": "kind"},
        "task": TASK,
        "annotators": {
            "annotator": "endpoint:some/model@https://host/v1",
            "annotator_options": {"api_key_env": "FREEAL_ENDPOINT_KEY"},
        },
        "student": {"student": "some/encoder"},
        "training": {"output_dir": str(run.output), "disable_tqdm": True, "num_train_epochs": 2},
        "loop": {"num_rounds": 3},
    }


def test_a_model_of_anthropic_gets_the_key_of_the_visitor_and_several_answers_for_each_text(run, settings, tmp_path):
    run.texts.write_text("".join(f'{{"title, short": "text {i}", "body": "", "kind": "tool"}}\n' for i in range(8)))
    chosen = (ANTHROPIC, "claude-haiku-4-5", "", "small", 1)
    once, thrice = (check_choice(settings, *chosen, samples) for samples in (1, 3))
    with pytest.raises(InputError, match="Enter your key of Anthropic"):
        secrets_of(thrice, "hf_token", " ")
    assert set(secrets_of(thrice, "hf_token", "sk-ant-1").values()) == {"sk-ant-1"}
    write_request(run, thrice, settings)
    request = yaml.safe_load(run.request.read_text())
    assert request["annotators"]["annotator"] == "anthropic:claude-haiku-4-5"
    assert request["loop"] == {"num_rounds": 1, "samples": 3}
    calls = [
        int(re.search("about ([0-9]+)", dict(estimate(run, choice, settings)[0])["Calls"])[1])
        for choice in (once, thrice)
    ]
    assert calls[1] - calls[0] == 2 * 8  # two further answers for each text


@pytest.mark.parametrize("samples", [0, 6])
def test_the_number_of_answers_is_limited(settings, samples):
    with pytest.raises(InputError, match="choose 1 to 5"):
        check_choice(settings, ANTHROPIC, "claude-haiku-4-5", "", "small", 1, samples)


def test_confirming_answers_changes_one_option(run, settings):
    write_request(run, Choice(OWN_URL, "some/model", "https://host/v1", "small", 3), settings)
    before = RunConfig.from_yaml(run.request).options()
    confirm_answers(run)
    assert RunConfig.from_yaml(run.request).options() == {**before, "allow_doubtful_answers": True}


@pytest.mark.parametrize("name", ["hub_token", "push_to_hub_token"])
def test_a_private_training_option_of_the_operator_is_refused(name):
    with pytest.raises(ValueError, match=f"FREEAL_SPACE_TRAINING has '{name}', which is private"):
        read_settings({"FREEAL_SPACE_TRAINING": f'{{"learning_rate": 0.001, "{name}": "hf_x"}}'})
