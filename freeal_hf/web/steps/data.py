"""The first step of the page: read data and choose columns."""

from pathlib import Path
from typing import Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.data.sentences import TOKENS
from freeal_hf.errors import InputError
from freeal_hf.web import hub_data, reading, shown, words
from freeal_hf.web.page import QUIET, Backend, Page, Part, Update, own_token, showing_errors
from freeal_hf.web.store import DRAFT, Run

_ABOUT_EXAMPLE = "747 messages to the customer service of a shop, with six labels."
_NO_GOLD = "none"
_BEGUN = "This run has started with these data. Press Start over to use other data."


def build(backend: Backend, page: Page) -> Part:
    """Adds the step to the page."""
    settings = backend.settings
    begun = gr.HTML(shown.note(_BEGUN), visible=False)
    with gr.Column() as bringing:
        gr.HTML(shown.limits(settings))
        source = gr.Radio(list(reading.SOURCES), value=reading.FILE, label="Where are your texts?")
        gr_example = gr.HTML(shown.note(_ABOUT_EXAMPLE), visible=False)
        file = gr.File(
            label="CSV, TSV, JSON, JSON lines or Parquet",
            file_types=[".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"],
            height=140,
        )
        with gr.Accordion("Options for CSV and TSV files", open=False) as file_options:
            has_header = gr.Checkbox(value=True, label="First line has the column names")
            quotes = gr.Radio(
                list(reading.QUOTES),
                value=reading.DETECTED,
                label="Quotes in a CSV or TSV file",
                elem_id="quotes",
            )
        lines = gr.Textbox(label="One text on each line", lines=6, max_lines=12, visible=False)
        with gr.Row(visible=False) as hub_row:
            hub_id = gr.Textbox(label="Dataset on the Hub", placeholder="owner/name")
            hub_split = gr.Textbox(label="Split or file", placeholder="train")
        read = gr.Button("Read the data", variant="primary", elem_id="read")

    with gr.Column(visible=False) as columns:
        with gr.Row():
            text_columns = gr.Dropdown(
                label="Column(s) of the text, or the column of its words (lists)",
                multiselect=True,
                interactive=True,
                min_width=280,
            )
            gold_column = gr.Dropdown(
                [_NO_GOLD],
                value=_NO_GOLD,
                label="Column of true labels or tags, only used for scores",
                interactive=True,
                min_width=280,
            )
        problems = gr.HTML(elem_id="problems")
        preview = gr.HTML(elem_id="preview")
        use = gr.Button("Next: the task", variant="primary", elem_id="use-data")

    def show_source(chosen: str) -> Update:
        return {
            gr_example: gr.update(visible=chosen == reading.EXAMPLE),
            **dict.fromkeys([file, file_options], gr.update(visible=chosen == reading.FILE)),
            lines: gr.update(visible=chosen == reading.LINES),
            hub_row: gr.update(visible=chosen == reading.HUB),
            columns: gr.update(visible=False),
        }

    source.input(  # not `change`, because `fill` also changes it, and then shows the columns
        show_source,
        source,
        [gr_example, file, file_options, lines, hub_row, columns],
        **QUIET,
    )

    @showing_errors
    def read_data(
        run_id: str,
        chosen: str,
        path: str | None,
        pasted: str,
        repo: str,
        split: str,
        named: bool,
        typed: str,
        quoted: str,
        login: gr.OAuthToken | None,
    ) -> Update:
        """Reads data. The first result is the id of the run. Keep it: all other calls need it."""
        if chosen == reading.FILE and not path:
            raise InputError("Choose a file first.")
        run = _draft(backend, run_id)
        try:
            kept = _take_in(backend, run, chosen, path, pasted, repo, split, own_token(login, typed))
            layout: dict[str, Any] = {"has_header": named, "quotes": quoted} if chosen == reading.FILE else {}
            table = reading.read_file(kept, settings, **layout)
            if not table.num_rows:
                raise InputError("There are no rows, so there is nothing to label.")
        except Exception:
            if run.id != run_id:  # nobody knows its id
                backend.store.delete(run.id)
            raise
        texts = reading.guess_text_columns(table)
        gold = "gold" if "gold" in table.columns and chosen == reading.EXAMPLE else _NO_GOLD
        data = {"source": chosen, "file": kept.name, "layout": layout}
        uploaded = {Path(path).parent.name} if chosen == reading.FILE and path else set()
        run.texts.unlink(missing_ok=True)  # from data that were read before
        backend.store.update(run.id, data=data, task={}, files=sorted({*run.files, *uploaded}))
        return {
            page.run_id: run.id,
            columns: gr.update(visible=True),
            text_columns: gr.update(choices=list(table.columns), value=texts),
            gold_column: gr.update(choices=[_NO_GOLD, *table.columns], value=gold),
            **_look(table, texts, gold),
        }

    read.click(
        read_data,
        [page.run_id, source, file, lines, hub_id, hub_split, has_header, page.token, quotes],
        [page.run_id, columns, text_columns, gold_column, preview, problems],
        api_name="read_data",
    ).success(
        lambda run_id: page.open_tabs(backend.store.read(run_id)),
        page.run_id,
        page.tabs,
        **QUIET,
    )

    def _look(table: reading.Table, texts: list[str], gold: str) -> Update:
        chosen = [*texts, *([gold] if gold != _NO_GOLD else [])]
        column = None if gold == _NO_GOLD else gold
        said = shown.note(f"{counted(table.num_rows, 'row')} read.", "good")
        if reading.holds_words(table.columns[texts[0]]):
            said += shown.notes(words.find_problems(table, texts[0], settings))
            try:
                words.check(table, texts[0], column)
            except InputError as error:  # shown in the preview only, because other columns can still be chosen
                said += shown.note(str(error), "problem")
        else:
            said += shown.notes(reading.find_problems(table, texts, column, settings))
        return {preview: shown.preview(chosen, table.preview(chosen)), problems: said}

    @showing_errors
    def look_at_columns(run_id: str, texts: list[str], gold: str) -> Update:
        """Shows the first rows of the chosen columns, and warnings."""
        table = _table(backend, backend.store.read(run_id))
        _check_columns(table, texts, gold)
        return _look(table, texts, gold)

    # Raw values here and below: Gradio would check them against the choices of this session, but a program that
    # continues a run has none.
    gr.on(
        [text_columns.input, gold_column.input],
        look_at_columns,
        [page.run_id, text_columns, gold_column],
        [preview, problems],
        api_name="look_at_columns",
        preprocess=False,
        show_progress="hidden",
    )

    @showing_errors
    def use_data(run_id: str, texts: list[str], gold: str) -> None:
        """Chooses the columns of the texts or words, and optionally of the true labels."""
        run = backend.store.read(run_id)
        table = _table(backend, run)
        _check_columns(table, texts, gold)
        chosen_columns = [texts, gold]
        column = None if gold == _NO_GOLD else gold
        has_words = reading.holds_words(table.columns[texts[0]])
        if has_words:
            words.check(table, texts[0], column)
            words.write(table, texts[0], column, run.texts, settings)
            labels = words.tag_types(table.columns[column]) if column else []
            texts, column = [TOKENS], column and words.GOLD
        else:
            reading.write_texts(table, texts, column, run.texts, settings)
            labels = reading.gold_values(table, column) if column else []
        read = {"text_columns": texts, "gold_column": column, "has_words": has_words}
        data = {**run.data, **read, "chosen_columns": chosen_columns, "labels": labels[: settings.max_labels]}
        backend.store.update(run_id, data=data)

    chosen = use.click(use_data, [page.run_id, text_columns, gold_column], api_name="use_data", preprocess=False)
    fields = [begun, bringing, source, gr_example, file, file_options, lines, hub_row]
    fields += [columns, text_columns, gold_column, preview, problems, use]

    @showing_errors
    def fill(run_id: str) -> Update:
        if not run_id:  # the page has its first values, and a fast visitor may already have read data
            return {begun: gr.skip()}
        run = backend.store.read(run_id)
        brought, is_draft = run.data.get("source", reading.FILE), run.state == DRAFT
        head = {
            begun: gr.update(visible=not is_draft),
            bringing: gr.update(visible=is_draft),
            source: brought,
            **show_source(brought),
            use: gr.update(visible=is_draft),
        }
        if "file" not in run.data:
            return head
        table = _table(backend, run)
        texts, gold = run.data.get("chosen_columns") or (reading.guess_text_columns(table), _NO_GOLD)
        return {
            **head,
            columns: gr.update(visible=True),
            text_columns: gr.update(choices=list(table.columns), value=texts, interactive=is_draft),
            gold_column: gr.update(choices=[_NO_GOLD, *table.columns], value=gold, interactive=is_draft),
            **_look(table, texts, gold),
        }

    return Part(fill, fields, chosen)


