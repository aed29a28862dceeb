"""The step Data without Gradio: reads the data of a visitor, and reports problems before a run."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from freeal_hf.data.arrow import PIECE
from freeal_hf.data.cells import normal_cell
from freeal_hf.data.columns import OpenTable
from freeal_hf.data.counting import counted
from freeal_hf.data.formats import DELIMITERS
from freeal_hf.data.layouts import LayoutError, text_file
from freeal_hf.data.sentences import TOKENS
from freeal_hf.data.tables import open_table
from freeal_hf.errors import InputError
from freeal_hf.tasks import NONE_OF_THEM, TextClassification, TokenClassification
from freeal_hf.tasks.multi_label import listed
from freeal_hf.web.settings import Settings

EXAMPLE, FILE, PASTED, HUB = "Example", "File", "Pasted texts", "Hub dataset"
SOURCES = (EXAMPLE, FILE, PASTED, HUB)

DETECTED = "are detected"
QUOTES = {DETECTED: None, "mark cells": "csv", "are part of the texts": "none"}
"""The option `quoting` of the reader by the choices on the page."""

_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_NONE = "\x1f"  # the separator of a file with a single column, whose texts can contain commas
_MAX_COLUMNS = 200
_SHOWN_ROWS, _SHOWN_CHARACTERS, _SHOWN_WORDS = 8, 300, 60


@dataclass(frozen=True)
class Table:
    """The columns of a table, with remarks.

    Args:
        columns (`dict[str, Sequence]`): The values by column name.
        remarks (`list[str]`): Assumptions that the visitor should check.
        faults (`dict[str, str]`): The columns that cannot be used, with the reasons.
    """

    columns: dict[str, Sequence[Any]]
    remarks: list[str]
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def preview(self, columns: Sequence[str] = ()) -> list[list[str | list[str]]]:
        """Returns the first rows of some or all columns as short strings, or short lists of strings."""
        shown = [[_short(value) for value in self.columns[name][:_SHOWN_ROWS]] for name in columns or self.columns]
        return [list(row) for row in zip(*shown, strict=True)]

    def problems(self, *, empty: int, kept_as: str, long: int, distinct: int, settings: Settings) -> list[str]:
        """Returns the remarks, the columns that cannot be used, and warnings about the texts.

        Args:
            empty (`int`): The number of rows without a text.
            kept_as (`str`): A description of these rows, and of their labels.
            long (`int`): The number of texts that are truncated.
            distinct (`int`): The number of different texts.
            settings (`Settings`): The limits.
        """
        counts = (
            (empty, "row", kept_as),
            (long, "text", f"longer than {settings.max_characters:,} characters: truncated"),
            (self.num_rows - distinct, "row", "with a repeated text: each text is labelled once"),
        )
        warnings = (f"{counted(number, unit)} {problem}." for number, unit, problem in counts if number)
        return [*self.remarks, *self.faults.values(), *warnings]


def read_file(path: Path, settings: Settings, *, has_header: bool = True, quotes: str = DETECTED) -> Table:
    """Reads an uploaded file.

    Args:
        path (`Path`): The file.
        settings (`Settings`): The limits.
        has_header (`bool`): Whether the first line of a CSV or TSV file has the names of the columns.
        quotes (`str`): The meaning of quotes in a CSV or TSV file, a key of `QUOTES`.

    Returns:
        `Table`: The table.

    Raises:
        InputError: If the file exceeds a limit or cannot be read.
    """
    suffix, size = path.suffix.lower(), path.stat().st_size
    if suffix not in _SUFFIXES:
        raise InputError(f"A {suffix!r} file cannot be read; upload one of {', '.join(_SUFFIXES)}.")
    if size > settings.max_megabytes * 2**20:
        raise InputError(
            f"The file has {size / 2**20:.0f} MB; the limit is {settings.max_megabytes} MB. Upload a part of it, or "
            "run freeal-hf on your own machine."
        )
    if suffix == ".parquet":
        _check_unpacked_size(path, settings)
    try:
        table = _open(path, suffix, QUOTES[quotes])
        _check_shape(_num_rows(table), len(table.names), settings)
        first = next(table.pieces(range(len(table.names)), _SHOWN_ROWS, False), [])
        following = [[cell or "" for cell in row] for row in zip(*first, strict=True)]  # cells can be missing
        remarks = []
        if suffix != ".parquet" and text_file(path, None).encoding == "cp1252":
            remarks.append("The file is not UTF-8 and was read as Windows-1252. Check the accents in the preview.")
        if suffix in DELIMITERS and not has_header:
            return _without_header(table, remarks)
        if suffix in DELIMITERS and _looks_like_a_row(table.names, following):
            remarks.append(
                "The first line looks like a row, not like column names: uncheck “First line has the column names”."
            )
        return _with_header(table, remarks)
    except InputError as error:
        raise InputError(_for_the_page(error, str(path))) from error


def _open(path: Path, suffix: str, quoting: str | None) -> OpenTable:
    table = open_table(path, quoting=quoting)
    # If the first line is a single cell, commas in the texts below it are not separators.
    is_one_column = suffix in DELIMITERS and len(table.names) == 1
    return open_table(path, quoting=quoting, delimiter=_NONE) if is_one_column else table


def _num_rows(table: OpenTable) -> int:
    return sum(len(columns[0]) for columns in table.pieces([0], PIECE, False))


def _values(table: OpenTable, positions: Sequence[int]) -> list[list[Any]]:
    """Reads the values of the columns at some positions."""
    found: list[list[Any]] = [[] for _ in positions]
    for piece in table.pieces(positions, PIECE, True):
        for values, part in zip(found, piece, strict=True):
            values += map(normal_cell, part)
    return found


def _without_header(table: OpenTable, remarks: list[str]) -> Table:
    positions = range(len(table.names))
    rows = zip(positions, table.names, _values(table, positions), strict=True)
    return Table({f"column {i + 1}": [normal_cell(first), *values] for i, first, values in rows}, remarks)


def _with_header(table: OpenTable, remarks: list[str]) -> Table:
    """Reads all readable columns. Choosing another column is an error."""
    numbers = Counter(table.names)
    faults = {
        name: f"The file has {number} columns named {name!r}; rename all but one."
        for name, number in numbers.items()
        if number > 1
    }
    positions = [i for i, name in enumerate(table.names) if name not in faults]
    try:
        values = _values(table, positions)
    except InputError:
        _values(table, [])  # raises if the rows are invalid, whatever the column
        positions, values = [], []
        for i, name in enumerate(table.names):
            if name not in faults:
                try:
                    values += _values(table, [i])
                    positions.append(i)
                except InputError as error:
                    faults[name] = _for_the_page(error, table.origin)
    if not positions:
        raise InputError(next(iter(faults.values())))
    return Table({table.names[i]: column for i, column in zip(positions, values, strict=True)}, remarks, faults)


def _for_the_page(error: InputError, path: str) -> str:
    """Returns the message of an error without the path, and with fields of the page in place of options."""
    if not isinstance(error, LayoutError):
        return str(error).replace(path, "The file")
    remedies = [_REMEDIES.get(option, remedy) for option, remedy in error.remedies.items()]
    return " ".join([f"The file{error.problem}", *filter(None, remedies)])


_REMEDIES = {
    "quoting": "If quotes are part of the texts, choose “are part of the texts” under “Quotes”.",
    "quoting csv": "If they mark cells, choose “mark cells” there.",
    "encoding": "Save it as UTF-8.",
    "delimiter": "",
}


def write_lines(text: str, path: Path) -> None:
    """Writes pasted lines as a file with the column `text`. Empty lines are left out."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError("There is no text; paste one text on each line.")
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")


