"""The first step of the page: read data and choose columns."""

from typing import Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.web import reading, shown
from freeal_hf.web.bringing import (
    NO_LABELS,
    Asked,
    check_columns,
    read_into,
    remarks_on,
    table_of,
    uploaded_path,
    use_columns,
    usual_labels,
)
from freeal_hf.web.page import (
    QUIET,
    Backend,
    Page,
    Part,
    Update,
    own_token,
    showing_errors,
    showing_errors_in,
    visitor_of,
)
from freeal_hf.web.store import DRAFT

_ABOUT_EXAMPLE = "747 messages to the customer service of a shop, with six labels."
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
        read_problem = gr.HTML(elem_id="read-problem")
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
                [NO_LABELS],
                value=NO_LABELS,
                label="Column of true labels or tags, only used for scores",
                interactive=True,
                min_width=280,
            )
        columns_problem = gr.HTML(elem_id="columns-problem")
        problems = gr.HTML(elem_id="problems")
        preview = gr.HTML(elem_id="preview")
        use = gr.Button("Next: the task", variant="primary", elem_id="use-data")

    def show_source(chosen: str) -> Update:
        return {
            gr_example: gr.update(visible=chosen == reading.EXAMPLE),
            **dict.fromkeys([file, file_options], gr.update(visible=chosen == reading.FILE)),
            lines: gr.update(visible=chosen == reading.PASTED),
            hub_row: gr.update(visible=chosen == reading.HUB),
            columns: gr.update(visible=False),
        }

    source.input(  # not `change`, because `fill` also changes it, and then shows the columns
        show_source,
        source,
        [gr_example, file, file_options, lines, hub_row, columns],
        **QUIET,
    )

    @showing_errors_in(read_problem)
    def read_on_page(
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
        request: gr.Request,
    ) -> Update:
        asked = Asked(chosen, path or "", pasted, repo, split, named, quoted)
        run, table = read_into(backend, run_id, asked, own_token(login, typed), visitor_of(request))
        texts = reading.guess_text_columns(table)
        gold = usual_labels(table, chosen)
        return {
            page.run_id: run.id,
            columns: gr.update(visible=True),
            text_columns: gr.update(choices=list(table.columns), value=texts),
            gold_column: gr.update(choices=[NO_LABELS, *table.columns], value=gold),
            **_look(table, texts, gold),
        }

    read.click(
        read_on_page,
        [page.run_id, source, file, lines, hub_id, hub_split, has_header, page.token, quotes],
        [page.run_id, columns, text_columns, gold_column, preview, problems, read_problem],
        api_visibility="private",
    ).success(
        lambda run_id: page.open_tabs(backend.store.read(run_id)),
        page.run_id,
        page.tabs,
        **QUIET,
    )

    def read_data(
        example: bool = False,
        file: dict[str, Any] | None = None,
        texts: list[str] | None = None,
        dataset: str = "",
        split: str = "",
        has_header: bool = True,
        quotes: str = reading.DETECTED,
        token: str = "",
        run: str = "",
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Reads the example, a file (`handle_file`), texts or a dataset of the Hub. Returns the id of the run, which
        all other calls need, the number of rows, the columns, the first rows, and remarks."""
        given = {reading.EXAMPLE: example, reading.FILE: file, reading.PASTED: texts, reading.HUB: dataset}
        chosen = [name for name, value in given.items() if value]
        if len(chosen) != 1:
            raise InputError("Give one of example=True, file, texts and dataset.")
        path = uploaded_path((file or {}).get("path", ""), settings) if file else ""
        pasted = "\n".join(" ".join(str(text).split()) for text in texts or ())
        asked = Asked(chosen[0], path, pasted, dataset, split, has_header, quotes)
        made, table = read_into(backend, run, asked, token.strip() or None, visitor_of(request))
        guessed = reading.guess_text_columns(table)
        return {
            "run": made.id,
            "rows": table.num_rows,
            "columns": list(table.columns),
            "first_rows": [dict(zip(table.columns, row, strict=True)) for row in table.preview()],
            "text_columns": guessed,
            "remarks": remarks_on(table, guessed, NO_LABELS, settings),
        }

    gr.api(showing_errors(read_data), api_name="read_data")

    def _look(table: reading.Table, texts: list[str], gold: str) -> Update:
        chosen = [*texts, *([gold] if gold != NO_LABELS else [])]
        said = shown.note(f"{counted(table.num_rows, 'row')} read.", "good")
        said += shown.notes(remarks_on(table, texts, gold, settings))
        return {preview: shown.preview(chosen, table.preview(chosen)), problems: said}

    @showing_errors_in(columns_problem)
    def look_at_columns(run_id: str, texts: list[str], gold: str) -> Update:
        table = table_of(backend, backend.store.read(run_id))
        check_columns(table, texts, gold)
        return _look(table, texts, gold)

    # Raw values here and below: Gradio would check them against the choices of this session, which may be older than a
    # restart.
    chosen_columns = [page.run_id, text_columns, gold_column]
    gr.on(
        [text_columns.input, gold_column.input],
        look_at_columns,
        chosen_columns,
        [preview, problems, columns_problem],
        **QUIET,
        preprocess=False,
    )

    @showing_errors_in(columns_problem)
    def use_on_page(run_id: str, texts: list[str], gold: str) -> None:
        use_columns(backend, run_id, texts, gold)

    def use_data(run: str, text_columns: list[str] | str = "", label_column: str = "") -> dict[str, Any]:
        """Chooses the columns of the texts or words, by default a column that looks like texts, and optionally the
        column of true labels, which are only used for scores. Returns the remarks about them."""
        table = table_of(backend, backend.store.read(run))
        given = [text_columns] if isinstance(text_columns, str) else list(text_columns)
        texts, gold = [*filter(None, given)] or reading.guess_text_columns(table), label_column or NO_LABELS
        use_columns(backend, run, texts, gold)
        return {"text_columns": texts, "remarks": remarks_on(table, texts, gold, settings)}

    gr.api(showing_errors(use_data), api_name="use_data")
    chosen = use.click(use_on_page, chosen_columns, columns_problem, api_visibility="private", preprocess=False)
    fields = [begun, bringing, source, gr_example, file, file_options, lines, hub_row]
    fields += [columns, text_columns, gold_column, preview, problems, read_problem, columns_problem, use]

    @showing_errors
    def fill(run_id: str) -> Update:
        run = backend.store.read(run_id)
        brought, is_draft = run.data.get("source", reading.FILE), run.state == DRAFT
        head = {
            **dict.fromkeys([read_problem, columns_problem], ""),
            begun: gr.update(visible=not is_draft),
            bringing: gr.update(visible=is_draft),
            source: brought,
            **show_source(brought),
            use: gr.update(visible=is_draft),
        }
        if "file" not in run.data:
            return head
        table = table_of(backend, run)
        texts, gold = run.data.get("chosen_columns") or (reading.guess_text_columns(table), NO_LABELS)
        return {
            **head,
            columns: gr.update(visible=True),
            text_columns: gr.update(choices=list(table.columns), value=texts, interactive=is_draft),
            gold_column: gr.update(choices=[NO_LABELS, *table.columns], value=gold, interactive=is_draft),
            **_look(table, texts, gold),
        }

    return Part(fill, fields, chosen)
