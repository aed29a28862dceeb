"""Reads tables (CSV, TSV, JSON, JSON lines, Parquet, Hub datasets, data in memory), completely or in pieces."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from freeal_hf.data.arrow import PIECE
from freeal_hf.data.cells import cell_text, normal_cell
from freeal_hf.data.counting import counted
from freeal_hf.data.folders import chosen_files
from freeal_hf.data.formats import SUFFIXES, format_of, table_suffix
from freeal_hf.data.layouts import delimiter_hint, text_file
from freeal_hf.data.text_tables import Columns, Pieces, open_text_table
from freeal_hf.errors import InputError, offline_hint
from freeal_hf.tasks import normal_form

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

Table = Mapping[str, Sequence[Any]]
"""The values of each column. It is not a `Dataset`, whose columns cannot have values of several types."""


@dataclass(frozen=True)
class OpenTable:
    """A table whose columns are known. Its rows can be read more than once.

    Args:
        origin (`str`): The name of the table in messages.
        names (`list[str]`): The column names in their order. They can be repeated or empty.
        pieces (`Callable`): Reads columns by position, in pieces.
        delimiter (`str`, *optional*): The separator of a CSV file.
    """

    origin: str
    names: list[str]
    pieces: Pieces
    delimiter: str | None = None

    def read(self, columns: Sequence[str] | None = None, *, rows: int | None = None) -> Iterator[Table]:
        """Reads columns. Other columns are ignored, even if they are invalid.

        Args:
            columns (`Sequence[str]`, *optional*): The names of the columns. Defaults to all columns.
            rows (`int`, *optional*): The maximum number of rows in a piece. By default there is one piece.

        Returns:
            `Iterator[Table]`: The pieces, at least one, with values in the form of `normal_cell`.

        Raises:
            InputError: Immediately if a column is missing or its name is not unique; from the iterator if rows cannot
                be read.
        """
        names = list(dict.fromkeys(self.names if columns is None else columns))
        positions = [self._position(name) for name in names]
        return self._tables(names, positions, rows)

    def texts(self, *, rows: int = 1000) -> Iterator[list[str]]:
        """Reads all columns as strings, to write the table again.

        Args:
            rows (`int`, *optional*, defaults to 1000): The number of rows in memory at the same time.

        Yields:
            `list[str]`: The cells of a row, one for each of `names`. Cells of a CSV file are not changed.

        Raises:
            InputError: If rows cannot be read.
        """
        for piece in self.pieces(range(len(self.names)), rows, False):
            for row in zip(*piece, strict=True):
                yield [cell_text(value) for value in row]

    def _tables(self, names: Sequence[str], positions: Sequence[int], rows: int | None) -> Iterator[Table]:
        joined: dict[str, list[Any]] = {name: [] for name in names}
        is_empty = True
        for piece in self.pieces(positions, rows or PIECE, True):
            table = {name: list(map(normal_cell, values)) for name, values in zip(names, piece, strict=True)}
            if rows is not None:
                is_empty = False
                yield table
            else:
                for name, values in table.items():
                    joined[name] += values
        if rows is None or is_empty:
            yield joined

    def _position(self, column: str) -> int:
        found = [i for i, name in enumerate(self.names) if name == column]
        found = found or [i for i, name in enumerate(self.names) if normal_form(name) == normal_form(column)]
        if not found:
            raise InputError(missing_column(column, self.names, self.origin, self.delimiter))
        if len(found) > 1:
            raise InputError(f"{self.origin} has {len(found)} columns named {column!r}; rename all but one.")
        return found[0]


def open_table(
    source: "str | Path | Dataset | DatasetDict | pd.DataFrame | pd.Series[Any]",
    *,
    split: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
) -> OpenTable:
    """Opens a table and reads the names of its columns.

    Args:
        source (`str`, `Path`, `Dataset`, `DatasetDict`, `DataFrame` or `Series`): A CSV, TSV, JSON, JSON-lines or
            Parquet file (all but Parquet can be compressed), a folder of such files, a pattern of their names or an
            fsspec address (`"s3://bucket/texts/*.parquet"`), a folder of `save_to_disk`, a Hub dataset id, or data in
            memory.
        split (`str`, *optional*): The split of a source with several splits. Defaults to `train`.
        delimiter, encoding (`str`, *optional*): The layout of text files. By default it is detected in each file.
        quoting (`str`, *optional*): `"csv"` if quotes in a CSV file mark cells, `"none"` if they are part of the
            texts. By default they mark cells, and a file is refused if quotes may have joined unrelated rows.

    Returns:
        `OpenTable`: The table. JSON lines are read once to find their columns, because any line can have new ones.

    Raises:
        InputError: If there is no such source, or it is empty or cannot be read.
    """
    from datasets import Dataset, DatasetDict, IterableDataset

    if isinstance(source, Dataset):
        return _open_dataset(source, "The dataset")
    if isinstance(source, DatasetDict):
        return _open_dataset(_chosen_split(source, split), "The dataset")
    if isinstance(source, IterableDataset):
        raise InputError("Give a Dataset, not an IterableDataset: load it without streaming=True.")
    if isinstance(source, Mapping):
        raise InputError(f"Give one Dataset, not a {type(source).__name__}; choose a split, such as data['train'].")
    if not isinstance(source, (str, Path)):
        return _open_loaded(source)
    layout = _Layout(delimiter, encoding, quoting)
    path = Path(source)
    if path.is_file():
        return _open_file(path, layout)
    if path.is_dir() or "://" in str(source) or _is_pattern(str(source)):
        return _open_folder(str(source), split, layout)
    if path.exists() or table_suffix(path.name) or str(source).count("/") > 1 or not str(source).strip():
        raise InputError(f"There is no data file {str(source)!r}; give a {', '.join(SUFFIXES)} file or a Hub id.")
    return _open_dataset(_load_from_hub(str(source), split or "train"), f"Hub dataset {str(source)!r}")


def read_tables(
    source: "str | Path | Dataset | DatasetDict | pd.DataFrame | pd.Series[Any]",
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    **layout: Any,
) -> tuple[Iterator[Table], str]:
    """Reads a table, completely or in pieces.

    Args:
        source: As in `open_table`.
        columns (`Sequence[str]`, *optional*): The columns to read. Defaults to all columns.
        rows (`int`, *optional*): The maximum number of rows in a piece. By default there is one piece. In pieces,
            files can be larger than memory, except for a JSON list, which is always read completely.
        layout: `split`, `delimiter`, `encoding` and `quoting` as in `open_table`.

    Returns:
        `tuple[Iterator[Table], str]`: The pieces, at least one, and the name of the source for messages.

    Raises:
        InputError: As in `open_table` and `OpenTable.read`.
    """
    table = open_table(source, **layout)
    return table.read(columns, rows=rows), table.origin


class RawTable(NamedTuple):
    """All cells of a table as strings, to write them again.

    Args:
        names (`list[str]`): The column names in their order. They can be repeated or empty.
        rows (`Iterator[list[str]]`): The rows in the order of `read_tables`, with one cell for each column.
        delimiter (`str`): The separator of a CSV or TSV file; a comma for other formats.
    """

    names: list[str]
    rows: Iterator[list[str]]
    delimiter: str


def raw_table(
    source: "str | Path | Dataset | DatasetDict | pd.DataFrame | pd.Series[Any]", *, rows: int = 1000, **layout: Any
) -> RawTable:
    """Reads all columns of a table as strings. Cells of CSV files are not changed.

    Args:
        source: As in `open_table`.
        rows (`int`, *optional*, defaults to 1000): The number of rows in memory at the same time.
        layout: `split`, `delimiter`, `encoding` and `quoting` as in `open_table`.

    Returns:
        `RawTable`: The names, rows and separator.

    Raises:
        InputError: As in `read_tables`.
    """
    table = open_table(source, **layout)
    return RawTable(table.names, table.texts(rows=rows), table.delimiter or ",")


def missing_column(column: str, names: Sequence[str], origin: str, delimiter: str | None) -> str:
    """Returns the error message for a missing column.

    Args:
        column (`str`): The missing column.
        names (`Sequence[str]`): The columns of the table.
        origin (`str`): The name of the table.
        delimiter (`str`, *optional*): The separator of a CSV file.

    Returns:
        `str`: The message.
    """
    listed = ", ".join(map(repr, names))
    hint = (
        " The column 'tokens' is only used for entity tasks (type: token-classification)." if "tokens" in names else ""
    )
    hint = hint or delimiter_hint(names, delimiter)
    if not hint and any("," in name for name in names):
        hint = " Quote a name that contains commas, or give it alone (--text-columns '\"a, b\",c')."
    if column == "text" and not hint:
        hint = " Give the column of the texts with --text-columns."
    return f"{origin} has no column {column!r}; its columns are {listed}.{hint}"


class _Layout(NamedTuple):
    """The options of text files."""

    delimiter: str | None
    encoding: str | None
    quoting: str | None


# ---- Files ----


def _open_file(path: Path, layout: _Layout) -> OpenTable:
    suffix = format_of(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; there is nothing to label.")
    if suffix == ".parquet":
        return _open_parquet(path)
    file = text_file(path, layout.encoding)
    names, pieces, delimiter = open_text_table(file, suffix, layout.delimiter, layout.quoting)
    return OpenTable(str(path), names, pieces, delimiter)


def _is_pattern(source: str) -> bool:
    return any(mark in source for mark in ("*" if "://" in source else "*?["))


def _open_folder(source: str, split: str | None, layout: _Layout) -> OpenTable:
    """Opens the files of a folder, a pattern or an address, in the order of their names."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, root = fsspec.core.url_to_fs(source)
        found = files.glob(root) if _is_pattern(source) else files.find(root)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{source!r} cannot be read: {error}") from error
    is_local = isinstance(files, LocalFileSystem)
    if found == [root]:
        chosen = found
    elif _is_pattern(source):
        start = len(re.split(r"[*?\[]", root)[0].rpartition("/")[0])
        chosen = chosen_files(sorted(found), start, source, split, has_splits=split is not None)
    else:
        folder = root.rstrip("/")
        if {f"{folder}/dataset_dict.json", f"{folder}/state.json"} & set(found):
            return _open_saved(source, split)
        readme = Path(folder, "README.md") if is_local else None
        chosen = chosen_files(sorted(found), len(folder), source, split, readme=readme)
    fetch = _local_file if is_local else partial(_fetched, files)
    # Only the first remote file is opened now; the others are opened when they are read.
    tables = []
    for name in chosen if is_local else chosen[:1]:
        with fetch(name) as path:
            tables.append(_open_file(path, layout))
    numbered = list(dict.fromkeys(column for table in tables for column in _numbered(table.names)))

    def pieces(positions: Sequence[int], rows: int, are_needed: bool) -> Iterator[Columns]:
        for name in chosen:
            with fetch(name) as path:
                table = tables[chosen.index(name)] if is_local else _open_file(path, layout)
                yield from _of_file(table, name, [numbered[i] for i in positions], numbered, rows, are_needed)

    return OpenTable(source, [name for name, _ in numbered], pieces, tables[0].delimiter)


