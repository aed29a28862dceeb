"""What all tasks share: labels with names and descriptions, and demonstrations."""

from collections.abc import Mapping, Sequence
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

Named = tuple[tuple[str, str], ...]
"""The words and the type of each entity."""


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

            >>> from freeal_hf import TextClassification
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
