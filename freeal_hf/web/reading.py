"""The step Data: what a visitor brings becomes a table within the limits, with every problem named before a run."""

import csv
import io
import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from freeal_hf.data.sentences import TOKENS
from freeal_hf.data.tables import read_tables
from freeal_hf.errors import InputError
from freeal_hf.tasks import TextClassification, TokenClassification
from freeal_hf.web.settings import Settings

EXAMPLE, FILE, LINES, HUB = "Example", "File", "Lines", "Hub data set"
SOURCES = (EXAMPLE, FILE, LINES, HUB)

_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DELIMITERS = ",;\t|"
_NONE = "\x1f"  # where the first line holds a single cell: a comma in a text below it separates nothing
_MAX_COLUMNS = 200
_SHOWN_ROWS, _SHOWN_CHARACTERS, _SHOWN_WORDS = 8, 300, 60


@dataclass(frozen=True)
class Table:
    """Columns as they were read, and what there is to say about them.

    Args:
        columns (`dict[str, Sequence]`): Values by column name.
        remarks (`list[str]`): What was guessed, for the visitor to check.
    """

    columns: dict[str, Sequence[Any]]
    remarks: list[str]

    @property
    def num_rows(self) -> int:
        """Rows of each column."""
        return len(next(iter(self.columns.values()), ()))

    def preview(self, columns: Sequence[str] = ()) -> list[list[str | list[str]]]:
        """The first rows of some columns, or of all, as short strings; of lists the first values."""
        shown = [[_short(value) for value in self.columns[name][:_SHOWN_ROWS]] for name in columns or self.columns]
        return [list(row) for row in zip(*shown, strict=True)]


def read_file(path: Path, settings: Settings, *, has_header: bool = True) -> Table:
    """Reads an uploaded file.

    Args:
        path (`Path`): The file.
        settings (`Settings`): The limits.
        has_header (`bool`): Whether the first line of a CSV or TSV file names the columns.

    Raises:
        InputError: If it is over a limit, or cannot be read; the message says what to do.
    """
    suffix, size = path.suffix.lower(), path.stat().st_size
    if suffix not in _SUFFIXES:
        raise InputError(f"A file ending in {suffix!r} cannot be read; bring one of {', '.join(_SUFFIXES)}.")
    if size > settings.max_megabytes * 2**20:
        raise InputError(
            f"The file has {size / 2**20:.0f} MB; the limit is {settings.max_megabytes} MB. Bring a part of it, or "
            "run freeal-hf on a machine of your own."
        )
    remarks: list[str] = []
    options: dict[str, Any] = {}
    if suffix == ".parquet":
        _check_unpacked_size(path, settings)
    else:
        options["encoding"] = _encoding(path, remarks)
    if suffix in (".csv", ".tsv"):
        path, options["delimiter"] = _with_header(path, options["encoding"], suffix, has_header, remarks)
    if suffix != ".parquet":
        _check_shape(*_shape(path, suffix, **options), settings)
    try:
        pieces, _ = read_tables(path, **options)
        return Table(dict(next(pieces)), remarks)
    except InputError as error:
        raise InputError(str(error).replace(str(path), "The file")) from error


