"""Converts the values of columns to sets of labels, for tasks with any number of labels for each text."""

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from freeal_hf.data.columns import Table
from freeal_hf.data.counting import counted
from freeal_hf.data.label_columns import LabelColumn, is_no_answer
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_ANSWER, NONE_OF_THEM, MultiLabelClassification

logger = logging.getLogger(__name__)

ANY_LABEL = "*"
"""The placeholder of label names in a column name: `gold_*` means `gold_toxic`, `gold_threat`, ..."""

_TRUE, _FALSE = frozenset(("true", "1", "1.0", "yes", "x")), frozenset(("false", "0", "0.0", "no", ""))


class LabelSetColumn(LabelColumn):
    """Converts the values of a column to sets of labels, in pieces.

    Args:
        task (`MultiLabelClassification`): The task. Its `labels_of` defines which values are sets of labels.
        what (`str`): The name of the column in messages.

    Example:

        >>> task = MultiLabelClassification(["toxic", "threat"])
        >>> LabelSetColumn(task, "column 'gold'").ids(['["threat"]', "toxic; threat", None])
        [[1], [0, 1], None]
    """

    missing = None

    def __init__(self, task: MultiLabelClassification, what: str) -> None:
        super().__init__(task, what)
        self._num_empty = self._num_none = self._num_rows = 0

    @property
    def feature(self) -> Any:
        """The feature of the sets of label ids in a dataset."""
        from datasets import List

        return List(super().feature)

    def ids(self, values: Iterable[Any]) -> list[list[int] | None]:
        """Returns the label ids of values.

        Args:
            values (`Iterable[Any]`): The values.

        Returns:
            `list[list[int] | None]`: The label ids of each value, an empty list for none of the labels; `None` if a
            value is missing or is not a set of labels.
        """
        found = super().ids(values)
        self._num_rows += len(found)
        self._num_none += sum(labels == () for labels in found)
        return [None if labels is None else list(labels) for labels in found]

    def check(self) -> None:
        """Warns of values that are not sets of labels, and of empty cells if no cell says that none of the labels
        applies.

        Raises:
            InputError: If almost no value is a set of labels, or if most cells are empty and none says that none of
                the labels applies, so that an empty cell probably means this.
        """
        super().check()
        if self._num_none or "" in self.task.label_map or not self._num_empty:
            return
        said = (
            f"{self.what}: {self._num_empty:,} of {counted(self._num_rows, 'cell')} are empty, and no cell says that "
            f'none of the labels applies. If an empty cell means this, give a label map with "": "{NONE_OF_THEM}" '
            f"(--label-map FILE, or label_map in the task). If it means a missing answer, map it to "
            f'"{NO_ANSWER}".'
        )
        if 2 * self._num_empty > self._num_rows:
            raise InputError(said)
        logger.warning("%s Now it counts as a missing answer.", said)

    def _label(self, text: str) -> tuple[int, ...] | None:
        labels: tuple[int, ...] | None = self.task.labels_of(text)
        self._num_empty += labels is None and is_no_answer(text)
        most = self.task.max_labels
        return None if labels is None or (most is not None and len(labels) > most) else labels

    def _is_missing(self, text: str) -> bool:
        return is_no_answer(text) or self.task.is_no_answer(text)

    @property
    def _remedy(self) -> str:
        task, said = self.task, [f"{NONE_OF_THEM} means none of the labels"]
        if task.max_labels is not None:
            said.append(f"a text can have at most {counted(task.max_labels, 'label')} (max_labels)")
        elif task.label_separator is None:
            said.append(f"several are written as {task.joined([0, 1])!r} (for another separator, --label-separator)")
        return f"{', '.join(said)}; {super()._remedy}"


class HumanLabelSetColumn(LabelSetColumn):
    """Converts human labels. An empty cell is one that is not filled in, whatever the label map says of it, and any
    other value must be a set of labels.

    Example:

        >>> task = MultiLabelClassification(["toxic", "threat"], label_map={"": "(none)"})
        >>> HumanLabelSetColumn(task, "column 'label'").ids(["", "(none)", "threat"])
        [None, [], [1]]
    """

    def _label(self, text: str) -> tuple[int, ...] | None:
        return super()._label(text) if text.strip() else None

    def _is_missing(self, text: str) -> bool:
        return not text.strip() or self.task.is_no_answer(text)


def columns_for(name: str, labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns the columns that a name with a placeholder means.

    Args:
        name (`str`): The name of a column. `*` is replaced by the name of each label, unless there is a column with
            this name.
        labels (`Sequence[str]`): The names of the labels.
        names (`Sequence[str]`): The columns of the table.

    Returns:
        `list[str]`: The column, or a column of truth values for each label.

    Example:

        >>> columns_for("gold_*", ["toxic", "threat"], ["text", "gold_toxic", "gold_threat"])
        ['gold_toxic', 'gold_threat']
    """
    if ANY_LABEL not in name or name in names:
        return [name]
    return [name.replace(ANY_LABEL, label) for label in labels]


def joined_cells(table: Table, name: str, labels: Sequence[str], columns: Sequence[str], origin: str) -> Sequence[Any]:
    """Returns the cells of a column, or of several columns of truth values as a JSON list of the labels that are true.

    Args:
        table (`Table`): The columns of the table by name.
        name (`str`): The name of the column or columns.
        labels (`Sequence[str]`): The names of the labels.
        columns (`Sequence[str]`): The result of `columns_for`.
        origin (`str`): The name of the table in errors.

    Returns:
        `Sequence[Any]`: The cells. A row in which all columns are empty has the cell `None`.

    Raises:
        InputError: If a cell is not a truth value.
    """
    if list(columns) == [name]:
        return table[name]
    cells = []
    for row, values in enumerate(zip(*(table[column] for column in columns), strict=True)):
        texts = ["" if value is None else str(value).strip().lower() for value in values]
        for column, text in zip(columns, texts, strict=True):
            if text not in _TRUE | _FALSE:
                raise InputError(
                    f"{origin}, column {column!r}, row {row + 1}: {text!r} is not a truth value; write true or false, "
                    "or 1 or 0."
                )
        said = [label for label, text in zip(labels, texts, strict=True) if text in _TRUE]
        cells.append(json.dumps(said, ensure_ascii=False) if any(texts) else None)
    return cells
