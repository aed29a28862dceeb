"""Every format keeps texts, entities, and the difference between "not labelled" and "no entities"."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.cli.main import main
from freeal_hf.data.words import split_words
from freeal_hf.errors import InputError
from freeal_hf.exchange.formats import FORMATS, format_of
from freeal_hf.exchange.marked import Marked, Place, marked

EXACT = ["freeal", "spacy-jsonl", "label-studio", "prodigy"]
"""The formats that keep any text; CoNLL keeps words alone."""

TEXTS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("张グ서กำ🗼\u05d0\u0301 \t\n,")))


@st.composite
def items(draw):
    """Texts that are labelled at any positions, or not at all."""
    found = []
    for text in draw(st.lists(TEXTS.filter(lambda text: bool(split_words(text)[0])), min_size=1, max_size=3)):
        bounds = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
        places = [Place(a, b, "PER") for a, b in zip(bounds[::2], bounds[1::2], strict=False) if text[a:b].strip()]
        found.append(marked(text, draw(st.sampled_from([None, places])), "here")[0])
    return found


def copied(name, some, path):
    FORMATS[name].write(path, some)
    found, num_dropped = FORMATS[name].read(path)
    assert num_dropped == 0
    return [(item.text, item.places) for item in found]


@given(items())
@pytest.mark.parametrize("name", EXACT)
def test_any_text_and_its_entities_are_read_back(name, some):
    with tempfile.TemporaryDirectory() as folder:
        assert copied(name, some, Path(folder, "file.jsonl")) == [(item.text, item.places) for item in some]


@given(items())
def test_spacy_keeps_any_text_and_its_entities(some):
    pytest.importorskip("spacy")
    with tempfile.TemporaryDirectory() as folder:
        assert copied("spacy", some, Path(folder, "file.spacy")) == [(item.text, item.places) for item in some]


def test_span_groups_of_spacy_are_read_where_entities_are_not_annotated(tmp_path):
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("xx")
    spans, both = nlp("Oxford University"), nlp("Oxford University")
    both.set_ents([], default="outside")
    for doc in (spans, both):
        doc.spans["sc"] = [doc.char_span(0, 6, "LOC"), doc.char_span(0, 17, "ORG")]
    spacy.tokens.DocBin(docs=[spans, both]).to_disk(tmp_path / "file.spacy")
    found, num_dropped = FORMATS["spacy"].read(tmp_path / "file.spacy")
    assert [item.places for item in found] == [(Place(0, 17, "ORG"),), ()]
    assert num_dropped == 1


@given(items())
def test_conll_keeps_words_and_tags(some):
    with tempfile.TemporaryDirectory() as folder:
        FORMATS["conll"].write(Path(folder, "file"), some)
        found, _ = FORMATS["conll"].read(Path(folder, "file"))
    assert [item.tags for item in found] == [item.tags for item in some]


SENTENCES = [
    Marked("Anna lives in Rome.", (Place(0, 4, "PER"), Place(14, 18, "LOC")), id="a"),
    Marked("It rains.", (), id="b"),
    Marked("Nobody has looked here.", None, id="c"),
]


@pytest.mark.parametrize("name", [*EXACT, "conll"])
def test_the_command_converts_from_the_own_format_and_back(name, tmp_path, capsys):
    FORMATS["freeal"].write(tmp_path / "own.jsonl", SENTENCES)
    there = ["convert", str(tmp_path / "own.jsonl"), "--source-format", "freeal", "--output-format", name]
    assert main([*there, "--output", str(tmp_path / "theirs.jsonl")]) == 0
    assert "2 are labelled (1 of them without entities), with 2 entities" in capsys.readouterr().out
    back = ["convert", str(tmp_path / "theirs.jsonl"), "--source-format", name, "--output-format", "freeal"]
    assert main([*back, "--output", str(tmp_path / "again.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "again.jsonl").open()]
    assert [row["tags"] for row in rows] == [["B-PER", "O", "O", "B-LOC", "O"], ["O"] * 3, None]
    if name != "conll":
        assert [row["text"] for row in rows] == [item.text for item in SENTENCES]
        assert [row["id"] for row in rows] == ["a", "b", "c"]


def test_converted_sentences_are_human_labels_of_a_run(tmp_path):
    from freeal_hf import TokenClassification
    from freeal_hf.kinds.human_labels import read_human_labels

    FORMATS["freeal"].write(tmp_path / "own.jsonl", SENTENCES)
    read = read_human_labels(tmp_path / "own.jsonl", TokenClassification(["PER", "LOC"]))
    assert [(item.id, item.tags) for item in read] == [
        ("a", ("B-PER", "O", "O", "B-LOC", "O")),
        ("b", ("O", "O", "O")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "-DOCSTART- -X- O\n\nAnna NNP B-PER\nLee NNP I-PER\n\nRome NNP B-LOC\n",
        "# id 1\nAnna\tI-PER\nLee\tI-PER\n\nRome\tI-LOC",
        "Anna B-PER\nLee E-PER\n\n\nRome S-LOC\n\n",
        "Anna B-PER\r\nLee L-PER\r\n\r\nRome U-LOC\r\n",
    ],
    ids=["CoNLL-2003", "IOB1", "IOBES", "BILOU"],
)
def test_conll_is_read_in_each_of_its_schemes(text, tmp_path):
    (tmp_path / "data.conll").write_bytes(text.encode())
    found, _ = FORMATS["conll"].read(tmp_path / "data.conll")
    assert [(item.words, item.tags) for item in found] == [
        (("Anna", "Lee"), ["B-PER", "I-PER"]),
        (("Rome",), ["B-LOC"]),
    ]


@pytest.mark.parametrize(
    ("task", "places"),
    [
        ({"spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept"}, (Place(0, 4, "PER"),)),
        ({"spans": [{"start": 0, "end": 4, "label": "PER"}]}, (Place(0, 4, "PER"),)),
        ({"answer": "accept"}, ()),
        ({"spans": []}, ()),
        ({}, None),
        ({"spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "reject"}, None),
        ({"answer": "ignore"}, None),
    ],
)
def test_a_task_of_prodigy_is_labelled_if_it_was_accepted(task, places, tmp_path):
    (tmp_path / "data.jsonl").write_text(json.dumps({"text": "Anna left", **task}))
    assert FORMATS["prodigy"].read(tmp_path / "data.jsonl")[0][0].places == places


REGION = {"type": "labels", "value": {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}}


@pytest.mark.parametrize(
    ("task", "places"),
    [
        ({"data": {"text": "Anna left"}, "annotations": [{"result": [REGION]}]}, (Place(0, 4, "PER"),)),
        ({"data": {"body": "Anna left"}, "annotations": [{"result": []}]}, ()),
        ({"data": {"text": "Anna left"}, "annotations": []}, None),
        ({"data": {"text": "Anna left"}, "predictions": [{"result": [REGION]}]}, None),
        ({"data": {"text": "Anna left"}, "annotations": [{"was_cancelled": True, "result": []}]}, None),
        ({"text": "Anna left", "id": 1, "label": [REGION["value"]]}, (Place(0, 4, "PER"),)),
    ],
)
def test_a_task_of_label_studio_is_labelled_if_a_person_submitted_it(task, places, tmp_path):
    (tmp_path / "data.json").write_text(json.dumps([task]))
    (item,), _ = FORMATS["label-studio"].read(tmp_path / "data.json")
    assert (item.text, item.places) == ("Anna left", places)


@pytest.mark.parametrize(("start", "end"), [(5, 9), (7, 11)], ids=["code points", "UTF-16"])
def test_positions_of_any_version_of_label_studio_are_read(start, end, tmp_path):
    value = {"start": start, "end": end, "text": "Anna", "labels": ["PER"]}
    task = {
        "data": {"text": "Hi 🎉🗼Anna and Anna"},
        "annotations": [{"result": [{"type": "labels", "value": value}]}],
    }
    (tmp_path / "data.json").write_text(json.dumps([task]))
    (item,), _ = FORMATS["label-studio"].read(tmp_path / "data.json")
    assert item.places == (Place(5, 9, "PER"),)


def test_labels_of_a_model_are_predictions_for_label_studio_and_not_accepted_for_prodigy(tmp_path):
    item = Marked("Anna left", (Place(0, 4, "PER"),), is_model=True, confidence=0.7)
    FORMATS["label-studio"].write(tmp_path / "data.json", [item])
    (task,) = json.loads((tmp_path / "data.json").read_text())
    assert "annotations" not in task
    assert task["predictions"][0]["score"] == 0.7
    FORMATS["prodigy"].write(tmp_path / "data.jsonl", [item])
    assert "answer" not in json.loads((tmp_path / "data.jsonl").read_text())


def test_of_overlapping_entities_the_longest_is_kept_and_the_others_are_counted(tmp_path, capsys):
    row = {"text": "New York City", "entities": [[0, 8, "LOC"], [0, 13, "LOC"], [9, 13, "ORG"]]}
    (tmp_path / "data.jsonl").write_text(json.dumps(row))
    command = ["convert", str(tmp_path / "data.jsonl"), "--source-format", "spacy-jsonl"]
    assert main([*command, "--output", str(tmp_path / "data.conll")]) == 0
    assert "2 entities are left out: they overlap a longer one" in capsys.readouterr().out
    assert (tmp_path / "data.conll").read_text() == "New B-LOC\nYork I-LOC\nCity I-LOC\n\n"


def test_a_word_that_an_entity_divides_is_divided_there():
    item, _ = marked("preAnna's", [Place(3, 7, "PER")], "here")
    assert item.own_words == ("pre", "Anna", "'", "s")
    assert item.tags == ["O", "B-PER", "O", "O"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("conll", "Anna PERSON\n", "line 1: 'PERSON' is not a tag"),
        ("conll", "\nAnna B-PER\nleft _\n", "line 2: only some words"),
        ("prodigy", '{"text": "a"}\n{"body": "a"}', "line 2 has no 'text'; it has 'body'"),
        ("prodigy", '{"text": "a", "spans": [{"start": 0}]}', "is not an entity with 'start', 'end' and 'label'"),
        (
            "prodigy",
            '{"text": "a", "spans": [{"start": 0, "end": 5, "label": "X"}]}',
            "from 0 to 5 is not in the text",
        ),
        ("freeal", '{"text": "a b c", "spans": [{"start": [0, 4], "end": [1, 5]}]}', "row 1.*discontinuous"),
        ("spacy-jsonl", '{"text": "a", "entities": [[0, 1]]}', r"\[0, 1\] is not an entity \[start, end, type\]"),
        ("spacy-jsonl", "text\n", "line 1 is not JSON"),
        ("label-studio", "[3]", "task 1: 3 is not a JSON object"),
        ("label-studio", "no", "is not JSON: .* Export the project as JSON"),
        ("freeal", '{"text": "a"}', "needs a column 'text' or 'tokens', and 'tags' or 'spans'"),
        ("freeal", '{"text": "a b", "tags": ["O"]}', "1 tags need as many words"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(name, text, message, tmp_path):
    (tmp_path / "data.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        FORMATS[name].read(tmp_path / "data.jsonl")


def test_a_format_is_known_by_its_name_or_that_of_the_file():
    assert format_of(Path("a.conll"), None, "--source-format") is FORMATS["conll"]
    assert format_of(Path("a.json"), "prodigy", "--source-format") is FORMATS["prodigy"]
    with pytest.raises(InputError, match="not clear from its name; give --source-format"):
        format_of(Path("a.json"), None, "--source-format")


def test_the_output_never_overwrites_the_file_that_is_read(tmp_path, capsys):
    (tmp_path / "a.conll").write_text("Anna B-PER\n")
    assert main(["convert", str(tmp_path / "a.conll"), "--output", str(tmp_path / "a.conll")]) == 1
    assert "is the file to read" in capsys.readouterr().err
    assert (tmp_path / "a.conll").read_text() == "Anna B-PER\n"
