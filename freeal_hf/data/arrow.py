"""Arrow tables that may be larger than memory: written in pieces and mapped from disk."""

import hashlib
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
"""The number of rows that are Python objects at the same time."""

_IN_MEMORY = 2**26  # bytes; smaller tables are not written to a file


def spooled(pieces: Iterable["pa.Table"], *, in_memory: int = _IN_MEMORY) -> "pa.Table":
    """Joins the pieces of a table, in memory if it is small, and otherwise in a temporary file that is mapped.

    The file is in the temporary folder (`TMPDIR`). It has no name, and is deleted with the table.

    Args:
        pieces (`Iterable[pa.Table]`): The pieces, at least one, with the same schema.
        in_memory (`int`, *optional*): The maximum size in bytes of a table in memory.

    Returns:
        `pa.Table`: The table.

    Raises:
        RunError: If the file cannot be written.

    Example:

        >>> import pyarrow as pa
        >>> spooled([pa.table({"text": ["a plum"]}), pa.table({"text": ["a saw"]})])["text"].to_pylist()
        ['a plum', 'a saw']
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
            f"A table of {size:,} bytes or more cannot be stored in a temporary file: {error}. Free some space, or "
            "set the environment variable TMPDIR to a folder with enough space."
        ) from error


def dataset_of(table: "pa.Table") -> "Dataset":
    """Converts a table to a dataset with the features of its schema, without copying.

    Args:
        table (`pa.Table`): The table.

    Returns:
        `Dataset`: The dataset.

    Example:

        >>> import pyarrow as pa
        >>> dataset_of(pa.table({"text": ["a plum"]}))[0]
        {'text': 'a plum'}
    """
    from datasets import Dataset

    # Without a given fingerprint, datasets would hash all values.
    return Dataset(table, fingerprint=uuid4().hex[:16])


def digest(dataset: "Dataset") -> str:
    """Computes a digest of the rows of a dataset, in bounded memory.

    Args:
        dataset (`Dataset`): The dataset.

    Returns:
        `str`: The digest. It is the same for datasets with the same rows that were made in the same way.

    Example:

        >>> from datasets import Dataset
        >>> plum, saw = (Dataset.from_dict({"text": [text]}) for text in ("a plum", "a saw"))
        >>> digest(plum) == digest(plum), digest(plum) == digest(saw)
        (True, False)
    """
    found = hashlib.sha256()
    for batch in table_of(dataset).to_batches(max_chunksize=PIECE):
        found.update(memoryview(batch.serialize()))
    return found.hexdigest()


def table_of(dataset: "Dataset") -> "pa.Table":
    """Returns the rows of a dataset as a table. They are only copied if they were selected from a larger dataset.

    Args:
        dataset (`Dataset`): The dataset.

    Returns:
        `pa.Table`: The table.

    Example:

        >>> from datasets import Dataset
        >>> table_of(Dataset.from_dict({"text": ["a plum", "a saw"]})).num_rows
        2
    """
    return dataset.with_format("arrow")[:]


class StringColumn(Sequence[str]):
    """A sequence of strings from a column of a table, which are read when they are needed.

    Args:
        column (`pa.ChunkedArray`): The column.
        rows (`np.ndarray` of shape `[n]`): The numbers of the rows, in ascending order.
        more (`Sequence[str]`, *optional*): Further strings at the end, which are not in the table.

    Example:

        >>> import pyarrow as pa
        >>> column = StringColumn(pa.chunked_array([["a plum", "a saw", "a pear"]]), np.array([0, 2]))
        >>> column[1], list(column.followed_by(["a new text"]))
        ('a pear', ['a plum', 'a pear', 'a new text'])
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
        """Yields the strings in pieces."""
        import pyarrow as pa

        for start in range(0, len(self.rows), PIECE):
            rows = self.rows[start : start + PIECE]
            # For the complete column pyarrow would first make one array.
            yield self.column.slice(rows[0], rows[-1] + 1 - rows[0]).take(pa.array(rows - rows[0]))
        if self.more:
            yield pa.chunked_array([pa.array(self.more, self.column.type)])

    def followed_by(self, more: Iterable[str]) -> "StringColumn":
        """Returns the same strings with others at the end.

        Args:
            more (`Iterable[str]`): The strings to add.

        Returns:
            `StringColumn`: All strings.
        """
        return StringColumn(self.column, self.rows, [*self.more, *more])
