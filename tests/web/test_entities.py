"""Entity tasks in the web app: words and tags as data, highlighted entities, scores, and the student."""

import csv
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from freeal_hf.web import shown
from tests.entities import TASK, make_sentences
from tests.servers.hub import TOKEN
from tests.web.test_looks import choose_tab

ENTITIES = "Named entities in the text"
TYPES = [["fruit", "something to eat", "apple, pear, plum"], ["tool", "something to work with", "hammer, saw"]]
FORMULA = '=HYPERLINK("http://evil.example","apple")'
MARKUP = '<img src=x onerror="window.hacked=1"> apple **pear**'


@pytest.fixture(scope="session")
def sentences(tmp_path_factory) -> Path:
    """Forty sentences of words with true tags."""
    path = tmp_path_factory.mktemp("sentences") / "sentences.jsonl"
    make_sentences().select(range(40)).remove_columns("noisy").to_json(str(path))
    return path


@pytest.fixture(scope="session")
def describe(visitor):
    """Uploads a file and describes its entities; returns the id of the run."""

    def describe(path, column="tokens", gold="none"):
        run = visitor.bring(path)
        visitor("use_data", run, [column], gold)
        visitor("describe_task", run, TYPES, "What is named?", ENTITIES)
        return run

    return describe


@pytest.fixture(scope="session")
def tagged(visitor, describe, sentences) -> str:
    """Id of a finished run on sentences with gold."""
    run = describe(sentences, gold="gold")
    visitor.start(run, rounds=2)
    assert visitor.wait(run)["state"] == "finished"
    return run


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    def write(*rows, name="rows.jsonl"):
        path = tmp_path_factory.mktemp("rows") / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def read(visitor, path):
    """What is found in a file."""
    return visitor("read_data", file=handle(path))


def metrics(space, run):
    return json.loads((space.data_dir / "runs" / run / "run" / "metrics.json").read_text())


def labels(space, run):
    return pq.read_table(space.data_dir / "runs" / run / "run" / "labels.parquet").to_pylist()


def figures(answers):
    """The figures, also those that are shown or hidden by an update."""
    values = [value.get("value", value) for value in answers if isinstance(value, dict)]
    return [json.loads(value["plot"]) for value in values if isinstance(value, dict) and "plot" in value]


def entities_in(highlighted):
    return [(part["token"], part["class_or_confidence"]) for part in highlighted if part["class_or_confidence"]]


# ---- Data ----


def test_a_column_of_words_is_shown_word_by_word(visitor, sentences):
    found = read(visitor, sentences)
    assert (found["rows"], found["text_columns"]) == (40, ["tokens"])
    assert '<span class="word">' in shown.preview(["tokens"], [[found["first_rows"][0]["tokens"]]])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": ["an", "apple"], "tags": ["O"]}, "row 2, 'true tags': 1 tag for 2 words"),
        ({"tokens": ["an", "apple"], "tags": ["O", "I-fruit"]}, "not valid BIO"),
        ({"tokens": ["an", "apple"], "tags": "O O"}, "is not a list"),
        ({"tokens": "an apple", "tags": ["O", "O"]}, "is not a list"),
    ],
)
def test_invalid_words_and_tags_are_reported_before_the_run(visitor, write, row, said):
    path = write({"tokens": ["a", "pear"], "tags": ["O", "B-fruit"]}, row)
    run = visitor.bring(path)
    with pytest.raises(Exception, match=said):
        visitor("use_data", run, ["tokens"], "tags")


def test_a_column_of_tags_without_an_entity_is_refused(visitor, write):
    run = visitor.bring(write({"tokens": ["a", "pear"], "kind": [0, 3]}))
    with pytest.raises(Exception, match="has no entity"):
        visitor("use_data", run, ["tokens"], "kind")


def test_empty_long_and_repeated_sentences_are_reported(visitor, write, space):
    rows = [{"tokens": words, "tags": ["B-fruit"] * len(words)} for words in (["pear"], ["pear"], [], ["plum"] * 200)]
    path = write(*rows)
    problems = " ".join(read(visitor, path)["remarks"])
    assert "1 row without words" in problems
    assert "1 text longer than 400 characters" in problems
    assert "1 row with a repeated text" in problems
    run = visitor.bring(path)
    visitor("use_data", run, ["tokens"], "tags")
    *_, last = (space.data_dir / "runs" / run / "texts.jsonl").read_text().splitlines()
    assert {name: len(values) for name, values in json.loads(last).items()} == {"tokens": 80, "gold": 80}