def write_lines(text: str, path: Path) -> None:
    """Writes pasted lines as a file of one column, `text`; empty lines are left out."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError("There are no lines yet; paste one text a line.")
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")


def write_example(path: Path, max_rows: int) -> None:
    """Writes the messages to a shop that come with the package, as many as the limit allows."""
    lines = files("freeal_hf.demo").joinpath("shop_messages.csv").read_text(encoding="utf-8").splitlines(True)
    path.write_text("".join(lines[: max_rows + 1]), encoding="utf-8")


def example_task() -> TextClassification:
    """The task of the example."""
    values = yaml.safe_load(files("freeal_hf.demo").joinpath("task.yaml").read_text(encoding="utf-8"))
    return TextClassification.from_dict(values)


def example_entities() -> TokenClassification:
    """What may be found in the messages of the example."""
    types = {
        "article": "a thing that the shop sells, such as a kettle, a lamp, curtains, a wool coat, a garden shed",
        "place": "a country, an island or a town, such as Malta, Athens, Norway",
    }
    return TokenClassification(types, "What do customers of a shop write about?")


def holds_words(values: Sequence[Any]) -> bool:
    """Whether a column holds lists: its first value that is not missing tells."""
    return isinstance(next((value for value in values if value is not None), None), list)


def guess_text_columns(table: Table) -> list[str]:
    """The column of words named `tokens`, the one named `text`, or else the one with the longest strings or lists."""
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
    """What a visitor should know before going on; nothing of it stops a run.

    Args:
        table (`Table`): What was read.
        text_columns (`Sequence[str]`): Columns of the text.
        gold_column (`str`, *optional*): Column of true labels.
        settings (`Settings`): The limits.
    """
    problems = list(table.remarks)
    texts = [table.columns[name] for name in text_columns]
    empty = sum(not any(isinstance(v, str) and v.strip() for v in row) for row in zip(*texts, strict=True))
    if empty:
        problems.append(f"{count(empty, 'row')} without a text: kept, without a label.")
    long = sum(
        any(isinstance(v, str) and len(v) > settings.max_characters for v in row) for row in zip(*texts, strict=True)
    )
    if long:
        problems.append(f"{count(long, 'text')} longer than {settings.max_characters:,} characters: cut there.")
    # Values may be lists or objects, which are no texts, and which no set takes.
    repeated = table.num_rows - len({str(row) for row in zip(*texts, strict=True)})
    if repeated:
        problems.append(f"{count(repeated, 'row')} with a text that was there before: each text is asked once.")
    if gold_column:
        kinds = len({str(value) for value in table.columns[gold_column] if value not in (None, "")})
        if kinds > settings.max_labels:
            problems.append(f"The gold column {gold_column!r} has {kinds:,} different values: is it the right one?")
    return problems


def write_texts(
    table: Table, text_columns: Sequence[str], gold_column: str | None, path: Path, settings: Settings
) -> None:
    """Writes the chosen columns as the run reads them: JSON lines, long texts cut."""
    names = [*text_columns, *([gold_column] if gold_column else [])]
    with path.open("w", encoding="utf-8") as file:
        for row in zip(*(table.columns[name] for name in names), strict=True):
            values = {
                name: value[: settings.max_characters] if isinstance(value, str) else value
                for name, value in zip(names, row, strict=True)
            }
            file.write(json.dumps(values, ensure_ascii=True, default=str) + "\n")


def gold_values(table: Table, column: str) -> list[str]:
    """The different values of a gold column, in the order in which they come."""
    return list(dict.fromkeys(str(value).strip() for value in table.columns[column] if str(value or "").strip()))


def count(number: int, what: str) -> str:
    """A number of things, such as `1 row` or `2,000 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _encoding(path: Path, remarks: list[str]) -> str:
    content = path.read_bytes()
    marked = _BYTE_ORDER_MARKS.get(content[:2])
    if not marked and b"\0" in content:
        raise InputError("The file holds zero bytes: it is no text, or UTF-16 without its mark. Save it as UTF-8.")
    for name in [marked] if marked else ["utf-8", "cp1252"]:
        try:
            content.decode(name)
        except UnicodeDecodeError:
            continue
        if name == "cp1252":
            remarks.append("The file is not UTF-8; it was read as Windows-1252. Check accents in the preview.")
        return name
    raise InputError("The encoding of the file is not known: it is neither UTF-8 nor Windows-1252. Save it as UTF-8.")


def _with_header(path: Path, encoding: str, suffix: str, has_header: bool, remarks: list[str]) -> tuple[Path, str]:
    """The file, with a header where it has none, and what separates its cells."""
    content = path.read_text(encoding="utf-8-sig" if encoding == "utf-8" else encoding)
    first = content.partition("\n")[0]
    usual = "\t" if suffix == ".tsv" else ","
    others = max(_DELIMITERS, key=first.count)
    delimiter = usual if usual in first else others if others in first else _NONE
    try:
        cells, *following = list(itertools.islice(csv.reader(io.StringIO(content), delimiter=delimiter), _SHOWN_ROWS))
    except (csv.Error, ValueError):
        return path, delimiter  # the reader says what is wrong
    if not has_header:
        names = delimiter.join(f"column {i}" for i in range(1, len(cells) + 1))
        path = path.with_name(f"named{suffix}")
        path.write_text(f"{names}\n{content}", encoding=encoding, newline="")
    elif _looks_like_a_row(cells, following):
        remarks.append(
            "The first line looks like a row, not like names of columns: untick “First line names the columns”."
        )
    return path, delimiter


def _looks_like_a_row(cells: Sequence[str], following: Sequence[Sequence[str]]) -> bool:
    """Whether a header holds a long text, a number over numbers, or a value that comes again below it."""
    for i, cell in enumerate(cells):
        below = [row[i].strip() for row in following if i < len(row)]
        if len(cell) > 60 or len(cell.split()) > 6 or (cell.strip() and cell.strip() in below):
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


def _shape(path: Path, suffix: str, encoding: str, delimiter: str = ",") -> tuple[int, int]:
    """Rows and columns of a text file, before anything is made of them: a small file may claim billions of cells."""
    with path.open(encoding=encoding, newline="") as file:
        try:
            if suffix in (".csv", ".tsv"):
                reader = csv.reader(file, delimiter=delimiter)
                header = next(reader, [])
                return sum(1 for _ in reader), len(header)
            content = file.read()
            if suffix == ".json":
                found = json.loads(content)
            else:
                found = [json.loads(line) for line in content.split("\n") if line.strip()]
        except (csv.Error, json.JSONDecodeError):
            return 0, 0  # the reader says what is wrong
        except RecursionError as error:
            raise InputError("The file is nested too deeply; bring a list of flat objects.") from error
    if not isinstance(found, list):
        return 0, 0
    return len(found), len({name for row in found if isinstance(row, dict) for name in row})


def _check_shape(rows: int, columns: int, settings: Settings) -> None:
    if rows > settings.max_rows:
        raise InputError(
            f"There are {rows:,} rows; the limit is {settings.max_rows:,}. Bring a part of them, or run freeal-hf "
            "on a machine of your own."
        )
    if columns > _MAX_COLUMNS:
        raise InputError(f"There are {columns:,} columns; the limit is {_MAX_COLUMNS}. Leave out those not needed.")


def _check_unpacked_size(path: Path, settings: Settings) -> None:
    """A small Parquet file may unpack to any size; its footer tells to which."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.ParquetFile(path).metadata
    except pa.ArrowInvalid as error:
        raise InputError("This is not a Parquet file that can be read.") from error
    _check_shape(found.num_rows, found.num_columns, settings)
    unpacked = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
    if unpacked > 10 * settings.max_megabytes * 2**20:
        raise InputError(f"The file unpacks to {unpacked / 2**20:.0f} MB, which is too much. Bring a part of it.")


def _short(value: Any) -> str | list[str]:
    if isinstance(value, list):
        shown = [_short_text(part) for part in value[:_SHOWN_WORDS]]
        return [*shown, "…"] if len(value) > _SHOWN_WORDS else shown
    return _short_text(value)


def _short_text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def keep(path: str, folder: Path) -> Path:
    """Copies an uploaded file into a run's folder, under a name of our own."""
    kept = folder / f"upload{Path(path).suffix.lower()}"
    shutil.copyfile(path, kept)
    return kept
