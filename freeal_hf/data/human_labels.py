"""Labels that people gave: read once, always clean, never overwritten."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from freeal_hf.data.joins import names_column
from freeal_hf.data.sentences import SPANS, TOKENS, read_list, split_words
from freeal_hf.data.spreadsheets import is_labels_csv
from freeal_hf.data.tables import Table, open_table
from freeal_hf.data.texts import MAX_CHARACTERS, join_columns, label_ids
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Task, TokenClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

logger = logging.getLogger(__name__)

HUMAN_NOTE = "labelled by a person"
"""What the `note` of a row with a human label says."""

LABEL_COLUMN = "label"
# The first of each as a run's own files name them.
_TAG_COLUMNS, _SPAN_COLUMNS = (LABEL_COLUMN, "tags"), (SPANS, "entities")


@dataclass(frozen=True)
class HumanLabel:
    """A label that a person gave.

    Args:
        label (`int`): Label id.
        id (`str`, *optional*): Id of the labelled row.
        text (`str`, *optional*): The labelled text. Beside an id it must not be the text of another row.
        origin (`str`): Where it stands, for errors.
        may_be_new (`bool`): Whether the text may be one that is not in the data.
        probability (`float`, *optional*):
            The probability with which the text was drawn at random for the person to label; `None` if it was not.
    """

    label: int
    id: str | None = None
    text: str | None = None
    origin: str = field(default="", compare=False)
    may_be_new: bool = field(default=False, compare=False)
    probability: float | None = None


class MarkedSpan(NamedTuple):
    """An entity that a person marked: where it starts and ends in characters (the end not included), and its text."""

    start: int
    end: int
    type: str
    text: str | None = None


@dataclass(frozen=True)
class HumanEntities:
    """The entities that a person marked in a sentence: all of them, as tags or as places in the text.

    Args:
        tags (`tuple[str, ...]`, *optional*): A BIO tag for each word.
        spans (`tuple[MarkedSpan, ...]`, *optional*): The places, where there are no tags.
        id (`str`, *optional*): Id of the row.
        text (`str`, *optional*): The sentence, where it is not named by an id, nor by its words.
        words (`tuple[str, ...]`, *optional*): Its words.
        origin (`str`): Where it stands, for errors.
        may_be_new (`bool`): Whether the sentence may be one that is not in the data.
    """

    tags: tuple[str, ...] | None = None
    spans: tuple[MarkedSpan, ...] | None = None
    id: str | None = None
    text: str | None = None
    words: tuple[str, ...] | None = None
    origin: str = field(default="", compare=False)
    may_be_new: bool = field(default=False, compare=False)


def as_stored(label: HumanLabel | HumanEntities) -> dict[str, Any]:
    """What a run remembers of a human label, as values of JSON."""
    values = {name: value for name, value in asdict(label).items() if name not in ("origin", "may_be_new")}
    if values.get("probability", 0) is None:
        del values["probability"]
    return values


def from_stored(values: Mapping[str, Any]) -> HumanLabel | HumanEntities:
    """Reads what `as_stored` returned."""
    kept: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    kept["origin"] = "an earlier human label"
    return HumanLabel(**kept) if "label" in kept else HumanEntities(**kept)


def has_human_label(note: str | None) -> bool:
    """Whether the `note` of a row says that a person labelled it."""
    return note is not None and note.endswith(HUMAN_NOTE)


def read_human_labels(
    source: "str | Path | Dataset | pd.DataFrame | Sequence[Any]",
    task: Task,
    *,
    text_columns: Sequence[str] = ("text",),
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
    allow_new_texts: bool = False,
) -> list[Any]:
    """Reads labels that people gave.

    Args:
        source (`str`, `Path`, `Dataset`, `DataFrame`, or a sequence of them):
            Anything `read_data` reads, with a column `id` or the columns of the text, and `label` (a label name; rows
            where it is empty are left out). In an entity task with `id`, `tokens` or the column of the text, and
            either `label` (or `tags`: a BIO tag for each word) or `spans` (or `entities`: objects with `start`, `end`
            and `type`, as `freeal-hf run` and `predict` write them); in CSV files as JSON.
        task (`Task`): Whose labels they are.
        text_columns (`Sequence[str]`, defaults to `("text",)`): Column(s) of the text, as in the corpus.
        delimiter, encoding, quoting (`str`, *optional*):
            Those of the CSV files with labels, which may differ from those of the corpus; by default they are detected
            for each file.
        allow_new_texts (`bool`, defaults to `False`):
            Whether labels may be about texts that are not in the data: examples from elsewhere.

    Returns:
        `list[HumanLabel]`, or `list[HumanEntities]` in an entity task: In the order of the rows. Sequences of them
        come back as they are.

    Raises:
        InputError: If a source cannot be read, lacks a column, has a value that is no label of the task or no tags or
            places, or is a run's own `labels.csv`, whose labels no person has checked.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        found: list[Any] = []
        for part in source:
            if isinstance(part, HumanLabel | HumanEntities):
                found.append(replace(part, may_be_new=part.may_be_new or allow_new_texts))
            else:
                found += read_human_labels(
                    part,
                    task,
                    text_columns=text_columns,
                    delimiter=delimiter,
                    encoding=encoding,
                    quoting=quoting,
                    allow_new_texts=allow_new_texts,
                )
        return found
    opened = open_table(source, delimiter=delimiter, encoding=encoding, quoting=quoting)
    names, origin = opened.names, opened.origin
    if is_labels_csv(names):
        raise InputError(
            f"{origin} holds the labels of a run, which nobody has checked. Keep the rows that a person has checked, "
            "with the columns id and label only."
        )
    wanted = ("id", *_TAG_COLUMNS, *_SPAN_COLUMNS, TOKENS, *text_columns)
    table = next(opened.read([name for name in wanted if names_column(name, names)]))
    if isinstance(task, TokenClassification):
        return _human_entities(table, names, text_columns, origin, allow_new_texts)
    if LABEL_COLUMN not in table:
        raise InputError(f"{origin} has no column 'label' with what people said; its columns are {_quoted(names)}.")
    if "id" not in table and not set(text_columns) <= set(table):
        raise InputError(
            f"{origin} needs a column 'id', or {_quoted(text_columns)}, to say which text a label belongs to; its "
            f"columns are {_quoted(names)}."
        )
    labels = label_ids(table, LABEL_COLUMN, task, f"{origin}, column")
    if not labels:
        logger.warning("%s has a header and no rows, so that it brings no label.", origin)
    elif all(label == NO_LABEL for label in labels):
        logger.warning("%s: the column 'label' is empty in every row, so that it brings no label; fill it in.", origin)
    return [
        replace(_human_label(table, row, label, text_columns, f"{origin}, row {row + 1}"), may_be_new=allow_new_texts)
        for row, label in enumerate(labels)
        if label != NO_LABEL
    ]


