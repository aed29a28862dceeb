"""The example of a package that adds an annotator: it is installed as a user would install it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_RUN = """
import asyncio
from freeal_hf import AnnotationRequest, TextClassification, build_annotator
from freeal_hf.annotators.registry import is_free

annotator = build_annotator("keywords:words.txt", options={"ignore_case": False})
task = TextClassification(["fruit", "tool"])
requests = [AnnotationRequest(text) for text in ("a ripe plum", "a Plum", "plum and saw", "saw and drill and plum")]
print(is_free("keywords:words.txt"), [answer.label for answer in asyncio.run(annotator.annotate(task, requests))])
"""


@pytest.mark.slow
def test_the_annotator_of_an_installed_package_is_used_by_its_name(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    source, target = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    for path in (ROOT / "examples" / "keyword-annotator").glob("*.*"):  # pip writes into the folder of a package
        (source / path.name).write_bytes(path.read_bytes())
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    (tmp_path / "words.txt").write_text("plum: fruit\nsaw: tool\ndrill: tool\n")
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(target)!r}]\n{_RUN}"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout == "True [0, -1, -1, 1]\n"
