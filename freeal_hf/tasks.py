"""Tasks, their labels, and demonstrations."""

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from freeal_hf.errors import InputError
from freeal_hf.task_labels import (
    check_label_names,
    checked_instructions,
    described_labels,
    name_key,
    normal_form,
    number_of,
    plain_lines,
)

if TYPE_CHECKING:
    from typing_extensions import Self

NO_LABEL = -1
"""The label id of a text without a label. It is never used in a supervised loss."""

NONE_OF_THEM = "(none)"
"""How files say that none of the labels applies to a text, in a task with any number of labels."""

NO_ANSWER = "(no answer)"
"""What a label map can say of a cell that means a missing answer."""

SEPARATORS = (";", "|", "\n", "\t", ",", "/")
"""The separators of several labels in a cell that are detected, in the order in which they are tried."""

OUTSIDE = "O"
"""The tag of a word outside of entities."""

Named = tuple[tuple[str, str], ...]
"""The words and the type of each entity."""


def bio_tags(types: Iterable[str]) -> list[str]:
    """Returns the BIO tags of entity types in the order of their ids: `O`, then `B-` and `I-` of each type.

    Args:
        types (`Iterable[str]`): The entity types.

    Returns:
        `list[str]`: The tags.

    Example:

        >>> bio_tags(["person"])
        ['O', 'B-person', 'I-person']
    """
    return [OUTSIDE, *(f"{mark}-{name}" for name in types for mark in "BI")]


@dataclass(frozen=True)
class Demonstration:
    """A text with its label for the prompt of the annotator.

    Args:
        text (`str`): The text.
        label (`int`): The id of its label. In a task with several labels or entities per text, the id of the label or
            type for which it was chosen; -1 for a text without any.
        source (`str`): `"generated"` by the annotator, `"selected"` from the clean samples, or `"human"`.
        id (`str`, *optional*): The id of the sample from which it was selected.
        entities (`tuple[tuple[str, str], ...]`): The words and type of each entity, in an entity task.
        labels (`tuple[int, ...]`, *optional*): The ids of all its labels, in a task with any number of labels.

    Example:

        >>> Demonstration("Ada wrote it.", 0, source="human", entities=(("Ada", "person"),)).entities
        (('Ada', 'person'),)
    """

    text: str
    label: int
    source: str = "selected"
    id: str | None = None
    entities: Named = ()
    labels: tuple[int, ...] | None = None


