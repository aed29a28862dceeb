"""`audit.csv`: the sheet of an audit that a person fills in."""

import csv
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from freeal_hf.data.files import write_atomically
from freeal_hf.data.joins import explain_unknown_id, rows_of_ids
from freeal_hf.data.spreadsheets import harmless, restored
from freeal_hf.data.tables import open_table
from freeal_hf.errors import InputError
from freeal_hf.kinds.human_labels import read_human_labels
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.folder import AUDIT_CSV, RunFolder
from freeal_hf.tasks import Task


def read_sheet(folder: RunFolder, name: str = AUDIT_CSV) -> list[dict[str, str]]:
    """Reads the rows of a sheet, in any layout in which a spreadsheet saved it."""
    table = open_table(folder / name)
    return [dict(zip(table.names, map(restored, row), strict=True)) for row in table.texts()]


def write_sheet(folder: RunFolder, rows: Sequence[Mapping[str, str]], name: str = AUDIT_CSV) -> None:
    """Writes the rows of a sheet."""

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(rows[0])
            writer.writerows(map(harmless, row.values()) for row in rows)

    write_atomically(folder / name, write)


def keep_answers(folder: RunFolder, name: str = AUDIT_CSV) -> Path | None:
    """Renames a sheet with answers, so that a new sheet does not overwrite it.

    Returns:
        `Path`, *optional*: The new path; `None` if there is no sheet, or it has no answers.
    """
    sheet = folder / name
    if not sheet.is_file() or not any(row.get("label") for row in read_sheet(folder, name)):
        return None
    names = (folder / f"{sheet.stem}-{number}{sheet.suffix}" for number in count(1))
    return sheet.rename(next(path for path in names if not path.exists()))


def read_answers(path: str | Path, plan: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Reads a person's answers about the texts of an audit.

    Args:
        path (`str` or `Path`): `audit.csv`, or a copy that another person filled in.
        plan (`Mapping`): The content of `audit.json`.
        task (`Task`): The task.

    Returns:
        `dict[str, int]`: The answer for each id of a text, in the order of the draw.

    Raises:
        InputError: If the file cannot be read, if an answer is invalid or its text was not drawn, or if two answers
            are about the same text.
    """
    return answered(path, list(plan["texts"]), kind_of(task).audit.answers)


def answered(path: str | Path, drawn: Sequence[str], answers: Task) -> dict[str, Any]:
    """Reads the answers in the column `label` of a sheet.

    Args:
        path (`str` or `Path`): The sheet.
        drawn (`Sequence[str]`): The ids of its rows, in the order of the draw.
        answers (`Task`): The task of the answers.

    Returns:
        `dict`: The answer for each answered id, in the order of the draw.

    Raises:
        InputError: As `read_answers`.
    """
    given = read_human_labels(path, answers)
    if any(answer.id is None for answer in given):
        raise InputError(f"{str(path)!r} has no column 'id'; fill in a copy of the sheet with all its columns.")
    row_of = rows_of_ids({answer.id for answer in given}, drawn)
    found: dict[int, Any] = {}
    for answer in given:
        row = row_of.get(answer.id)
        if row is None:
            raise InputError(
                f"{answer.origin}: {answer.id!r} was not drawn for this audit; do not change the column 'id' "
                f"of the sheet. "
                f"{explain_unknown_id(answer.id, drawn)}"
            )
        if row in found:
            raise InputError(
                f"{found[row].origin} and {answer.origin} answer the question about the same text; keep one of them."
            )
        found[row] = answer
    return {drawn[row]: found[row].label for row in sorted(found)}
