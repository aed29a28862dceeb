"""A person corrects labels on which annotator and student differ, and a further round uses them."""

import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="module")
def disputed_run(visitor, texts):
    """A run of one round whose annotator and student do not agree on everything."""
    run = visitor.prepare(texts)
    visitor.start(run)
    assert visitor.wait(run)["state"] == "finished"
    return run


def labels_of(space, run):
    rows = pq.read_table(space.data_dir / "runs" / run / "run" / "labels.parquet").to_pylist()
    return {row["text"]: row for row in rows}


def test_a_correction_in_the_browser_is_final_and_marked_as_human_after_another_round(
    disputed_run, open_page, space, visitor
):
    page = open_page(disputed_run)
    page.get_by_role("tab", name="Check and correct").click()
    text = page.locator("#review-text textarea").input_value()
    before = labels_of(space, disputed_run)[text]
    other = page.locator("#review-label").get_by_role("radio", checked=False).first
    name = other.get_attribute("value")
    other.check()
    page.click("#save-correction")
    page.get_by_text("1 correction saved.").wait_for()
    page.locator("#review-label input:checked").wait_for()  # the next text proposes its own label
    page.click("#another-round")
    page.wait_for_selector("#stop")
    assert visitor.wait(disputed_run)["state"] == "finished"
    after = labels_of(space, disputed_run)[text]
    names = ["fruit", "tool"]
    assert names[before["label"]] != name
    assert (names[after["label"]], after["is_clean"], after["round"]) == (name, True, 1)
    assert "by a person" in after["note"]


def test_a_label_that_the_task_does_not_have_is_refused(finished, visitor, space):
    sample = next(iter(labels_of(space, finished).values()))["id"]
    with pytest.raises(Exception, match="not a label of the task"):
        visitor("correct", finished, sample, "vegetable")


def test_a_text_that_is_not_of_this_run_is_refused(finished, visitor):
    with pytest.raises(Exception, match="Choose a text first"):
        visitor("correct", finished, "0123", "fruit")


def test_a_correction_can_be_deleted_until_a_round_has_used_it(finished, disputed_run, visitor, space):
    sample = next(iter(labels_of(space, finished).values()))["id"]
    assert visitor("correct", finished, sample, "fruit") == "1 correction saved."
    visitor("take_back", finished, sample)
    with pytest.raises(Exception, match="This text has no correction"):
        visitor("take_back", finished, sample)
    [learnt] = [row for row in labels_of(space, disputed_run).values() if row["note"]]
    with pytest.raises(Exception, match="A round has used this correction"):
        visitor("take_back", disputed_run, learnt["id"])


def test_another_round_needs_a_correction(finished, visitor):
    with pytest.raises(Exception, match="not corrected a text"):
        visitor("another_round", finished, "", "")
