"""`labels.csv`: all columns of the user's data, unchanged, and then the columns of the run."""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from freeal_hf.data.arrow import PIECE, table_of
from freeal_hf.data.counting import counted
from freeal_hf.data.spreadsheets import harmless
from freeal_hf.data.tables import RawTable
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_PREFIX = "freeal_"
_METADATA = b"freeal_hf"


class _Given(NamedTuple):
    """The columns of the user, their separator, and the columns of the run that are equal to one of them."""

    names: list[str]
    delimiter: str
    repeated: Collection[str]
    rows: Iterator[Sequence[str]]


def keep_columns(path: Path, table: RawTable, count: int, *, repeated: Collection[str]) -> None:
    """Writes the columns of the user to a Parquet file, from which `write_csv` reads them after each round.

    Args:
        path (`Path`): The file to write.
        table (`RawTable`): The columns.
        count (`int`): The number of rows that were read before from the same data.
        repeated (`Collection[str]`): The columns of the run that are equal to the user's column of the same name.

    Raises:
        InputError: If the number of rows has changed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {"names": table.names, "delimiter": table.delimiter, "repeated": sorted(repeated)}
    fields = [(str(i), pa.string()) for i in range(len(table.names))]
    schema = pa.schema(fields, metadata={_METADATA: json.dumps(about)})
    found = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := list(islice(table.rows, PIECE)):
            found += len(rows)
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    if found != count:
        raise InputError(
            f"The data has {counted(found, 'row')} and had {count:,} before; do not change it while a run starts."
        )


def write_csv(path: Path, labels: "Dataset", given: Path | None = None, *, cell: Callable[[Any], str]) -> None:
    """Writes the dataset of a round with label names. A cell without a label or value is empty.

    The file begins with a byte order mark, by which spreadsheets recognize UTF-8. Cells that a spreadsheet would
    execute begin with an apostrophe (`freeal_hf.data.spreadsheets`). If the user has a column with the name of a
    column of the run, the latter is called `freeal_NAME`, or left out if both are equal.

    Args:
        path (`Path`): The file to write.
        labels (`Dataset`): The dataset of the round.
        given (`Path`, *optional*): The file that `keep_columns` wrote. Without it, only the columns of the run are
            written.
        cell (`Callable`): Returns the cell of a value of a label column; empty if there is no label.

    Example:

        >>> from datasets import Dataset
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.csv")
        ...     write_csv(path, Dataset.from_dict({"text": ["=1+1"], "note": [None]}), cell=str)
        ...     path.read_text(encoding="utf-8-sig").splitlines()
        ['text,note', "'=1+1,"]
    """
    user = _read(given) if given is not None and given.is_file() else _Given([], ",", (), repeat(()))
    features = labels.features  # read once: the property takes 100 µs
    own = [name for name in labels.column_names if name not in user.repeated]
    of_labels = {name for name in own if _has_labels(features[name])}
    with path.open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
        writer = csv.writer(file, delimiter=user.delimiter)
        writer.writerow(map(harmless, [*user.names, *(_free_name(name, user.names) for name in own)]))
        for row, cells in zip(_rows(table_of(labels), own), user.rows, strict=False):
            found = [
                cell(value) if name in of_labels else _csv_cell(value) for name, value in zip(own, row, strict=True)
            ]
            writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in (*cells, *found)])


def _read(path: Path) -> _Given:
    import pyarrow.parquet as pq

    about = json.loads(pq.read_schema(path).metadata[_METADATA])

    def rows() -> Iterator[Sequence[str]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PIECE):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    return _Given(about["names"], about["delimiter"], about["repeated"], rows())


def _rows(table: "pa.Table", names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(table), PIECE):
        piece = table.slice(start, PIECE)
        yield from zip(*(piece[name].to_pylist() for name in names), strict=True)


def _free_name(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name = _PREFIX + name
    return name


def _has_labels(feature: Any) -> bool:
    from datasets import ClassLabel, List

    return isinstance(feature.feature if isinstance(feature, List) else feature, ClassLabel)


def _csv_cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