def _of_file(
    table: OpenTable,
    name: str,
    wanted: Sequence[tuple[str, int]],
    known: Sequence[tuple[str, int]],
    rows: int,
    are_needed: bool,
) -> Iterator[Columns]:
    """Yields the columns of one of several files. Missing columns are empty if they are not needed."""
    places = {column: i for i, column in enumerate(_numbered(table.names))}
    # A remote file can have other columns than the first one.
    if not set(wanted) <= places.keys() if are_needed else not places.keys() <= set(known):
        raise InputError(
            f"{name} has the columns {table.names}, but the files before it have {[column for column, _ in known]}; "
            "all files must have the columns that are read."
        )
    present = [column for column in wanted if column in places]
    for piece in table.pieces([places[column] for column in present], rows, are_needed):
        values = dict(zip(present, piece, strict=True))
        count = len(piece[0]) if piece else 0
        yield [values.get(column, [None] * count) for column in wanted]


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Returns each column name with the number of its earlier occurrences."""
    return [(name, names[:i].count(name)) for i, name in enumerate(names)]


@contextmanager
def _local_file(name: str) -> Iterator[Path]:
    yield Path(name)


@contextmanager
def _fetched(files: Any, name: str) -> Iterator[Path]:
    """Downloads a remote file, and deletes it after it was read."""
    with TemporaryDirectory(prefix="freeal-") as folder:
        path = Path(folder, Path(name).name)
        try:
            files.get(name, str(path))
        except OSError as error:
            raise InputError(f"{name!r} cannot be read: {error}") from error
        yield path


def _open_parquet(path: Path) -> OpenTable:
    import pyarrow.parquet as pq

    with _refusing_parquet(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow

    def pieces(positions: Sequence[int], rows: int, are_needed: bool) -> Iterator[Columns]:
        names = [schema.names[i] for i in positions]
        label_names = _stored_label_names(schema.metadata, names)
        # Equal names can only be distinguished by their positions among all columns.
        chosen = names if all(schema.names.count(name) == 1 for name in names) else None
        with _refusing_parquet(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=chosen):
                found = [batch.column(name if chosen else i) for name, i in zip(names, positions, strict=True)]
                yield [
                    _named_labels(_values(column), label_names.get(name))
                    for name, column in zip(names, found, strict=True)
                ]

    return OpenTable(str(path), list(schema.names), pieces)


@contextmanager
def _refusing_parquet(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as a Parquet file: {error}") from error


# ---- Datasets and data in memory ----


def _open_saved(source: str, split: str | None) -> OpenTable:
    """Opens a folder of `save_to_disk`."""
    from datasets import DatasetDict, load_from_disk

    try:
        saved = load_from_disk(source)
    except Exception as error:  # datasets raises many types of errors
        raise InputError(f"{source!r} was written by save_to_disk and cannot be read: {error}") from error
    return _open_dataset(_chosen_split(saved, split) if isinstance(saved, DatasetDict) else saved, source)


def _chosen_split(splits: "DatasetDict", split: str | None) -> "Dataset":
    name = split or (next(iter(splits)) if len(splits) == 1 else None)
    if name not in splits:
        raise InputError(
            f"The dataset has the splits {', '.join(map(repr, splits))}; choose one, such as data['train'] or "
            "--split train."
        )
    return splits[name]


def _load_from_hub(name: str, split: str) -> "Dataset":
    from datasets import load_dataset

    try:
        return load_dataset(name, split=split)
    except Exception as error:  # datasets raises many types of errors for files and the network
        raise InputError(
            f"There is no file {name!r}, and loading split {split!r} of it as a Hub dataset failed: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            f"{offline_hint()}"
        ) from error


def _open_dataset(dataset: "Dataset", origin: str) -> OpenTable:
    if dataset.format["type"] == "custom":
        return _open_transformed(dataset, origin)
    names = list(dataset.column_names)
    label_names = {name: _label_names(feature) for name, feature in dataset.features.items()}

    def pieces(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
        wanted = [names[i] for i in positions]
        chosen = dataset.select_columns(wanted).with_format("arrow")
        for start in range(0, len(dataset), rows):
            table = chosen[start : start + rows]
            yield [_named_labels(_values(table.column(name)), label_names[name]) for name in wanted]

    return OpenTable(origin, names, pieces)


def _open_transformed(dataset: "Dataset", origin: str) -> OpenTable:
    """Opens a dataset with a transform, which determines its columns and values."""
    names = list(dataset[:1]) if len(dataset) else list(dataset.column_names)
    label_names = {name: _label_names(feature) for name, feature in dataset.features.items()}

    def pieces(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
        for start in range(0, len(dataset), rows):
            batch = dataset[start : start + rows]
            yield [
                _named_labels(list(map(normal_cell, batch[names[i]])), label_names.get(names[i])) for i in positions
            ]

    return OpenTable(origin, names, pieces)


def _open_loaded(source: Any) -> OpenTable:
    """Opens a pandas or polars object, or an Arrow table."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(source, pd.Series):
        source = source.to_frame("text" if source.name is None else source.name)
    if isinstance(source, pd.DataFrame):
        frame = source

        def pieces(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
            for start in range(0, len(frame), rows):
                yield [frame.iloc[start : start + rows, i].tolist() for i in positions]

        return OpenTable("The data frame", list(map(str, frame.columns)), pieces)
    if type(source).__module__.partition(".")[0] == "polars":
        source = _of_polars(source)
    if isinstance(source, pa.Table):
        table = source

        def of_table(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
            for start in range(0, len(table), rows):
                yield [_values(table.column(i).slice(start, rows)) for i in positions]

        return OpenTable("The table", list(table.column_names), of_table)
    raise InputError(f"Cannot read data from a {type(source).__name__}; give a path, a Dataset or a DataFrame.")


def _of_polars(source: Any) -> Any:
    import polars

    if isinstance(source, polars.Series):
        source = source.to_frame(source.name or "text")
    if isinstance(source, polars.LazyFrame):
        source = source.collect()
    return source.to_arrow() if isinstance(source, polars.DataFrame) else source


def _values(column: "pa.ChunkedArray | pa.Array[Any]") -> list[Any]:
    """Returns the values of an Arrow column; as strings if Python has no type for them."""
    import pyarrow as pa

    try:
        return column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):  # such as a date after the year 9999
        return column.cast(pa.string()).to_pylist()


def _label_names(feature: Any) -> list[str] | None:
    """Returns the names of label ids, also for lists of them."""
    from datasets import ClassLabel, LargeList, List

    if isinstance(feature, (List, LargeList)):
        feature = feature.feature
    return feature.names if isinstance(feature, ClassLabel) else None


def _stored_label_names(metadata: Mapping[bytes, bytes] | None, columns: Sequence[str]) -> dict[str, list[str] | None]:
    """Returns the label names of the columns of a Parquet file that datasets wrote."""
    from datasets import Features

    stored = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    features = Features.from_dict({name: stored[name] for name in columns if name in stored})
    return {name: _label_names(feature) for name, feature in features.items()}


def _named_labels(values: Sequence[Any], names: Sequence[str] | None) -> Sequence[Any]:
    return values if names is None else [_named(value, names) for value in values]


def _named(value: Any, names: Sequence[str]) -> Any:
    """Returns the name of a label id, or the names of a list of them; `None` for a missing id."""
    if isinstance(value, list):
        found = [_named(one, names) for one in value]
        return None if None in found else found
    if value is None or isinstance(value, str):
        return value
    if value >= len(names):
        raise InputError(
            f"A column of label ids contains {value}, but there are only names for {counted(len(names), 'label')}."
        )
    return None if value < 0 else names[int(value)]
