"""Tables that may be larger than memory: written piece by piece, read where they lie."""

from collections.abc import Iterable, Iterator, Sequence
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, overload
from uuid import uuid4

import numpy as np

from freeal_hf.errors import RunError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

PIECE = 10_000
"""Rows that are held as Python objects at a time."""

_IN_MEMORY = 2**26  # bytes of a table that is not worth a file


def spooled(pieces: Iterable["pa.Table"], *, in_memory: int = _IN_MEMORY) -> "pa.Table":
    """Joins the pieces of a table, in memory where it is small, else in a temporary file that is mapped.

    The file (in the folder for such files, `TMPDIR`) has no name any more and goes with the last use of the table.

    Args:
        pieces (`Iterable[pa.Table]`): The pieces, at least one, of one schema.
        in_memory (`int`): Bytes up to which the table stays in memory.

    Raises:
        RunError: If the file cannot be written.
    """
    import pyarrow as pa

    source = iter(pieces)
    kept, size = [], 0
    for piece in source:
        kept.append(piece)
        size += piece.nbytes
        if size > in_memory:
            break
    else:
        return pa.concat_tables(kept)
    try:
        with NamedTemporaryFile(prefix="freeal-", suffix=".arrow") as file:
            with pa.ipc.new_stream(file, kept[0].schema) as writer:
                while kept:
                    writer.write_table(kept.pop(0))
                for piece in source:
                    writer.write_table(piece)
            file.flush()
            return pa.ipc.open_stream(pa.memory_map(file.name)).read_all()
    except OSError as error:
        raise RunError(
            f"A table of {size:,} bytes or more cannot be kept on disk meanwhile: {error}. Make room, or name "
            "a folder that has some in the environment variable TMPDIR."
        ) from error


def dataset_of(table: "pa.Table") -> "Dataset":
    """A table as a dataset; its schema says the features. Nothing is copied."""
    from datasets import Dataset

    # Else the fingerprint is a hash of all that is in it.
    return Dataset(table, fingerprint=uuid4().hex[:16])


def table_of(dataset: "Dataset") -> "pa.Table":
    """The rows of a dataset as a table; copied only if they were chosen from a larger one."""
    return dataset.with_format("arrow")[:]


class StringColumn(Sequence[str]):
    """Some strings of a table's column, read when they are asked for.

    Args:
        column (`pa.ChunkedArray`): The column.
        rows (`np.ndarray` of shape `(n,)`): Which of its rows, in ascending order.
        more (`Sequence[str]`): Strings that stand after them and are in no table.
    """

    def __init__(self, column: "pa.ChunkedArray", rows: np.ndarray, more: Sequence[str] = ()) -> None:
        self.column, self.rows, self.more = column, rows, list(more)

    def __len__(self) -> int:
        return len(self.rows) + len(self.more)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place >= len(self.rows):
            return self.more[place - len(self.rows)]
        return self.column[int(self.rows[place])].as_py()

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces():
            yield from piece.to_pylist()

    def pieces(self) -> Iterator["pa.ChunkedArray"]:
        """The strings, some at a time."""
        import pyarrow as pa

        for start in range(0, len(self.rows), PIECE):
            rows = self.rows[start : start + PIECE]
            # Of the whole column pyarrow would first make one array.
            yield self.column.slice(rows[0], rows[-1] + 1 - rows[0]).take(pa.array(rows - rows[0]))
        if self.more:
            yield pa.chunked_array([pa.array(self.more, self.column.type)])

    def followed_by(self, more: Iterable[str]) -> "StringColumn":
        """The same with strings at its end."""
        return StringColumn(self.column, self.rows, [*self.more, *more])
