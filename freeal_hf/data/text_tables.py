"""Reads tables in text files: CSV, TSV, JSON and JSON lines."""

import csv
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from freeal_hf.data.counting import counted
from freeal_hf.data.formats import DELIMITERS, JSON_LINES
from freeal_hf.data.layouts import CellLayout, LayoutError, TextFile, cell_layout, delimiter_hint
from freeal_hf.data.option_names import flag
from freeal_hf.errors import InputError

logger = logging.getLogger(__name__)

Columns = list[Sequence[Any]]
"""The values of columns, one sequence for each column."""

Pieces = Callable[[Sequence[int], int, bool], Iterator[Columns]]
"""Yields the columns at given positions, in pieces with a maximum number of rows. It can be called more than once.

If the last argument is true, the columns are needed: all parts of the table must have each of them exactly once."""


def open_text_table(
    file: TextFile, suffix: str, delimiter: str | None, quoting: str | None
) -> tuple[list[str], Pieces, str | None]:
    """Opens a table in a text file.

    Args:
        file (`TextFile`): The file.
        suffix (`str`): The file ending of its format.
        delimiter, quoting (`str`, *optional*): The layout of a CSV file, if the user gave it.

    Returns:
        `tuple`: The column names, a function that reads rows, and the separator of a CSV file.

    Raises:
        InputError: If the file is empty or cannot be read. Errors in the rows of a CSV file are raised when they are
            read.
    """
    if suffix in DELIMITERS:
        layout = cell_layout(file, DELIMITERS[suffix], delimiter, quoting)
        return *_open_csv(file, layout), layout.delimiter
    return *_open_json(file, has_lines=suffix in JSON_LINES), None


# ---- CSV ----


def _open_csv(file: TextFile, layout: CellLayout) -> tuple[list[str], Pieces]:
    with file.open(layout.newline) as lines:
        header = next(_csv_records(lines, file.path, layout), None)
    if header is None:
        raise InputError(f"{file.path} is empty; there is nothing to label.")
    names = [header[0].removeprefix("\ufeff"), *header[1:]]
    short_rows_told = False

    def pieces(positions: Sequence[int], rows: int, are_needed: bool) -> Iterator[Columns]:
        nonlocal short_rows_told
        num_short = first_short = num_read = 0
        with file.open(layout.newline) as lines:
            records = _csv_records(lines, file.path, layout)
            next(records)
            while piece := list(islice(records, rows)):
                short = [number for number, row in enumerate(piece, num_read + 1) if 0 < len(row) < len(names)]
                first_short = first_short or next(iter(short), 0)
                num_short += len(short)
                num_read += len(piece)
                yield [[row[i] if i < len(row) else None for row in piece] for i in positions]
        if num_short and not short_rows_told:
            short_rows_told = True
            logger.warning(
                "%s: rows with fewer cells than the header: %d, the first one is row %d. Missing cells count as "
                "empty. Quote cells that contain a line break.",
                file.path,
                num_short,
                first_short,
            )

    return names, pieces


def _csv_records(lines: Iterable[str], path: Path, layout: CellLayout) -> Iterator[list[str]]:
    """Yields the header and the rows.

    Raises:
        InputError: If a row has more cells than the header, or quotes cannot be understood.
    """
    split = _split_lines if layout.quoting == "none" else _split_quoted
    width = None
    for number, last, record in split(lines, path, layout):
        if not number > layout.skipped:
            continue
        if width is None:
            if not record:
                continue
            width = len(record)
        elif width > 1 and (not record or (len(record) == 1 and not record[0].strip())):
            continue  # a blank line is only a row if there is a single column
        elif len(record) > width:
            where = f"line {number}" if number == last else f"lines {number} to {last}"
            raise LayoutError(
                path,
                f", {where}: not a table separated by {layout.delimiter!r}: the row has "
                f"{counted(len(record), 'cell')} and the header {width}.",
                _too_many()
                if layout.quoting != "none"
                else {"": "Without quoting, cells cannot contain the separator."},
            )
        yield record


