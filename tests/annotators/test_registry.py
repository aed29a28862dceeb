"""Annotators by name."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.annotators.work import annotation_work
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import TextClassification


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


def test_an_unknown_option_is_reported() -> None:
    with pytest.raises(InputError, match=r"no option 'colour'; its options are .*concurrency"):
        build_annotator("endpoint:org/name", options={"colour": "red"})


@pytest.mark.parametrize("option", [{"extra_body": "top_k"}, {"api_key_env": 7}, {"model": "m"}], ids=str)
def test_an_option_with_an_invalid_value_is_reported(option: dict[str, object]) -> None:
    [name] = option
    with pytest.raises(InputError, match=name):
        build_annotator("endpoint:org/name", options=option)


def test_a_column_is_read_by_its_name() -> None:
    annotator = build_annotator("column:gpt label", column=lambda name: {"1": name})
    assert isinstance(annotator, ColumnAnnotator)
    assert annotator.answers == {"1": "gpt label"}


@pytest.mark.parametrize("spec", ["", "gpt-4", "endpoint", "endpoint:", "tgi:", "local:", "column:", "openai:gpt-4"])
def test_the_error_for_an_unknown_specification_lists_the_forms(spec: str) -> None:
    with pytest.raises(InputError, match=r"embedding[\s\S]*endpoint:[\s\S]*tgi:[\s\S]*local:[\s\S]*column:"):
        build_annotator(spec, column=lambda name: {})


def test_building_an_endpoint_imports_no_torch() -> None:
    code = (
        "import sys; from freeal_hf.annotators.registry import build_annotator; build_annotator('endpoint:org/name'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- Other packages ----


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a package that registers what `entry_points.txt` says, with a module `shop_labels`."""

    def install(points: str) -> None:
        site, info = tmp_path / "site", tmp_path / "site" / "shop_labels-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-labels\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[freeal_hf.annotators]\n{points}\n")
        (site / "shop_labels.py").write_text(_MODULE)
        monkeypatch.syspath_prepend(site)

    yield install
    sys.modules.pop("shop_labels", None)


_MODULE = """
from freeal_hf import Annotation, Annotator


class Constant(Annotator):
    is_free = True

    def __init__(self, label="good", *, confidence=None):
        self.label, self.confidence = label, confidence

    async def annotate(self, task, requests):
        return [Annotation(task.label2id[self.label], confidence=self.confidence) for _ in requests]


class Duck:
    pass
"""


def test_an_annotator_of_another_package_is_found_by_its_entry_point(installed: Callable[[str], None]) -> None:
    installed("constant = shop_labels:Constant")
    annotator = build_annotator("constant:bad", options={"confidence": 0.5})
    task = TextClassification(["good", "bad"])
    assert dict(run(annotation_work(annotator, task), [AnnotationRequest("text")])) == {
        0: Annotation(1, confidence=0.5)
    }


def test_an_annotator_of_another_package_needs_no_value_if_it_has_a_default(installed: Callable[[str], None]) -> None:
    installed("constant = shop_labels:Constant")
    assert vars(build_annotator("constant"))["label"] == "good"
    with pytest.raises(InputError, match=r"Constant has no option 'colour'; its options are label, confidence"):
        build_annotator("constant", options={"colour": "red"})


def test_the_error_for_an_unknown_name_lists_annotators_of_other_packages(installed: Callable[[str], None]) -> None:
    installed("constant = shop_labels:Constant")
    with pytest.raises(InputError, match=r"'constnat'[\s\S]*endpoint:MODEL[\s\S]*constant or constant:VALUE"):
        build_annotator("constnat")


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("duck = shop_labels:Duck", "'shop_labels:Duck', .* is not a subclass of freeal_hf.Annotator"),
        ("duck = shop_labels:Goose", "'shop_labels:Goose', .* cannot be imported"),
        ("duck = shop_lables:Duck", "cannot be imported .*No module named 'shop_lables'"),
    ],
    ids=["no annotator", "no such class", "no such module"],
)
def test_a_broken_entry_point_is_reported(installed: Callable[[str], None], point: str, said: str) -> None:
    installed(point)
    with pytest.raises(AnnotatorError, match=said):
        build_annotator("duck:x")


def test_other_packages_cannot_replace_an_annotator_of_this_package(installed: Callable[[str], None]) -> None:
    installed("endpoint = shop_labels:Constant")
    assert isinstance(build_annotator("endpoint:org/name"), InferenceEndpointsAnnotator)
