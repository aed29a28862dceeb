import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.data.sentences import spans_in_text
from freeal_hf.data.spans import Span
from freeal_hf.data.words import align_words, join_words, split_words

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("张京でーグ서กำุងេ្ ,9é\u0301\u200d\u200f🗼🇫")))


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
        ("ភូមិ", ["ភូ", "មិ"]),
        ("ရန်ကုန်", ["ရ", "န်", "ကု", "န်"]),
        ("\u1109\u1165\u110b\u116e\u11af", ["\u1109\u1165", "\u110b\u116e\u11af"]),
        ("ﾄﾞﾗ กำ", ["ﾄﾞ", "ﾗ", "กำ"]),
        ("Paris🗼 👩🏽\u200d🚀ok🇫🇷🇩🇪", ["Paris", "🗼", "👩🏽\u200d🚀", "ok", "🇫🇷", "🇩🇪"]),
        ("\u202bשלום\u202c עולם", ["\u202bשלום\u202c", "עולם"]),
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


@given(TEXTS)
def test_the_words_of_a_text_are_found_in_it_again(text):
    words, starts = split_words(text)
    assert align_words(words, text) == starts


@given(st.lists(st.text()))
def test_joined_words_are_found_in_their_text_again(words):
    text, _ = join_words(words)
    starts = align_words(words, text)
    assert starts is not None
    assert [text[start : start + len(word)] for word, start in zip(words, starts, strict=True)] == words


@pytest.mark.parametrize(
    ("words", "text"), [(["a", "c"], "a b c"), (["a"], "ba"), (["a"], "ab"), (["b", "a"], "a b"), (["a"], "")]
)
def test_words_that_are_not_the_whole_text_are_not_found(words, text):
    assert align_words(words, text) is None