def _too_many() -> dict[str, str]:
    return {
        "": "Quote cells that contain the separator or a line break.",
        "delimiter": f"If each line is one text, give a {flag('delimiter')} that does not occur in them.",
    }


def _split_lines(lines: Iterable[str], path: Path, layout: CellLayout) -> Iterator[tuple[int, int, list[str]]]:
    """Yields the first line, last line and cells of each row of a file in which quotes have no meaning."""
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\n").removesuffix("\r")
        yield number, number, line.split(layout.delimiter) if line else []


def _split_quoted(lines: Iterable[str], path: Path, layout: CellLayout) -> Iterator[tuple[int, int, list[str]]]:
    """Yields the first line, last line and cells of each row of a file in which quotes mark cells."""
    csv.field_size_limit(2**31 - 1)  # the default is 128 KiB, but longer texts are truncated later
    of_record: list[str] = []

    def remembered() -> Iterator[str]:
        for line in lines:
            of_record.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=layout.delimiter, strict=True)
    doubt = _Doubt(layout) if layout.quoting is None else None
    while True:
        of_record.clear()
        first = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            line = first if "end of data" in str(error) else reader.line_num
            reason = next((reason for key, reason in _REASONS.items() if key in str(error)), str(error))
            raise LayoutError(
                path,
                f", line {line}: not a table separated by {layout.delimiter!r}: {reason}.",
                {
                    "quoting": f"If quotes are part of the texts, give {flag('quoting')} none.",
                    "": "Otherwise quote cells that contain the separator or a line break, and double quotes inside "
                    "of them.",
                    "delimiter": delimiter_hint([of_record[0].strip()] if first == 1 else [], None).strip(),
                },
            ) from error
        if record is None:
            return
        if doubt is not None and first > layout.skipped and doubt.about(record, of_record):
            where = f"lines {first} to {reader.line_num}" if len(of_record) > 1 else f"line {first}"
            raise LayoutError(
                path,
                f", {where}: a quote joins text that could also be "
                f"{'several rows' if len(of_record) > 1 else 'two cells'}: {of_record[0].strip()[:80]!r}.",
                {
                    "quoting": f"If quotes are part of the texts, give {flag('quoting')} none.",
                    "quoting csv": f"If they mark cells, give {flag('quoting')} csv.",
                },
            )
        yield first, reader.line_num, record


_REASONS = {
    "unexpected end of data": "a quote is opened here and never closed",
    "expected after": "there is text after a closing quote",
    "new-line character": "there is a carriage return in a cell without quotes",
}


class _Doubt:
    """Decides whether quotes in a file mark cells, or are part of the texts and join unrelated rows.

    A row is in doubt if it has a quoted cell of several lines that could all be rows. As soon as a quoted cell
    contains a separator or a line break that can only be part of it, it is certain that quotes mark cells.

    Args:
        layout (`CellLayout`): The layout of the file.
    """

    def __init__(self, layout: CellLayout) -> None:
        self.delimiter = layout.delimiter
        self.width: int | None = None
        self.are_quotes = False

    def about(self, record: Sequence[str], lines: Sequence[str]) -> bool:
        """Returns whether a row is in doubt.

        Args:
            record (`Sequence[str]`): Its cells, if quotes mark cells.
            lines (`Sequence[str]`): Its lines.

        Returns:
            `bool`: Whether quotes may have joined unrelated rows.
        """
        if self.width is None:
            self.width = len(record) or None
            return False
        if self.are_quotes or (len(lines) == 1 and '"' not in lines[0]):
            return False
        if len(lines) == 1:
            cells = lines[0].count(self.delimiter) + 1
            self.are_quotes = len(record) == self.width < cells
            return len(record) < self.width == cells
        # Commas are frequent in texts, so all lines must look like rows.
        looked_at = lines if self.delimiter == "," else (lines[0], lines[-1])
        if self.width > 1 and all(map(self._looks_like_a_row, looked_at)):
            return True
        self.are_quotes = len(record) == self.width > 1
        return False

    def _looks_like_a_row(self, line: str) -> bool:
        line = line.rstrip("\r\n")
        cells = line.split(self.delimiter)
        # In texts, commas are followed by a blank or the end of the line.
        is_prose = self.delimiter == "," and any(not cell or cell[0].isspace() for cell in cells[1:])
        return len(cells) == self.width and not is_prose


