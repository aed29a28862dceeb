"""The configuration of a run: what is declared of each option."""

from dataclasses import fields

import pytest

from freeal_hf import FreeALConfig
from freeal_hf.config import OPTIONS, SECTIONS, EngineConfig, HubConfig, changed_arguments, metadata_of, section


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
