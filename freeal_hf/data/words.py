"""Splits texts into words, and finds given words in a text.

Positions are counted in characters, that is in Unicode code points, as Python counts them.
"""

from collections.abc import Sequence
from functools import cache

import regex

# Scripts in which blanks do not separate all words: those without blanks, and Korean, in which words have particles.
_UNSPACED_SCRIPTS = (
    "Han",
    "Hiragana",
    "Katakana",
    "Bopomofo",
    "Hangul",
    "Yi",
    "Thai",
    "Lao",
    "Khmer",
    "Myanmar",
    "Tai_Le",
    "New_Tai_Lue",
    "Tai_Tham",
    "Tai_Viet",
    "Tibetan",
    "Javanese",
    "Balinese",
)


def split_words(text: str) -> tuple[list[str], list[int]]:
    """Splits a text into words at blanks and punctuation, like the first step of the BERT tokenizer.

    Scripts in which blanks do not separate all words (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese and others)
    are split into characters as a reader sees them (grapheme clusters), and so are emoji. A combining mark belongs to
    the character before it.

    Args:
        text (`str`): The text.

    Returns:
        `tuple[list[str], list[int]]`: The words, and the start of each word in characters.

    Example:

        >>> split_words("Anna 住在北京。")
        (['Anna', '住', '在', '北', '京', '。'], [0, 5, 6, 7, 8, 9])
    """
    from tokenizers.pre_tokenizers import BertPreTokenizer

    words, starts = [], []
    for _, (start, end) in BertPreTokenizer().pre_tokenize_str(text):
        for part in _word_parts().finditer(text, start, end):
            words.append(part.group())
            starts.append(part.start())
    return words, starts


def is_unspaced(word: str) -> bool:
    """Whether a word is a character of a script in which blanks do not separate all words.

    Example:

        >>> is_unspaced("京"), is_unspaced("Anna"), is_unspaced("。")
        (True, False, False)
    """
    return _unspaced().match(word) is not None


@cache
def _unspaced() -> "regex.Pattern[str]":
    scripts = "".join(rf"\p{{scx={script}}}" for script in _UNSPACED_SCRIPTS)
    return regex.compile(rf"[[{scripts}]--[\p{{N}}\p{{P}}\p{{M}}]]", regex.VERSION1)


@cache
def _word_parts() -> "regex.Pattern[str]":
    """Returns the pattern for a character of an unspaced script, an emoji, or a run of other characters."""
    single = rf"(?={_unspaced().pattern}|\p{{Extended_Pictographic}}|\p{{Regional_Indicator}})"
    return regex.compile(rf"{single}\X|(?:(?!{single})[\s\S])+", regex.VERSION1)


def join_words(words: Sequence[str]) -> tuple[str, list[int]]:
    """Joins words to a text with blanks between them.

    Args:
        words (`Sequence[str]`): The words.

    Returns:
        `tuple[str, list[int]]`: The text, and the start of each word in characters.

    Example:

        >>> join_words(["a", "good", "film"])
        ('a good film', [0, 2, 7])
    """
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word) + 1
    return " ".join(words), starts


def align_words(words: Sequence[str], text: str) -> list[int] | None:
    """Finds the words of any tokenizer in the text that was split.

    Args:
        words (`Sequence[str]`): All words of the text, in its order.
        text (`str`): The text.

    Returns:
        `list[int]`, *optional*: The start of each word in characters; `None` if the words, in this order and with
        nothing but blanks between them, are not the text.

    Example:

        >>> align_words(["东京", "塔", "!"], "东京塔 !")
        [0, 2, 4]
    """
    starts, position = [], 0
    for word in words:
        while position < len(text) and text[position].isspace() and not text.startswith(word, position):
            position += 1
        if not text.startswith(word, position):
            return None
        starts.append(position)
        position += len(word)
    return starts if not text[position:].strip() else None
