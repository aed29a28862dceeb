"""Annotators by name."""

import subprocess
import sys

import pytest

from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.errors import InputError


@pytest.mark.parametrize(
    ("spec", "model", "url"),
    [
        ("endpoint:org/name", "org/name", None),
        ("endpoint: my-endpoint ", "my-endpoint", None),
        ("endpoint:http://127.0.0.1:8000/v1", None, "http://127.0.0.1:8000/v1"),
        ("endpoint:llama3:8b@http://127.0.0.1:11434", "llama3:8b", "http://127.0.0.1:11434"),
        ("endpoint:https://127.0.0.1:1/v1?api-version=2", None, "https://127.0.0.1:1/v1?api-version=2"),
    ],
)
def test_an_endpoint_is_a_model_a_name_or_an_address(spec: str, model: str | None, url: str | None) -> None:
    annotator = build_annotator(spec)
    assert isinstance(annotator, InferenceEndpointsAnnotator)
    assert (annotator.model, annotator.base_url) == (model, url)


def test_options_reach_the_annotator() -> None:
    annotator = build_annotator("endpoint:org/name", options={"concurrency": 3})
    assert annotator.concurrency == 3


def test_an_option_that_the_annotator_does_not_have_is_named() -> None:
    with pytest.raises(InputError, match=r"no option 'colour'; its options are .*concurrency"):
        build_annotator("endpoint:org/name", options={"colour": "red"})


@pytest.mark.parametrize("option", [{"extra_body": "top_k"}, {"api_key_env": 7}, {"model": "m"}], ids=str)
def test_an_option_with_a_value_that_cannot_be_used_is_named(option: dict[str, object]) -> None:
    [name] = option
    with pytest.raises(InputError, match=name):
        build_annotator("endpoint:org/name", options=option)


def test_a_column_is_read_by_its_name() -> None:
    annotator = build_annotator("column:gpt label", column=lambda name: {"1": name})
    assert isinstance(annotator, ColumnAnnotator)
    assert annotator.answers == {"1": "gpt label"}


@pytest.mark.parametrize("spec", ["", "gpt-4", "endpoint", "endpoint:", "tgi:", "local:", "column:", "openai:gpt-4"])
def test_an_unknown_specification_is_answered_with_the_forms(spec: str) -> None:
    with pytest.raises(InputError, match=r"embedding[\s\S]*endpoint:[\s\S]*tgi:[\s\S]*local:[\s\S]*column:"):
        build_annotator(spec, column=lambda name: {})


def test_building_an_endpoint_imports_no_torch() -> None:
    code = (
        "import sys; from freeal_hf.annotators.registry import build_annotator; build_annotator('endpoint:org/name'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
