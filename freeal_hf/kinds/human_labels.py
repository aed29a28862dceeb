"""Reads human labels, for all kinds of task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.data.human_labels import HumanAnswer, HumanTable
from freeal_hf.data.joins import names_column
from freeal_hf.data.spreadsheets import is_labels_csv
from freeal_hf.data.tables import open_table
from freeal_hf.errors import InputError
from freeal_hf.kinds.registry import kind_of
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset


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
    """Reads human labels.

    Args:
        source (`str`, `Path`, `Dataset`, `DataFrame`, or a sequence of them):
            Anything `read_data` reads, with a column `id` or the columns of the text, and `label` (a label name; rows
            with an empty label are left out). In an entity task, the columns are `id`, `tokens` or the column of the
            text, and either `label` (or `tags`: a BIO tag for each word) or `spans` (or `entities`: objects with
            `start`, `end` and `type`, as in the output of `freeal-hf run` and `predict`); in CSV files as JSON.
        task (`Task`): The task of the labels.
        text_columns (`Sequence[str]`, defaults to `("text",)`): Column(s) of the text, as in the corpus.
        delimiter, encoding, quoting (`str`, *optional*):
            The format of the CSV files with labels, which may differ from that of the corpus. By default it is
            detected for each file.
        allow_new_texts (`bool`, defaults to `False`): Whether labels may be about texts that are not in the data.

    Returns:
        `list[HumanLabel]`, or `list[HumanEntities]` in an entity task: The labels, in the order of the rows. Given
        labels are returned unchanged, except for `may_be_new`.

    Raises:
        InputError: If a source cannot be read, has not all columns, has a value that is not a label, tags or spans of
            the task, or is a run's own `labels.csv`, whose labels no person has checked.

    Example:

        >>> from datasets import Dataset
        >>> from freeal_hf.tasks import TextClassification
        >>> rows = Dataset.from_dict({"text": ["You have won!"], "label": ["spam"]})
        >>> read_human_labels(rows, TextClassification(["spam", "other"]))[0].label
        0
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        found: list[Any] = []
        for part in source:
            if isinstance(part, HumanAnswer):
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
    kind = kind_of(task)
    opened = open_table(source, delimiter=delimiter, encoding=encoding, quoting=quoting)
    names, origin = opened.names, opened.origin
    if is_labels_csv(names):
        raise InputError(
            f"{origin} contains labels of a run that no person has checked. Keep the rows that a person has checked, "
            "with the columns id and label only."
        )
    wanted = ("id", *kind.human_columns, *text_columns)
    columns = next(opened.read([name for name in wanted if names_column(name, names)]))
    answers = kind.read_human_rows(HumanTable(columns, names, text_columns, origin))
    return [replace(answer, may_be_new=allow_new_texts) for answer in answers]