def _human_label(
    table: Mapping[str, Sequence[Any]], row: int, label: int, text_columns: Sequence[str], origin: str
) -> HumanLabel:
    has_text = all(column in table for column in text_columns)
    text = join_columns({column: table[column][row] for column in text_columns}, text_columns) if has_text else None
    text = text[:MAX_CHARACTERS] if isinstance(text, str) and text.strip() else None
    if "id" in table:
        if table["id"][row] in (None, ""):
            raise InputError(f"{origin} has a label but no id.")
        return HumanLabel(label, id=str(table["id"][row]), text=text, origin=origin)
    if text is None:
        raise InputError(f"{origin} has a label but no text.")
    return HumanLabel(label, text=text, origin=origin)


def _human_entities(
    table: Table, names: Sequence[str], text_columns: Sequence[str], origin: str, allow_new_texts: bool
) -> list[HumanEntities]:
    given = [name for name in (*_TAG_COLUMNS, *_SPAN_COLUMNS) if name in table]
    if len(given) != 1:
        raise InputError(
            f"{origin} needs one column of what people marked, 'tags' (a BIO tag for each word) or 'spans' (start, "
            f"end and type of each entity), and has {_quoted(given) or 'none'}. Its columns are "
            f"{_quoted(names)}."
        )
    known = [name for name in ("id", TOKENS, *text_columns) if name in table]
    if not known:
        raise InputError(
            f"{origin} needs a column 'id', 'tokens' or {_quoted(text_columns)}, to say which sentence entities "
            f"belong to; its columns are {_quoted(names)}."
        )
    found = []
    for row, value in enumerate(table[given[0]]):
        where = f"{origin}, row {row + 1}"
        marked = read_list(value, f"{where}, column {given[0]!r}")
        if marked is None:
            continue
        cells = {name: table[name][row] for name in known}
        words = read_list(cells.get(TOKENS), f"{where}, column {TOKENS!r}")
        text = next((str(cells[name]) for name in text_columns if cells.get(name)), None)
        sample = cells.get("id")
        if "id" in cells and sample in (None, ""):
            raise InputError(f"{where} has entities but no id.")
        if "id" not in cells and not words and not (text or "").strip():
            raise InputError(f"{where} has entities but no text.")
        if sample is None and words and text is not None:
            # Its text says where places are; without it the words stand a blank apart, as in the data.
            words, text = (None, text) if split_words(text)[0] == words else (words, None)
        found.append(
            HumanEntities(
                tags=tuple(map(str, marked)) if given[0] in _TAG_COLUMNS else None,
                spans=tuple(_span(one, where) for one in marked) if given[0] in _SPAN_COLUMNS else None,
                id=None if sample is None else str(sample),
                text=text,
                words=tuple(map(str, words)) if words else None,
                origin=where,
                may_be_new=allow_new_texts,
            )
        )
    return found


def _span(value: Any, where: str) -> MarkedSpan:
    fields = value if isinstance(value, Mapping) else {}
    start, end, name = (fields.get(key) for key in ("start", "end", "type"))
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(name, str)):
        raise InputError(
            f"{where}: {value!r} is no entity; write each as "
            '{"start": 0, "end": 7, "type": "..."}, counted in characters, the end not included.'
        )
    return MarkedSpan(start, end, name, fields.get("text"))


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