# ---- Task ----


def test_words_cannot_get_one_label_per_text(visitor, sentences):
    run = visitor.bring(sentences)
    visitor("use_data", run, ["tokens"], "none")
    with pytest.raises(Exception, match="Your data have lists of words"):
        visitor("describe_task", run, TYPES)


def test_a_task_needs_a_type(visitor, sentences):
    run = visitor.bring(sentences)
    visitor("use_data", run, ["tokens"], "none")
    with pytest.raises(Exception, match="at least one type of entity"):
        visitor("describe_task", run, [["", "", ""]], "", ENTITIES)


def test_gold_of_an_unknown_type_is_refused_before_the_run(visitor, sentences):
    run = visitor.bring(sentences)
    visitor("use_data", run, ["tokens"], "gold")
    with pytest.raises(Exception, match="'B-tool' is not a tag of the task"):
        visitor("describe_task", run, TYPES[:1], "", ENTITIES)


def test_the_estimate_warns_about_the_embedding_annotator(visitor, describe, sentences, chat):
    run = describe(sentences)
    assert "is weak" in visitor("estimate", run)["Warning"]
    asked = visitor("estimate", run, "Own endpoint", "", chat.url)
    assert "Warning" not in asked
    assert "Tokens" in asked


# ---- Results ----


def test_the_results_have_entity_scores_of_every_round(tagged, visitor, space):
    answers = visitor("figures", tagged)
    counts, confidences, quality, losses = figures(answers)
    assert quality["layout"]["yaxis"]["title"]["text"] == "entity F1"
    assert sum(counts["data"][0]["x"]) > 0
    assert confidences["layout"]["yaxis"]["title"]["text"] == "texts"
    assert losses["layout"]["yaxis"]["title"]["text"] == "words"
    said = " ".join(value for value in answers if isinstance(value, str))
    for record in metrics(space, tagged):
        for name in ("precision", "recall", "f1"):
            assert f"{record[f'label_{name}']:.1%}" in said


def test_a_page_shows_the_annotators_entities_beside_the_final_ones(tagged, visitor, space):
    number, said, *slots = visitor("entities", tagged, "All texts", 2)
    rows = labels(space, tagged)[5:10]
    final = [slot for slot in slots if isinstance(slot, list)][1::2]
    assert number == 2
    assert "Page 2 of 8" in said
    assert ["".join(part["token"] for part in text) for text in final] == [row["text"] for row in rows]
    assert [entities_in(text) for text in final] == [
        [(row["text"][span["start"] : span["end"]], span["type"]) for span in row["spans"]] for row in rows
    ]


@pytest.mark.parametrize(("wanted", "given"), [(0, 1), (99, 8)])
def test_a_page_number_out_of_range_shows_the_nearest_page(tagged, visitor, wanted, given):
    assert visitor("entities", tagged, "All texts", wanted)[0] == given


def test_the_map_shows_every_sentence_once(tagged, visitor, space):
    figure = json.loads(visitor("draw_map", tagged)["plot"])
    rows = labels(space, tagged)
    assert sum(len(trace["hovertext"]) for trace in figure["data"] if "hovertext" in trace) == len(
        {row["text"] for row in rows}
    )


def test_the_new_student_finds_entities_with_their_position(tagged, visitor):
    tried = "my old apple, near the hammer"
    found = visitor("find_entities", tagged, tried)
    assert "".join(part["token"] for part in found) == tried
    assert {kind for _, kind in entities_in(found)} <= set(TASK.label_names)


