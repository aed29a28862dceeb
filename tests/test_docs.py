"""What the documentation shows is what the package does: commands parse, code runs, the ladder looks like that."""

import ast
import inspect
import logging
import re
import shlex
from pathlib import Path

import pytest

import freeal_hf
from freeal_hf.annotators.anthropic import AnthropicAnnotator
from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.inference import InferenceEndpointsAnnotator
from freeal_hf.annotators.local import LocalAnnotator
from freeal_hf.annotators.tgi import TGIAnnotator
from freeal_hf.annotators.work import annotation_work
from freeal_hf.annotators.zero_shot import ZeroShotAnnotator
from freeal_hf.cli import main as cli
from freeal_hf.cli.training import parse_training
from tests.conftest import FRUIT
from tests.servers.chat import Behaviour, ChatServer, serve

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ANNOTATORS = (ROOT / "docs" / "annotators.md").read_text()
CLASSES = {
    "anthropic": AnthropicAnnotator,
    "endpoint": InferenceEndpointsAnnotator,
    "local": LocalAnnotator,
    "tgi": TGIAnnotator,
    "zero-shot": ZeroShotAnnotator,
}


def commands(page):
    """The words of every `freeal-hf` command of a page, continued lines joined."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"^(?:    |\$ )?(freeal-hf .*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in found if "..." not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_is_understood(page):
    for words in commands(page):
        _, rest = cli._parser().parse_known_args(words)
        training = rest if not rest or rest[0].startswith("-") else rest[1:]  # behind CONFIG.yaml
        parse_training(training, ())


def test_every_option_of_an_annotator_that_is_shown_exists():
    for words in commands(ROOT / "docs" / "annotators.md"):
        options, _ = cli._parser().parse_known_args(words)
        specs = [spec.removeprefix("batch:") for spec in getattr(options, "annotator", [])]
        classes = [CLASSES[spec.partition(":")[0]] for spec in specs]
        given = [option.partition("=")[0] for option in getattr(options, "annotator_option", [])]
        assert all(set(given) <= set(inspect.signature(known).parameters) for known in classes)


def test_an_annotator_of_ones_own_takes_fifteen_lines_and_labels():
    [code] = re.findall(r"```python\n(.*?)```", ANNOTATORS, re.DOTALL)
    names = {}
    exec(code, names)
    assert len(inspect.cleandoc(code[code.index("class") : code.index("task =")]).splitlines()) <= 15
    requests = [AnnotationRequest(text) for text in ("a plum", "my drill", "a letter")]
    answers = dict(run(annotation_work(names["annotator"], names["task"]), requests))
    assert [answers[i].label for i in range(3)] == [0, 1, -1]


def test_the_ladder_is_printed_as_it_is_shown(task, caplog, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    shown = re.search(r"<!-- the ladder.*?-->\n((?:    .*\n)+)", ANNOTATORS)[1].splitlines()
    with (
        serve(ChatServer(Behaviour(constraints=("structured_outputs",)))) as server,
        caplog.at_level(logging.INFO, logger="freeal_hf.annotators.features"),
    ):
        list(run(annotation_work(InferenceEndpointsAnnotator(server.url), task), [AnnotationRequest("plum")]))
    assert caplog.messages == [line.strip() for line in shown]


def python_blocks(page):
    """The Python examples of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_python_examples_of_the_readme_run(student_folder, corpus, tmp_path, monkeypatch):
    """Only the model, the student and the labels are replaced by those of a server and a student on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    corpus.select_columns("text").to_csv("reviews.csv")
    corpus.map(lambda row: {"label": ["fruit", "tool"].index(row["gold"])}).to_csv("noisy.csv")
    with serve(ChatServer(Behaviour(oracle=lambda text, _: int(not any(fruit in text for fruit in FRUIT))))) as server:
        for code in python_blocks(ROOT / "README.md"):
            code = code.replace("endpoint:meta-llama/Llama-3.1-8B-Instruct", f"endpoint:{server.url}")
            exec(code.replace("distilroberta-base", str(student_folder)), {})
    assert (tmp_path / "runs" / "freeal" / "labels.csv").is_file()


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_examples_of_the_documentation_name_what_exists(page):
    for code in python_blocks(page):
        imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, type_ignores=[]), str(page), "exec"), {})


def kinds_of_error(base=freeal_hf.FreeALError):
    """The class and all classes that derive from it."""
    return [base, *(found for one in base.__subclasses__() for found in kinds_of_error(one))]


@pytest.mark.parametrize("error", kinds_of_error(), ids=lambda error: error.__name__)
def test_the_section_that_an_error_links_to_exists(error):
    page, _, section = error.docs.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    assert not section or section in [heading.lower().replace(" ", "-") for heading in headings]


def test_the_readme_has_at_most_150_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_exists(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    generated = {"reference/cli.md", "reference/python.md", "benchmarks.md"}
    missing = [link for link in links if not (page.parent / link).exists() and link.lstrip("./") not in generated]
    assert not missing


def test_every_public_name_is_in_a_section_of_the_reference():
    sections = dict(re.findall(r'^    "(\w+)": "(.+)",$', (ROOT / "docs" / "hooks.py").read_text(), re.MULTILINE))
    assert {module.split(".")[1] for module in freeal_hf._PUBLIC.values()} == set(sections)


def test_every_message_of_the_troubleshooting_page_is_one_of_the_package():
    """A page about a message that no longer exists would not be found by its reader."""
    messages = re.findall(r"^\*\*`(.+?)`", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    source = " ".join(path.read_text() for path in (ROOT / "freeal_hf").rglob("*.py"))
    parts = [part.strip() for message in messages for part in message.split("...") if part.strip()]
    assert parts
    assert [part for part in parts if part not in source] == []
