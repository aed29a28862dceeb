"""Reads tables (CSV, TSV, JSON, JSON lines, Parquet, Hub datasets, data in memory), completely or in pieces."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from freeal_hf.data.arrow_tables import (
    chosen_split,
    load_from_hub,
    open_dataset,
    open_loaded,
    open_parquet,
    open_saved,
)
from freeal_hf.data.columns import OpenTable, Table
from freeal_hf.data.folders import chosen_files
from freeal_hf.data.formats import SUFFIXES, format_of, table_suffix
from freeal_hf.data.layouts import text_file
from freeal_hf.data.text_tables import Columns, open_text_table
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset, DatasetDict


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

    Example:

        >>> import pandas as pd
        >>> open_table(pd.DataFrame({"text": ["a plum"], "stars": [5]})).names
        ['text', 'stars']
    """
    from datasets import Dataset, DatasetDict, IterableDataset

    if isinstance(source, Dataset):
        return open_dataset(source, "The dataset")
    if isinstance(source, DatasetDict):
        return open_dataset(chosen_split(source, split), "The dataset")
    if isinstance(source, IterableDataset):
        raise InputError("Give a Dataset, not an IterableDataset: load it without streaming=True.")
    if isinstance(source, Mapping):
        raise InputError(f"Give one Dataset, not a {type(source).__name__}; choose a split, such as data['train'].")
    if not isinstance(source, (str, Path)):
        return open_loaded(source)
    layout = _Layout(delimiter, encoding, quoting)
    path = Path(source)
    if path.is_file():
        return _open_file(path, layout)
    if path.is_dir() or "://" in str(source) or _is_pattern(str(source)):
        return _open_folder(str(source), split, layout)
    if path.exists() or table_suffix(path.name) or str(source).count("/") > 1 or not str(source).strip():
        raise InputError(f"There is no data file {str(source)!r}; give a {', '.join(SUFFIXES)} file or a Hub id.")
    return open_dataset(load_from_hub(str(source), split or "train"), f"Hub dataset {str(source)!r}")


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

    Example:

        >>> import pandas as pd
        >>> list(raw_table(pd.DataFrame({"text": ["a plum", None], "stars": [5, 1]})).rows)
        [['a plum', '5'], ['', '1']]
    """
    table = open_table(source, **layout)
    return RawTable(table.names, table.texts(rows=rows), table.delimiter or ",")


class _Layout(NamedTuple):
    """The options of text files."""

    delimiter: str | None
    encoding: str | None
    quoting: str | None


def _open_file(path: Path, layout: _Layout) -> OpenTable:
    suffix = format_of(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; there is nothing to label.")
    if suffix == ".parquet":
        return open_parquet(path)
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
        raise InputError(f"{source!r} cannot be read: {error}. Check the address and your permissions.") from error
    is_local = isinstance(files, LocalFileSystem)
    if found == [root]:
        chosen = found
    elif _is_pattern(source):
        start = len(re.split(r"[*?\[]", root)[0].rpartition("/")[0])
        chosen = chosen_files(sorted(found), start, source, split, has_splits=split is not None)
    else:
        folder = root.rstrip("/")
        if {f"{folder}/dataset_dict.json", f"{folder}/state.json"} & set(found):
            return open_saved(source, split)
        readme = Path(folder, "README.md") if is_local else None
        chosen = chosen_files(sorted(found), len(folder), source, split, readme=readme)

    def fetch(name: str) -> AbstractContextManager[Path]:
        return nullcontext(Path(name)) if is_local else _fetched(files, name)

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
def _fetched(files: Any, name: str) -> Iterator[Path]:
    """Downloads a remote file, and deletes it after it was read."""
    with TemporaryDirectory(prefix="freeal-") as folder:
        path = Path(folder, Path(name).name)
        try:
            files.get(name, str(path))
        except OSError as error:
            raise InputError(f"{name!r} cannot be read: {error}. Check your permissions, and try again.") from error
        yield path
