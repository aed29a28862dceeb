"""The step Data without components: reads the data of a visitor into a run, and chooses their columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeal_hf.data.sentences import TOKENS
from freeal_hf.errors import InputError
from freeal_hf.web import hub_data, reading, words
from freeal_hf.web.messages import for_visitors
from freeal_hf.web.page import Backend
from freeal_hf.web.runner import files_folder
from freeal_hf.web.settings import Settings
from freeal_hf.web.store import DRAFT, Run

NO_LABELS = "none"
"""The choice of no column of true labels."""


@dataclass(frozen=True)
class Asked:
    """The data that a visitor brings.

    Args:
        source (`str`): One of `reading.SOURCES`.
        path (`str`): The uploaded file.
        pasted (`str`): The texts, one on each line.
        dataset (`str`), split (`str`): The dataset on the Hub.
        has_header (`bool`), quotes (`str`): As in `reading.read_file`.
    """

    source: str
    path: str
    pasted: str
    dataset: str
    split: str
    has_header: bool
    quotes: str


def read_into(
    backend: Backend, run_id: str, asked: Asked, token: str | None, visitor: str
) -> tuple[Run, reading.Table]:
    """Reads data into a run that has not started, or into a new one.

    Args:
        backend (`Backend`): The settings, runs and processes.
        run_id (`str`): The id of the run on the page; empty if there is none.
        asked (`Asked`): The data.
        token (`str`, *optional*): The token of the visitor.
        visitor (`str`): The address of the visitor.

    Returns:
        `tuple[Run, Table]`: The run and the data.

    Raises:
        InputError: If the data cannot be used. A new run is deleted then.
    """
    if asked.source == reading.FILE and not asked.path:
        raise InputError("Choose a file first.")
    if asked.quotes not in reading.QUOTES:
        raise InputError(f"{asked.quotes!r} is not a choice for quotes; choose one of {', '.join(reading.QUOTES)}.")
    run = _draft(backend, run_id, visitor)
    try:
        kept = _take_in(backend, run, asked, token)
        is_file = asked.source == reading.FILE
        layout: dict[str, Any] = {"has_header": asked.has_header, "quotes": asked.quotes} if is_file else {}
        table = reading.read_file(kept, backend.settings, **layout)
        if not table.num_rows:
            raise InputError("There are no rows, so there is nothing to label.")
        backend.runner.make_room(run)
    except Exception:
        if run.id != run_id:  # nobody knows its id
            backend.store.delete(run.id)
        raise
    uploaded = {Path(asked.path).parent.name} if is_file else set()
    run.texts.unlink(missing_ok=True)  # from data that were read before
    data = {"source": asked.source, "file": kept.name, "layout": layout}
    run = backend.store.update(run.id, data=data, task={}, files=sorted({*run.files, *uploaded}))
    return run, table


def uploaded_path(path: str, settings: Settings) -> str:
    """Returns the path of an uploaded file, which Gradio does not check if a program leaves out its `meta`.

    Raises:
        InputError: If it is another file of the server.
    """
    found = Path(path).resolve()
    if not found.is_file() or not found.is_relative_to(files_folder(settings).resolve()):
        raise InputError("This file was not uploaded; give it with handle_file of gradio_client.")
    return str(found)


def use_columns(backend: Backend, run_id: str, texts: list[str], gold: str) -> None:
    """Writes the chosen columns for the run."""
    run, settings = backend.store.read(run_id), backend.settings
    if run.state != DRAFT:
        raise InputError("This run has started with its data; read them again to make another run.")
    table = table_of(backend, run)
    check_columns(table, texts, gold)
    chosen_columns = [texts, gold]
    column = None if gold == NO_LABELS else gold
    has_words, has_several = reading.holds_words(table.columns[texts[0]]), False
    labels: list[str] = []
    if has_words:
        words.check(table, texts[0], column)
        words.write(table, texts[0], column, run.texts, settings)
        labels = words.tag_types(table.columns[column]) if column else []
        texts, column = [TOKENS], column and words.GOLD
    else:
        reading.write_texts(table, texts, column, run.texts, settings)
        if column:
            labels, has_several = reading.label_names(table, column)
    read = {"text_columns": texts, "gold_column": column, "has_words": has_words, "has_several": has_several}
    backend.store.update(run_id, data={**run.data, **read, "chosen_columns": chosen_columns, "labels": labels})


def remarks_on(table: reading.Table, texts: list[str], gold: str, settings: Settings) -> list[str]:
    """Returns warnings about the chosen columns."""
    column = None if gold == NO_LABELS else gold
    if not reading.holds_words(table.columns[texts[0]]):
        return reading.find_problems(table, texts, column, settings)
    found = words.find_problems(table, texts[0], settings)
    try:
        words.check(table, texts[0], column)
    except InputError as error:  # a remark only, because other columns can still be chosen
        found.append(for_visitors(str(error)))
    return found


def usual_labels(table: reading.Table, source: str) -> str:
    """Returns the column of true labels that is proposed."""
    return "gold" if "gold" in table.columns and source == reading.EXAMPLE else NO_LABELS


def _draft(backend: Backend, run_id: str, visitor: str) -> Run:
    """Returns the run that is being set up, or a new one if the run has started."""
    if run_id:
        run = backend.store.read(run_id)
        if run.state == DRAFT and not run.has_results:
            return run
    return backend.store.create(visitor)


def _take_in(backend: Backend, run: Run, asked: Asked, token: str | None) -> Path:
    settings = backend.settings
    if asked.source == reading.FILE:
        return reading.keep(asked.path, run.folder)
    if asked.source == reading.PASTED:
        kept = run.folder / "upload.jsonl"
        reading.write_lines(asked.pasted or "", kept)
        return kept
    if asked.source == reading.HUB:
        return hub_data.fetch((asked.dataset or "").strip(), (asked.split or "").strip(), run.folder, settings, token)
    if asked.source != reading.EXAMPLE:
        raise InputError(f"There is no source {asked.source!r}; choose one of {', '.join(reading.SOURCES)}.")
    kept = run.folder / "upload.csv"
    reading.write_example(kept, settings.max_rows)
    return kept


def table_of(backend: Backend, run: Run) -> reading.Table:
    """Reads the data of a run again."""
    if "file" not in run.data:
        raise InputError("Read the data first.")
    path = run.folder / run.data["file"]
    return reading.read_file(path, backend.settings, **run.data["layout"])


def check_columns(table: reading.Table, texts: list[str], gold: str) -> None:
    """Checks the chosen columns.

    Raises:
        InputError: If a column is missing, cannot be read, or cannot be used together with the others.
    """
    if not texts:
        raise InputError("Choose the column of the texts.")
    for name in [*texts, *([gold] if gold != NO_LABELS else [])]:
        if name in table.faults:
            raise InputError(table.faults[name])
        if name not in table.columns:
            raise InputError(f"There is no column {name!r}; the columns are {', '.join(table.columns)}.")
    if gold in texts:
        raise InputError(
            f"The column {gold!r} is chosen as text and as true label, so the language model would read the true "
            "labels. Choose another column for one of them."
        )
    if len(texts) > 1 and any(reading.holds_words(table.columns[name]) for name in texts):
        raise InputError("A column of lists of words cannot be combined with other columns; choose only this one.")
