"""Reads sentences of words as a dataset with the columns `id`, `text`, `tokens`, `token_starts` and `note`."""

import ast
import io
import json
import logging
import tokenize
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.data.counting import counted
from freeal_hf.data.joins import names_column
from freeal_hf.data.row_ids import read_ids
from freeal_hf.data.spans import Span, invalid_position
from freeal_hf.data.tables import open_table
from freeal_hf.data.texts import extra_name, is_usable
from freeal_hf.data.words import align_words, join_words, split_words
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, OUTSIDE, Named, TokenClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

logger = logging.getLogger(__name__)

TOKENS, SPANS = "tokens", "spans"


def read_sentences(
    source: "str | Path | Dataset | pd.DataFrame",
    task: TokenClassification | None = None,
    *,
    text_columns: Sequence[str] = ("text",),
    gold_column: str | None = None,
    id_column: str | None = None,
    extra_columns: Sequence[str] = (),
    split: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
) -> "Dataset":
    """Reads sentences and optionally gold tags.

    The column `tokens` has the words of a sentence as a list; in CSV files as JSON or as a Python list. If the file
    has the text too, the words of any tokenizer are found in it, so that positions are counted in the original text;
    otherwise the text consists of the words with blanks between them. Without `tokens`, the text is split by
    `split_words`. No row is dropped, and no sentence is truncated.

    Args:
        source (`str`, `Path`, `Dataset` or `DataFrame`): As in `read_data`.
        task (`TokenClassification`, *optional*): The task, needed to read gold tags.
        text_columns (`Sequence[str]`, *optional*, defaults to `("text",)`): The column of the text. It can be missing
            if there is a column `tokens`.
        gold_column (`str`, *optional*): The column of the true BIO tags, one for each word, in the form of `tokens`.
            They are only used for scores.
        id_column (`str`, *optional*): The column of unique ids. By default an id is made from the text.
        extra_columns (`Sequence[str]`, *optional*): Further columns of tags to keep as JSON, such as those of another
            system.
        split, delimiter, encoding, quoting (`str`, *optional*): As in `read_data`.

    Returns:
        `Dataset`: A dataset with the columns `id`, `text`, `tokens`, `token_starts` (the start of each word in `text`,
        in characters), `note` and, if given, `gold` (tag ids) and the extra columns.

    Raises:
        InputError: If the source or a column is missing or empty, `tokens` are not lists, or gold tags are not valid
            BIO tags of the task, one for each word. In extra columns an entity can begin with `I-`.

    Example:

        >>> import pandas as pd
        >>> read_sentences(pd.DataFrame({"text": ["Ada wrote it."]}))["tokens"][0]
        ['Ada', 'wrote', 'it', '.']
    """
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Sequence as ListFeature

    opened = open_table(source, split=split, delimiter=delimiter, encoding=encoding, quoting=quoting)
    origin = opened.origin
    has_words = names_column(TOKENS, opened.names)
    if not has_words and len(text_columns) != 1:
        raise InputError(f"{origin}: entities are positions in one text; give one text column, not {text_columns}.")
    column = TOKENS if has_words else text_columns[0]
    has_text = has_words and len(text_columns) == 1 and names_column(text_columns[0], opened.names)
    wanted = [column, gold_column, id_column, *extra_columns, *(text_columns if has_text else ())]
    table = next(opened.read(list(dict.fromkeys(name for name in wanted if name is not None))))
    values = table[column]
    if not len(values):
        raise InputError(f"{origin} has no rows; there is nothing to label.")
    rows = [_given(value, origin, row) if has_words else _split(value) for row, value in enumerate(values, start=1)]
    if has_text:
        rows = _in_texts(rows, table[text_columns[0]], origin, text_columns[0])
    texts, words, starts, notes = (list(column) for column in zip(*rows, strict=True))
    if not any(map(is_usable, notes)):
        raise InputError(
            f"{origin} has no usable text in {column!r}: in the first of its rows {notes[0]}. Choose the column of "
            f"the texts (there are: {', '.join(map(repr, opened.names))})."
        )

    def tags_of_rows(name: str) -> list[list[Any] | None]:
        return [read_list(cell, f"{origin}, row {row}, {name!r}") for row, cell in enumerate(table[name], start=1)]

    columns: dict[str, Any] = {
        "id": read_ids(table, id_column, texts, origin),
        "text": texts,
        TOKENS: words,
        "token_starts": starts,
        "note": notes,
    }
    features: dict[str, Any] = {
        **dict.fromkeys(("id", "text", "note"), Value("string")),
        TOKENS: ListFeature(Value("string")),
        "token_starts": ListFeature(Value("int32")),
    }
    if gold_column is not None:
        if task is None:
            raise InputError(f"The gold column {gold_column!r} can only be read with a task: pass task=.")
        if not has_words:
            raise InputError(
                f"{origin}: gold tags in {gold_column!r} need the words that they belong to; give them in a column "
                "`tokens`."
            )
        columns["gold"] = [
            read_tags(tags, len(words[row]), task, f"{origin}, row {row + 1}, {gold_column!r}")
            for row, tags in enumerate(tags_of_rows(gold_column))
        ]
        features["gold"] = ListFeature(ClassLabel(names=task.tags))
    for name in extra_columns:
        found = tags_of_rows(name)
        for row, tags in enumerate(found):
            if tags is not None:
                _check_tags(tags, len(words[row]), task, f"{origin}, row {row + 1}, {name!r}")
        columns[extra_name(name)] = ["" if tags is None else json.dumps(tags, ensure_ascii=False) for tags in found]
        features[extra_name(name)] = Value("string")
    return Dataset.from_dict(columns, features=Features({name: features[name] for name in columns}))


