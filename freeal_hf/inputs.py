"""Reads texts: anything `datasets` loads becomes one data set of `id`, `text` and `note`."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, TextClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

MAX_CHARACTERS = 20_000
"""Longer texts are cut here before anything reads them: no student and few annotators look further."""

AUGMENTED_COLUMN = "augmented_text"

Table = Mapping[str, Sequence[Any]]
"""Column name to values. Not yet a `Dataset`, whose columns cannot hold values of several types."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = {".jsonl", ".ndjson"}
_SUFFIXES = [*_DELIMITERS, ".json", *sorted(_JSON_LINES), ".parquet"]


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

    if isinstance(text_columns, str) or not text_columns:
        raise InputError(f"text_columns must be a non-empty list of column names, not {text_columns!r}.")
    table, origin = _load(source, split=split, delimiter=delimiter, encoding=encoding)
    if augmented_column is None and AUGMENTED_COLUMN in list(table):
        augmented_column = AUGMENTED_COLUMN
    for column in [*text_columns, gold_column, id_column, augmented_column, *extra_columns]:
        if column is not None and column not in list(table):
            raise InputError(_missing_column(column, list(table), origin, delimiter))
    if not len(table[text_columns[0]]):
        raise InputError(f"{origin} has no rows; there is nothing to label.")

    texts, notes = _read_texts(table, text_columns, max_characters)
    if all(note is not None and not _was_cut(note) for note in notes):
        raise InputError(
            f"{origin} has no usable text in {', '.join(map(repr, text_columns))}: the first of its {len(notes)} rows "
            f"is unusable because {notes[0]}. Choose the column of the texts (there are: "
            f"{', '.join(map(repr, list(table)))})."
        )
    columns: dict[str, Any] = {"id": _read_ids(table, id_column, texts, origin), "text": texts, "note": notes}
    features: dict[str, Any] = dict.fromkeys(columns, Value("string"))
    if augmented_column is not None:
        columns[AUGMENTED_COLUMN] = [_as_string(value)[:max_characters] for value in table[augmented_column]]
        features[AUGMENTED_COLUMN] = Value("string")
    if gold_column is not None:
        if task is None:
            raise InputError(f"Reading the gold column {gold_column!r} needs the task whose labels it holds.")
        columns["gold"] = _read_gold(table, gold_column, task, origin)
        features["gold"] = class_label(task)
    for column in extra_columns:
        columns[column] = [_as_string(value) for value in table[column]]
        features[column] = Value("string")
    return Dataset.from_dict(columns, features=Features(features))


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


def _read_ids(table: Table, id_column: str | None, texts: Sequence[str], origin: str) -> list[str]:
    if id_column is None:
        return list(_content_ids(texts))
    ids = [_as_string(value) for value in table[id_column]]
    repeated, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise InputError(f"{origin}: id {repeated!r} stands in {count} rows of column {id_column!r}; ids are unique.")
    if "" in ids:
        raise InputError(f"{origin}: row {ids.index('') + 1} has no id in column {id_column!r}.")
    return ids


