"""Words and tags in the data of a visitor (a list in each row), for an entity task."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from freeal_hf.data.sentences import TOKENS, read_sentences
from freeal_hf.errors import InputError
from freeal_hf.tasks import TokenClassification
from freeal_hf.web.reading import Table, as_cell
from freeal_hf.web.settings import Settings

GOLD = "gold"
"""The name of the column of tags in the data of the run."""

_TAGS = "true tags"  # the name of the column of tags in error messages


def tag_types(values: Sequence[Any]) -> list[str]:
    """Returns the types of entities in BIO tags, in the order of their first occurrence."""
    tags = (str(tag) for row in values if isinstance(row, list) for tag in row)
    parts = (tag.partition("-") for tag in tags)
    return list(dict.fromkeys(name for mark, _, name in parts if mark in ("B", "I") and name))


def check(table: Table, column: str, gold_column: str | None) -> None:
    """Checks words and tags in the same way as the run.

    Args:
        table (`Table`): The table.
        column (`str`): The column of the words.
        gold_column (`str`, *optional*): The column of the true tags.

    Raises:
        InputError: If a row has no list of words, or not one valid BIO tag for each word.
    """
    import pandas as pd

    names = {TOKENS: column, **({_TAGS: gold_column} if gold_column else {})}
    columns = {new: pd.Series(list(table.columns[old]), dtype=object) for new, old in names.items()}
    task = None
    if gold_column:
        types = tag_types(table.columns[gold_column])
        if not types:
            raise InputError(
                f"The column {gold_column!r} has no entity. It must have a list in each row with one tag for each "
                "word, such as ['B-person', 'I-person', 'O']."
            )
        task = TokenClassification(types)
    read_sentences(pd.DataFrame(columns), task, gold_column=_TAGS if gold_column else None)


def find_problems(table: Table, column: str, settings: Settings) -> list[str]:
    """Returns warnings about the words. They do not prevent a run."""
    sentences = [row or [] for row in table.columns[column]]
    return table.problems(
        empty=sum(not any(str(word).strip() for word in words) for words in sentences),
        kept_as="without words: kept, without entities",
        long=sum(_within(words, settings.max_characters) < len(words) for words in sentences),
        distinct=len({tuple(map(str, words)) for words in sentences}),
        settings=settings,
    )


def write(table: Table, column: str, gold_column: str | None, path: Path, settings: Settings) -> None:
    """Writes words and tags for the run, as JSON lines. Long texts are truncated after a word."""
    tags = table.columns[gold_column] if gold_column else [None] * table.num_rows
    others = {
        name: values for name, values in table.columns.items() if name not in (column, gold_column, TOKENS, GOLD)
    }
    with path.open("w", encoding="utf-8") as file:
        for number, (words, gold) in enumerate(zip(table.columns[column], tags, strict=True)):
            kept = _within(words or [], settings.max_characters)
            row: dict[str, Any] = {name: as_cell(values[number]) for name, values in others.items()}
            row[TOKENS] = words and list(map(str, words[:kept]))
            if gold_column:
                row[GOLD] = gold and gold[:kept]
            file.write(json.dumps(row, ensure_ascii=True) + "\n")


def _within(words: Sequence[Any], max_characters: int) -> int:
    """Returns the number of words of a text within the limit."""
    length = -1
    for number, word in enumerate(words):
        length += 1 + len(str(word))
        if length > max_characters:
            return number
    return len(words)
