"""Labels the rows of a file with a trained student of any kind."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from freeal_hf.data.files import write_atomically
from freeal_hf.data.texts import TextRow, is_usable

RowT = TypeVar("RowT", bound=tuple[Any, ...])


@dataclass(frozen=True)
class PredictionOptions:
    """What `freeal-hf predict` writes, and in which batches.

    Args:
        batch_size (`int`, *optional*, defaults to 64): The number of texts in one forward pass.
        top_k (`int`, *optional*, defaults to 1): The number of most probable labels to write for each text.
        probabilities (`bool`, *optional*, defaults to `False`): Whether to write the probability of each label.
        embeddings (`bool`, *optional*, defaults to `False`): Whether to write the embedding of each text.

    Example:

        >>> PredictionOptions(top_k=3, probabilities=True).batch_size
        64
    """

    batch_size: int = 64
    top_k: int = 1
    probabilities: bool = False
    embeddings: bool = False


class Predictor(ABC, Generic[RowT]):
    """A trained student that labels the rows of a file.

    Attributes:
        row (`type`): The named tuple of a row: at least `id`, `text` and `note`, with values that Arrow can store.
        text_columns (`Sequence[str]`): The columns that the texts of the student were joined from.
        header (`Sequence[str]`): The names of the columns that are written.
    """

    row: ClassVar[type[Any]] = TextRow
    text_columns: Sequence[str]
    header: Sequence[str]

    @abstractmethod
    def read(self, source: Any, **options: Any) -> Iterable[Sequence[RowT]]:
        """Reads rows in pieces.

        Args:
            source: A file, a Hub id, a dataset or a data frame.
            **options: The options of `stream_texts`.

        Raises:
            InputError: If the data cannot be used.
        """

    @abstractmethod
    def cells(self, rows: Sequence[RowT]) -> list[list[str]]:
        """Labels rows and returns the cells to write. Rows that cannot be labelled get no label.

        Args:
            rows (`Sequence`): The rows.

        Returns:
            `list[list[str]]`: A cell for each column of `header`, for each row. Spreadsheets do not execute them.
        """


def write_predictions(path: Path, predictor: Predictor[Any], rows: Iterable[Sequence[Any]]) -> tuple[int, int]:
    """Labels rows and writes a CSV file, in pieces, so that memory use does not depend on the number of rows.

    The file is written under a temporary name and renamed when it is complete.

    Args:
        path (`Path`): The file.
        predictor (`Predictor`): The student.
        rows (`Iterable[Sequence]`): What `predictor.read` returned.

    Returns:
        `tuple[int, int]`: The number of labelled rows, and the number of rows.

    Raises:
        OSError: If the file cannot be written.

    Example:

        ```python
        predictor = kind_of_student("runs/demo/student").predictor("runs/demo/student", PredictionOptions())
        labelled, count = write_predictions(Path("labelled.csv"), predictor, predictor.read("texts.csv"))
        ```
    """
    labelled = count = 0

    def write(partial: Path) -> None:
        nonlocal labelled, count
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(predictor.header)
            for piece in rows:
                writer.writerows(predictor.cells(piece))
                labelled, count = labelled + sum(is_usable(row.note) for row in piece), count + len(piece)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return labelled, count
