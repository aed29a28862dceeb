"""Reads the data, the test data and the human labels of a run: those that are given, or those of the configuration.

The files of the configuration are read once, also if a cost is estimated before the run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.registry import columns_of
from freeal_hf.config import DataConfig
from freeal_hf.data.configured import data_source, human_reading, layout, reading, reading_of_test_data
from freeal_hf.data.option_names import options_of
from freeal_hf.data.tables import RawTable, raw_table
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.human_labels import read_human_labels

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class InputReader:
    """Reads the input of a run.

    Args:
        kind (`TaskKind`): The kind of the task.
        config (`DataConfig`): The data of the configuration.
        text_columns (`Sequence[str]`): The columns of the text.
        annotators (`Sequence[Annotator | str]`): The annotators; `column:NAME` reads a column of the data.
    """

    kind: TaskKind[Any, Any, Any]
    config: DataConfig
    text_columns: Sequence[str]
    annotators: Sequence[Any]

    def rows(self, data: Any = None) -> "Dataset":
        """Reads the data.

        Args:
            data (*optional*): The result of `read_data`, or anything it reads. Defaults to the data of the
                configuration.

        Returns:
            `Dataset`: One row for each row of the data.

        Raises:
            InputError: If there is no data, or it cannot be read.
        """
        if data is None:
            return self._configured_rows
        return data if _is_read(data) else self._read(data, text_columns=self.text_columns, **_own_columns(data))

    def columns(self, data: Any = None) -> tuple[RawTable | None, list[str]]:
        """Opens all columns of the user's data.

        Args:
            data (*optional*): As in `rows`.

        Returns:
            `tuple[RawTable | None, list[str]]`: The columns, or `None` if `data` is a result of `read_data`; and which
            of the columns `id` and `gold` of the output equal the user's column of this name.
        """
        if _is_read(data):
            return None, []
        config = self.config
        if data is None:
            table, own = raw_table(data_source(config), **layout(config)), vars(config)
        else:
            table, own = raw_table(data), _own_columns(data)
        return table, [name for name in ("id", "gold") if own[f"{name}_column"] == name and name in table.names]

    def test_rows(self, data: Any = None) -> "Dataset | None":
        """Reads the test data.

        Args:
            data (*optional*): The result of `read_data`, or anything it reads. Defaults to the test data of the
                configuration.

        Returns:
            `Dataset`, *optional*: The rows; `None` if there is no test data.

        Raises:
            InputError: If it cannot be read.
        """
        if _is_read(data):
            return data
        if data is not None:
            return self.kind.read_rows(data, text_columns=self.text_columns, **_own_columns(data))
        return self._configured_test_rows

    def human_labels(self, given: Any = None, *, allow_new_texts: bool = False) -> list[Any]:
        """Reads the human labels.

        Args:
            given (*optional*): The result of `read_human_labels`, or anything it reads. Defaults to the human labels
                and examples of the configuration.
            allow_new_texts (`bool`, *optional*, defaults to `False`): Whether `given` may be about texts that are not
                in the data.

        Raises:
            InputError: If they cannot be read.
        """
        if given is None:
            return self._configured_human_labels
        task, columns = self.kind.task, self.text_columns
        return read_human_labels(given, task, text_columns=columns, allow_new_texts=allow_new_texts)

    def check(self) -> None:
        """Reads the test data and human labels of the configuration.

        Raises:
            InputError: If they cannot be read.
        """
        self.test_rows()
        self.human_labels()

    @cached_property
    def _configured_rows(self) -> "Dataset":
        config = self.config
        more = {"gold_column": config.gold_column, "augmented_column": config.augmented_column}
        return self._read(data_source(config), **reading(config), **more)

    @cached_property
    def _configured_test_rows(self) -> "Dataset | None":
        config = self.config
        if not config.test_data:
            return None
        options = {**reading(config), "gold_column": config.gold_column, **reading_of_test_data(config)}
        with options_of("test"):
            return self.kind.read_rows(config.test_data, **options)

    @cached_property
    def _configured_human_labels(self) -> list[Any]:
        config, options = self.config, {"text_columns": self.text_columns, **human_reading(self.config)}
        files = ((config.human_labels, config.allow_new_texts), (config.examples, True))
        with options_of("human"):
            return [
                label
                for paths, are_allowed in files
                for label in read_human_labels(paths or (), self.kind.task, **options, allow_new_texts=are_allowed)
            ]

    def _read(self, data: Any, **options: Any) -> "Dataset":
        columns = columns_of([one for one in self.annotators if isinstance(one, str)])
        return self.kind.read_rows(data, extra_columns=columns, **options)


def _is_read(data: Any) -> bool:
    """Returns whether data is a result of `read_data`."""
    return {"id", "text", "note"} <= set(_names(data))


def _names(data: Any) -> Sequence[str]:
    from datasets import Dataset

    return data.column_names if isinstance(data, Dataset) else ()


def _own_columns(data: Any) -> dict[str, str | None]:
    """Returns the columns named `gold` and `id` of data that was not read with `read_data`."""
    names = _names(data)
    has_gold = "gold" in names or "gold" in getattr(data, "columns", ())
    return {"gold_column": "gold" if has_gold else None, "id_column": "id" if "id" in names else None}