def test_functions_of_the_other_kind_of_task_are_refused(tagged, finished, visitor, space):
    row, label = (labels(space, run)[0] for run in (tagged, finished))
    for call, said in [
        (("correct", tagged, row["id"], "fruit"), "'fruit' is not an entity; write each entity"),
        (("correct", finished, label["id"], "fruit: apple"), "'fruit: apple' is not a label of the task"),
        (("try_student", tagged, "an apple"), "finds entities"),
        (("find_entities", finished, "an apple"), "labels texts"),
        (("entities", finished, "All texts", 1), "has no entities"),
    ]:
        with pytest.raises(Exception, match=said):
            visitor(*call)


def test_all_results_can_be_downloaded(tagged, visitor):
    assert {"tokens", "spans", "gold"} <= set(pq.read_table(visitor("download", tagged, "Parquet")).column_names)
    assert "<svg" in Path(visitor("download", tagged, "Report")).read_text()
    student = zipfile.ZipFile(io.BytesIO(Path(visitor("download", tagged, "Student")).read_bytes()))
    assert json.loads(student.read("student/config.json"))["architectures"] == ["BertForTokenClassification"]


def test_entities_are_pushed_with_the_visitors_token(tagged, visitor, hub):
    visitor("push", tagged, "my-entities", TOKEN)
    assert {("dataset", "ada/my-entities-freeal"), ("model", "ada/my-entities-student")} <= set(hub.repos)


# ---- Raw texts over an endpoint, some of them hostile ----


@pytest.fixture(scope="module")
def asked_run(visitor, describe, chat, sentences, write):
    """A finished run without gold on raw texts, labelled by an endpoint."""
    texts = [" ".join(json.loads(line)["tokens"]) for line in sentences.read_text().splitlines()[:12]]
    path = write(*({"text": text} for text in [FORMULA, MARKUP, *texts]))
    run = describe(path, "text")
    chat.behaviour.entities = lambda text: [{"text": "apple", "type": "fruit"}] if "apple" in text else []
    visitor.start(run, "Own endpoint", chat.url)
    assert visitor.wait(run)["state"] == "finished"
    return run


def test_without_gold_the_agreement_is_shown(asked_run, visitor):
    _, _, quality, _ = figures(visitor("figures", asked_run))
    assert {trace["name"] for trace in quality["data"]} == {"both models agree", "not doubtful"}


def test_an_endpoint_finds_entities_in_raw_texts(asked_run, visitor):
    _, _, *slots = visitor("entities", asked_run, "All texts", 1)
    annotator = [slot for slot in slots if isinstance(slot, list)][0::2]
    assert [entities_in(text) for text in annotator[:2]] == [[("apple", "fruit")]] * 2


def test_formulas_are_escaped_in_the_downloaded_csv(asked_run, visitor):
    content = Path(visitor("download", asked_run, "CSV")).read_text(encoding="utf-8-sig")
    assert f"'{FORMULA}" in {row["text"] for row in csv.DictReader(io.StringIO(content, newline=""))}


# ---- Corrections ----


@pytest.mark.parametrize("types", [["fruit", "tool"], ["a", "a: b"], ["kind (x)", "two\nlines", "C++"]])
def test_entities_are_read_back_as_they_are_shown_for_editing(types):
    from freeal_hf.web import entities

    first, last = types[0], types[-1]
    tags = [f"B-{last}", f"I-{last}", "O", f"B-{first}", f"B-{last}", f"I-{last}"]
    words = ["An", "apple", ":", "saw", "an", "apple"]
    row = SimpleNamespace(
        text="An  apple:\nsaw an\tapple", tokens=words, token_starts=[0, 4, 9, 11, 15, 18], tags=tags
    )
    assert entities.read_lines(entities.as_lines(row), words, types) == tags


