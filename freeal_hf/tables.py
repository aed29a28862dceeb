"""Reads tables: CSV, TSV, JSON, JSON lines, Parquet, Hub data sets, data in memory; whole or some rows at a time."""

import csv
import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from freeal_hf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

Table = Mapping[str, Sequence[Any]]
"""Column name to values. Not yet a `Dataset`, whose columns cannot hold values of several types."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = {".jsonl", ".ndjson"}
_SUFFIXES = [*_DELIMITERS, ".json", *sorted(_JSON_LINES), ".parquet"]


def read_tables(
    source: "str | Path | Dataset | pd.DataFrame",
    *,
    split: str = "train",
    delimiter: str | None = None,
    encoding: str = "utf-8",
    rows: int | None = None,
) -> tuple[Iterator[Table], str]:
    """Reads a table, whole or in pieces.

    Args:
        source (`str`, `Path`, `Dataset` or `DataFrame`):
            A CSV, TSV, JSON, JSON-lines or Parquet file, a folder of such files, a pattern of their names or their
            address as fsspec knows it (`"s3://bucket/texts/*.parquet"`), a Hub data set id, or data that is loaded
            already.
        split (`str`, defaults to `"train"`): Split of a Hub data set.
        delimiter (`str`, *optional*): Field separator of a CSV file.
        encoding (`str`, defaults to `"utf-8"`): Encoding of a text file.
        rows (`int`, *optional*):
            Most rows of a piece; by default all come in one. In pieces a file may be larger than memory, unless it is
            `.json`, one value that can only be read whole. JSON lines are read twice: any line may bring a column.

    Returns:
        `tuple[Iterator[Table], str]`: The pieces, at least one, and how to call the source in messages.

    Raises:
        InputError: At once if there is no such source; from the iterator if it is empty or cannot be read.
    """
    from datasets import Dataset, DatasetDict, IterableDataset

    if isinstance(source, Dataset):
        return _dataset_tables(source, rows), "The data set"
    if isinstance(source, (DatasetDict, IterableDataset, Mapping)):
        raise InputError(f"Give one Dataset, not a {type(source).__name__}; choose a split, say data['train'].")
    if not isinstance(source, (str, Path)):
        if type(source).__module__.split(".")[0] == "pandas":
            table = {str(name): source[name].tolist() for name in source}
            return iter([table]), "The data frame"
        raise InputError(f"Cannot read data from a {type(source).__name__}; give a path, a Dataset or a DataFrame.")
    path = Path(source)
    if path.is_file():
        return _file_tables(path, delimiter, encoding, rows), str(path)
    if path.is_dir() or "://" in str(source) or "*" in str(source):
        shards = _shard_tables(str(source), delimiter, encoding, rows)
        return (shards if rows else iter([_joined(shards)])), str(source)
    if path.exists() or path.suffix.lower() in _SUFFIXES or str(source).count("/") > 1 or not str(source).strip():
        raise InputError(f"There is no data file {str(source)!r}; give a {', '.join(_SUFFIXES)} file or a Hub id.")
    return _dataset_tables(_load_from_hub(str(source), split), rows), f"Hub data set {str(source)!r}"


class RawTable(NamedTuple):
    """All cells of a table as strings, for writing them again.

    Args:
        names (`list[str]`): The column names in their order. They may repeat or be empty.
        rows (`Iterator[list[str]]`): The rows in the order of `read_tables`; each has one cell per column.
        delimiter (`str`): The separator of a CSV or TSV file, a comma for everything else.
    """

    names: list[str]
    rows: Iterator[list[str]]
    delimiter: str


def raw_table(
    source: "str | Path | Dataset | pd.DataFrame",
    *,
    split: str = "train",
    delimiter: str | None = None,
    encoding: str = "utf-8",
    rows: int = 1000,
) -> RawTable:
    """Reads every column of a table as strings. Cells of CSV files are not changed.

    Args:
        source, split, delimiter, encoding: As in `read_tables`.
        rows (`int`, defaults to 1000): Number of rows in memory at a time.

    Raises:
        InputError: As in `read_tables`.
    """
    tables, _ = read_tables(source, split=split, delimiter=delimiter, encoding=encoding, rows=rows)
    first = next(tables)
    suffix = Path(source).suffix.lower() if isinstance(source, (str, Path)) else ""
    cells = (
        [cell_text(value) for value in row]
        for table in chain([first], tables)
        for row in zip(*table.values(), strict=True)
    )
    return RawTable(list(first), cells, delimiter or _DELIMITERS.get(suffix, ","))


def cell_text(value: Any) -> str:
    """The value of a cell as a string: empty if it is missing, JSON for lists and objects."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def missing_column(column: str, names: Sequence[str], origin: str, delimiter: str | None) -> str:
    """The message for a column that a table does not have."""
    listed = ", ".join(map(repr, names))
    hint = (
        " Words in 'tokens' are read for entity tasks only (type: token-classification)." if "tokens" in names else ""
    )
    hint = hint or _delimiter_hint(names, delimiter)
    if column == "text" and not hint:
        hint = " Name the one that holds the texts (--text-columns)."
    return f"{origin} has no column {column!r}; its columns are {listed}.{hint}"