def _draft(backend: Backend, run_id: str) -> Run:
    """Returns the run that is being set up, or a new one if the run has started."""
    if run_id:
        run = backend.store.read(run_id)
        if run.state == DRAFT and not run.has_results:
            return run
    return backend.store.create()


def _take_in(
    backend: Backend, run: Run, chosen: str, path: str | None, pasted: str, repo: str, split: str, token: str | None
) -> Path:
    settings = backend.settings
    if chosen == reading.FILE:
        return reading.keep(path or "", run.folder)
    if chosen == reading.LINES:
        kept = run.folder / "upload.jsonl"
        reading.write_lines(pasted or "", kept)
        return kept
    if chosen == reading.HUB:
        return hub_data.fetch((repo or "").strip(), (split or "").strip(), run.folder, settings, token)
    if chosen != reading.EXAMPLE:
        raise InputError(f"There is no source {chosen!r}; choose one of {', '.join(reading.SOURCES)}.")
    kept = run.folder / "upload.csv"
    reading.write_example(kept, settings.max_rows)
    return kept


def _table(backend: Backend, run: Run) -> reading.Table:
    if "file" not in run.data:
        raise InputError("Read the data first.")
    path = run.folder / run.data["file"]
    return reading.read_file(path, backend.settings, **run.data["layout"])


def _check_columns(table: reading.Table, texts: list[str], gold: str) -> None:
    if not texts:
        raise InputError("Choose the column of the texts.")
    for name in [*texts, *([gold] if gold != _NO_GOLD else [])]:
        if name in table.faults:
            raise InputError(table.faults[name])
        if name not in table.columns:
            raise InputError(f"There is no column {name!r}; the columns are {', '.join(table.columns)}.")
    if gold in texts:
        raise InputError(
            f"The column {gold!r} is chosen as text and as true label, so the annotator would read the true labels. "
            "Choose another column for one of them."
        )
    if len(texts) > 1 and any(reading.holds_words(table.columns[name]) for name in texts):
        raise InputError("A column of lists of words cannot be combined with other columns; choose only this one.")
