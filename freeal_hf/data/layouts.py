"""How a text file is laid out: its compression, its encoding and what separates its cells."""

import bz2
import codecs
import csv
import gzip
import io
import logging
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from freeal_hf.config import QUOTINGS
from freeal_hf.errors import InputError

logger = logging.getLogger(__name__)

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""The usual separator of a file by its ending."""

JSON_LINES = {".jsonl", ".ndjson"}
SUFFIXES = [*DELIMITERS, ".json", *sorted(JSON_LINES), ".parquet"]

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_CANDIDATES = ",;\t|"
_SAMPLE = 2**16  # characters by which the separator is detected
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What Western European texts in Windows-1252 have beside ASCII. Other characters of it show another encoding.
_WESTERN_LETTERS = set("äöüÄÖÜßàâáãåæçèéêëíîïñóôõøœúùûÀÂÁÅÆÇÈÉÊËÎÍÑÓÔØŒÚ")
_WESTERN = _WESTERN_LETTERS | set("€“”„‘’–—…«»°§£´·¡¿©®™•×½¼²µ\u00a0\u00ad")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]{3}|[a-zA-Z][„¿¡´µ²½¼×][a-zA-Z]")


@dataclass(frozen=True)
class TextFile:
    """A text file and its encoding.

    Args:
        path (`Path`): The file, perhaps compressed.
        encoding (`str`): Its encoding.
    """

    path: Path
    encoding: str

    @contextmanager
    def open(self, newline: str = "\n") -> Iterator[TextIO]:
        """The file as text.

        Args:
            newline (`str`): Where lines end, as for the function `open`.

        Raises:
            InputError: If it cannot be decompressed or decoded.
        """
        try:
            with (
                open_bytes(self.path) as content,
                io.TextIOWrapper(content, encoding=self.encoding, newline=newline) as file,
            ):
                yield file
        except UnicodeError as error:
            raise _undecodable(self.path, self.encoding) from error
        except LookupError as error:
            raise InputError(
                f"Encoding {self.encoding!r} is unknown; use utf-8, cp1252, latin-1, utf-16, ..."
            ) from error


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The content of a file, decompressed.

    Raises:
        InputError: If it cannot be decompressed.
    """
    try:
        with _decompressed(path) as content:
            yield content
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be decompressed: {error}. Is it complete?") from error
    except OSError as error:
        if error.errno is None and path.suffix.lower() in _COMPRESSED:  # by bz2 and pyarrow
            raise InputError(f"{path} cannot be decompressed: {error}. Is it complete?") from error
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


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
    """The only table in a ZIP file."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if table_suffix(name) and not is_hidden(name)]
    if len(names) != 1:
        found = ", ".join(names) if names else "none"
        raise InputError(f"{path} must hold one table, and its tables are: {found}. Unpack it and give one of them.")
    return names[0]


def is_hidden(name: str) -> bool:
    """Whether a path inside a folder or archive belongs to a tool, not to the data.

    Args:
        name (`str`): The path with `/` between its parts, relative to the folder.
    """
    *folders, last = name.split("/")
    return last.startswith((".", "__")) or any(part.startswith((".", "_")) for part in folders)


def table_suffix(name: str) -> str:
    """The ending that tells the format of a table, without that of a compression; empty if it is no table.

    Args:
        name (`str`): Name of a file.

    Example:

        >>> table_suffix("data.csv.gz"), table_suffix("data.txt")
        ('.csv', '')
    """
    path = Path(name.lower())
    suffix = Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix
    return suffix if suffix in SUFFIXES and not (suffix == ".parquet" and path.suffix != suffix) else ""


def format_of(path: Path) -> str:
    """The ending that tells the format of a file.

    Raises:
        InputError: If the ending is not known.
    """
    found = table_suffix(path.name)
    if not found and path.suffix.lower() == ".zip":
        with open_bytes(path):
            found = table_suffix(_member(path))
    if not found:
        raise InputError(
            f"{path}: cannot tell the format from {path.suffix!r}; save it as {', '.join(SUFFIXES)} (all but "
            f".parquet may be compressed: {', '.join(_COMPRESSED)})."
        )
    return found


def text_file(path: Path, encoding: str | None) -> TextFile:
    """A text file with the encoding that was named, or else the one that is found in it.

    Without a name a file is read by its byte order mark, or as UTF-8. If it is not UTF-8, it is read as Windows-1252
    if all its characters are usual in Western European languages, and a warning shows one of its words.

    Args:
        path (`Path`): The file.
        encoding (`str`, *optional*): Its encoding.

    Raises:
        InputError: If the encoding is unknown, or none was named and none fits.
    """
    if encoding is not None:
        try:
            name = codecs.lookup(encoding).name
        except LookupError as error:
            raise InputError(f"Encoding {encoding!r} is unknown; use utf-8, cp1252, latin-1, utf-16, ...") from error
        return TextFile(path, "utf-8-sig" if name == "utf-8" else encoding)
    with open_bytes(path) as content:
        start = content.read(4096)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            logger.info("%s: read as %s, as its byte order mark says.", path, name.upper())
            return TextFile(path, name)
    if b"\0" in start:
        raise InputError(
            f"{path} holds zero bytes: it is no text, or it is UTF-16 without a byte order mark. Save it as UTF-8, or "
            f"name its encoding (--encoding {'utf-16-le' if start[1:2] == bytes(1) else 'utf-16-be'}, for instance)."
        )
    if _is_utf8(path):
        return TextFile(path, "utf-8-sig")
    word = _western_word(path)
    if word is None:
        raise _undecodable(path, "utf-8")
    logger.warning(
        "%s is not UTF-8; it is read as Windows-1252 (cp1252), for instance %r. If this is wrong, save it as UTF-8 or "
        "name its encoding (--encoding for the data, --human-encoding for human labels, --test-encoding for test "
        "data).",
        path,
        word,
    )
    return TextFile(path, "cp1252")


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_bytes(path) as content:
        try:
            while block := content.read(2**20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _western_word(path: Path) -> str | None:
    """A word with an umlaut or accent of a text in Windows-1252, `None` if it cannot be such a text."""
    found = None
    with open_bytes(path) as content:
        for line in content:
            try:
                text = line.decode("cp1252")
            except UnicodeDecodeError:
                return None
            if text.isascii():
                continue
            if not {character for character in text if not character.isascii()} <= _WESTERN or _FOREIGN.search(text):
                return None
            found = found or next(word for word in re.findall(r"\S+", text) or [text] if not word.isascii())
    return found


def _undecodable(path: Path, encoding: str) -> InputError:
    """What to say of the first line that is not in an encoding."""
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    with open_bytes(path) as content:
        start = content.read(4)
    if name == "utf-8" and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return InputError(f"{path} is not utf-8: it begins with the mark of utf-16. Give --encoding utf-16.")
    remedy = "Save it as UTF-8, or name its encoding (--encoding cp1252, for instance)."
    if name.lower().startswith(("utf-16", "utf_16", "utf-32", "utf_32")):
        return InputError(f"{path} is not {name}. {remedy}")
    with open_bytes(path) as content:
        for number, line in enumerate(content, start=1):
            try:
                line.decode(name)
            except UnicodeDecodeError as error:
                around = line[max(0, error.start - 10) : error.start + 10].decode("cp1252", "replace")
                return InputError(
                    f"{path} is not {name}: byte {line[error.start]:#04x} in line {number} cannot be decoded. Save it "
                    f"as UTF-8, or name its encoding (--encoding cp1252, for instance, reads {around.strip()!r} "
                    "there)."
                )
    return InputError(f"{path} is not {name}. {remedy}")


@dataclass(frozen=True)
class CellLayout:
    """What separates the cells and lines of a CSV file.

    Args:
        delimiter (`str`): The separator of its cells.
        quoting (`str`, *optional*): `"csv"` if quotes mark cells, `"none"` if they are part of the texts. By default
            they mark cells, and rows that quotes may have joined are refused.
        newline (`str`): Where its lines end, as for the function `open`.
        skipped (`int`): Number of lines before the header.
    """

    delimiter: str
    quoting: str | None
    newline: str
    skipped: int


def cell_layout(file: TextFile, usual: str, delimiter: str | None, quoting: str | None) -> CellLayout:
    """The layout of a CSV file, as the options say, or else as it is found in the first lines.

    Args:
        file (`TextFile`): The file.
        usual (`str`): The separator that its ending stands for.
        delimiter, quoting (`str`, *optional*): What was named.

    Raises:
        InputError: If an option cannot be used.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise InputError(f"The delimiter {delimiter!r} is not one character; columns are separated by , ; | or \\t.")
    if quoting not in (None, *QUOTINGS):
        raise InputError(f"The quoting {quoting!r} is unknown; give 'csv' or 'none'.")
    with file.open(newline="") as text:
        sample = text.read(_SAMPLE)
        is_whole = not text.read(1)
    first = re.match(r"[^\r\n]*(\r\n|\r|\n)?", sample)
    assert first is not None
    newline = "" if first.group(1) == "\r" else "\n"  # a single \r inside of a line ends no row
    excel = re.fullmatch(r'"?sep=(.)"?', first.group().rstrip("\r\n"), re.IGNORECASE)
    if excel:
        return CellLayout(delimiter or excel.group(1), quoting, newline, 1)
    found, is_regular = _detected(sample, is_whole, usual, quoting)
    if delimiter is None:
        if found != usual:
            logger.info("%s: its columns are separated by %r.", file.path, found)
    elif found != delimiter and is_regular and delimiter not in first.group():
        logger.warning("%s: its header has no %r; its columns are separated by %r.", file.path, delimiter, found)
    else:
        found = delimiter
    return CellLayout(found, quoting, newline, 0)


