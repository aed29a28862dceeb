"""Tasks with any number of labels for each text in the web app, in a browser."""

import csv
import json
from pathlib import Path

import pytest

from tests.conftest import FRUIT, TOOLS
from tests.web.conftest import TASK
from tests.web.test_looks import choose_tab

SEVERAL = "Any number of labels per text"
SIZES = [{"width": 1280, "height": 900}, {"width": 390, "height": 844}]


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory) -> Path:
    """A table of texts with lists of labels."""
    path = tmp_path_factory.mktemp("sets") / "sets.csv"
    texts = corpus["text"][:40]
    pairs = [f"{one} {other}" for one, other in zip(texts[::4], texts[1::4], strict=True)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "kinds"])
        writer.writerows([text, json.dumps(labels_of(text))] for text in [*pairs, *texts, "nothing of the kind"])
    return path


def labels_of(text: str) -> list[str]:
    words = set(text.split())
    return [name for name, known in (("fruit", FRUIT), ("tool", TOOLS)) if words & set(known)]


@pytest.fixture(scope="module")
def run(visitor, chat, data) -> str:
    """The id of a finished run, labelled by an endpoint."""
    chat.behaviour.label_sets = labels_of
    run = visitor.bring(data)
    visitor("use_data", run, ["text"], "kinds")
    visitor("describe_task", run, TASK, "What is it about?", SEVERAL)
    visitor.start(run, "Own endpoint", chat.url)
    assert visitor.wait(run)["state"] == "finished"
    return run


def test_lists_of_labels_in_the_data_choose_the_kind_of_task_and_its_labels(visitor, data, open_page):
    run = visitor.bring(data)
    visitor("use_data", run, ["text"], "kinds")
    page = open_page(run)
    page.wait_for_function("document.querySelector('#label-2 textarea')?.value === 'tool'")
    assert page.get_by_role("radio", name=SEVERAL).is_checked()
    assert page.locator("#label-1 textarea").first.input_value() == "fruit"
    assert not page.locator("#label-3").is_visible()
    page.click("#use-task")
    page.wait_for_selector("#start:not([disabled])")


@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
def test_labels_are_marked_saved_and_downloaded(run, size, open_page, visitor, space):
    page = open_page(run, viewport=size)
    page.locator("#verdict").get_by_text("of 100 texts have exactly the right labels").wait_for()
    choose_tab(page, "correct")
    sample = page.locator(".card").get_attribute("data-sample")
    for name in TASK:
        answer = page.locator(f".card .answer[data-name={name}]")
        if answer.get_attribute("aria-pressed") == "false":
            answer.click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("1 correction saved.").wait_for()
    assert f"{sample},fruit;tool" in (space.data_dir / "runs" / run / "human_labels.csv").read_text()
    choose_tab(page, "Download")
    with page.expect_download() as saved:
        page.click("#get-Table")
    rows = list(csv.DictReader(Path(saved.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    assert "fruit, tool" in {row["label"] for row in rows if row["confidence"] == "1.0"}
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    visitor("take_back", run, sample)


def test_the_small_model_gives_a_text_a_probability_for_each_label(run, visitor):
    found = visitor("find_labels", run, "an apple and a hammer")
    assert {one["label"] for one in found["confidences"]} == set(TASK)
