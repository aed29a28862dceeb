"""The cards on which a person checks texts: by mouse and by key, at the width of a desk and of a phone."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from freeal_hf.data.human_labels import HUMAN_NOTE
from freeal_hf.loop.audit_sheet import read_sheet
from freeal_hf.loop.folder import RunFolder
from freeal_hf.web.card import SCRIPT, Question, card
from freeal_hf.web.reviewing import doubtful
from tests.web.test_looks import choose_tab

NAMES = ["fruit", "tool"]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MARKUP = "<img src=x onerror=\"alert(1)\"> {{a}} ${b} 'c'"


def test_markup_of_a_text_and_of_labels_is_escaped():
    words = [(0, 4), (5, 10)]
    for asked in (
        Question("<id>", MARKUP, [MARKUP, "b"], opinions=[("who", MARKUP)]),
        Question("<id>", MARKUP, [MARKUP, "b"], words=words, tags=[f"B-{MARKUP}", "O"]),
    ):
        assert "<img" not in card(asked, 1, 2)
        assert "<id>" not in card(asked, 1, 2)


def test_only_the_first_nine_answers_have_a_key():
    said = card(Question("a", "text", [f"label {i}" for i in range(12)]), 1, 1)
    assert [f'data-key="{i}"' in said for i in (1, 9, 10, 11)] == [True, True, False, False]


def test_doubtful_texts_begin_with_those_without_a_label_and_end_with_unknown_confidences():
    nan = float("nan")
    rows = [
        # text, label, confidence, whether the models differ, note
        ("sure", "fruit", 0.9, False, ""),
        ("no confidence", "fruit", nan, False, ""),
        ("differs", "fruit", 0.8, True, ""),
        ("differs", "fruit", 0.8, True, ""),
        ("differs without confidence", "fruit", nan, True, ""),
        ("unlikely", "fruit", 0.4, False, ""),
        ("by a person", "fruit", 0.1, True, HUMAN_NOTE),
        ("no label", None, nan, False, "server error"),
        (" ", None, nan, False, ""),
    ]
    frame = pd.DataFrame(rows, columns=["text", "label", "label_confidence", "differs", "note"])
    assert list(doubtful(frame)["text"]) == ["no label", "unlikely", "differs", "differs without confidence"]


# ---- The script, on a page that has only a card ----


@pytest.fixture
def answers(browser):
    """Opens a card and returns the page, and a function for the answers that the card has sent."""
    page = browser.new_page()
    page.set_default_timeout(10_000)

    def open_card(question):
        page.set_content(f"<main>{card(question, 1, 2)}</main>")
        page.evaluate(
            """(script) => {
              window.sent = [];
              const trigger = (name, data) => window.sent.push([name, data.sample, data.right]);
              Function("element", "trigger", "watch", script)(document.querySelector("main"), trigger, () => {});
            }""",
            SCRIPT,
        )
        return page, lambda: page.evaluate("window.sent")

    yield open_card
    page.close()


def test_a_click_or_a_key_answers_with_one_label(answers):
    page, sent = answers(Question("a", "an apple", NAMES))
    page.get_by_role("button", name="fruit").click()
    page.keyboard.press("2")
    page.keyboard.press("3")
    assert sent() == [["submit", "a", "fruit"], ["submit", "a", "tool"]]


def test_keys_are_not_answers_while_a_person_types(answers):
    page, sent = answers(Question("a", "an apple", NAMES))
    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.focus("textarea")
    page.keyboard.type("12")
    assert sent() == []


def test_several_labels_are_marked_and_saved_by_keys(answers):
    page, sent = answers(Question("a", "an apple", NAMES, ["fruit"], several=True))
    for key in ("2", "1", "Enter", "2", "Enter"):
        page.keyboard.press(key)
    assert [json.loads(right) for _, _, right in sent()] == [["tool"], []]


ENTITY = {"text": "Ada saw  New York, Paris", "words": [(0, 3), (4, 7), (9, 12), (13, 17), (17, 18), (19, 24)]}


@pytest.mark.parametrize(
    ("before", "clicks", "after"),
    [
        ("O O O O O O", ["York", "New"], "O O B I O O"),
        ("O O O O O O", ["New", "York"], "O O B I O O"),
        ("O O B I O O", ["York"], "O O B B O O"),
        ("O O B B O O", ["York"], "O O B O O O"),
        ("O O B I O O", ["New"], "O O O B O O"),
        ("B O O O O O", ["Paris", "Ada"], "O O O O O B"),
    ],
)
def test_words_are_marked_joined_split_and_unmarked_by_clicks(answers, before, clicks, after):
    tags = [mark if mark == "O" else f"{mark}-place" for mark in before.split()]
    page, sent = answers(Question("a", names=["place", "person"], tags=tags, **ENTITY))
    assert page.locator(".text").text_content() == ENTITY["text"]
    for word in clicks:
        page.locator(".word", has_text=word).click()
    page.get_by_role("button", name="Save").click()
    assert [tag.partition("-")[0] for tag in json.loads(sent()[0][2])] == after.split()


def test_a_word_gets_the_type_that_is_chosen_by_a_key(answers):
    page, sent = answers(Question("a", names=["place", "person"], tags=["O"] * 6, **ENTITY))
    page.keyboard.press("2")
    page.locator(".word").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    page.locator(".word").last.click()
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    assert [json.loads(right) for _, _, right in sent()] == [["B-person", "O", "O", "O", "O", "B-place"]]


def test_another_type_splits_an_entity_into_valid_tags(answers):
    tags = ["O", "O", "B-place", "I-place", "I-place", "O"]
    page, sent = answers(Question("a", names=["place", "person"], tags=tags, **ENTITY))
    page.keyboard.press("2")
    page.locator(".word", has_text="York").click()
    page.get_by_role("button", name="Save").click()
    assert json.loads(sent()[0][2]) == ["O", "O", "B-place", "B-person", "B-place", "O"]


# ---- On the page ----


@pytest.fixture(scope="module")
def to_check(visitor, texts):
    """A run of one round, whose texts these tests check."""
    run = visitor.prepare(texts)
    visitor.start(run)
    assert visitor.wait(run)["state"] == "finished"
    return run


@pytest.fixture
def review(open_page):
    """Opens the cards of a run."""

    def review(run, width=DESK, which=""):
        page = open_page(run, viewport=width)
        page.wait_for_selector("#tiles .tile")
        choose_tab(page, "correct")
        page.wait_for_selector(".card")
        if which:
            page.get_by_role("radio", name=which).check()
            page.get_by_text("The labels are hidden").wait_for()
        return page

    return review


def corrections(space, run):
    path = space.data_dir / "runs" / run / "human_labels.csv"
    return path.read_text().splitlines()[1:] if path.exists() else []


@pytest.fixture
def uncorrected(to_check, visitor, space):
    """The run, without corrections before and after the test."""
    assert corrections(space, to_check) == []
    yield to_check
    for line in corrections(space, to_check):
        visitor("take_back", to_check, line.partition(",")[0])


def shown(page):
    return page.locator(".card").get_attribute("data-sample")


def wait_for_other(page, sample):
    page.wait_for_function("(one) => document.querySelector('.card')?.dataset.sample !== one", arg=sample)


def test_keys_answer_skip_and_undo(uncorrected, review, space):
    page = review(uncorrected)
    first = shown(page)
    assert page.locator(".card .opinions").inner_text().startswith("Language model")
    assert "1 of " in page.inner_text(".card .aside >> nth=0")
    page.keyboard.press("2")
    wait_for_other(page, first)
    page.get_by_text("1 correction saved.").wait_for()
    assert corrections(space, uncorrected) == [f"{first},tool"]
    second = shown(page)
    page.keyboard.press("s")
    wait_for_other(page, second)
    page.keyboard.press("u")
    page.wait_for_function("(one) => document.querySelector('.card').dataset.sample === one", arg=first)
    assert corrections(space, uncorrected) == []


def test_only_a_text_with_an_answer_has_take_back_on_a_phone(uncorrected, review, visitor, space):
    texts = visitor("texts_to_check", uncorrected)
    for one in texts[1:]:
        visitor("correct", uncorrected, one["id"], "tool")
    page = review(uncorrected, PHONE)
    assert shown(page) == texts[0]["id"]
    assert not page.locator("#take-back").is_visible()
    page.locator(".card .answers button").first.click()
    page.get_by_text("You have checked all these texts").wait_for()
    assert shown(page) == texts[1]["id"]  # all texts have an answer, so the following one is shown with its answer
    assert "Your answer" in page.locator(".card .opinions").inner_text()
    page.click("#take-back")
    page.locator("#take-back").wait_for(state="hidden")
    assert shown(page) == texts[1]["id"]
    left = {line.partition(",")[0] for line in corrections(space, uncorrected)}
    assert left == {one["id"] for one in texts} - {texts[1]["id"]}
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_random_sample_measures_the_labels_and_hides_them(to_check, review, space):
    page = review(to_check, PHONE, "A random sample")
    assert "of 50" in page.inner_text(".card .aside >> nth=0")
    assert page.locator(".card .opinions").inner_text() == ""
    for number in range(1, 4):
        sample = shown(page)
        page.locator(".card .answers button").nth(number % 2).click()
        page.get_by_text(f"You have checked {number} of 50 texts").wait_for()
        assert shown(page) != sample
    page.click("#undo")
    page.get_by_text("You have checked 2 of 50 texts").wait_for()
    folder = RunFolder(space.data_dir / "runs" / to_check / "run")
    assert sum(bool(row["label"]) for row in read_sheet(folder)) == 2


def test_the_measured_share_replaces_the_estimate(to_check, visitor, space):
    unchecked = next(one for one in visitor("texts_to_check", to_check, random_sample=True) if not one["is_checked"])
    assert set(unchecked) == {"id", "text", "is_checked"}
    found = visitor("check", to_check, unchecked["id"], "tool")
    assert (found["checked"], found["drawn"]) == (3, 50)
    assert found["low"] <= found["right"] <= found["high"]
    record = json.loads((space.data_dir / "runs" / to_check / "run" / "metrics.json").read_text())[-1]
    assert record["estimated_label_accuracy_range"] == [found["low"], found["high"]]
    assert record["estimated_label_accuracy_source"] == "audit"


def test_all_answers_are_human_labels_of_another_round(to_check, visitor, space):
    folder = RunFolder(space.data_dir / "runs" / to_check / "run")
    answers = {row["id"]: row["label"] for row in read_sheet(folder) if row["label"]}
    doubtful = next(one["id"] for one in visitor("texts_to_check", to_check) if one["id"] not in answers)
    assert visitor("correct", to_check, doubtful, "fruit") == {"corrections": 1}
    visitor("another_round", to_check)
    assert visitor.wait(to_check)["state"] == "finished"
    answers[doubtful] = "fruit"
    rows = {row["id"]: row for row in pq.read_table(folder / "labels.parquet").to_pylist()}
    assert {id_: (NAMES[rows[id_]["label"]], "by a person" in rows[id_]["note"]) for id_ in answers} == {
        id_: (label, True) for id_, label in answers.items()
    }
    with pytest.raises(Exception, match="A round has used this correction"):
        visitor("take_back", to_check, doubtful)


# ---- What is refused ----


def a_text(visitor, run):
    return visitor("texts_to_check", run)[0]["id"]


def test_a_label_that_the_task_does_not_have_is_refused(finished, visitor):
    with pytest.raises(Exception, match="not a label of the task"):
        visitor("correct", finished, a_text(visitor, finished), "vegetable")


def test_a_text_that_is_not_of_this_run_is_refused(finished, visitor):
    with pytest.raises(Exception, match="Choose a text first"):
        visitor("correct", finished, "0123", "fruit")


def test_a_correction_can_be_taken_back_once(finished, visitor):
    sample = a_text(visitor, finished)
    visitor("correct", finished, sample, "fruit")
    assert visitor("take_back", finished, sample) == {"corrections": 0}
    with pytest.raises(Exception, match="This text has no correction"):
        visitor("take_back", finished, sample)


def test_another_round_needs_an_answer(finished, visitor):
    with pytest.raises(Exception, match="not checked a text"):
        visitor("another_round", finished)
