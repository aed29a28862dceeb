import json

import pandas as pd
import pytest
from datasets import Dataset

from freeal_hf import TokenClassification
from freeal_hf.data.sentences import read_list, read_sentences, spans_in_text
from freeal_hf.data.spans import Span
from freeal_hf.errors import InputError

TASK = TokenClassification(["PER", "LOC"])


def read(**columns):
    gold = "gold" if "gold" in columns else None
    return read_sentences(Dataset.from_dict(columns), TASK, gold_column=gold)


def test_joined_words_start_at_the_given_positions():
    row = read(tokens=[["Anna", "lives", "."]])[0]
    assert row["text"] == "Anna lives ."
    starts = zip(row["tokens"], row["token_starts"], strict=True)
    assert [row["text"][start : start + len(word)] for word, start in starts] == row["tokens"]


def test_the_words_of_any_tokenizer_are_found_in_a_text_that_is_given_too():
    row = read(text=["东京塔在东京 !"], tokens=[["东京", "塔", "在", "东京", "!"]])[0]
    assert (row["text"], row["token_starts"]) == ("东京塔在东京 !", [0, 2, 3, 4, 7])
    (found,) = spans_in_text([Span(0, 2, "LOC")], row["tokens"], row["token_starts"])
    assert row["text"][found["start"] : found["end"]] == "东京塔"


def test_words_that_are_not_those_of_their_text_are_joined_with_a_warning(caplog):
    rows = read(text=["Anna (left)", "ok", None], tokens=[["Anna", "-LRB-", "left"], ["ok"], ["no", "text"]])
    assert rows["text"][:] == ["Anna -LRB- left", "ok", "no text"]
    assert "column 'text' of 1 row (the first is row 1) has other words than 'tokens'" in caplog.text


@pytest.mark.parametrize("write", [json.dumps, str, list])
def test_words_and_tags_are_read_from_json_and_python_lists(write, tmp_path):
    tokens, tags = ["It's", 'a "b"', "張", "1"], ["O", "B-PER", "B-LOC", "I-LOC"]
    rows = pd.DataFrame({"tokens": [write(tokens)], "gold": [write(tags)], "theirs": [write(tags)]})
    if write is not list:
        rows.to_csv(tmp_path / "data.csv", index=False)
    source = rows if write is list else tmp_path / "data.csv"
    row = read_sentences(source, TASK, gold_column="gold", extra_columns=["theirs"])[0]
    assert (row["tokens"], row["gold"]) == (tokens, [0, 1, 3, 4])
    assert json.loads(row["theirs"]) == tags


@pytest.mark.parametrize("cell", ["a b", "['a' 'b']", "['a', ..., 'b']", "('a', 'b')", '{"a": 1}', "[1", "3", '"ab"'])
def test_a_cell_that_is_not_a_list_is_refused(cell):
    with pytest.raises(InputError, match=r"here: .* is not a list"):
        read_list(cell, "here")


def test_one_column_can_be_gold_and_annotator_column():
    data = Dataset.from_dict({"tokens": [["Rome"]], "gold": [["B-LOC"]]})
    row = read_sentences(data, TASK, gold_column="gold", extra_columns=["gold"])[0]
    assert (row["gold"], row["column:gold"]) == ([3], '["B-LOC"]')


def test_a_sentence_without_words_is_kept_with_a_note():
    notes = read(tokens=[["a"], [], None])["note"][:]
    assert notes == [None, "the sentence has no words", "the sentence is missing"]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        (["O", "I-PER", "O"], r"row 1, 'gold': 'I-PER' at word 2 does not continue an entity"),
        (["B-PER", "I-LOC", "O"], "not valid BIO"),
        (["O", "O"], "2 tags for 3 words"),
        (["O", "B-ORG", "O"], "'B-ORG' is not a tag of the task"),
    ],
)
def test_invalid_gold_tags_are_reported_with_their_place(gold, message):
    with pytest.raises(InputError, match=message):
        read(tokens=[["a", "b", "c"]], gold=[gold])


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["O", "O"], "row 1, 'theirs': 2 tags for 3 words"),
        ("O O O", "'O O O' is not a list"),
        (["O", "B-ORG", "O"], "'B-ORG' is not a tag of the task"),
    ],
)
def test_invalid_tags_of_another_system_are_refused_before_any_call(tags, message):
    with pytest.raises(InputError, match=message):
        read_sentences(
            Dataset.from_dict({"tokens": [["a", "b", "c"]], "theirs": [tags]}), TASK, extra_columns=["theirs"]
        )


def test_a_missing_value_among_the_words_is_refused():
    with pytest.raises(InputError, match=r"row 1: .tokens. has a missing value"):
        read(tokens=[["a", None]])


def test_words_that_are_not_a_list_are_refused():
    with pytest.raises(InputError, match="'tokens': 'a b c' is not a list"):
        read(tokens=["a b c"])


def test_a_long_document_is_not_cut():
    assert len(read(tokens=[["word"] * 5000])["tokens"][0]) == 5000