def test_corrected_entities_are_final_clean_and_human_after_another_round(visitor, describe, write, sentences, space):
    twice, without = "the saw and a saw", "an apple on the table"
    texts = [" ".join(json.loads(line)["tokens"]) for line in sentences.read_text().splitlines()[:20]]
    run = describe(write(*({"tokens": text.split()} for text in [twice, without, *texts])))
    visitor.start(run)
    assert visitor.wait(run)["state"] == "finished"
    ids = {row["text"]: row["id"] for row in labels(space, run)}
    visitor("correct", run, ids[twice], "tool: saw\ntool: saw")
    visitor("correct", run, ids[twice], "Fruit (2) : SAW")
    assert visitor("correct", run, ids[without], "") == {"corrections": 2}
    visitor("another_round", run)
    assert visitor.wait(run)["state"] == "finished"
    after = {row["text"]: row for row in labels(space, run)}
    assert after[twice]["spans"] == [{"start": 14, "end": 17, "type": "fruit"}]
    assert after[without]["spans"] == []
    for text in (twice, without):
        row = after[text]
        assert (row["round"], row["is_clean"], row["label_confidence"]) == (1, True, 1.0)
        assert row["note"] == "labelled by a person"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("fruit: banana", "'banana' is not in the sentence; copy whole words"),
        ("fruit: appl", "'appl' is not in the sentence"),
        ("fruit: apple\nstone: pear", "'stone' is not a type of the task; its types are 'fruit', 'tool'"),
        ("apple", "'apple' is not an entity; write each entity"),
        ("fruit:", "'fruit:' is not an entity; write each entity"),
        ("fruit: apple\ntool: apple **pear", "'apple' overlaps another entity"),
        ("fruit: apple\ntool: apple", "'apple' overlaps another entity, or is given more often"),
        ("fruit: *", "The sentence contains '\\*' 4 times; give all of them"),
        ("fruit (5): *", "There is no '\\*' number 5"),
        ("fruit: apple" * 200, "1,600 characters, and these are 2,400"),
    ],
)
def test_invalid_entities_are_refused_and_not_saved(asked_run, visitor, space, said, message):
    [row] = [row for row in labels(space, asked_run) if row["text"] == MARKUP]
    kept = space.data_dir / "runs" / asked_run / "human_labels.csv"
    before = kept.read_text() if kept.exists() else ""
    with pytest.raises(Exception, match=message):
        visitor("correct", asked_run, row["id"], said)
    assert (kept.read_text() if kept.exists() else "") == before


# ---- In a browser ----


def test_entities_are_highlighted_in_a_browser_and_nothing_is_rendered(asked_run, open_page):
    page = open_page(asked_run)
    page.wait_for_selector("#tiles .tile")
    page.get_by_role("tab", name="Texts").click()
    marked = page.locator("#annotator-entities-1 .highlighted", has_text="apple")
    marked.first.wait_for()
    assert "<img" in page.locator("#annotator-entities-1").inner_text()
    page.get_by_role("tab", name="Results", exact=True).click()
    page.get_by_role("button", name="Map of the texts").click()
    page.wait_for_selector("#map .main-svg")
    assert page.evaluate("window.hacked") is None


def test_a_sentence_is_corrected_by_clicks_on_words(asked_run, open_page, space):
    page = open_page(asked_run, viewport={"width": 390, "height": 844})
    page.wait_for_selector("#tiles .tile")
    choose_tab(page, "correct")
    sample = page.locator(".card").get_attribute("data-sample")
    chosen = page.get_by_role("button", name="tool", exact=True)  # a marked word is named by its type and itself
    chosen.click()
    words = page.locator(".card .word")
    while marked := page.locator(".card .word:not([data-mark=O])").count():
        page.locator(".card .word:not([data-mark=O])").nth(marked - 1).click()
        chosen.click()
    words.first.click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("1 correction saved.").wait_for()
    [row] = csv.reader((space.data_dir / "runs" / asked_run / "human_labels.csv").read_text().splitlines()[1:])
    assert row[0] == sample
    assert json.loads(row[1])[:2] == ["B-tool", "O"]
    assert page.evaluate("window.hacked") is None


def test_the_example_becomes_an_entity_task_by_a_choice(open_page):
    page = open_page()
    page.click("#read")
    page.click("#use-data")
    page.get_by_role("radio", name=ENTITIES).check()
    page.get_by_text("Your true labels are not used here").wait_for()
    name = page.locator("#label-1 textarea").first
    page.wait_for_function("document.querySelector('#label-1 textarea').value === 'article'")
    page.get_by_role("radio", name="One label per text").check()
    page.wait_for_function("document.querySelector('#label-1 textarea').value === 'delivery'")
    assert name.input_value() == "delivery"


def handle(path):
    from gradio_client import handle_file

    return handle_file(str(path))
