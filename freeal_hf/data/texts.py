"""Reads texts from any table as a dataset with the columns `id`, `text` and `note`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from freeal_hf.data.arrow import PIECE, dataset_of, spooled
from freeal_hf.data.cells import plain_text
from freeal_hf.data.columns import OpenTable, Table
from freeal_hf.data.counting import counted
from freeal_hf.data.label_columns import LabelColumn
from freeal_hf.data.label_sets import columns_for, joined_cells
from freeal_hf.data.row_ids import given_or_content_ids, unique_ids
from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, holds_harmless_cells, restored
from freeal_hf.data.tables import open_table
from freeal_hf.errors import InputError
from freeal_hf.tasks import MultiLabelClassification, TextClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

MAX_CHARACTERS = 20_000
"""Longer texts are truncated when they are read. No student and few annotators read more."""

_OWN_COLUMNS = {"id", "text", "note", "gold", "tokens", "token_starts", AUGMENTED_COLUMN}


def read_data(
    source: "str | Path | Dataset | pd.DataFrame",
    task: TextClassification | MultiLabelClassification | None = None,
    *,
    text_columns: Sequence[str] = ("text",),
    gold_column: str | None = None,
    id_column: str | None = None,
    augmented_column: str | None = None,
    extra_columns: Sequence[str] = (),
    split: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
    max_characters: int = MAX_CHARACTERS,
    label_column: Callable[[Any, str], Any] = LabelColumn,
) -> "Dataset":
    """Reads texts and optionally gold labels.

    No row is dropped. If a row has no usable text, its `note` says why it cannot be labelled.

    Args:
        source (`str`, `Path`, `Dataset` or `DataFrame`): A file, a folder, a Hub dataset id, data in memory, or
            another source that `open_table` can open.
        task (`TextClassification` or `MultiLabelClassification`, *optional*): The task, needed to read gold labels.
        text_columns (`Sequence[str]`, *optional*, defaults to `("text",)`): The column of the text. Several columns
            are joined as `name: value, name: value`, without empty values.
        gold_column (`str`, *optional*): The column of the true labels, as label names. They are only used for scores.
            `*` in the name is replaced by the name of each label: `gold_*` are columns of truth values.
        id_column (`str`, *optional*): The column of unique ids. By default an id is made from the text, so that it
            stays the same if rows are moved, added or removed.
        augmented_column (`str`, *optional*): The column with a paraphrase of each text. Defaults to `augmented_text`
            if there is such a column.
        extra_columns (`Sequence[str]`, *optional*): Further columns to keep as strings, such as labels of another
            system, or again the gold column. If the result has another column of this name, it is called
            `column:NAME`.
        split (`str`, *optional*): The split of a source with several splits. Defaults to `train`.
        delimiter, encoding (`str`, *optional*): The layout of text files. By default it is detected in each file.
        quoting (`str`, *optional*): `"csv"` if quotes mark cells, `"none"` if they are part of the texts.
        max_characters (`int`, *optional*): Longer texts are truncated, and their `note` says so.
        label_column (`Callable`, *optional*, defaults to `LabelColumn`): What reads the gold labels: `LabelColumn`, or
            `LabelSetColumn` for a task with any number of labels.

    Returns:
        `Dataset`: A dataset with the columns `id`, `text`, `note` (string or null) and, if given, `augmented_text`,
        `gold` (a `ClassLabel`; -1 for an empty cell) and the extra columns.

    Raises:
        InputError: If the source or a column is missing or empty, or cannot be decoded or parsed, if ids are repeated,
            or if almost no gold value is a label of the task. Other gold values count as missing, with a warning.

    Example:

        >>> import pandas as pd
        >>> read_data(pd.DataFrame({"text": ["a good film", None]}))["note"][:]
        [None, 'the text is missing']
    """
    import pyarrow as pa
    from datasets import Features, Value

    _check_text_columns(text_columns)
    if gold_column is not None and task is None:
        raise InputError(f"The gold column {gold_column!r} can only be read with a task: pass task=.")
    opened = open_table(source, split=split, delimiter=delimiter, encoding=encoding, quoting=quoting)
    origin = opened.origin
    if augmented_column is None and AUGMENTED_COLUMN in opened.names:
        augmented_column = AUGMENTED_COLUMN
    labels = [] if task is None else task.label_names
    of_labels = {
        column: columns_for(column, labels, opened.names) for column in (gold_column, *extra_columns) if column
    }
    wanted = [*text_columns, id_column, augmented_column, *(name for names in of_labels.values() for name in names)]
    tables = opened.read([column for column in wanted if column is not None], rows=PIECE)
    names = ["text", "note", *([AUGMENTED_COLUMN] if augmented_column else []), *map(extra_name, extra_columns)]
    features: dict[str, Any] = dict.fromkeys(names, Value("string"))
    gold = label_column(task, f"{origin}, gold column {gold_column!r}") if task is not None and gold_column else None
    if gold is not None:
        features["gold"] = gold.feature
    schema = Features(features).arrow_schema
    ids: list[pa.Array] = []
    usable = _Usable(opened, text_columns)

    def pieces() -> Iterator[pa.Table]:
        for table in tables:
            table = _as_it_was(table, opened)
            texts, notes = _read_texts(table, text_columns, max_characters)
            usable.saw(notes)
            ids.append(pa.array(given_or_content_ids(table, id_column, texts), pa.string()))
            columns: dict[str, Any] = {"text": texts, "note": notes}
            if augmented_column is not None:
                columns[AUGMENTED_COLUMN] = [plain_text(value)[:max_characters] for value in table[augmented_column]]
            cells = {column: joined_cells(table, column, labels, names, origin) for column, names in of_labels.items()}
            for column in extra_columns:
                columns[extra_name(column)] = [plain_text(value) for value in cells[column]]
            if gold is not None and gold_column is not None:
                columns["gold"] = gold.ids(cells[gold_column])
            yield pa.table(columns, schema=schema)

    texts = spooled(pieces())
    usable.check()
    if gold is not None:
        gold.check()
    columns = [unique_ids(pa.chunked_array(ids), id_column, origin), *texts.columns]
    return dataset_of(pa.Table.from_arrays(columns, schema=Features({"id": Value("string"), **features}).arrow_schema))


class _Usable:
    """Checks that there is a text that can be labelled."""

    def __init__(self, table: OpenTable, columns: Sequence[str]) -> None:
        self.origin, self.columns, self.names = table.origin, columns, table.names
        self.found, self.count = False, 0
        self.first_note: str | None = None

    def saw(self, notes: Sequence[str | None]) -> None:
        """Records the notes of rows."""
        self.found = self.found or any(map(is_usable, notes))
        self.first_note = self.first_note or next(iter(notes), None)
        self.count += len(notes)

    def check(self) -> None:
        """Raises an error if the table has no rows, or no usable text."""
        if not self.count:
            raise InputError(f"{self.origin} has no rows; there is nothing to label.")
        if not self.found:
            raise InputError(
                f"{self.origin} has no usable text in {', '.join(map(repr, self.columns))}: it has "
                f"{counted(self.count, 'row')}, and in the first one {self.first_note}. Choose the column of the "
                f"texts (there are: {', '.join(map(repr, self.names))})."
            )


class TextRow(NamedTuple):
    """A row of a table: its id, its text, and a note if it was truncated or cannot be labelled."""

    id: str
    text: str
    note: str | None


def stream_texts(
    source: "str | Path | Dataset | pd.DataFrame",
    *,
    text_columns: Sequence[str] = ("text",),
    id_column: str | None = None,
    split: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
    max_characters: int = MAX_CHARACTERS,
    rows: int = 4096,
) -> Iterator[list[TextRow]]:
    """Reads texts like `read_data`, but in pieces, from files that can be larger than memory.

    Args:
        source, text_columns, split, delimiter, encoding, quoting, max_characters: As in `read_data`.
        id_column (`str`, *optional*): The column of ids. By default an id is made from the text. Unlike in
            `read_data`, equal texts have equal ids, because distinct ones would need memory for all rows.
        rows (`int`, *optional*, defaults to 4096): The maximum number of rows in a piece.

    Yields:
        `list[TextRow]`: The next rows, in their order.

    Raises:
        InputError: As in `read_data`. Errors in later rows are raised when these rows are read.

    Example:

        >>> import pandas as pd
        >>> pieces = stream_texts(pd.DataFrame({"text": ["a plum", "a saw", "a pear"]}), rows=2)
        >>> [[row.text for row in piece] for piece in pieces]
        [['a plum', 'a saw'], ['a pear']]
    """
    _check_text_columns(text_columns)
    opened = open_table(source, split=split, delimiter=delimiter, encoding=encoding, quoting=quoting)
    usable = _Usable(opened, text_columns)
    for table in opened.read([*text_columns, *([id_column] if id_column else [])], rows=rows):
        table = _as_it_was(table, opened)
        texts, notes = _read_texts(table, text_columns, max_characters)
        usable.saw(notes)
        yield [TextRow(*row) for row in zip(given_or_content_ids(table, id_column, texts), texts, notes, strict=True)]
    usable.check()


def extra_name(column: str) -> str:
    """Returns the name of an extra column in the result of `read_data`.

    Args:
        column (`str`): The name of the column in the source.

    Returns:
        `str`: The same name, or `column:NAME` if `read_data` uses the name for another column.

    Example:

        >>> extra_name("gpt"), extra_name("gold")
        ('gpt', 'column:gold')
    """
    return f"column:{column}" if column in _OWN_COLUMNS else column


def class_label(task: TextClassification) -> Any:
    """Returns the `datasets.ClassLabel` feature for the labels of a task.

    Example:

        >>> class_label(TextClassification(["ham", "spam"])).names
        ['ham', 'spam']
    """
    from datasets import ClassLabel

    return ClassLabel(names=task.label_names)


def join_columns(row: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """Joins the text columns of a row.

    Args:
        row (`Mapping[str, Any]`): The row.
        columns (`Sequence[str]`): The names of the text columns.

    Returns:
        `Any`: The value of a single column; several non-empty values as `name: value, name: value`.

    Example:

        >>> join_columns({"title": "Great", "body": "", "stars": 5}, ["title", "body", "stars"])
        'title: Great, stars: 5'
    """
    if len(columns) == 1:
        return row[columns[0]]
    values = {column: plain_text(row[column]).strip() for column in columns}
    return ", ".join(f"{column}: {value}" for column, value in values.items() if value)


def _check_text_columns(columns: Sequence[str]) -> None:
    if isinstance(columns, str) or not columns:
        raise InputError(f"text_columns is {columns!r}; it must be a list of column names that is not empty.")


def _as_it_was(table: Table, opened: OpenTable) -> Table:
    """Removes the apostrophes that freeal-hf added for spreadsheets, if it has written the table."""
    if opened.delimiter is None or not holds_harmless_cells(opened.names):
        return table
    return {
        name: [restored(value) if isinstance(value, str) else value for value in values]
        for name, values in table.items()
    }


def _read_texts(table: Table, columns: Sequence[str], limit: int) -> tuple[list[str], list[str | None]]:
    texts, notes = [], []
    for values in zip(*(table[column] for column in columns), strict=True):
        text, note = _usable_text(join_columns(dict(zip(columns, values, strict=True)), columns), limit)
        texts.append(text)
        notes.append(note)
    return texts, notes


def _usable_text(value: Any, limit: int) -> tuple[str, str | None]:
    if value is None:
        return "", "the text is missing"
    if not isinstance(value, str):
        return str(value)[:limit], f"the text is a {type(value).__name__}, not a string"
    if not value.strip():
        return value[:limit], "the text is empty"
    if len(value) > limit:
        return value[:limit], f"text cut from {len(value)} to {limit} characters"
    return value, None


def is_usable(note: str | None) -> bool:
    """Returns whether a text with a `note` can be labelled. A truncated text can.

    Args:
        note (`str`, *optional*): The note of the row.

    Returns:
        `bool`: Whether the text can be labelled.

    Example:

        >>> is_usable(None), is_usable("the text is missing")
        (True, False)
    """
    return note is None or note.startswith("text cut ")
