"""Converts the values of a column to labels, and reports values that are not labels."""

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from freeal_hf.data.cells import cell_text
from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL

logger = logging.getLogger(__name__)

_FEWEST = 0.1  # if a smaller share of the values are labels, it is probably the wrong column
_MOST_KEPT, _MOST_SHOWN, _LONGEST_SHOWN = 1000, 5, 60
_NO_ANSWER = frozenset(("", "nan", "none", "null", "<na>", "nat"))  # how libraries write a missing value as text


class LabelColumn:
    """Converts the values of a column to label ids, in pieces.

    Args:
        task (`Task`): The task. `Task.label_of` defines which values are labels.
        what (`str`): The name of the column in messages.

    Example:

        >>> from freeal_hf.tasks import TextClassification
        >>> LabelColumn(TextClassification(["ham", "spam"]), "column 'gpt'").ids(["Spam", "", "unknown"])
        [1, -1, -1]
    """

    missing: ClassVar[Any] = NO_LABEL
    """The value for a cell without a label."""

    def __init__(self, task: Any, what: str) -> None:
        self.task, self.what = task, what
        self._num_matched = self._num_unknown = 0
        self._unknown: Counter[str] = Counter()

    @property
    def feature(self) -> Any:
        """The feature of the label ids in a dataset."""
        from datasets import ClassLabel

        return ClassLabel(names=self.task.label_names)

    def ids(self, values: Iterable[Any]) -> list[Any]:
        """Returns the label ids of values.

        Args:
            values (`Iterable[Any]`): The values.

        Returns:
            `list[int]`: The label ids; -1 if a value is missing or is not a label.
        """
        found = []
        for value in values:
            text = cell_text(value)
            label = self._label(text)
            found.append(label)
            if label != self.missing:
                self._num_matched += 1
            elif not self._is_missing(text):
                self._num_unknown += 1
                if text in self._unknown or len(self._unknown) < _MOST_KEPT:
                    self._unknown[text] += 1
        return found

    def _label(self, text: str) -> Any:
        return self.task.label_of(text)

    def _is_missing(self, text: str) -> bool:
        return is_no_answer(text)

    def check(self) -> None:
        """Warns of values that are not labels.

        Raises:
            InputError: If almost no value is a label.
        """
        if not self._num_unknown:
            return
        total = self._num_matched + self._num_unknown
        if self._num_matched < _FEWEST * total:
            count = f"only {self._num_matched:,}" if self._num_matched else "none"
            raise InputError(
                f"{self.what}: {count} of {counted(total, 'value')} are labels of the task. Values: {self._shown}; "
                f"{self._remedy}"
            )
        count = f"{self._num_unknown:,} of {counted(total, 'value')} " + (
            "is not a label of the task and counts as missing"
            if self._num_unknown == 1
            else "are not labels of the task and count as missing"
        )
        logger.warning("%s: %s: %s; %s", self.what, count, self._shown, self._remedy)

    def check_all(self) -> None:
        """Checks that all values are labels.

        Raises:
            InputError: If a value is not a label.
        """
        if self._num_unknown:
            raise InputError(f"{self.what}: {self._shown} is not a label of the task; {self._remedy}")

    @property
    def _shown(self) -> str:
        """The most frequent values that are not labels, with their counts."""
        shown = [
            f"{value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + '...'!r} ({counted(count, 'row')})"
            for value, count in self._unknown.most_common(_MOST_SHOWN)
        ]
        return ", ".join([*shown, *(["others"] if len(self._unknown) > _MOST_SHOWN else [])])

    @property
    def _remedy(self) -> str:
        names = ", ".join(map(repr, self.task.label_names))
        return f"the labels are {names}. Rename the values, or map them to labels with --label-map FILE."


def is_no_answer(text: str) -> bool:
    """Returns whether the text of a cell means a missing value.

    Args:
        text (`str`): The text.

    Returns:
        `bool`: Whether it is empty, or a form of NaN or null.

    Example:

        >>> is_no_answer(" NaN"), is_no_answer("no")
        (True, False)
    """
    return text.strip().casefold() in _NO_ANSWER


def load_label_map(path: str | Path) -> dict[str, str]:
    """Reads a file that maps values of a column to labels.

    Args:
        path (`str` or `Path`): A YAML or JSON file with a mapping of value to label name, or a CSV or TSV file with
            the two columns value and label name, and an optional header `value,label`.

    Returns:
        `dict[str, str]`: The label name by value.

    Raises:
        InputError: If the file cannot be read, or has another form.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "map.yaml")
        ...     _ = path.write_text("0: ham\\n1: spam")
        ...     load_label_map(path)
        {'0': 'ham', '1': 'spam'}
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"The label map {str(path)!r} cannot be read: {error.strerror}; give a YAML, JSON or CSV file."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"The label map {str(path)!r} is not UTF-8 text; save it as UTF-8.") from error
    if path.suffix.lower() in (".csv", ".tsv"):
        return _csv_map(text, path)
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)  # keeps scalars as they are written: no, 1.0, true
    except yaml.YAMLError as error:
        raise InputError(
            f"The label map {str(path)!r} is not valid YAML or JSON: {error}. Write a line `value: label` for each "
            "value."
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(one, str) for pair in found.items() for one in pair):
        raise InputError(f"The label map {str(path)!r} must have a line `value: label` for each value.")
    return dict(found)


def _csv_map(text: str, path: Path) -> dict[str, str]:
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(cell.strip() for cell in row)]
    if rows and [cell.strip().casefold() for cell in rows[0]] == ["value", "label"]:
        rows = rows[1:]
    found: dict[str, str] = {}
    for row in rows:
        if len(row) != 2:
            raise InputError(f"The label map {str(path)!r} must have two columns, value and label; a row is {row!r}.")
        if found.setdefault(row[0], row[1]) != row[1]:
            raise InputError(f"The label map {str(path)!r} gives the value {row[0]!r} two labels; keep one of them.")
    return found
