import json

import pandas as pd
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import TokenClassification
from freeal_hf.data.sentences import read_list, read_sentences, spans_in_text, split_words
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


def test_the_spans_of_a_split_text_are_positions_in_the_text():
    text = "Zoë ♥ São Paulo!  👩🏽‍🚀 ok"
    words, starts = split_words(text)
    span = Span(words.index("São"), words.index("Paulo") + 1, "LOC")
    (found,) = spans_in_text([span], words, starts)
    assert text[found["start"] : found["end"]] == "São Paulo"
    assert all(text[start : start + len(word)] == word for word, start in zip(words, starts, strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("张伟6月去了北京。", ["张", "伟", "6", "月", "去", "了", "北", "京", "。"]),
        ("東京タワーで12人", ["東", "京", "タ", "ワ", "ー", "で", "12", "人"]),
        ("서울에서 만나", ["서", "울", "에", "서", "만", "나"]),
        ("ไป 7 ปี", ["ไ", "ป", "7", "ปี"]),
        ("ວຽງຈັນ", ["ວ", "ຽ", "ງ", "ຈັ", "ນ"]),
        ("ភ្នំ", ["ភ្", "នំ"]),
        ("ရန်ကုန်", ["ရ", "န်", "ကု", "န်"]),
        ("iPhone手机 ok", ["iPhone", "手", "机", "ok"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    ],
)
def test_a_text_in_a_script_without_blanks_is_split_into_characters(text, words):
    assert split_words(text)[0] == words


@given(st.text(st.one_of(st.characters(), st.sampled_from("张京でーグ서กำุងေ្ ,9é\u0301\u200d"))))
def test_split_words_cover_everything_except_blanks(text):
    words, starts = split_words(text)
    ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
    assert [text[start:end] for start, end in zip(starts, ends, strict=True)] == words
    gaps = [text[end:start] for end, start in zip([0, *ends], [*starts, len(text)], strict=True)]
    assert "".join(gaps).strip() == ""


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