def read_tags(tags: Any, length: int, task: TokenClassification, where: str) -> list[int]:
    """Returns the ids of the BIO tags of a sentence.

    Args:
        tags (`Sequence[str]`, *optional*): The tag of each word, or `None`.
        length (`int`): The number of words.
        task (`TokenClassification`): The task.
        where (`str`): The place of the tags, for errors.

    Returns:
        `list[int]`: The tag ids; -1 for each word if there are no tags.

    Raises:
        InputError: If there is not one tag for each word, or the tags are not valid BIO tags of the task.

    Example:

        >>> read_tags(["B-person", "O"], 2, TokenClassification(["person"]), "row 1")
        [1, 0]
    """
    if tags is None:
        return [NO_LABEL] * length
    _check_tags(tags, length, task, where)
    ids = {tag: i for i, tag in enumerate(task.tags)}
    if (position := invalid_position(tags)) is not None:
        raise InputError(
            f"{where}: {tags[position]!r} at word {position + 1} does not continue an entity of its type: not valid "
            f"BIO. An entity begins with {'B-' + tags[position][2:]!r}."
        )
    return [ids[tag] for tag in tags]


def read_list(value: Any, where: str) -> list[Any] | None:
    """Returns the items of a cell that contains a list.

    Args:
        value (`Any`): A sequence, or a string with a JSON list (`["a", "b"]`) or a Python list (`['a', 'b']`).
        where (`str`): The place of the cell, for the error.

    Returns:
        `list` or `None`: The items; `None` for a missing value, an empty string, or a list of missing values.

    Raises:
        InputError: If the cell has another value.

    Example:

        >>> read_list("['a', 'b']", "row 1")
        ['a', 'b']
    """
    if isinstance(value, str):
        if not value.strip():
            return None
        items = _parsed_list(value)
    else:
        if value is None or (isinstance(value, float) and value != value):
            return None
        items = value
    if items is None or isinstance(items, (str, bytes, Mapping)) or not hasattr(items, "__iter__"):
        raise InputError(f'{where}: {value!r} is not a list; in a CSV file, write it as JSON: ["...", "..."].')
    found = list(items)
    return None if found and all(item is None for item in found) else found


def _parsed_list(text: str) -> list[Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        found = _python_list(text)
    return found if isinstance(found, list) else None


def _python_list(text: str) -> Any:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text.strip()).readline))
        # NumPy prints no commas, and Python would join adjacent strings.
        if any(one.type == other.type == tokenize.STRING for one, other in pairwise(tokens)):
            return None
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError):
        return None
    return None if isinstance(found, list) and ... in found else found


