"""The visitor's own endpoint: calls with the visitor's key, stopped and continued runs, hostile texts and answers."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.web.conftest import SECRET

KEY = "the-visitors-own-key"
FORMULA = '=HYPERLINK("http://evil.example","apple")'
MARKUP = '<img src=x onerror="window.hacked=1"> **apple** [pear](javascript:window.hacked=1) &lt;b&gt;'


@pytest.fixture(scope="module")
def hostile_texts(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "hostile.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "<script>window.hacked=1</script>"])
        writer.writerows([[text, "-1"] for text in [*corpus["text"][:20], FORMULA, MARKUP]])
    return path


@pytest.fixture(scope="module")
def hostile_run(visitor, chat, hostile_texts):
    """A finished run over an endpoint, with texts that try to be formulas and pages."""
    chat.stats.bodies.clear()  # of other files
    chat.stats.headers.clear()
    run = visitor.prepare(hostile_texts)
    visitor.start(run, "Own endpoint", chat.url, key=KEY)
    assert visitor.wait(run)["state"] == "finished"
    return run


def test_the_endpoint_labels_the_texts(hostile_run, space):
    metrics = json.loads((space.data_dir / "runs" / hostile_run / "run" / "metrics.json").read_text())
    assert metrics[0]["annotator_calls"] > 20
    assert metrics[0]["prompt_tokens"] > 0


def test_the_endpoint_gets_the_visitors_key_and_no_other(hostile_run, chat):
    sent = {header for headers in chat.stats.headers for name, header in headers.items() if name == "Authorization"}
    assert sent == {f"Bearer {KEY}"}


@pytest.mark.parametrize("secret", [KEY, SECRET])
def test_no_key_is_written_anywhere(hostile_run, space, secret):
    files = [path for path in space.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_formulas_are_escaped_in_the_downloaded_csv(hostile_run, visitor):
    content = Path(visitor("download", hostile_run, "CSV")).read_text(encoding="utf-8-sig")
    rows = csv.DictReader(io.StringIO(content, newline=""))
    assert f"'{FORMULA}" in {row["text"] for row in rows}


def test_hover_texts_of_the_map_are_escaped(hostile_run, visitor):
    figure = json.loads(visitor("draw_map", hostile_run)["plot"])
    said = " ".join(text for trace in figure["data"] for text in trace.get("hovertext") or ())
    assert "<img" not in said
    assert "&lt;img" in said


def test_a_run_with_doubtful_answers_continues_when_the_visitor_confirms(visitor, chat, texts, open_page):
    oracle, chat.behaviour.oracle = chat.behaviour.oracle, lambda text, num_labels: 0
    try:
        run = visitor.prepare(texts)
        visitor.start(run, "Own endpoint", chat.url)
        status = visitor.wait(run)
        assert status["state"] == "doubtful"
        assert "gave 50 of 50 texts the label 'fruit'" in status["message"]
        assert "--" not in status["message"]
        asked = sum(chat.stats.answered.values())
        page = open_page(run)
        page.get_by_text("If the answers are right, press Use these answers").wait_for()
        page.click("#use-answers")
        page.wait_for_selector("#tiles .tile")
        assert visitor.status(run)["state"] == "finished"
        assert sum(chat.stats.answered.values()) == asked
    finally:
        chat.behaviour.oracle = oracle


def test_only_a_run_with_doubtful_answers_can_be_confirmed(hostile_run, visitor):
    with pytest.raises(Exception, match="does not need a confirmation"):
        visitor("use_answers", hostile_run, "", "")


def test_a_text_is_not_rendered_as_html(hostile_run, open_page, hostile_texts):
    page = open_page()
    page.get_by_role("radio", name="File").check()
    # A click waits until the component reacts. A file that is set before that is lost.
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Click to Upload").click()
    chosen.value.set_files(hostile_texts)
    page.get_by_text("hostile", exact=True).wait_for()  # the extension is in an element of its own
    page.click("#read")
    page.wait_for_selector("#use-data")
    page.goto(page.url.partition("?")[0] + f"?run={hostile_run}")
    page.wait_for_selector("#tiles .tile")
    for name in ("Check and correct", "Download", "Results"):
        page.get_by_role("tab", name=name, exact=True).click()
    page.get_by_role("button", name="Map of the texts").click()
    page.wait_for_selector("#map .main-svg")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[onerror]").count() == 0


def test_a_stopped_run_continues_without_repeated_requests(visitor, chat, texts):
    before = dict(chat.stats.answered)
    chat.behaviour.latency = 4.0
    try:
        run = visitor.prepare(texts)
        visitor.start(run, "Own endpoint", chat.url)
        kept = visitor.wait(run, lambda status: (status["progress"] or {}).get("done"))["progress"]["done"]
        waiting = visitor.prepare(texts)
        visitor.start(waiting)
        assert visitor.status(waiting)["runs_before"] == 1
        visitor("stop", waiting)
        visitor("stop", run)
        assert visitor.wait(run) | {"progress": None} == {
            "state": "stopped",
            "message": "Stopped by you.",
            "runs_before": 0,
            "has_results": False,
            "progress": None,
        }
    finally:
        chat.behaviour.latency = 0.0
    answered = {text: count for text, count in chat.stats.answered.items() if count > before.get(text, 0)}
    visitor("go_on", run, "", "")
    assert visitor.wait(run)["state"] == "finished"
    asked_again = [text for text, count in answered.items() if chat.stats.answered[text] > count]
    assert kept > 0
    assert len(asked_again) <= len(answered) - kept  # at most the calls that were under way
