"""Reads texts: any table becomes one dataset of `id`, `text` and `note`."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from freeal_hf.data.arrow import PIECE, StringColumn, dataset_of, spooled, table_of
from freeal_hf.data.joins import former_id
from freeal_hf.data.label_columns import LabelColumn
from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, holds_harmless_cells, restored
from freeal_hf.data.tables import OpenTable, Table, open_table
from freeal_hf.errors import InputError
from freeal_hf.tasks import Task, TextClassification

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from datasets import Dataset

MAX_CHARACTERS = 20_000
"""Longer texts are cut here before anything reads them: no student and few annotators look further."""

_OWN_COLUMNS = {"id", "text", "note", "gold", "tokens", "token_starts", AUGMENTED_COLUMN}


def read_data(
    source: "str | Path | Dataset | pd.DataFrame",
    task: TextClassification | None = None,
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
) -> "Dataset":
    """Reads texts and, if there are any, gold labels.

    No row is dropped: a value that is no usable text is kept with a `note` that says why it cannot be labelled.

    Args:
        source (`str`, `Path`, `Dataset` or `DataFrame`):
            A CSV, TSV, JSON, JSON-lines or Parquet file, a folder of them, a dataset id of the Hub, or data that is
            loaded already: anything that `open_table` opens.
        task (`TextClassification`, *optional*): The task, needed to read gold labels.
        text_columns (`Sequence[str]`, defaults to `("text",)`):
            Column of the text; several are joined as `name: value, name: value` with empty values left out.
        gold_column (`str`, *optional*): Column of the true labels, as label names. It is only ever scored against.
        id_column (`str`, *optional*):
            Column of unique ids. Without it an id is made from the text itself, so that it stays the same when rows
            move or other rows come and go.
        augmented_column (`str`, *optional*):
            Column with a paraphrase of each text; `augmented_text` is taken when it is there.
        extra_columns (`Sequence[str]`):
            Further columns to keep as strings, for instance another system's labels. One that has the name of a column
            of the result is called `column:NAME` there: it may also be the column of the gold labels.
        split (`str`, *optional*): Split of a source that has several; `train` by default.
        delimiter, encoding (`str`, *optional*): Layout of a text file; by default it is found in the file.
        quoting (`str`, *optional*): `"csv"` if quotes mark cells, `"none"` if they are part of the texts.
        max_characters (`int`): Longer texts are cut, and their `note` says so.

    Returns:
        `Dataset`: Columns `id`, `text`, `note` (string or null) and, where given, `augmented_text`, `gold` (a
        `ClassLabel`, -1 where the cell is empty) and the extra columns.

    Raises:
        InputError: If the file or a column is missing, nothing is in it, it cannot be decoded or parsed, ids repeat,
            or nearly no gold value is a label of the task. Some gold values that are none count as missing, with a
            warning.
    """
    import pyarrow as pa
    from datasets import Features, Value

    _check_text_columns(text_columns)
    if gold_column is not None and task is None:
        raise InputError(f"Reading the gold column {gold_column!r} needs the task whose labels it holds.")
    opened = open_table(source, split=split, delimiter=delimiter, encoding=encoding, quoting=quoting)
    origin = opened.origin
    if augmented_column is None and AUGMENTED_COLUMN in opened.names:
        augmented_column = AUGMENTED_COLUMN
    wanted = [*text_columns, gold_column, id_column, augmented_column, *extra_columns]
    tables = opened.read([column for column in wanted if column is not None], rows=PIECE)
    names = ["text", "note", *([AUGMENTED_COLUMN] if augmented_column else []), *map(extra_name, extra_columns)]
    features: dict[str, Any] = dict.fromkeys(names, Value("string"))
    if gold_column is not None:
        assert task is not None
        features["gold"] = class_label(task)
    schema = Features(features).arrow_schema
    gold = LabelColumn(task, f"{origin}, gold column {gold_column!r}") if task is not None and gold_column else None
    ids: list[pa.Array] = []
    usable = _Usable(opened, text_columns)

    def pieces() -> Iterator[pa.Table]:
        for table in tables:
            table = _as_it_was(table, opened)
            texts, notes = _read_texts(table, text_columns, max_characters)
            usable.saw(notes)
            ids.append(pa.array(_named(table, id_column, texts), pa.string()))
            columns: dict[str, Any] = {"text": texts, "note": notes}
            if augmented_column is not None:
                columns[AUGMENTED_COLUMN] = [_as_string(value)[:max_characters] for value in table[augmented_column]]
            for column in extra_columns:
                columns[extra_name(column)] = [_as_string(value) for value in table[column]]
            if gold_column is not None:
                assert gold is not None
                columns["gold"] = gold.ids(table[gold_column])
            yield pa.table(columns, schema=schema)

    texts = spooled(pieces())
    usable.check()
    if gold is not None:
        gold.check()
    columns = [_unique(pa.chunked_array(ids), id_column, origin), *texts.columns]
    return dataset_of(pa.Table.from_arrays(columns, schema=Features({"id": Value("string"), **features}).arrow_schema))


class _Usable:
    """Whether there is any text that can be labelled."""

    def __init__(self, table: OpenTable, columns: Sequence[str]) -> None:
        self.origin, self.columns, self.names = table.origin, columns, table.names
        self.found, self.count = False, 0
        self.first_note: str | None = None

    def saw(self, notes: Sequence[str | None]) -> None:
        """Notes what was read of some rows."""
        self.found = self.found or any(map(is_usable, notes))
        self.first_note = self.first_note or next(iter(notes), None)
        self.count += len(notes)

    def check(self) -> None:
        """Refuses a table without rows, or with none that has a text."""
        if not self.count:
            raise InputError(f"{self.origin} has no rows; there is nothing to label.")
        if not self.found:
            raise InputError(
                f"{self.origin} has no usable text in {', '.join(map(repr, self.columns))}: the first of its "
                f"{self.count} rows is unusable because {self.first_note}. Choose the column of the texts (there are: "
                f"{', '.join(map(repr, self.names))})."
            )


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
    split: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
    max_characters: int = MAX_CHARACTERS,
    rows: int = 4096,
) -> Iterator[list[TextRow]]:
    """Reads texts as `read_data` does, some rows at a time, from files that may be larger than memory.

    Args:
        source, text_columns, split, delimiter, encoding, quoting, max_characters: As in `read_data`.
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
    opened = open_table(source, split=split, delimiter=delimiter, encoding=encoding, quoting=quoting)
    usable = _Usable(opened, text_columns)
    for table in opened.read([*text_columns, *([id_column] if id_column else [])], rows=rows):
        table = _as_it_was(table, opened)
        texts, notes = _read_texts(table, text_columns, max_characters)
        usable.saw(notes)
        yield [TextRow(*row) for row in zip(_named(table, id_column, texts), texts, notes, strict=True)]
    usable.check()


