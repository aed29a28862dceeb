"""CoNLL files: a word and its tag on each line, and an empty line after each sentence."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import regex

from freeal_hf.data.spans import Span, spans_of
from freeal_hf.errors import InputError
from freeal_hf.exchange.marked import Marked, from_tags
from freeal_hf.tasks import OUTSIDE

UNLABELLED = "_"
"""The tag of the words of a sentence that is not labelled, as in CoNLL-U."""

_DOCUMENT = "-DOCSTART-"
_SINGLE, _LAST = ("S", "U"), ("E", "L")
_BLANKS = regex.compile(r"[\s\p{Z}]+")
_TAG = regex.compile(r"O|_|[BIESUL]-.+")


def read_conll(path: Path) -> tuple[list[Marked], int]:
    """Reads a CoNLL file. The word is in the first column, the tag (BIO, IOB1, IOBES or BILOU) in the last one.

    A sentence is not labelled if its lines have no tag, or if all tags are `_`. Lines with `-DOCSTART-` and, before a
    sentence, comments (`# ...`) are left out.

    Args:
        path (`Path`): The file.

    Returns:
        `tuple[list[Marked], int]`: The sentences, and 0: entities cannot overlap.

    Raises:
        InputError: If a tag is not valid.
    """
    found = []
    for number, lines in _sentences(path):
        words, tags = [cells[0] for cells in lines], [cells[-1] if len(cells) > 1 else UNLABELLED for cells in lines]
        for offset, tag in enumerate(tags):
            if not _TAG.fullmatch(tag):
                raise InputError(
                    f"{path}, line {number + offset}: {tag!r} is not a tag; the last column has O, B-TYPE or I-TYPE, "
                    f"or {UNLABELLED} for a sentence that is not labelled."
                )
        unlabelled = [tag == UNLABELLED for tag in tags]
        if any(unlabelled) and not all(unlabelled):
            raise InputError(
                f"{path}, line {number}: only some words of the sentence have a tag; give each word one, or none."
            )
        found.append(from_tags(words, None if all(unlabelled) else _spans(tags)))
    return found, 0


def write_conll(path: Path, items: Iterable[Marked]) -> None:
    """Writes a CoNLL file of words and BIO tags. Blanks in a word become `_`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for item in items:
            words = item.own_words
            tags = item.tags or [UNLABELLED] * len(words)
            for word, tag in zip(words, tags, strict=True):
                file.write(f"{_BLANKS.sub('_', word)} {tag}\n")
            file.write("\n")


def _sentences(path: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """Yields the number of the first line of each sentence, and the cells of its lines."""
    lines: list[list[str]] = []
    start = 1
    text = path.read_text(encoding="utf-8-sig")
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        cells = line.split("\t") if "\t" in line else line.split()
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            if lines:
                yield start, lines
            lines = []
        elif cells[0] != _DOCUMENT and (lines or not line.startswith("# ")):
            start = start if lines else number
            lines.append(cells)


def _spans(tags: Sequence[str]) -> list[Span]:
    """Returns the entities of tags in any of the known schemes."""
    marks = {**dict.fromkeys(_SINGLE, "B"), **dict.fromkeys(_LAST, "I")}
    known = [tag if tag == OUTSIDE else f"{marks.get(tag[0], tag[0])}{tag[1:]}" for tag in tags]
    return spans_of(known)
