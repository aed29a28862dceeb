"""Labels that people gave: read once, always clean, never overwritten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.errors import InputError
from freeal_hf.inputs import MAX_CHARACTERS, join_columns, label_ids
from freeal_hf.tables import read_tables
from freeal_hf.tasks import NO_LABEL, Task, TokenClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

HUMAN_NOTE = "labelled by a person"
"""What the `note` of a row with a human label says."""

LABEL_COLUMN = "label"


@dataclass(frozen=True)
class HumanLabel:
    """A label that a person gave.

    Args:
        label (`int`): Label id.
        id (`str`, *optional*): Id of the labelled row.
        text (`str`, *optional*): The labelled text, where it is not named by an id.
        origin (`str`): Where it stands, for errors.
    """

    label: int
    id: str | None = None
    text: str | None = None
    origin: str = field(default="", compare=False)


def has_human_label(note: str | None) -> bool:
    """Whether the `note` of a row says that a person labelled it."""
    return note is not None and note.endswith(HUMAN_NOTE)


def read_human_labels(
    source: "str | Path | Dataset | pd.DataFrame | Sequence[Any]",
    task: Task,
    *,
    text_columns: Sequence[str] = ("text",),
    delimiter: str | None = None,
    encoding: str = "utf-8",
) -> list[HumanLabel]:
    """Reads labels that people gave, for tasks with one label a text.

    Args:
        source (`str`, `Path`, `Dataset`, `DataFrame`, or a sequence of them):
            Anything `read_data` reads, with a column `id` or the columns of the text, and `label` (a label name; rows
            where it is empty are left out).
        task (`Task`): Whose labels they are.
        text_columns (`Sequence[str]`, defaults to `("text",)`): Column(s) of the text, as in the corpus.
        delimiter (`str`, *optional*): Field separator of a CSV file.
        encoding (`str`, defaults to `"utf-8"`): Encoding of a text file.

    Returns:
        `list[HumanLabel]`: In the order of the rows. Sequences of `HumanLabel` come back as they are.

    Raises:
        InputError: If a source cannot be read, lacks a column, has a value that is no label of the task, or is a run's
            own `labels.csv`, whose labels no person has checked, or if the task is one of entities.
    """
    given = source if isinstance(source, Sequence) and not isinstance(source, str) else (source,)
    if len(given) and isinstance(task, TokenClassification):
        raise InputError("Human labels are labels of texts; people's entities cannot be read yet. Leave them out.")
    if isinstance(source, Sequence) and not isinstance(source, str):
        found: list[HumanLabel] = []
        for part in source:
            more = [part] if isinstance(part, HumanLabel) else None
            found += more or read_human_labels(
                part, task, text_columns=text_columns, delimiter=delimiter, encoding=encoding
            )
        return found
    tables, origin = read_tables(source, delimiter=delimiter, encoding=encoding)
    table = next(tables)
    names = list(table)
    if LABEL_COLUMN not in names:
        raise InputError(f"{origin} has no column 'label' with what people said; its columns are {_quoted(names)}.")
    if "label_confidence" in names:
        raise InputError(
            f"{origin} holds the labels of a run, which nobody has checked. Keep the rows that a person has checked, "
            "with the columns id and label only."
        )
    if "id" not in names and not set(text_columns) <= set(names):
        raise InputError(
            f"{origin} needs a column 'id', or {_quoted(text_columns)}, to say which text a label belongs to; its "
            f"columns are {_quoted(names)}."
        )
    labels = label_ids(table, LABEL_COLUMN, task, f"{origin}: value")
    return [
        _human_label(table, row, label, text_columns, f"{origin}, row {row + 1}")
        for row, label in enumerate(labels)
        if label != NO_LABEL
    ]


def _human_label(
    table: Mapping[str, Sequence[Any]], row: int, label: int, text_columns: Sequence[str], origin: str
) -> HumanLabel:
    if "id" in table:
        if table["id"][row] in (None, ""):
            raise InputError(f"{origin} has a label but no id.")
        return HumanLabel(label, id=str(table["id"][row]), origin=origin)
    text = join_columns({column: table[column][row] for column in text_columns}, text_columns)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{origin} has a label but no text.")
    return HumanLabel(label, text=text[:MAX_CHARACTERS], origin=origin)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
