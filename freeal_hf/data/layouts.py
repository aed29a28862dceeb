"""Detects the encoding and the separator of text files."""

import codecs
import csv
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from freeal_hf.config import QUOTINGS
from freeal_hf.data.formats import open_bytes
from freeal_hf.data.option_names import flag
from freeal_hf.errors import InputError

logger = logging.getLogger(__name__)

_CANDIDATES = ",;\t|"
_SAMPLE = 2**16  # number of characters in which the separator is detected
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, because it begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BINARY = {
    b"PK\3\4": ("a ZIP archive, such as a workbook of Excel or LibreOffice", "save the table as CSV"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel (.xls)", "save the table as CSV"),
    b"PAR1\x15": ("a Parquet file", "rename it to .parquet"),
    b"\x1f\x8b": ("compressed by gzip", "add .gz to its name"),
    b"%PDF-": ("a PDF document", "save its table as CSV"),
    b"SQLite format 3\0": ("an SQLite database", "export the table as CSV"),
}
"""What a file is whose content begins with these bytes, and the remedy."""
# Non-ASCII characters of Western European texts in Windows-1252. Other characters mean another encoding.
_WESTERN_LETTERS = set("äöüÄÖÜßàâáãåæçèéêëíîïñóôõøœúùûÀÂÁÅÆÇÈÉÊËÎÍÑÓÔØŒÚ")
_WESTERN = _WESTERN_LETTERS | set("€“”„‘’–—…«»°§£´·¡¿©®™•×½¼²µ\u00a0\u00ad")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]{3}|[a-zA-Z][„¿¡´µ²½¼×][a-zA-Z]")


class LayoutError(InputError):
    """A text file that does not have the assumed layout.

    Args:
        path (`Path`): The file.
        problem (`str`): The problem, as the continuation of the path.
        remedies (`Mapping[str, str]`): The sentences of the remedy, by the option that they use (`"encoding"`,
            `"delimiter"`, `"quoting"` or `"quoting csv"`). The web app replaces them by its own fields.

    Example:

        >>> str(LayoutError(Path("a.csv"), " is not utf-8.", {"encoding": "Give --encoding utf-16."}))
        'a.csv is not utf-8. Give --encoding utf-16.'
    """

    def __init__(self, path: Path, problem: str, remedies: Mapping[str, str]) -> None:
        super().__init__(path, problem, remedies)
        self.path, self.problem, self.remedies = path, problem, remedies

    def __str__(self) -> str:
        return " ".join([f"{self.path}{self.problem}", *filter(None, self.remedies.values())])


@dataclass(frozen=True)
class TextFile:
    """A text file and its encoding.

    Args:
        path (`Path`): The file, which can be compressed.
        encoding (`str`): Its encoding.
    """

    path: Path
    encoding: str

    @contextmanager
    def open(self, newline: str = "\n") -> Iterator[TextIO]:
        """Opens the file as text.

        Args:
            newline (`str`): The line ending, as in the function `open`.

        Raises:
            InputError: If the file cannot be decompressed or decoded.
        """
        try:
            with (
                open_bytes(self.path) as content,
                io.TextIOWrapper(content, encoding=self.encoding, newline=newline) as file,
            ):
                yield file
        except UnicodeError as error:
            raise _undecodable(self.path, self.encoding) from error