def extra_name(column: str) -> str:
    """The name under which `read_data` keeps an extra column; one of its own names is not used for two columns."""
    return f"column:{column}" if column in _OWN_COLUMNS else column


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


def _as_it_was(table: Table, opened: OpenTable) -> Table:
    """What was read of a CSV file that was written here, without what keeps spreadsheets from executing its cells."""
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
    """Whether a text with this `note` can be labelled (a text that was cut can)."""
    return note is None or _was_cut(note)


def _was_cut(note: str) -> bool:
    return note.startswith("text cut ")


def _as_string(value: Any) -> str:
    return "" if value is None else str(value)


def read_ids(table: Table, id_column: str | None, texts: Sequence[str], origin: str) -> list[str]:
    """The ids of the rows: those of a column, which must be unique, or made from the texts."""
    import pyarrow as pa

    ids = pa.chunked_array([pa.array(_named(table, id_column, texts), pa.string())])
    return _unique(ids, id_column, origin).to_pylist()


def _named(table: Table, id_column: str | None, texts: Sequence[str]) -> list[str]:
    return list(map(_content_id, texts) if id_column is None else map(_as_string, table[id_column]))


def _unique(ids: "pa.ChunkedArray", id_column: str | None, origin: str) -> "pa.ChunkedArray":
    """Ids that differ: those of a column are refused if they do not, those made from equal texts are numbered."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = ids.dictionary_encode().combine_chunks()
    codes = encoded.indices.to_numpy()
    counts = np.bincount(codes)
    if id_column is None:
        is_repeated = counts[codes] > 1
        numbered = pa.array(_numbered(ids.filter(pa.array(is_repeated)).to_pylist()), pa.string())
        return pc.replace_with_mask(ids, pa.array(is_repeated), numbered)
    if counts.max() > 1:
        repeated = encoded.dictionary[int(counts.argmax())].as_py()
        raise InputError(
            f"{origin}: id {repeated!r} stands in {counts.max()} rows of column {id_column!r}; ids are unique."
        )
    if (empty := pc.index(ids, "").as_py()) >= 0:
        raise InputError(f"{origin}: row {empty + 1} has no id in column {id_column!r}.")
    return ids


def content_ids(texts: Sequence[str]) -> Iterator[str]:
    """Ids made from the texts themselves; equal texts are numbered."""
    return _numbered(map(_content_id, texts))


def _numbered(digests: Iterable[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for digest in digests:
        yield f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1


def _content_id(text: str) -> str:
    # Without the letter a spreadsheet takes an id of digits, or of digits and one e, for a number.
    return "t" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fingerprint(dataset: "Dataset") -> str:
    """What tells one dataset from another in a run's folder: a digest of the ids.

    Args:
        dataset (`Dataset`): What `read_data` or `read_sentences` returned.
    """
    return _fingerprint(StringColumn(table_of(dataset)["id"], np.arange(len(dataset))))


def with_stored_ids(dataset: "Dataset", stored: str | None) -> "Dataset":
    """The dataset with the ids under which a run's folder knows it.

    A run that was begun when ids made from texts had no letter goes on with those.

    Args:
        dataset (`Dataset`): What `read_data` or `read_sentences` returned.
        stored (`str`, *optional*): Its fingerprint as the run's folder has it.
    """
    import pyarrow as pa

    if stored is None or stored == fingerprint(dataset):
        return dataset
    table = table_of(dataset)
    former = [former_id(sample) for sample in StringColumn(table["id"], np.arange(len(dataset)))]
    if None in former or _fingerprint(former) != stored:
        return dataset
    place = table.column_names.index("id")
    return dataset_of(table.set_column(place, table.schema.field("id"), pa.array(former, pa.string())))


def _fingerprint(ids: Iterable[str | None]) -> str:
    digest = hashlib.sha256()
    for number, sample in enumerate(ids):
        digest.update(f"\n{sample}".encode() if number else str(sample).encode())
    return digest.hexdigest()[:16]


def label_ids(table: Table, column: str, task: Task, what: str) -> list[int]:
    """The label ids of a column of label names, -1 where a cell is empty.

    Args:
        table (`Table`): Columns by name.
        column (`str`): The column.
        task (`TextClassification`): Whose labels they are; see `Task.label_of`.
        what (`str`): Where the column stands, for the error.

    Raises:
        InputError: If a value is no label of the task.
    """
    labels = LabelColumn(task, f"{what} {column!r}")
    found = labels.ids(table[column])
    labels.check_all()
    return found