def spans_in_text(spans: Sequence[Span], words: Sequence[str], starts: Sequence[int]) -> list[dict[str, Any]]:
    """Converts entities from word positions to character positions.

    Args:
        spans (`Sequence[Span]`): The entities, in words.
        words (`Sequence[str]`): The words.
        starts (`Sequence[int]`): The start of each word in the text, in characters.

    Returns:
        `list[dict[str, Any]]`: `start` and `end` in characters (the end is exclusive), and `type`.

    Example:

        >>> spans_in_text([Span(0, 1, "Chemical")], ["Aspirin", "helps"], [0, 8])
        [{'start': 0, 'end': 7, 'type': 'Chemical'}]
    """
    return [
        {"start": starts[span.start], "end": starts[span.end - 1] + len(words[span.end - 1]), "type": span.type}
        for span in spans
    ]


def named_in(text: str, spans: Sequence[Span], words: Sequence[str], starts: Sequence[int]) -> Named:
    """Returns the words of entities as in the text, with their types.

    Args:
        text (`str`): The text.
        spans, words, starts: As in `spans_in_text`.

    Returns:
        `Named`: The words and the type of each entity.

    Example:

        >>> named_in("Aspirin helps", [Span(0, 1, "Chemical")], ["Aspirin", "helps"], [0, 8])
        (('Aspirin', 'Chemical'),)
    """
    places = spans_in_text(spans, words, starts)
    return tuple((text[place["start"] : place["end"]], place["type"]) for place in places)


def tag_names(ids: Sequence[int], tags: Sequence[str]) -> list[str]:
    """Returns the names of tag ids. A word without a tag gets the tag O.

    Args:
        ids (`Sequence[int]`): The tag ids; -1 means none.
        tags (`Sequence[str]`): The tag names by id.

    Returns:
        `list[str]`: The tag names.

    Example:

        >>> tag_names([1, 0, -1], ["O", "B-person"])
        ['B-person', 'O', 'O']
    """
    return [tags[i] if i >= 0 else OUTSIDE for i in ids]


def _check_tags(tags: Any, length: int, task: TokenClassification | None, where: str) -> None:
    """Checks that there is one tag of the task for each word."""
    if isinstance(tags, (str, Mapping)) or not hasattr(tags, "__len__"):
        raise InputError(f"{where}: {tags!r} is not a list of tags; give one for each word, such as ['O', 'B-...'].")
    if len(tags) != length:
        raise InputError(
            f"{where}: {counted(len(tags), 'tag')} for {counted(length, 'word')}; give one tag for each word."
        )
    if task is not None and (unknown := [tag for tag in tags if tag not in task.tags]):
        raise InputError(f"{where}: {unknown[0]!r} is not a tag of the task; its tags are {', '.join(task.tags)}.")


Row = tuple[str, list[str], list[int], str | None]


def _given(value: Any, origin: str, row: int) -> Row:
    found = read_list(value, f"{origin}, row {row}, 'tokens'")
    if found is None and (value is None or isinstance(value, (str, float))):
        return "", [], [], "the sentence is missing"
    if found is None or any(word is None for word in found):
        raise InputError(f"{origin}, row {row}: 'tokens' has a missing value; a word must be a string.")
    if any(isinstance(word, (list, dict)) for word in found):
        raise InputError(f"{origin}, row {row}: 'tokens' is {value!r}; it must be a list of words.")
    words = [str(word) for word in found]
    text, starts = join_words(words)
    return text, words, starts, None if text.strip() else "the sentence has no words"


def _in_texts(rows: Sequence[Row], texts: Sequence[Any], origin: str, name: str) -> list[Row]:
    """Replaces the joined text of each row by the original text, where that has exactly the words of the row."""
    found, others = [], []
    for number, (row, text) in enumerate(zip(rows, texts, strict=True), start=1):
        starts = align_words(row[1], text) if isinstance(text, str) and row[1] else None
        found.append(row if starts is None else (str(text), row[1], starts, row[3]))
        if starts is None and isinstance(text, str):
            others.append(number)
    if others:
        logger.warning(
            "%s: the column %r of %s (the first is row %d) has other words than 'tokens'. Their text is 'tokens' with "
            "blanks between the words, and positions of entities are counted in it.",
            origin,
            name,
            counted(len(others), "row"),
            others[0],
        )
    return found


def _split(value: Any) -> Row:
    if not isinstance(value, str):
        return "", [], [], "the text is missing" if value is None else f"the text is a {type(value).__name__}"
    words, starts = split_words(value)
    return value, words, starts, None if words else "the text is empty"