class Task:
    """Base class of tasks: a description, and labels with names and descriptions.

    Args:
        labels (`Sequence` or `Mapping`): The label names in the order of their ids, or a mapping of label name to
            description. An item of the list can also be a mapping with `name` (or `label`) and optionally
            `description` and `id`, or with the label name as its only key. A description in the mapping can also be a
            mapping with `description`.
        description (`str`, *optional*, defaults to `""`): The question that an annotator decides.
        label_map (`Mapping[str, str]`, *optional*): Other values of label columns, and the label name for each.
        instructions (`Sequence[str]`, *optional*): Other wordings of the description. A language model is also asked
            about each text with each of them.

    Raises:
        InputError: If there are too few labels, if names are empty, not strings, repeated, or differ only in case or
            white space, if `label_map` has an unknown label or maps one label to another, or if `instructions` are
            empty, repeated, or without a description.
    """

    type: ClassVar[str]
    fewest_labels: ClassVar[int]
    own_fields: ClassVar[tuple[str, ...]] = ()
    """Arguments of this type of task alone, which `to_dict` writes if they are given."""

    def __init__(
        self,
        labels: Sequence[Any] | Mapping[str, Any],
        description: str = "",
        label_map: Mapping[str, str] | None = None,
        instructions: Sequence[str] = (),
    ) -> None:
        descriptions = described_labels(labels)
        check_label_names(list(descriptions), self.fewest_labels)
        if not isinstance(description, str):
            raise InputError(f"The description of the task is {description!r}; it must be a string.")
        self.descriptions: dict[str, str] = {
            " ".join(name.split()): plain_lines(text) for name, text in descriptions.items()
        }
        self.description = plain_lines(description)
        self.instructions = checked_instructions(self.description, instructions)
        self.label_map: dict[str, str] = {}
        self._add_to_map(label_map or {})

    @property
    def label_names(self) -> list[str]:
        """The label names in the order of their ids."""
        return list(self.descriptions)

    @property
    def num_labels(self) -> int:
        """The number of labels."""
        return len(self.descriptions)

    @property
    def shot_labels(self) -> list[int]:
        """The labels of demonstrations: all labels, and -1 for a text without any if a text can have none."""
        return list(range(self.num_labels))

    @property
    def id2label(self) -> dict[int, str]:
        """The label names by id."""
        return dict(enumerate(self.descriptions))

    @property
    def label2id(self) -> dict[str, int]:
        """The label ids by name."""
        return {name: i for i, name in enumerate(self.descriptions)}

    def label_of(self, value: str) -> int:
        """Returns the id of the label for a value of a column.

        A value is a label if both have the same normal form apart from case, if both are the same number (`1.0` and
        `True` are the label `1`), or if `label_map` has the value. A label is never searched inside a value.

        Args:
            value (`str`): The value.

        Returns:
            `int`: The label id; -1 if the value is not a label.

        Example:

            >>> task = TextClassification(["very good", "bad"], label_map={"5 stars": "very good"})
            >>> task.label_of(" Very  GOOD "), task.label_of("5 stars"), task.label_of("not bad")
            (0, 0, -1)
        """
        return self._ids_by_key.get(name_key(value), self._ids_by_number.get(number_of(value), NO_LABEL))

    def with_label_map(self, label_map: Mapping[str, str]) -> "Self":
        """Returns the same task with more values in its `label_map`.

        Args:
            label_map (`Mapping[str, str]`): The label name by value.

        Returns:
            `Task`: The new task.

        Raises:
            InputError: If a label is unknown, or a value is mapped to two labels.
        """
        return self._with(label_map={**self.label_map, **label_map})

    def with_instructions(self, instructions: Sequence[str]) -> "Self":
        """Returns the same task with more wordings of its description.

        Args:
            instructions (`Sequence[str]`): The wordings.

        Returns:
            `Task`: The new task.

        Raises:
            InputError: If a wording is empty or repeated, or the task has no description.
        """
        return self._with(instructions=[*self.instructions, *instructions])

    def _with(self, **changes: Any) -> "Self":
        return type(self).from_dict({**self.to_dict(), **changes})

    def _add_to_map(self, label_map: Mapping[str, str]) -> None:
        if not isinstance(label_map, Mapping):
            raise InputError(f"The label map is {label_map!r}; it must be a mapping of value to label name.")
        targets = {
            str(value): self._ids_by_key.get(name_key(str(name)), NO_LABEL) for value, name in label_map.items()
        }
        unknown = [str(label_map[value]) for value, label in targets.items() if label == NO_LABEL]
        if unknown:
            raise InputError(
                f"The label map has the label {', '.join(map(repr, dict.fromkeys(unknown)))}, but the labels of the "
                f"task are {', '.join(map(repr, self.descriptions))}."
            )
        for value, label in targets.items():
            if self.label_of(value) not in (NO_LABEL, label):
                raise InputError(
                    f"The label map maps {value!r} to {self.label_names[label]!r}, but this value already means "
                    f"{self.label_names[self.label_of(value)]!r}."
                )
            self.label_map[normal_form(value)] = self.label_names[label]
            self._ids_by_key.setdefault(name_key(value), label)
            if (number := number_of(value)) is not None:
                self._ids_by_number.setdefault(number, label)

    @cached_property
    def _ids_by_key(self) -> dict[str, int]:
        return {name_key(name): i for i, name in enumerate(self.descriptions)}

    @cached_property
    def _ids_by_number(self) -> dict[Decimal | None, int]:
        numbers = [number_of(name) for name in self.descriptions]
        return {number: i for i, number in enumerate(numbers) if number is not None and numbers.count(number) == 1}

    def to_dict(self) -> dict[str, Any]:
        """Converts the task to values that YAML can hold. `from_dict` is the inverse.

        Returns:
            `dict[str, Any]`: The values.
        """
        values = {"type": self.type, "description": self.description, "labels": dict(self.descriptions)}
        more = {"label_map": dict(self.label_map), "instructions": list(self.instructions)}
        more |= {name: vars(self)[name] for name in self.own_fields}
        return {**values, **{name: value for name, value in more.items() if value}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Self":
        """Creates a task from the values of `to_dict`.

        Args:
            values (`Mapping[str, Any]`): The values; `type` and `description` can be left out.

        Returns:
            `Task`: The task.

        Raises:
            InputError: If a key is missing or unknown.
        """
        known = ("type", "description", "instructions", "labels", "label_map", *cls.own_fields)
        unknown = sorted(set(map(str, values)) - {*known})
        if unknown:
            raise InputError(
                f"A task of type {cls.type!r} has no field {unknown[0]!r}; its fields are {', '.join(known)}."
            )
        if values.get("type", cls.type) != cls.type:
            raise InputError(f"Task type {values['type']!r} is not supported; use {cls.type!r}.")
        if "labels" not in values:
            raise InputError("The task has no `labels`; give a list of names, or a mapping of name to description.")
        description, instructions = values.get("description") or "", values.get("instructions") or ()
        own = {name: values[name] for name in cls.own_fields if name in values}
        return cls(values["labels"], description, label_map=values.get("label_map"), instructions=instructions, **own)

    def save(self, path: str | Path) -> None:
        """Writes the task to a YAML file.

        Args:
            path (`str` or `Path`): The file.
        """
        Path(path).write_text(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.to_dict() == other.to_dict() and self.label_names == other.label_names

    def __hash__(self) -> int:
        return hash((self.type, self.description, tuple(self.descriptions.items())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.descriptions!r}, description={self.description!r})"


class TextClassification(Task):
    """A task that gives each text one of several labels.

    Args:
        labels (`Sequence[str]` or `Mapping[str, str]`): The label names in the order of their ids, or a mapping of
            label name to description. See [`Task`].
        description (`str`, *optional*, defaults to `""`): The question about a text, as you would ask a person.
        label_map (`Mapping[str, str]`, *optional*): Other values of label columns, and the label name for each.

    Raises:
        InputError: If there are fewer than two labels, or if names are empty, not strings, repeated, or differ only in
            case or white space.

    Example:

        >>> TextClassification({"positive": "the reviewer liked it", "negative": "the reviewer did not"}).label_names
        ['positive', 'negative']
    """

    type = "text-classification"
    fewest_labels = 2


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
            parts = _listed(text)
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


def _listed(text: str) -> list[str] | None:
    """Returns the items of a list in JSON or Python; `None` if it is no list of plain values."""
    for read in (json.loads, ast.literal_eval):
        try:
            items = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(items, list) and all(isinstance(item, str | int | float) for item in items):
            return list(map(str, items))
    return None


class TokenClassification(Task):
    """A task that finds entities of given types: each word gets a BIO tag.

    Args:
        labels (`Sequence[str]` or `Mapping[str, str]`): The entity types in the order of their ids, or a mapping of
            type to description. See [`Task`].
        description (`str`, *optional*, defaults to `""`): The entities to find, as you would tell a person.
        label_map (`Mapping[str, str]`, *optional*): Other values of label columns, and the type for each.

    Raises:
        InputError: If there is no type, or if types are empty, not strings, repeated, or differ only in case or white
            space.

    Example:

        >>> TokenClassification({"PER": "a person", "LOC": "a place"}, "Named entities in news.").tags
        ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC']
    """

    type = "token-classification"
    fewest_labels = 1

    @property
    def tags(self) -> list[str]:
        """The classes of the student: `O`, then `B-` and `I-` of each type."""
        return bio_tags(self.descriptions)

    def with_label_map(self, label_map: Mapping[str, str]) -> "Self":
        """Refuses a label map, because columns have tags.

        Raises:
            InputError: Always.
        """
        raise InputError("An entity task cannot use --label-map, because its columns have BIO tags. Leave it out.")

    @property
    def shot_labels(self) -> list[int]:
        """-1 and all types. The last demonstrations of a prompt have the largest effect, and have entities."""
        return [NO_LABEL, *super().shot_labels]


TASKS: dict[str, type[Task]] = {
    kind.type: kind for kind in (TextClassification, MultiLabelClassification, TokenClassification)
}
"""The class of each type of task."""


def task_from_dict(values: Mapping[str, Any]) -> Task:
    """Creates a task of the kind that `type` names from the values of `Task.to_dict`.

    Args:
        values (`Mapping[str, Any]`): The values. Without `type`, the kind is text classification.

    Returns:
        `Task`: The task.

    Raises:
        InputError: If the type is unknown, or a key is missing or unknown.

    Example:

        >>> task_from_dict({"labels": ["spam", "other"]})
        TextClassification({'spam': '', 'other': ''}, description='')
    """
    kind = values.get("type", TextClassification.type)
    if kind not in TASKS:
        raise InputError(f"Task type {kind!r} is not supported; use {' or '.join(map(repr, TASKS))}.")
    return TASKS[kind].from_dict(values)


def load_task(path: str | Path) -> Task:
    """Reads a task from a YAML file.

    Args:
        path (`str` or `Path`): A file with `labels` and optionally `type`, `description` and `label_map`.

    Returns:
        `Task`: The task.

    Raises:
        InputError: If the file is missing, is not YAML, or does not describe a task.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     TextClassification(["spam", "other"]).save(f"{folder}/task.yaml")
        ...     load_task(f"{folder}/task.yaml").label_names
        ['spam', 'other']
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no task file {str(path)!r}; give the path of a YAML file with `labels`.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The task file {str(path)!r} is not valid YAML in UTF-8: {error}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"The task file {str(path)!r} must be a mapping with `labels`, not {type(values).__name__}.")
    try:
        return task_from_dict(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
