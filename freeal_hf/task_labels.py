"""Reads, checks and compares the labels and the wordings that a user gives a task."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from freeal_hf.errors import InputError

_NAME_KEYS = ("name", "label")
_TRUTH = {"true": "1", "false": "0"}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?", re.ASCII)


def normal_form(text: str) -> str:
    """Returns the form in which texts and names are compared: Unicode NFC, without outer blanks, with single spaces.

    Args:
        text (`str`): A text, a label name or a column name.

    Returns:
        `str`: The normal form.

    Example:

        >>> normal_form("  very\\t good \\r\\n")
        'very good'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def described_labels(labels: Sequence[Any] | Mapping[str, Any]) -> dict[str, str]:
    """Returns the descriptions by label name, from any form of labels.

    Args:
        labels (`Sequence` or `Mapping`): The labels in a form that [`Task`] accepts.

    Returns:
        `dict[str, str]`: The descriptions, in the order of the labels; empty where there is none.

    Raises:
        InputError: If the labels have another form, or one is given twice.

    Example:

        >>> described_labels([{"name": "spam", "description": "unwanted"}, "other"])
        {'spam': 'unwanted', 'other': ''}
    """
    if isinstance(labels, Mapping):
        return {name: _description(name, text) for name, text in labels.items()}
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise InputError(f"Labels must be a list of names or a mapping of name to description, not {labels!r}.")
    described = [_listed_label(item, i) for i, item in enumerate(labels)]
    names = [name for name, _ in described]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Label {name!r} is given {names.count(name)} times; give each label once.")
    return dict(described)


def _listed_label(item: Any, position: int) -> tuple[Any, str]:
    """Returns the name and the description of a label in a list of labels."""
    if not isinstance(item, Mapping):
        if isinstance(item, list | tuple | set):
            raise InputError(f"Label {item!r} is a list; write each label as a name, or as `name` and `description`.")
        return item, ""
    named = [key for key in _NAME_KEYS if key in item]
    if len(item) == 1 and not named:
        ((name, text),) = item.items()
        return name, _description(name, text)
    unknown = [key for key in item if key not in (*_NAME_KEYS, "description", "id")]
    if unknown or len(named) != 1:
        problem = f"has an unknown field {unknown[0]!r}" if unknown else f"has {len(named)} names"
        raise InputError(
            f"Label {position + 1}, {dict(item)!r}, {problem}; write `name`, and optionally `description` and `id`."
        )
    name = item[named[0]]
    if isinstance(name, list | tuple | set | Mapping):
        raise InputError(f"The name of label {position + 1} is {name!r}; it must be a string.")
    if item.get("id", position) != position:
        raise InputError(
            f"Label {name!r} has the id {item['id']!r} but is number {position} of the list, counted from 0. Sort the "
            "labels by id, without gaps, or leave `id` out."
        )
    return name, _description(name, item.get("description"))


def _description(name: Any, value: Any) -> str:
    if isinstance(value, Mapping) and set(value) <= {"description"}:
        value = value.get("description")
    if value is not None and not isinstance(value, str):
        raise InputError(f"The description of label {name!r} is {value!r}; it must be a string.")
    return value or ""


def checked_instructions(description: str, instructions: Any) -> tuple[str, ...]:
    """Checks the wordings of a description.

    Args:
        description (`str`): The description, from `plain_lines`.
        instructions (`Any`): The wordings.

    Returns:
        `tuple[str, ...]`: The wordings, from `plain_lines`.

    Raises:
        InputError: If they are not a list of strings, if one is empty or repeated, or if there is no description.
    """
    if isinstance(instructions, str) or not isinstance(instructions, Sequence):
        raise InputError(f"The instructions are {instructions!r}; they must be a list of wordings of the description.")
    if instructions and not description:
        raise InputError(
            "The instructions are other wordings of the description, but the task has no description; add one."
        )
    plain: list[str] = []
    for text in instructions:
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"One of the instructions is {text!r}; each must be a wording of the description.")
        if plain_lines(text) in (description, *plain):
            raise InputError(f"The instruction {text!r} is repeated, or equals the description; leave it out.")
        plain.append(plain_lines(text))
    return tuple(plain)


def name_key(name: str) -> str:
    """Returns the form in which label names are compared: the normal form without case.

    Args:
        name (`str`): A label name, or a value of a column of labels.

    Returns:
        `str`: The form.

    Example:

        >>> name_key(" Very  GOOD ")
        'very good'
    """
    return normal_form(normal_form(name).casefold())


def number_of(text: str) -> Decimal | None:
    """Returns the number that a label name or a value of a column stands for.

    Args:
        text (`str`): The name or value.

    Returns:
        `Decimal`, *optional*: The number; 1 and 0 for `True` and `False`; `None` if it is no number.

    Example:

        >>> number_of("True") == number_of("1.0")
        True
    """
    plain = text.strip().lower()
    plain = _TRUTH.get(plain, plain)
    return Decimal(plain) if _NUMBER.fullmatch(plain) else None


def plain_lines(text: str) -> str:
    r"""Replaces all line ends by `\n`, because YAML would fold the others.

    Args:
        text (`str`): A description or a wording of it.

    Returns:
        `str`: The text without outer blanks.

    Example:

        >>> plain_lines(" one\r\ntwo ")
        'one\ntwo'
    """
    return "\n".join(text.splitlines()).strip()


def check_label_names(names: list[str], fewest: int) -> None:
    """Checks the label names of a task.

    Args:
        names (`list[str]`): The names.
        fewest (`int`): The minimum number of labels.

    Raises:
        InputError: If there are too few, or if a name is empty, not a string, has a control character, or differs
            from another one only in case or white space.
    """
    for name in names:
        if not isinstance(name, str):
            raise InputError(f'Label {name!r} is not a string; quote it in YAML (for example "{name}").')
        if not name.strip():
            raise InputError(f"Label {name!r} is empty; each label needs a name.")
        if any(unicodedata.category(character) == "Cc" for character in name):
            raise InputError(f"Label {name!r} has a line break or another control character; write it on one line.")
    if len(names) < fewest:
        raise InputError(f"A task needs at least {'two labels' if fewest == 2 else 'one entity type'}, got {names}.")
    seen: dict[str, str] = {}
    for name in names:
        key = "".join(name_key(name).split())
        if key in seen:
            raise InputError(f"Labels {seen[key]!r} and {name!r} differ only in case or spaces; rename or merge them.")
        seen[key] = name