def write_example(path: Path, max_rows: int) -> None:
    """Writes the shop messages of the package, up to the limit."""
    lines = files("freeal_hf.demo").joinpath("shop_messages.csv").read_text(encoding="utf-8").splitlines(True)
    path.write_text("".join(lines[: max_rows + 1]), encoding="utf-8")


def example_task() -> TextClassification:
    """Returns the classification task of the example."""
    values = yaml.safe_load(files("freeal_hf.demo").joinpath("task.yaml").read_text(encoding="utf-8"))
    return TextClassification.from_dict(values)


def example_entities() -> TokenClassification:
    """Returns the entity task of the example."""
    types = {
        "article": "a thing that the shop sells, such as a kettle, a lamp, curtains, a wool coat, a garden shed",
        "place": "a country, an island or a town, such as Malta, Athens, Norway",
    }
    return TokenClassification(types, "What do customers of a shop write about?")


def holds_words(values: Sequence[Any]) -> bool:
    """Returns whether the first value of a column that is not missing is a list."""
    return isinstance(next((value for value in values if value is not None), None), list)


def guess_text_columns(table: Table) -> list[str]:
    """Returns the column `tokens` if it has words, the column `text`, or the one with the longest strings or lists."""
    if TOKENS in table.columns and holds_words(table.columns[TOKENS]):
        return [TOKENS]
    if "text" in table.columns:
        return ["text"]
    length = {
        name: sum(len(value) for value in values if isinstance(value, str | list))
        for name, values in table.columns.items()
    }
    return [max(length, key=lambda name: length[name])] if length else []


