import pytest
from datasets import Dataset

from freeal_hf import TokenClassification
from freeal_hf.errors import InputError
from freeal_hf.sentences import read_sentences, spans_in_text, split_words
from freeal_hf.spans import Span

TASK = TokenClassification(["PER", "LOC"])


def read(**columns):
    gold = "gold" if "gold" in columns else None
    return read_sentences(Dataset.from_dict(columns), TASK, gold_column=gold)


def test_words_are_joined_to_a_text_in_which_each_has_its_place():
    row = read(tokens=[["Anna", "lives", "."]])[0]
    assert row["text"] == "Anna lives ."
    starts = zip(row["tokens"], row["token_starts"], strict=True)
    assert [row["text"][start : start + len(word)] for word, start in starts] == row["tokens"]


def test_a_raw_text_is_split_and_spans_lead_back_to_it():
    text = "Zoë ♥ São Paulo!  👩🏽‍🚀 ok"
    words, starts = split_words(text)
    span = Span(words.index("São"), words.index("Paulo") + 1, "LOC")
    (found,) = spans_in_text([span], words, starts)
    assert text[found["start"] : found["end"]] == "São Paulo"
    assert all(text[start : start + len(word)] == word for word, start in zip(words, starts, strict=True))


def test_a_sentence_without_words_is_kept_with_a_note():
    notes = read(tokens=[["a"], [], None])["note"][:]
    assert notes == [None, "the sentence has no words", "the sentence is missing"]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        (["O", "I-PER", "O"], r"row 1, 'gold': 'I-PER' at word 2 continues no entity"),
        (["B-PER", "I-LOC", "O"], "not valid BIO"),
        (["O", "O"], "2 tags for 3 words"),
        (["O", "B-ORG", "O"], "'B-ORG' is no tag of the task"),
    ],
)
def test_gold_tags_that_cannot_be_used_are_named_with_their_place(gold, message):
    with pytest.raises(InputError, match=message):
        read(tokens=[["a", "b", "c"]], gold=[gold])


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["O", "O"], "row 1, 'theirs': 2 tags for 3 words"),
        ("O O O", "is no list of tags"),
        (["O", "B-ORG", "O"], "'B-ORG' is no tag of the task"),
    ],
)
def test_another_systems_tags_that_cannot_be_used_are_named_before_anything_is_asked(tags, message):
    with pytest.raises(InputError, match=message):
        read_sentences(
            Dataset.from_dict({"tokens": [["a", "b", "c"]], "theirs": [tags]}), TASK, extra_columns=["theirs"]
        )


def test_an_empty_value_among_the_words_is_refused():
    with pytest.raises(InputError, match="row 1: `tokens` holds an empty value"):
        read(tokens=[["a", None]])


def test_words_that_are_no_list_are_refused():
    with pytest.raises(InputError, match="not a list of words"):
        read(tokens=["a b c"])


def test_a_long_document_is_not_cut():
    assert len(read(tokens=[["word"] * 5000])["tokens"][0]) == 5000