# ---- JSON ----


class _Object(dict[str, Any]):
    """An object of a JSON file, and its repeated names."""

    repeated: frozenset[str] = frozenset()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        found.repeated = frozenset(name for name in names if names.count(name) > 1)
    return found


def _open_json(file: TextFile, *, has_lines: bool) -> tuple[list[str], Pieces]:
    """Opens JSON lines or a list of objects. The file ending is only used for a file with a single object."""
    with file.open() as lines:
        filled = (line for line in lines if line.strip())
        start, follows = next(filled, "").lstrip(), next(filled, None) is not None
    read = _listed_objects if _is_document(start, follows, has_lines) else _lines_of_objects
    names: dict[str, None] = {}
    count = 0
    for one in read(file):
        names.update(dict.fromkeys(one))
        count += 1
    if not count:
        raise InputError(f"{file.path} is empty; there is nothing to label.")
    if not names or (count == 1 and not has_lines and read is _lines_of_objects and _holds_columns(one)):
        raise _not_objects(file.path)
    listed = list(names)

    def pieces(positions: Sequence[int], rows: int, are_needed: bool) -> Iterator[Columns]:
        wanted = [listed[i] for i in positions]
        objects = read(file)
        number = 0
        while piece := list(islice(objects, rows)):
            for row, one in enumerate(piece, start=number + 1):
                if are_needed and one.repeated and (twice := one.repeated.intersection(wanted)):
                    raise InputError(f"{file.path}, row {row} has {sorted(twice)[0]!r} more than once; keep one.")
            number += len(piece)
            yield [[one.get(name) for one in piece] for name in wanted]

    return listed, pieces


def _is_document(start: str, follows: bool, has_lines: bool) -> bool:
    """Returns whether a file is one JSON value, from its first line that is not blank and whether others follow."""
    if not start.startswith("[" if has_lines else ("[", "{")):
        return False
    try:
        json.loads(start)
    except (ValueError, RecursionError):
        return True
    return start.startswith("[") and not follows


def _holds_columns(one: Mapping[str, Any]) -> bool:
    """Returns whether a single object is a table by columns, or contains the table as a value."""
    return all(isinstance(value, (list, dict)) for value in one.values())


def _listed_objects(file: TextFile) -> Iterator[_Object]:
    with file.open() as lines:
        rows = _parsed(lines.read(), file.path, 1)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _not_objects(file.path)
    yield from rows


def _lines_of_objects(file: TextFile) -> Iterator[_Object]:
    # Lines only end at \n, because JSON strings can contain other line separators.
    with file.open() as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                value = _parsed(line.removesuffix("\n"), file.path, number)
                if not isinstance(value, _Object):
                    raise _not_objects(file.path)
                yield value


def _parsed(document: str, path: Path, line: int) -> Any:
    try:
        return json.loads(document.removeprefix("\ufeff"), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {line + error.lineno - 1}: not valid JSON: {error.msg}. Correct this line."
        ) from error
    except (ValueError, RecursionError) as error:  # thousands of digits in a number, or thousands of brackets
        raise InputError(f"{path}, line {line}: this JSON cannot be read: {error}. Correct this line.") from error


def _not_objects(path: Path) -> InputError:
    return InputError(
        f"{path} must be a list of objects ([{{...}}, {{...}}]), or have one object on each line; pandas writes them "
        'with orient="records".'
    )
