"""Reads columns of an opened table by their names, completely or in pieces."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freeal_hf.data.arrow import PIECE
from freeal_hf.data.cells import cell_text, normal_cell
from freeal_hf.data.layouts import delimiter_hint
from freeal_hf.data.text_tables import Pieces
from freeal_hf.errors import InputError
from freeal_hf.task_labels import normal_form

Table = Mapping[str, Sequence[Any]]
"""The values of each column. It is not a `Dataset`, whose columns cannot have values of several types."""


@dataclass(frozen=True)
class OpenTable:
    """A table whose columns are known. Its rows can be read more than once.

    Args:
        origin (`str`): The name of the table in messages.
        names (`list[str]`): The column names in their order. They can be repeated or empty.
        pieces (`Callable`): Reads columns by position, in pieces.
        delimiter (`str`, *optional*): The separator of a CSV file.

    Example:

        >>> import pandas as pd
        >>> from freeal_hf.data.tables import open_table
        >>> table = open_table(pd.DataFrame({"text": ["a plum", None], "stars": [5, 1]}))
        >>> table.names, next(table.read(["text"]))
        (['text', 'stars'], {'text': ['a plum', None]})
    """

    origin: str
    names: list[str]
    pieces: Pieces
    delimiter: str | None = None

    def read(self, columns: Sequence[str] | None = None, *, rows: int | None = None) -> Iterator[Table]:
        """Reads columns. Other columns are ignored, even if they are invalid.

        Args:
            columns (`Sequence[str]`, *optional*): The names of the columns. Defaults to all columns.
            rows (`int`, *optional*): The maximum number of rows in a piece. By default there is one piece.

        Returns:
            `Iterator[Table]`: The pieces, at least one, with values in the form of `normal_cell`.

        Raises:
            InputError: Immediately if a column is missing or its name is not unique; from the iterator if rows cannot
                be read.
        """
        names = list(dict.fromkeys(self.names if columns is None else columns))
        positions = [self._position(name) for name in names]
        return self._tables(names, positions, rows)

    def texts(self, *, rows: int = 1000) -> Iterator[list[str]]:
        """Reads all columns as strings, to write the table again.

        Args:
            rows (`int`, *optional*, defaults to 1000): The number of rows in memory at the same time.

        Yields:
            `list[str]`: The cells of a row, one for each of `names`. Cells of a CSV file are not changed.

        Raises:
            InputError: If rows cannot be read.
        """
        for piece in self.pieces(range(len(self.names)), rows, False):
            for row in zip(*piece, strict=True):
                yield [cell_text(value) for value in row]

    def _tables(self, names: Sequence[str], positions: Sequence[int], rows: int | None) -> Iterator[Table]:
        joined: dict[str, list[Any]] = {name: [] for name in names}
        is_empty = True
        for piece in self.pieces(positions, rows or PIECE, True):
            table = {name: list(map(normal_cell, values)) for name, values in zip(names, piece, strict=True)}
            if rows is not None:
                is_empty = False
                yield table
            else:
                for name, values in table.items():
                    joined[name] += values
        if rows is None or is_empty:
            yield joined

    def _position(self, column: str) -> int:
        found = [i for i, name in enumerate(self.names) if name == column]
        found = found or [i for i, name in enumerate(self.names) if normal_form(name) == normal_form(column)]
        if not found:
            raise InputError(missing_column(column, self.names, self.origin, self.delimiter))
        if len(found) > 1:
            raise InputError(f"{self.origin} has {len(found)} columns named {column!r}; rename all but one.")
        return found[0]


def missing_column(column: str, names: Sequence[str], origin: str, delimiter: str | None) -> str:
    """Returns the error message for a missing column.

    Args:
        column (`str`): The missing column.
        names (`Sequence[str]`): The columns of the table.
        origin (`str`): The name of the table.
        delimiter (`str`, *optional*): The separator of a CSV file.

    Returns:
        `str`: The message.
    """
    listed = ", ".join(map(repr, names))
    hint = (
        " The column 'tokens' is only used for entity tasks (type: token-classification)." if "tokens" in names else ""
    )
    hint = hint or delimiter_hint(names, delimiter)
    if not hint and any("," in name for name in names):
        hint = " Quote a name that contains commas, or give it alone (--text-columns '\"a, b\",c')."
    if column == "text" and not hint:
        hint = " Give the column of the texts with --text-columns."
    return f"{origin} has no column {column!r}; its columns are {listed}.{hint}"