def _dataset_tables(dataset: "Dataset", rows: int | None) -> Iterator[Table]:
    step = rows or max(1, len(dataset))
    for start in range(0, max(1, len(dataset)), step):
        yield _columns_of(dataset.select(range(start, min(start + step, len(dataset)))) if rows else dataset)


def _columns_of(dataset: "Dataset") -> Table:
    """The columns of a data set, label ids as label names; of words' tags too."""
    columns = {name: dataset[name] for name in dataset.column_names}
    for name, feature in dataset.features.items():
        labels = getattr(getattr(feature, "feature", feature), "names", None)
        if labels is not None:
            columns[name] = [_named(value, labels) for value in dataset[name]]
    return columns


def _named(value: Any, labels: Sequence[str]) -> Any:
    """The name of a label id or the names of several; `None` where one is missing."""
    ids = value if isinstance(value, list) else [value]
    if value is None or any(i is None or i < 0 for i in ids):
        return None
    return [labels[i] for i in ids] if isinstance(value, list) else labels[value]


def _load_from_hub(name: str, split: str) -> "Dataset":
    from datasets import load_dataset

    try:
        return load_dataset(name, split=split)
    except Exception as error:  # datasets wraps what its readers and the network raise in many types
        raise InputError(
            f"There is no file {name!r}, and loading split {split!r} of it as a Hub data set failed: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        ) from error


def _file_tables(path: Path, delimiter: str | None, encoding: str, rows: int | None) -> Iterator[Table]:
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; there is nothing to label.")
    try:
        if suffix == ".parquet":
            yield from _parquet_tables(path, rows)
        elif suffix in _DELIMITERS:
            yield from _csv_tables(path, delimiter or _DELIMITERS[suffix], encoding, rows)
        elif suffix == ".json":
            yield _json_table(path, encoding)
        elif suffix in _JSON_LINES:
            yield from _json_lines_tables(path, encoding, rows)
        else:
            raise InputError(f"{path}: cannot tell the format from {suffix!r}; save it as {', '.join(_SUFFIXES)}.")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {error.encoding}: byte {error.object[error.start]:#04x} cannot be decoded. Save it as "
            f"UTF-8, or name its encoding (--encoding {_likely_encoding(error.object)}, for instance)."
        ) from error
    except LookupError as error:
        raise InputError(f"Encoding {encoding!r} is unknown; use utf-8, cp1252, latin-1, utf-16, ...") from error


def _shard_tables(source: str, delimiter: str | None, encoding: str, rows: int | None) -> Iterator[Table]:
    """The tables of all files of a folder, in the order of their names; a remote one is on this disk while it is read.

    Raises:
        InputError: If there is no such place, no table in it, or a file has other columns than the first.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, root = fsspec.core.url_to_fs(source)
        found = files.glob(root) if "*" in root else files.find(root)
        names = [name for name in sorted(found) if Path(name).suffix.lower() in _SUFFIXES]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{source!r} cannot be read: {error}") from error
    if not names:
        raise InputError(
            f"{source!r} holds no table; give a file, or a folder or a pattern of {', '.join(_SUFFIXES)} files."
        )
    columns: list[str] = []
    with TemporaryDirectory(prefix="freeal-") as folder:
        for name in names:
            path = Path(name) if isinstance(files, LocalFileSystem) else Path(folder, Path(name).name)
            if not path.exists():
                files.get(name, str(path))
            for table in _file_tables(path, delimiter, encoding, rows):
                columns = columns or list(table)
                if set(table) != set(columns):
                    raise InputError(f"{name} has the columns {list(table)}, the files before it {columns}.")
                yield table
            if path.parent == Path(folder):
                path.unlink()


def _joined(tables: Iterator[Table]) -> Table:
    parts = list(tables)
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _parquet_tables(path: Path, rows: int | None) -> Iterator[Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    try:
        if rows is None or pq.read_metadata(path).num_rows == 0:
            yield _columns_of(Dataset(pq.read_table(path)))
            return
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows):
                yield _columns_of(Dataset(pa.Table.from_batches([batch])))
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not a Parquet file that can be read: {error}") from error


def _csv_tables(path: Path, delimiter: str, encoding: str, rows: int | None) -> Iterator[Table]:
    if len(delimiter) != 1:
        raise InputError(f"The delimiter {delimiter!r} is not one character; columns are separated by , ; | or \\t.")
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses what a cut at the longest text will shorten
    header: list[str] = []
    with path.open(encoding=_with_bom(encoding), newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            _check_header(header, path)
            records = _csv_records(reader, len(header))
            piece = list(islice(records, rows))
            yield _transposed(header, piece)  # without rows too: the columns are known
            while rows and len(piece) == rows and (piece := list(islice(records, rows))):
                yield _transposed(header, piece)
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: not a table separated by {delimiter!r}: {error}. Quote cells that "
                f"contain the separator or a line break.{_delimiter_hint(header, delimiter)}"
            ) from error


def _csv_records(reader: Iterator[list[str]], width: int) -> Iterator[list[str | None]]:
    for row in reader:
        # csv gives [] for a blank line, which is a row only where there is a single column.
        if row or width == 1:
            if len(row) > width:
                raise csv.Error(f"{len(row)} cells under a header of {width}")
            yield [*row, *[None] * (width - len(row))]


def _check_header(header: Sequence[str], path: Path) -> None:
    repeated, count = Counter(header).most_common(1)[0] if header else ("", 0)
    if count > 1:
        raise InputError(f"{path} has {count} columns named {repeated!r}; rename all but one.")


def _transposed(header: Sequence[str], records: Sequence[Sequence[Any]]) -> Table:
    return {name: [record[i] for record in records] for i, name in enumerate(header)}


def _with_bom(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _likely_encoding(content: bytes) -> str:
    return "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "cp1252"


def _delimiter_hint(header: Sequence[str], delimiter: str | None) -> str:
    other = next((mark for mark in (";", "\t", "|", ",") if len(header) == 1 and mark in header[0]), None)
    return "" if other in (None, delimiter) else f" It looks separated by {other!r}: try --delimiter {other!r}."


def _json_table(path: Path, encoding: str) -> Table:
    rows = _parsed(path.read_text(encoding=_with_bom(encoding)), path, 1)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _not_objects(path)
    if not rows:
        raise InputError(f"{path} is empty; there is nothing to label.")
    return _table_of_objects(rows, dict.fromkeys(name for row in rows for name in row))


def _json_lines_tables(path: Path, encoding: str, rows: int | None) -> Iterator[Table]:
    # Lines end at \n and nowhere else: JSON strings may hold other line separators.
    with path.open(encoding=_with_bom(encoding), newline="\n") as file:
        names = dict.fromkeys(name for one in _json_lines(file, path) for name in one)
        if not names:
            raise InputError(f"{path} is empty; there is nothing to label.")
        file.seek(0)
        objects = _json_lines(file, path)
        while piece := list(islice(objects, rows)):
            yield _table_of_objects(piece, names)


def _json_lines(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            value = _parsed(line.removesuffix("\n"), path, number)
            if not isinstance(value, dict):
                raise _not_objects(path)
            yield value


def _parsed(document: str, path: Path, line: int) -> Any:
    try:
        return json.loads(document)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {line + error.lineno - 1}: not valid JSON: {error.msg}.") from error


def _not_objects(path: Path) -> InputError:
    return InputError(f"{path} must hold a list of objects, or one object a line with the ending .jsonl.")


def _table_of_objects(rows: Sequence[Mapping[str, Any]], names: Mapping[str, None]) -> Table:
    return {name: [row.get(name) for row in rows] for name in names}
