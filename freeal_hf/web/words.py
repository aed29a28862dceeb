"""Words and tags as a visitor brings them: a list in each row, for a task that finds entities."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from freeal_hf.data.counting import counted
from freeal_hf.data.sentences import TOKENS, read_sentences
from freeal_hf.errors import InputError
from freeal_hf.tasks import TokenClassification
from freeal_hf.web.reading import Table
from freeal_hf.web.settings import Settings

GOLD = "gold"
"""Name under which a run reads the tags."""


def tag_types(values: Sequence[Any]) -> list[str]:
    """The types of entities that BIO tags name, in the order in which they come."""
    tags = (str(tag) for row in values if isinstance(row, list) for tag in row)
    parts = (tag.partition("-") for tag in tags)
    return list(dict.fromkeys(name for mark, _, name in parts if mark in ("B", "I") and name))


def check(table: Table, column: str, gold_column: str | None) -> None:
    """Says what the run would say of words and tags.

    Args:
        table (`Table`): What was read.
        column (`str`): Column of the words.
        gold_column (`str`, *optional*): Column of true tags.

    Raises:
        InputError: If a row holds no list of words, or its tags are not as many as words, or not valid BIO.
    """
    import pandas as pd

    names = {TOKENS: column, **({GOLD: gold_column} if gold_column else {})}
    columns = {new: pd.Series(list(table.columns[old]), dtype=object) for new, old in names.items()}
    task = None
    if gold_column:
        types = tag_types(table.columns[gold_column])
        if not types:
            raise InputError(
                f"The column {gold_column!r} names no entity; tags are a list in each row, one for each word, such as "
                "['B-person', 'I-person', 'O']."
            )
        task = TokenClassification(types)
    try:
        read_sentences(pd.DataFrame(columns), task, gold_column=GOLD if gold_column else None)
    except InputError as error:
        raise InputError(str(error).replace("The data frame", "The data").replace(f"{GOLD!r}", "the tags")) from error


def find_problems(table: Table, column: str, settings: Settings) -> list[str]:
    """What a visitor should know of words before going on; nothing of it stops a run."""
    sentences = [row or [] for row in table.columns[column]]
    problems = [*table.remarks, *table.faults.values()]
    if empty := sum(not any(str(word).strip() for word in words) for words in sentences):
        problems.append(f"{counted(empty, 'row')} without a word: kept, without entities.")
    if long := sum(_within(words, settings.max_characters) < len(words) for words in sentences):
        problems.append(f"{counted(long, 'text')} longer than {settings.max_characters:,} characters: cut there.")
    if repeated := len(sentences) - len({tuple(map(str, words)) for words in sentences}):
        problems.append(f"{counted(repeated, 'row')} with a text that was there before: each text is asked once.")
    return problems


def write(table: Table, column: str, gold_column: str | None, path: Path, settings: Settings) -> None:
    """Writes words, and tags if there are any, as the run reads them: JSON lines, long texts cut after a word."""
    tags = table.columns[gold_column] if gold_column else [None] * table.num_rows
    with path.open("w", encoding="utf-8") as file:
        for words, gold in zip(table.columns[column], tags, strict=True):
            kept = _within(words or [], settings.max_characters)
            row = {TOKENS: words and list(map(str, words[:kept]))}
            if gold_column:
                row[GOLD] = gold and gold[:kept]
            file.write(json.dumps(row, ensure_ascii=True) + "\n")


def _within(words: Sequence[Any], max_characters: int) -> int:
    """How many words of a text fit the limit."""
    length = -1
    for number, word in enumerate(words):
        length += 1 + len(str(word))
        if length > max_characters:
            return number
    return len(words)
