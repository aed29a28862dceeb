"""Tells the format of a file by its name, and opens files that may be compressed."""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from freeal_hf.errors import InputError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""The usual separator by file ending."""

JSON_LINES = {".jsonl", ".ndjson"}
SUFFIXES = [*DELIMITERS, ".json", *sorted(JSON_LINES), ".parquet"]

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Opens a file, and decompresses it if needed.

    Args:
        path (`Path`): The file.

    Raises:
        InputError: If it cannot be decompressed.
    """
    try:
        with _decompressed(path) as content:
            yield content
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be decompressed: {error}. Is it complete?") from error
    except OSError as error:
        if error.errno is None and path.suffix.lower() in _COMPRESSED:  # raised by bz2 and pyarrow
            raise InputError(f"{path} cannot be decompressed: {error}. Is it complete?") from error
        raise InputError(f"{path} cannot be read: {error.strerror or error}; check its permissions.") from error


def _decompressed(path: Path) -> Any:
    import pyarrow as pa

    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.open(path)
    if suffix == ".bz2":
        return bz2.open(path)
    if suffix == ".xz":
        return lzma.open(path)
    if suffix == ".zst":
        return pa.input_stream(str(path), compression="zstd")
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.open(_member(path))
    return path.open("rb")


def _member(path: Path) -> str:
    """Returns the name of the only table in a ZIP file."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if table_suffix(name) and not is_hidden(name)]
    if len(names) != 1:
        found = ", ".join(names) if names else "none"
        raise InputError(f"{path} must have one table, but its tables are: {found}. Unpack it and give one of them.")
    return names[0]


def is_hidden(name: str) -> bool:
    """Returns whether a path inside a folder or archive is hidden, or belongs to a tool.

    Args:
        name (`str`): The path relative to the folder, with `/` between its parts.

    Returns:
        `bool`: Whether the file is not part of the data.

    Example:

        >>> is_hidden(".git/index.json"), is_hidden("part/texts.csv")
        (True, False)
    """
    *folders, last = name.split("/")
    return last.startswith((".", "__")) or any(part.startswith((".", "_")) for part in folders)


def table_suffix(name: str) -> str:
    """Returns the file ending of the format of a table.

    Args:
        name (`str`): The name of a file.

    Returns:
        `str`: The ending, without that of a compression; empty if the file is not a table.

    Example:

        >>> table_suffix("data.csv.gz"), table_suffix("data.txt")
        ('.csv', '')
    """
    path = Path(name.lower())
    suffix = Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix
    return suffix if suffix in SUFFIXES and not (suffix == ".parquet" and path.suffix != suffix) else ""


def format_of(path: Path) -> str:
    """Returns the file ending of the format of a file.

    Args:
        path (`Path`): The file.

    Returns:
        `str`: The ending, without that of a compression.

    Raises:
        InputError: If the ending is unknown.
    """
    found = table_suffix(path.name)
    if not found and path.suffix.lower() == ".zip":
        with open_bytes(path):
            found = table_suffix(_member(path))
    if not found:
        raise InputError(
            f"{path}: the format {path.suffix!r} is unknown; save the file as {', '.join(SUFFIXES)} (all but .parquet "
            f"can be compressed: {', '.join(_COMPRESSED)}). `freeal-hf convert` reads CoNLL and spaCy files."
        )
    return found
