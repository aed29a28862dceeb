"""Reads texts: any table becomes one data set of `id`, `text` and `note`."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from freeal_hf.errors import InputError
from freeal_hf.tables import Table, missing_column, read_tables
from freeal_hf.tasks import NO_LABEL, Task, TextClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

MAX_CHARACTERS = 20_000
"""Longer texts are cut here before anything reads them: no student and few annotators look further."""

AUGMENTED_COLUMN = "augmented_text"


def read_data(
    source: "str | Path | Dataset | pd.DataFrame",
    task: TextClassification | None = None,
    *,
    text_columns: Sequence[str] = ("text",),
    gold_column: str | None = None,
    id_column: str | None = None,
    augmented_column: str | None = None,
    extra_columns: Sequence[str] = (),
    split: str = "train",
    delimiter: str | None = None,
    encoding: str = "utf-8",
    max_characters: int = MAX_CHARACTERS,
) -> "Dataset":
    """Reads texts and, if there are any, gold labels.

    No row is dropped: a value that is no usable text is kept with a `note` that says why it cannot be labelled.

    Args:
        source (`str`, `Path`, `Dataset` or `DataFrame`):
            A CSV, TSV, JSON, JSON-lines or Parquet file, a Hub data set id, or data that is loaded already.
        task (`TextClassification`, *optional*): The task, needed to read gold labels.
        text_columns (`Sequence[str]`, defaults to `("text",)`):
            Column of the text; several are joined as `name: value, name: value` with empty values left out.
        gold_column (`str`, *optional*): Column of the true labels, as label names. It is only ever scored against.
        id_column (`str`, *optional*):
            Column of unique ids. Without it an id is made from the text itself, so that it stays the same when rows
            move or other rows come and go.
        augmented_column (`str`, *optional*):
            Column with a paraphrase of each text; `augmented_text` is taken when it is there.
        extra_columns (`Sequence[str]`): Further columns to keep as strings, for instance another system's labels.
        split (`str`, defaults to `"train"`): Split of a Hub data set.
        delimiter (`str`, *optional*): Field separator of a CSV file.
        encoding (`str`, defaults to `"utf-8"`): Encoding of a text file.
        max_characters (`int`): Longer texts are cut, and their `note` says so.

    Returns:
        `Dataset`: Columns `id`, `text`, `note` (string or null) and, where given, `augmented_text`, `gold` (a
        `ClassLabel`, -1 where the cell is empty) and the extra columns.

    Raises:
        InputError: If the file or a column is missing, nothing is in it, it cannot be decoded or parsed, ids repeat,
            or a gold value is no label of the task.
    """
    from datasets import Dataset, Features, Value

    _check_text_columns(text_columns)
    tables, origin = read_tables(source, split=split, delimiter=delimiter, encoding=encoding)
    table = next(tables)
    if augmented_column is None and AUGMENTED_COLUMN in list(table):
        augmented_column = AUGMENTED_COLUMN
    check_columns(table, [*text_columns, gold_column, id_column, augmented_column, *extra_columns], origin, delimiter)
    if not len(table[text_columns[0]]):
        raise InputError(f"{origin} has no rows; there is nothing to label.")

    texts, notes = _read_texts(table, text_columns, max_characters)
    if all(note is not None and not _was_cut(note) for note in notes):
        raise _no_usable_text(origin, text_columns, len(notes), notes[0], list(table))
    columns: dict[str, Any] = {"id": read_ids(table, id_column, texts, origin), "text": texts, "note": notes}
    features: dict[str, Any] = dict.fromkeys(columns, Value("string"))
    if augmented_column is not None:
        columns[AUGMENTED_COLUMN] = [_as_string(value)[:max_characters] for value in table[augmented_column]]
        features[AUGMENTED_COLUMN] = Value("string")
    if gold_column is not None:
        if task is None:
            raise InputError(f"Reading the gold column {gold_column!r} needs the task whose labels it holds.")
        columns["gold"] = label_ids(table, gold_column, task, f"{origin}: gold value")
        features["gold"] = class_label(task)
    for column in extra_columns:
        columns[column] = [_as_string(value) for value in table[column]]
        features[column] = Value("string")
    return Dataset.from_dict(columns, features=Features(features))


class TextRow(NamedTuple):
    """One row of a table: its id, its text, and why it cannot be labelled or that it was cut."""

    id: str
    text: str
    note: str | None


def stream_texts(
    source: "str | Path | Dataset | pd.DataFrame",
    *,
    text_columns: Sequence[str] = ("text",),
    id_column: str | None = None,
    split: str = "train",
    delimiter: str | None = None,
    encoding: str = "utf-8",
    max_characters: int = MAX_CHARACTERS,
    rows: int = 4096,
) -> Iterator[list[TextRow]]:
    """Reads texts as `read_data` does, some rows at a time, from files that may be larger than memory.

    Args:
        source, text_columns, split, delimiter, encoding, max_characters: As in `read_data`.
        id_column (`str`, *optional*):
            Column of ids. Without it an id is made from the text; equal texts have equal ids here, since telling them
            apart would take memory for all rows.
        rows (`int`, defaults to 4096): Most rows at a time.

    Yields:
        `list[TextRow]`: The next rows, in their order.

    Raises:
        InputError: As `read_data` does, for what is wrong in later rows only when it comes to them.
    """
    _check_text_columns(text_columns)
    tables, origin = read_tables(source, split=split, delimiter=delimiter, encoding=encoding, rows=rows)
    has_usable, count, first_note = False, 0, None
    names: list[str] = []
    for table in tables:
        names = list(table)
        check_columns(table, [*text_columns, id_column], origin, delimiter)
        texts, notes = _read_texts(table, text_columns, max_characters)
        ids = [_as_string(value) for value in table[id_column]] if id_column else map(_content_id, texts)
        has_usable = has_usable or any(map(is_usable, notes))
        first_note = first_note or next(iter(notes), None)
        count += len(texts)
        yield [TextRow(*row) for row in zip(ids, texts, notes, strict=True)]
    if not count:
        raise InputError(f"{origin} has no rows; there is nothing to label.")
    if not has_usable:
        raise _no_usable_text(origin, text_columns, count, first_note, names)


def class_label(task: TextClassification) -> Any:
    """The `datasets.ClassLabel` feature of a task's labels."""
    from datasets import ClassLabel

    return ClassLabel(names=task.label_names)


