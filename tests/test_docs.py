"""What the documentation shows is what the package does: commands parse, code runs, the ladder looks like that."""

import inspect
import logging
import re
import shlex
from pathlib import Path

import pytest

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
from tests.servers.chat import Behaviour, ChatServer, serve

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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