def text_file(path: Path, encoding: str | None) -> TextFile:
    """Returns a text file with the given encoding, or detects the encoding.

    A file is read according to its byte order mark, or as UTF-8. If it is not UTF-8, and all its characters are usual
    in Western European languages, it is read as Windows-1252, and a warning shows one of its words.

    Args:
        path (`Path`): The file.
        encoding (`str`, *optional*): The encoding. By default it is detected.

    Returns:
        `TextFile`: The file and its encoding.

    Raises:
        InputError: If the file is of a known binary format, or the encoding is unknown or cannot be detected.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "texts.csv")
        ...     _ = path.write_text("text\\nä", encoding="utf-16")
        ...     text_file(path, encoding=None).encoding
        'utf-16'
    """
    with open_bytes(path) as content:
        start = content.read(4096)
    for signature, (what, remedy) in _BINARY.items():
        if start.startswith(signature):
            raise InputError(f"{path} is {what}, and not a text file; {remedy}.")
    if encoding is not None:
        try:
            "".encode(encoding)  # codecs.lookup also finds codecs that are no encodings of text
        except LookupError as error:
            raise InputError(f"Encoding {encoding!r} is unknown; use utf-8, cp1252, latin-1, utf-16, ...") from error
        return TextFile(path, "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            logger.info("%s: read as %s because of its byte order mark.", path, name.upper())
            return TextFile(path, name)
    if b"\0" in start and not start.startswith(codecs.BOM_UTF8):
        likely = "utf-16-le" if start[1:2] == bytes(1) else "utf-16-be"
        raise LayoutError(
            path,
            " has zero bytes: it is not a text, or it is UTF-16 without a byte order mark.",
            {"encoding": f"Save it as UTF-8, or give its encoding (for example {flag('encoding')} {likely})."},
        )
    if _is_utf8(path):
        return TextFile(path, "utf-8-sig")
    word = _western_word(path)
    if word is None:
        raise _undecodable(path, "utf-8")
    logger.warning(
        "%s is not UTF-8 and is read as Windows-1252 (cp1252), for example %r. If this is wrong, save it as UTF-8 or "
        "give its encoding (%s).",
        path,
        word,
        flag("encoding"),
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
    """Returns a word with a non-ASCII character of a text in Windows-1252; `None` if it cannot be such a text."""
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
    """Returns the error for the first line that cannot be decoded."""
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    with open_bytes(path) as content:
        start = content.read(4)
    if name == "utf-8" and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problem = " is not utf-8: it begins with the byte order mark of utf-16."
        return LayoutError(path, problem, {"encoding": f"Give {flag('encoding')} utf-16."})
    remedies = {"encoding": f"Save it as UTF-8, or give its encoding (for example {flag('encoding')} cp1252)."}
    if name.lower().startswith(("utf-16", "utf_16", "utf-32", "utf_32")):
        return LayoutError(path, f" is not {name}.", remedies)
    with open_bytes(path) as content:
        for number, line in enumerate(content, start=1):
            try:
                line.decode(name)
            except UnicodeDecodeError as error:
                around = line[max(0, error.start - 10) : error.start + 10].decode("cp1252", "replace")
                example = f"{flag('encoding')} cp1252 reads {around.strip()!r} there"
                return LayoutError(
                    path,
                    f" is not {name}: byte {line[error.start]:#04x} in line {number} cannot be decoded.",
                    {"encoding": f"Save it as UTF-8, or give its encoding (for example, {example})."},
                )
    return LayoutError(path, f" is not {name}.", remedies)


@dataclass(frozen=True)
class CellLayout:
    """The separators of cells and lines of a CSV file.

    Args:
        delimiter (`str`): The separator of the cells.
        quoting (`str`, *optional*): `"csv"` if quotes mark cells, `"none"` if they are part of the texts. By default
            they mark cells, and rows that quotes may have joined are refused.
        newline (`str`): The line ending, as in the function `open`.
        skipped (`int`): The number of lines before the header.
    """

    delimiter: str
    quoting: str | None
    newline: str
    skipped: int


def cell_layout(file: TextFile, usual: str, delimiter: str | None, quoting: str | None) -> CellLayout:
    """Returns the layout of a CSV file: as given, or as detected in the first lines.

    Args:
        file (`TextFile`): The file.
        usual (`str`): The usual separator for its file ending.
        delimiter, quoting (`str`, *optional*): The given values.

    Returns:
        `CellLayout`: The layout.

    Raises:
        InputError: If a given value is invalid.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise InputError(f"The delimiter {delimiter!r} is not one character; use , ; | or \\t.")
    if quoting not in (None, *QUOTINGS):
        raise InputError(f"The quoting {quoting!r} is unknown; use 'csv' or 'none'.")
    with file.open(newline="") as text:
        sample = text.read(_SAMPLE)
        is_whole = not text.read(1)
    first = re.match(r"[^\r\n]*(\r\n|\r|\n)?", sample)
    assert first is not None
    newline = "" if first.group(1) == "\r" else "\n"  # a single \r inside of a line does not end a row
    excel = re.fullmatch(r'"?sep=(.)"?', first.group().rstrip("\r\n"), re.IGNORECASE)
    if excel:
        return CellLayout(delimiter or excel.group(1), quoting, newline, 1)
    found, is_regular = _detected(sample, is_whole, usual, quoting)
    if delimiter is None:
        if found != usual:
            logger.info("%s: the separator is %r.", file.path, found)
    elif found != delimiter and is_regular and delimiter not in first.group():
        logger.warning("%s: the header does not contain %r, so the separator is %r.", file.path, delimiter, found)
    else:
        found = delimiter
    return CellLayout(found, quoting, newline, 0)


def _detected(sample: str, is_whole: bool, usual: str, quoting: str | None) -> tuple[str, bool]:
    """Returns the separator of a sample, and whether all rows have the same number of cells as the header."""
    regular: list[tuple[str, list[int]]] = []
    irregular: list[tuple[str, list[int]]] = []
    for candidate in sorted(_CANDIDATES, key=lambda one: one != usual):
        try:
            reader = csv.reader(
                io.StringIO(sample, newline=""),
                delimiter=candidate,
                quoting=csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL,
            )
            rows = [row for row in reader if row]
        except csv.Error:  # the error is raised when the file is read
            continue
        rows = rows if is_whole else rows[:-1]
        widths = [len(row) for row in rows]
        if widths and widths[0] > 1:
            (regular if set(widths) == {widths[0]} else irregular).append((candidate, widths))
    for choice in (regular, irregular):
        if choice:
            # The usual separator has priority. Among the others, the one with the most columns is used.
            best = choice[0] if choice[0][0] == usual else max(choice, key=lambda one: one[1][0])
            return best[0], choice is regular and len(best[1]) > 1
    return usual, False


def split_names(given: str) -> list[str]:
    """Splits names that are separated by commas. Names that contain a comma are quoted as in a CSV file.

    Args:
        given (`str`): The names.

    Returns:
        `list[str]`: The names.

    Example:

        >>> split_names('label, "yes, or no"')
        ['label', 'yes, or no']
    """
    try:
        (names,) = csv.reader([given], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):  # other quotes are part of a name
        names = given.split(",")
    return [name.strip() for name in names]


def delimiter_hint(header: Sequence[str], delimiter: str | None) -> str:
    """Returns a hint for a header that was not split, or an empty string.

    Args:
        header (`Sequence[str]`): The cells of the header.
        delimiter (`str`, *optional*): The separator that was used.

    Returns:
        `str`: The hint.
    """
    other = next((mark for mark in (";", "\t", "|", ",") if len(header) == 1 and mark in header[0]), None)
    return (
        "" if other in (None, delimiter) else f" It looks separated by {other!r}: try {flag('delimiter')} {other!r}."
    )