def _detected(sample: str, is_whole: bool, usual: str, quoting: str | None) -> tuple[str, bool]:
    """The separator of a sample, and whether all its rows have as many cells as the header."""
    regular: list[tuple[str, list[int]]] = []
    irregular: list[tuple[str, list[int]]] = []
    for candidate in sorted(_CANDIDATES, key=lambda one: one != usual):
        lines = io.StringIO(sample, newline="")
        if quoting == "none":
            reader = csv.reader(lines, delimiter=candidate, quoting=csv.QUOTE_NONE)
        else:
            reader = csv.reader(lines, delimiter=candidate)
        try:
            rows = [row for row in reader if row]
        except csv.Error:  # the reader of the file says what is wrong
            continue
        rows = rows if is_whole else rows[:-1]
        widths = [len(row) for row in rows]
        if widths and widths[0] > 1:
            (regular if set(widths) == {widths[0]} else irregular).append((candidate, widths))
    for choice in (regular, irregular):
        if choice:
            # The usual one comes first; the most columns win among the others.
            best = choice[0] if choice[0][0] == usual else max(choice, key=lambda one: one[1][0])
            return best[0], choice is regular and len(best[1]) > 1
    return usual, False


def split_names(given: str) -> list[str]:
    """The names in `A,B`; one that contains a comma is quoted as in a CSV file.

    Args:
        given (`str`): The names.

    Example:

        >>> split_names('label, "yes, or no"')
        ['label', 'yes, or no']
    """
    try:
        (names,) = csv.reader([given], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):  # quotes that mark no name are part of it
        names = given.split(",")
    return [name.strip() for name in names]


def delimiter_hint(header: Sequence[str], delimiter: str | None) -> str:
    """What to try if a header was not split."""
    other = next((mark for mark in (";", "\t", "|", ",") if len(header) == 1 and mark in header[0]), None)
    return "" if other in (None, delimiter) else f" It looks separated by {other!r}: try --delimiter {other!r}."