def join_columns(row: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """The text of a row: the value of a single column as it is, several as `name: value, name: value`."""
    if len(columns) == 1:
        return row[columns[0]]
    values = {column: _as_string(row[column]).strip() for column in columns}
    return ", ".join(f"{column}: {value}" for column, value in values.items() if value)


def _check_text_columns(columns: Sequence[str]) -> None:
    if isinstance(columns, str) or not columns:
        raise InputError(f"text_columns must be a non-empty list of column names, not {columns!r}.")


def check_columns(table: Table, columns: Sequence[str | None], origin: str, delimiter: str | None) -> None:
    """Refuses a table that lacks one of the columns (`None` is none)."""
    for column in columns:
        if column is not None and column not in table:
            raise InputError(missing_column(column, list(table), origin, delimiter))


def _no_usable_text(
    origin: str, columns: Sequence[str], count: int, note: str | None, names: Sequence[str]
) -> InputError:
    return InputError(
        f"{origin} has no usable text in {', '.join(map(repr, columns))}: the first of its {count} rows is unusable "
        f"because {note}. Choose the column of the texts (there are: {', '.join(map(repr, names))})."
    )


def _read_texts(table: Table, columns: Sequence[str], limit: int) -> tuple[list[str], list[str | None]]:
    texts, notes = [], []
    for values in zip(*(table[column] for column in columns), strict=True):
        text, note = _usable_text(join_columns(dict(zip(columns, values, strict=True)), columns), limit)
        texts.append(text)
        notes.append(note)
    return texts, notes


def _usable_text(value: Any, limit: int) -> tuple[str, str | None]:
    if value is None or (isinstance(value, float) and value != value):
        return "", "the text is missing"
    if not isinstance(value, str):
        return str(value)[:limit], f"the text is a {type(value).__name__}, not a string"
    if not value.strip():
        return value[:limit], "the text is empty"
    if len(value) > limit:
        return value[:limit], f"text cut from {len(value)} to {limit} characters"
    return value, None


def is_usable(note: str | None) -> bool:
    """Whether a text with this `note` can be labelled (a text that was cut can)."""
    return note is None or _was_cut(note)


def _was_cut(note: str) -> bool:
    return note.startswith("text cut ")


def _as_string(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and value != value) else str(value)


def read_ids(table: Table, id_column: str | None, texts: Sequence[str], origin: str) -> list[str]:
    """The ids of the rows: those of a column, which must be unique, or made from the texts."""
    if id_column is None:
        return list(content_ids(texts))
    ids = [_as_string(value) for value in table[id_column]]
    repeated, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise InputError(f"{origin}: id {repeated!r} stands in {count} rows of column {id_column!r}; ids are unique.")
    if "" in ids:
        raise InputError(f"{origin}: row {ids.index('') + 1} has no id in column {id_column!r}.")
    return ids


def content_ids(texts: Sequence[str]) -> Iterator[str]:
    """Ids made from the texts themselves; equal texts are numbered."""
    seen: Counter[str] = Counter()
    for text in texts:
        digest = _content_id(text)
        yield f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1


def _content_id(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def label_ids(table: Table, column: str, task: Task, what: str) -> list[int]:
    """The label ids of a column of label names, -1 where a cell is empty.

    Args:
        table (`Table`): Columns by name.
        column (`str`): The column.
        task (`TextClassification`): Whose labels they are; case and blanks around them do not count.
        what (`str`): Where a value stands and what it is, for the error.

    Raises:
        InputError: If a value is no label of the task.
    """
    ids = {name.strip().casefold(): i for name, i in task.label2id.items()}
    found: list[int] = []
    unknown: Counter[str] = Counter()
    for value in table[column]:
        name = _as_string(value).strip()
        label = ids.get(name.casefold(), NO_LABEL)
        if name and label == NO_LABEL:
            unknown[name] += 1
        found.append(label)
    if unknown:
        name, count = unknown.most_common(1)[0]
        raise InputError(
            f"{what} {name!r} (in {count} rows of column {column!r}) is no label of the task; its labels are "
            f"{', '.join(map(repr, task.label_names))}. Rename one or the other."
        )
    return found