def _content_ids(texts: Sequence[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for text in texts:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        yield f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1


def _read_gold(table: Table, column: str, task: TextClassification, origin: str) -> list[int]:
    ids = {name.strip().casefold(): i for name, i in task.label2id.items()}
    gold: list[int] = []
    unknown: Counter[str] = Counter()
    for value in table[column]:
        name = _as_string(value).strip()
        label = ids.get(name.casefold(), NO_LABEL)
        if name and label == NO_LABEL:
            unknown[name] += 1
        gold.append(label)
    if unknown:
        name, count = unknown.most_common(1)[0]
        raise InputError(
            f"{origin}: gold value {name!r} (in {count} rows of column {column!r}) is no label of the task; its "
            f"labels are {', '.join(map(repr, task.label_names))}. Rename one or the other."
        )
    return gold


def _load(source: Any, *, split: str, delimiter: str | None, encoding: str) -> tuple[Table, str]:
    from datasets import Dataset, DatasetDict, IterableDataset

    if isinstance(source, Dataset):
        return _columns_of(source), "The data set"
    if isinstance(source, (DatasetDict, IterableDataset, Mapping)):
        raise InputError(f"Give one Dataset, not a {type(source).__name__}; choose a split, say data['train'].")
    if not isinstance(source, (str, Path)):
        if type(source).__module__.split(".")[0] == "pandas":
            return {str(name): source[name].tolist() for name in source}, "The data frame"
        raise InputError(f"Cannot read data from a {type(source).__name__}; give a path, a Dataset or a DataFrame.")
    path = Path(source)
    if path.is_file():
        return _load_file(path, delimiter, encoding), str(path)
    if path.exists() or path.suffix.lower() in _SUFFIXES or str(source).count("/") > 1 or not str(source).strip():
        raise InputError(f"There is no data file {str(source)!r}; give a {', '.join(_SUFFIXES)} file or a Hub id.")
    return _columns_of(_load_from_hub(str(source), split)), f"Hub data set {str(source)!r}"


def _columns_of(dataset: "Dataset") -> Table:
    """The columns of a data set, label ids as label names."""
    names = {name: feature.names for name, feature in dataset.features.items() if hasattr(feature, "names")}
    named = {
        name: [None if value is None or value < 0 else labels[value] for value in dataset[name]]
        for name, labels in names.items()
    }
    return {name: named.get(name, dataset[name]) for name in dataset.column_names}


def _load_from_hub(name: str, split: str) -> "Dataset":
    from datasets import load_dataset

    try:
        return load_dataset(name, split=split)
    except Exception as error:  # datasets wraps what its readers and the network raise in many types
        raise InputError(
            f"There is no file {name!r}, and loading split {split!r} of it as a Hub data set failed: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        ) from error


def _load_file(path: Path, delimiter: str | None, encoding: str) -> Table:
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; there is nothing to label.")
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import Dataset

        try:
            return _columns_of(Dataset(pq.read_table(path)))
        except pa.ArrowInvalid as error:
            raise InputError(f"{path} is not a Parquet file that can be read: {error}") from error
    try:
        if suffix in _DELIMITERS:
            return _load_csv(path, delimiter or _DELIMITERS[suffix], encoding)
        if suffix == ".json" or suffix in _JSON_LINES:
            return _load_json(path, encoding, lines=suffix in _JSON_LINES)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {error.encoding}: byte {error.object[error.start]:#04x} cannot be decoded. Save it as "
            "UTF-8, or name its encoding (--encoding cp1252, for instance)."
        ) from error
    except LookupError as error:
        raise InputError(f"Encoding {encoding!r} is unknown; use utf-8, cp1252, latin-1, utf-16, ...") from error
    raise InputError(f"{path}: cannot tell the format from {suffix!r}; name it {', '.join(_SUFFIXES)}.")


def _load_csv(path: Path, delimiter: str, encoding: str) -> Table:
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses what `max_characters` will cut
    with path.open(encoding=_with_bom(encoding), newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            rows = []
            for row in reader:
                # csv gives [] for a blank line, which is a row only where there is a single column.
                if row or len(header) == 1:
                    if len(row) > len(header):
                        raise csv.Error(f"{len(row)} cells under a header of {len(header)}")
                    rows.append(row + [None] * (len(header) - len(row)))
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: not a table separated by {delimiter!r}: {error}. Quote cells that "
                f"contain the separator or a line break.{_delimiter_hint(header, delimiter)}"
            ) from error
    repeated, count = Counter(header).most_common(1)[0] if header else ("", 0)
    if count > 1:
        raise InputError(f"{path} has {count} columns named {repeated!r}; rename all but one.")
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _with_bom(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _delimiter_hint(header: Sequence[str], delimiter: str | None) -> str:
    other = next((mark for mark in (";", "\t", "|", ",") if len(header) == 1 and mark in header[0]), None)
    return "" if other in (None, delimiter) else f" It looks separated by {other!r}: try --delimiter {other!r}."


def _load_json(path: Path, encoding: str, *, lines: bool) -> Table:
    content = path.read_text(encoding=_with_bom(encoding))
    # Not splitlines(): JSON strings may hold other line separators than \n.
    numbered = enumerate(content.split("\n"), start=1) if lines else [(1, content)]
    rows: Any = []
    for number, document in numbered:
        if document.strip():
            try:
                rows.append(json.loads(document))
            except json.JSONDecodeError as error:
                line = number + error.lineno - 1
                raise InputError(f"{path}, line {line}: not valid JSON: {error.msg}.") from error
    rows = rows if lines or not rows else rows[0]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} must hold a list of objects, or one object a line with the ending .jsonl.")
    if not rows:
        raise InputError(f"{path} is empty; there is nothing to label.")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _missing_column(column: str, names: Sequence[str], origin: str, delimiter: str | None) -> str:
    listed = ", ".join(map(repr, names))
    return f"{origin} has no column {column!r}; its columns are {listed}.{_delimiter_hint(names, delimiter)}"
