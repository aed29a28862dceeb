"""The base class of the answers of annotators, for all kinds of task."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.base import Annotation

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

_METADATA = b"freeal_hf"


class Answers(ABC):
    """The current answers of one annotator, or of several fused, for each distinct text.

    Each kind of task has its own dataclass with these attributes and those of its answers.

    Attributes:
        reasons (`list[str | None]`): The reasons of missing answers.
        parts (`list[Answers]`): The answers of each annotator if there are several.
    """

    reasons: list[str | None]
    parts: list[Any]

    @classmethod
    @abstractmethod
    def none(cls, count: int) -> "Self":
        """Returns the answers for `count` texts that are not annotated yet."""

    def empty(self) -> "Self":
        """Returns missing answers for the same texts."""
        return self.none(len(self.reasons))

    @abstractmethod
    def extended_to(self, count: int) -> "Self":
        """Returns the same answers for more texts. The new texts have no answer."""

    @abstractmethod
    def take(self, index: int, answer: Annotation) -> None:
        """Enters an answer. An answer without a label does not replace one of an earlier round."""

    @abstractmethod
    def refined_by(self, other: "Self") -> "Self":
        """Returns the same answers, replaced by those of another annotator for the texts that it has answered."""

    @property
    @abstractmethod
    def is_missing(self) -> np.ndarray:
        """Whether a text has no answer, shape `(n,)`."""

    @property
    def figures(self) -> dict[str, Any]:
        """Metrics of the answers for the record of a round, without their costs."""
        return {}

    def explain_missing(self, reason: str) -> None:
        """Gives this reason to every missing answer that has none yet."""
        for index in np.flatnonzero(self.is_missing):
            self.reasons[index] = self.reasons[index] or reason

    def save(self, path: Path, costs: Mapping[str, Any]) -> None:
        """Writes the answers and their costs as a Parquet file with one row for each text.

        If there are several annotators, the columns without a number have the fused answers and the columns that end
        in `_1`, `_2`, ... those of each annotator.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = self._columns()
        for number, part in enumerate(self.parts, start=1):
            columns |= {f"{name}_{number}": values for name, values in part._columns().items()}
        noted = json.dumps({"costs": dict(costs), "annotators": len(self.parts)})
        pq.write_table(pa.table(columns).replace_schema_metadata({_METADATA: noted}), path)

    @classmethod
    def load(cls, path: Path) -> tuple["Self", dict[str, Any]]:
        """Reads the file of `save`."""
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        noted = json.loads(table.schema.metadata[_METADATA])
        answers = cls._from_columns(table, "")
        answers.parts.extend(cls._from_columns(table, f"_{number + 1}") for number in range(noted["annotators"]))
        return answers, noted["costs"]

    @classmethod
    def load_former(cls, path: Path) -> tuple["Self", dict[str, Any]]:
        """Reads the JSON file of earlier versions."""
        values = json.loads(path.read_text(encoding="utf-8"))
        answers = cls._from_former(values)
        answers.parts.extend(cls._from_former(part) for part in values["parts"])
        return answers, values["costs"]

    @abstractmethod
    def _columns(self) -> dict[str, "pa.Array"]:
        """Returns the answers as columns of a file, without `parts`."""

    @classmethod
    @abstractmethod
    def _from_columns(cls, table: "pa.Table", suffix: str) -> "Self":
        """Reads the columns of `_columns` whose names have this suffix."""

    @classmethod
    @abstractmethod
    def _from_former(cls, values: Mapping[str, Any]) -> "Self":
        """Reads the answers in a JSON file of an earlier version, without `parts`."""