def find_problems(table: Table, text_columns: Sequence[str], gold_column: str | None, settings: Settings) -> list[str]:
    """Returns warnings about the data. They do not prevent a run.

    Args:
        table (`Table`): The table.
        text_columns (`Sequence[str]`): The columns of the text.
        gold_column (`str`, *optional*): The column of true labels.
        settings (`Settings`): The limits.

    Returns:
        `list[str]`: The warnings.
    """
    rows = list(zip(*(table.columns[name] for name in text_columns), strict=True))
    lengths = [[len(cell) for cell in row if isinstance(cell, str) and cell.strip()] for row in rows]
    problems = table.problems(
        empty=sum(not row for row in lengths),
        kept_as="without a text: kept, without a label",
        long=sum(any(length > settings.max_characters for length in row) for row in lengths),
        # Values can be lists or objects, which are not texts and not hashable.
        distinct=len(set(map(str, rows))),
        settings=settings,
    )
    if gold_column:
        kinds = len(label_names(table, gold_column)[0])
        if kinds > settings.max_labels:
            problems.append(
                f"The column {gold_column!r} has {kinds:,} different labels; the limit is {settings.max_labels}. "
                "Is it the right column?"
            )
    return problems


def write_texts(
    table: Table, text_columns: Sequence[str], gold_column: str | None, path: Path, settings: Settings
) -> None:
    """Writes the table for the run, as JSON lines. Long texts are truncated.

    The other columns are in the downloaded table. No annotator reads them.
    """
    used = {*text_columns, *([gold_column] if gold_column else [])}
    with path.open("w", encoding="utf-8") as file:
        for row in zip(*table.columns.values(), strict=True):
            values = dict(zip(table.columns, row, strict=True))
            for name, value in values.items():
                if name not in used:
                    values[name] = as_cell(value)
                elif isinstance(value, str):
                    values[name] = value[: settings.max_characters]
            file.write(json.dumps(values, ensure_ascii=True, default=str) + "\n")


def as_cell(value: Any) -> str | None:
    """Returns a value of a column that the run does not use as text."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def label_names(table: Table, column: str) -> tuple[list[str], bool]:
    """Returns the labels in a gold column, and whether a text can have several.

    Cells have several labels if one is a list, or if `;` or `|` separates fewer labels than there are different cells.

    Args:
        table (`Table`): The table.
        column (`str`): The gold column.

    Returns:
        `tuple[list[str], bool]`: The labels in the order of their first occurrence, and whether cells have several.
    """
    cells = list(dict.fromkeys(str(value).strip() for value in table.columns[column] if str(value or "").strip()))
    lists = [listed(cell) for cell in cells]
    parts = [re.split("[;|]", cell) if found is None else found for cell, found in zip(cells, lists, strict=True)]
    names = list(dict.fromkeys(name.strip() for found in parts for name in found if name.strip()))
    has_several = any(found is not None for found in lists) or len(names) < len(cells)
    return ([name for name in names if name != NONE_OF_THEM], True) if has_several else (cells, False)


def _looks_like_a_row(cells: Sequence[str], following: Sequence[Sequence[str]]) -> bool:
    """Returns whether a header has a long text, a number above numbers, or a value that is repeated below it."""
    for i, cell in enumerate(cells):
        below = [row[i].strip() for row in following if i < len(row) and row[i].strip()]
        if len(cell) > 60 or len(cell.split()) > 6 or cell.strip() in below:
            return True
        if below and all(_is_number(value) for value in [cell, *below]):
            return True
    return False


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_shape(rows: int, columns: int, settings: Settings) -> None:
    if rows > settings.max_rows:
        raise InputError(
            f"There are {rows:,} rows; the limit is {settings.max_rows:,}. Upload a part of them, or run freeal-hf on "
            "your own machine."
        )
    if columns > _MAX_COLUMNS:
        raise InputError(
            f"There are {columns:,} columns; the limit is {_MAX_COLUMNS}. Remove columns that are not needed."
        )


def _check_unpacked_size(path: Path, settings: Settings) -> None:
    """Checks the size of a Parquet file after decompression, which is in its footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.ParquetFile(path).metadata
    except pa.ArrowInvalid as error:
        raise InputError("The file is not a Parquet file. Upload it again, or in another format.") from error
    _check_shape(found.num_rows, found.num_columns, settings)
    unpacked = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
    if unpacked > 10 * settings.max_megabytes * 2**20:
        raise InputError(
            f"The decompressed file has {unpacked / 2**20:.0f} MB; the limit is {10 * settings.max_megabytes} MB. "
            "Upload a part of it, or run freeal-hf on your own machine."
        )


def _short(value: Any) -> str | list[str]:
    if isinstance(value, list):
        shown = [_short_text(part) for part in value[:_SHOWN_WORDS]]
        return [*shown, "…"] if len(value) > _SHOWN_WORDS else shown
    return _short_text(value)


def _short_text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def keep(path: str, folder: Path) -> Path:
    """Copies an uploaded file to the folder of a run, under a new name."""
    kept = folder / f"upload{Path(path).suffix.lower()}"
    shutil.copyfile(path, kept)
    return kept
