"""The fields for labels, and errors beside the fields that caused them."""

import time

import pytest

from freeal_hf.web.steps.label_editor import hint
from tests.web.conftest import TASK

SLOW = 0.5
"""Seconds that a request takes over a slow connection."""

PHONE = {"width": 390, "height": 844}


def test_labels_without_a_meaning_get_a_hint_with_their_names():
    rows = [["refund", "", ""], ["delivery", "where is it", ""], ["", "", ""]]
    assert "refund" in hint(rows, 30, "label")
    assert "delivery" not in hint(rows, 30, "label")
    assert hint(rows[1:], 30, "label") == ""


def test_more_labels_than_allowed_are_not_cut_silently():
    said = hint([[f"label {i}", "", ""] for i in range(9)], 8, "label")
    assert "9 labels" in said
    assert "only the first 8 are here" in said


def field(page, number, which):
    return page.locator(f"#label-{number} textarea").nth(which)


def test_labels_are_described_added_and_removed_in_plain_fields_on_a_phone(open_page, visitor, texts, space):
    run = visitor.bring(texts)
    visitor("use_data", run)
    page = open_page(run, viewport=PHONE)
    page.wait_for_selector("#label-2")
    assert not page.locator("#label-3").is_visible()
    field(page, 1, 0).type("fruit")  # each character, also the first
    field(page, 1, 1).type("something to eat")
    field(page, 2, 0).fill("fruit")
    page.click("#add-label")
    page.wait_for_selector("#label-3")
    field(page, 3, 0).fill("tool")
    field(page, 3, 2).fill("a hammer")
    page.get_by_text("Without a meaning: fruit, tool").wait_for()
    page.click("#use-task")
    page.locator("#task-problem").get_by_text("Label 2 has the same name as another one, 'fruit'").wait_for()
    assert page.locator("[data-testid=toast-body]").count() == 0
    page.click("#remove-label-2")
    page.locator("#label-3").wait_for(state="hidden")
    assert field(page, 2, 0).input_value() == "tool"
    page.click("#use-task")
    page.wait_for_selector("#start")
    described = (space.data_dir / "runs" / run / "space.json").read_text()
    assert '"fruit": "something to eat", "tool": "For example: a hammer"' in described
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_what_a_visitor_enters_while_the_page_opens_is_kept(open_page, visitor, texts):
    run = visitor.bring(texts)
    visitor("use_data", run)
    page = open_page()
    page.route("**/queue/join**", lambda route: (time.sleep(SLOW), route.continue_()))
    page.goto(f"{page.url.partition('?')[0]}?run={run}")
    page.wait_for_selector("#label-1")
    field(page, 1, 0).fill("fruit")
    page.wait_for_timeout(5000 * SLOW)  # the page sends further requests when it has opened
    assert field(page, 1, 0).input_value() == "fruit"


def test_an_error_stands_beside_its_field_until_it_is_fixed(open_page):
    page = open_page(viewport={"width": 1280, "height": 900})
    page.get_by_role("radio", name="Pasted texts").check()
    page.click("#read")
    problem = page.locator("#read-problem")
    problem.get_by_text("There is no text; paste one text on each line.").wait_for()
    assert page.locator("[data-testid=toast-body]").count() == 0
    page.get_by_label("One text on each line").fill("an apple\na hammer")
    page.click("#read")
    page.wait_for_selector("#use-data")
    assert problem.inner_text() == ""


@pytest.mark.parametrize(
    ("labels", "described"),
    [
        (TASK, TASK),
        (list(TASK), dict.fromkeys(TASK, "")),
        ([["fruit", "food", "a plum"], ["tool"]], {"fruit": "food For example: a plum", "tool": ""}),
    ],
)
def test_a_program_gives_labels_in_the_form_that_it_has(visitor, texts, labels, described):
    run = visitor.bring(texts)
    visitor("use_data", run)
    assert visitor("describe_task", run, labels=labels)["labels"] == described


def test_the_example_can_be_read_and_described_without_further_arguments(visitor):
    found = visitor("read_data", example=True)
    assert (found["rows"], found["text_columns"]) == (60, ["text"])
    assert visitor("use_data", found["run"])["remarks"] == []
    with pytest.raises(Exception, match="Give one of example=True, file, texts and dataset"):
        visitor("read_data")
