"""Reads and writes the JSON files of other tools."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from freeal_hf.errors import InputError


def read_json_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Reads the objects of a file of JSON lines, each with its place for errors.

    Raises:
        InputError: If a line is not a JSON object.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where} is not JSON: {error}.") from error
            found.append((where, as_object(value, where)))
    return found


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes objects as JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_object(value: Any, where: str) -> dict[str, Any]:
    """Returns a JSON object.

    Raises:
        InputError: If the value is something else.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: {json.dumps(value)[:60]} is not a JSON object with a text and its entities.")
    return value


def text_of(value: Mapping[str, Any], where: str, name: str = "text") -> str:
    """Returns a string of an object.

    Raises:
        InputError: If there is none.
    """
    text = value.get(name)
    if not isinstance(text, str):
        raise InputError(f"{where} has no {name!r}; it has {', '.join(map(repr, value)) or 'nothing'}.")
    return text
