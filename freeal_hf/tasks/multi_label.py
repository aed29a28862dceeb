"""The task with any number of labels for each text, and how their values are written in files."""

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from freeal_hf.errors import InputError
from freeal_hf.task_labels import name_key, normal_form
from freeal_hf.tasks.base import NO_LABEL, Task

NONE_OF_THEM = "(none)"
"""How files say that none of the labels applies to a text, in a task with any number of labels."""

NO_ANSWER = "(no answer)"
"""What a label map can say of a cell that means a missing answer."""

SEPARATORS = (";", "|", "\n", "\t", ",", "/")
"""The separators of several labels in a cell that are detected, in the order in which they are tried."""


class MultiLabelClassification(Task):
    """A task that gives each text any number of several labels, or none of them.

    "None of them" is an answer. It is not the same as a missing answer.

    Args:
        labels (`Sequence[str]` or `Mapping[str, str]`): The label names in the order of their ids, or a mapping of
            label name to description. See [`Task`].
        description (`str`, *optional*, defaults to `""`): The question about a text, as you would ask a person.
        max_labels (`int`, *optional*): The maximum number of labels of a text. By default there is no limit.
        label_separator (`str`, *optional*): What separates several labels in a cell. By default it is detected in each
            cell (`;`, `|`, a line break, a tab, `,` or `/`).
        label_map (`Mapping[str, str]`, *optional*): Other values of label columns, and the label name for each.
            `"(none)"` as the name stands for none of the labels, and `"(no answer)"` for a missing answer:
            `{"": "(none)"}` reads an empty cell as none of the labels.
        instructions (`Sequence[str]`, *optional*): Other wordings of the description. See [`Task`].

    Raises:
        InputError: If there are fewer than two labels, if names are empty, not strings, repeated, or differ only in
            case or white space, if a name contains `label_separator` or is `(none)` or `(no answer)`, or if
            `max_labels` is not between 1 and the number of labels.

    Example:

        >>> task = MultiLabelClassification({"toxic": "is rude", "threat": "announces violence"})
        >>> task.labels_of("Threat; toxic"), task.labels_of("(none)"), task.labels_of("")
        ((0, 1), (), None)
    """

    type = "multi-label-classification"
    fewest_labels = 2
    own_fields = ("max_labels", "label_separator")

    def __init__(
        self,
        labels: Sequence[Any] | Mapping[str, Any],
        description: str = "",
        max_labels: int | None = None,
        *,
        label_separator: str | None = None,
        label_map: Mapping[str, str] | None = None,
        instructions: Sequence[str] = (),
    ) -> None:
        self.max_labels, self.label_separator = max_labels, label_separator
        self._other_values: dict[str, tuple[int, ...] | None] = {name_key(NONE_OF_THEM): (), name_key(NO_ANSWER): None}
        super().__init__(labels, description, label_map, instructions)
        count = self.num_labels
        if max_labels is not None and not (type(max_labels) is int and 1 <= max_labels <= count):
            raise InputError(
                f"max_labels is {max_labels!r}; it must be a whole number from 1 to {count}, or left out."
            )
        if label_separator is not None and not (isinstance(label_separator, str) and label_separator):
            raise InputError(f"label_separator is {label_separator!r}; it must be a string, such as ';'.")
        for name in self.label_names:
            if label_separator is not None and label_separator in name:
                raise InputError(
                    f"Label {name!r} contains the label separator {label_separator!r}; rename one of them."
                )
            if name_key(name) in self._other_values:
                raise InputError(f"Label {name!r} cannot be used: {NONE_OF_THEM} means none of the labels. Rename it.")

    @property
    def shot_labels(self) -> list[int]:
        """-1 and all labels. The last demonstrations of a prompt have the largest effect, and have labels."""
        return [NO_LABEL, *super().shot_labels]

    def labels_of(self, value: str) -> tuple[int, ...] | None:
        """Returns the ids of the labels for a value of a column.

        A value is a label (see `Task.label_of`), labels with a separator, a list in JSON or Python (`[]` for none of
        the labels), `(none)`, or a value of `label_map`. If a part of it is no label, the value is no answer.

        Args:
            value (`str`): The value.

        Returns:
            `tuple[int, ...]`, *optional*: The ids in ascending order, none if none of the labels applies; `None` if
            there is no answer.
        """
        text = value.strip()
        if name_key(text) in self._other_values:
            return self._other_values[name_key(text)]
        if (label := self.label_of(text)) != NO_LABEL:
            return (label,)
        if text.startswith("["):
            parts = listed(text)
            return None if parts is None else self._ids(parts)
        given = self.label_separator
        for separator in SEPARATORS if given is None else (given,):
            if separator in text and (found := self._ids(filter(None, map(str.strip, text.split(separator))))):
                return found
        return None

    def is_no_answer(self, value: str) -> bool:
        """Returns whether a value of a column means a missing answer: `(no answer)`, or a value mapped to it.

        Args:
            value (`str`): The value.

        Example:

            >>> MultiLabelClassification(["a", "b"], label_map={"?": "(no answer)"}).is_no_answer("?")
            True
        """
        return self._other_values.get(name_key(value.strip()), ()) is None

    def joined(self, labels: Iterable[int]) -> str:
        """Returns labels as the text of a cell, which `labels_of` reads.

        Args:
            labels (`Iterable[int]`): The label ids.

        Returns:
            `str`: The names, joined by the separator (`;` by default); `(none)` for none of the labels.

        Example:

            >>> MultiLabelClassification(["a", "b"]).joined([0, 1])
            'a;b'
        """
        names = [self.label_names[label] for label in labels]
        separator = self.label_separator or SEPARATORS[0]
        if any(separator in name for name in names):
            return json.dumps(names, ensure_ascii=False)
        return separator.join(names) or NONE_OF_THEM

    def _ids(self, names: Iterable[str]) -> tuple[int, ...] | None:
        found = {self.label_of(name) for name in names}
        return None if NO_LABEL in found else tuple(sorted(found))

    def _add_to_map(self, label_map: Mapping[str, str]) -> None:
        others = {NONE_OF_THEM: (), NO_ANSWER: None}
        if not isinstance(label_map, Mapping):
            super()._add_to_map(label_map)
        super()._add_to_map({value: name for value, name in label_map.items() if name not in others})
        for value, name in label_map.items():
            if name in others:
                if self.label_of(value) != NO_LABEL:
                    raise InputError(
                        f"The label map maps {value!r} to {name!r}, but this value already means "
                        f"{self.label_names[self.label_of(value)]!r}."
                    )
                self.label_map[normal_form(value)] = name
                self._other_values[name_key(value)] = others[name]


def listed(text: str) -> list[str] | None:
    """Returns the items of a list in JSON or Python; `None` if it is no list of plain values.

    Args:
        text (`str`): The value of a column.

    Example:

        >>> listed('["threat", "toxic"]'), listed("['threat']"), listed("threat")
        (['threat', 'toxic'], ['threat'], None)
    """
    for read in (json.loads, ast.literal_eval):
        try:
            items = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(items, list) and all(isinstance(item, str | int | float) for item in items):
            return list(map(str, items))
    return None
