"""The tab of the results in which a person corrects the labels of texts on which annotator and student differ."""

import math
from typing import TYPE_CHECKING

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.web import reviewing, shown
from freeal_hf.web.page import QUIET, RUN, Backend, Page, Part, Update, own_token, showing_errors
from freeal_hf.web.steps.run import RunStep, forget_secrets, key_field, resume, wants_key
from freeal_hf.web.store import UNDER_WAY, Run
from freeal_hf.web.views.registry import VIEWS, view_of

if TYPE_CHECKING:
    import pandas as pd

_TABLE = ["text", "final", "sure", "annotator", "student", "yours", "id"]
_LINES_PER_TEXT = 4  # maximum length of the lines of entities, as a multiple of the length of the text


def build(backend: Backend, page: Page, run_step: RunStep) -> Part:
    """Adds the tab to the page."""
    gr.HTML(
        "<p>Texts on which annotator and student differ, with the lowest confidence first. You can sort and filter "
        "the table. Choose a row to read the text. Corrected labels are clean in the next round.</p>"
    )
    table = gr.Dataframe(
        headers=_TABLE,
        datatype="str",
        type="array",
        interactive=False,
        show_search="filter",
        wrap=False,
        max_chars=120,
        max_height=360,
        column_widths=["35%", "16%", "8%", "14%", "14%", "13%", "0px"],
        show_label=False,
        elem_id="disputed",
    )
    text = gr.Textbox(label="The text", lines=3, interactive=False, elem_id="review-text")
    sample = gr.Textbox("", visible=False)
    editors = {kind: view.editor() for kind, view in VIEWS.items()}
    with gr.Row():
        save = gr.Button("Save and show the next text", variant="primary", elem_id="save-correction")
        skip = gr.Button("Next text", elem_id="next-text")
        back = gr.Button("Delete my correction", visible=False, elem_id="take-back")
    kept = gr.HTML(elem_id="kept")
    key = key_field()
    another = gr.Button(
        "One more round with my corrections", variant="primary", visible=False, elem_id="another-round"
    )
    editor = [text, sample, *editors.values()]
    outputs = [table, *editor, kept, back, another, key]

    def emptied() -> Update:
        return {one: gr.update(value=None) for one in editors.values()}

    def in_editor(run: Run, rows: "pd.DataFrame") -> Update:
        """Shows the first row in the editor."""
        if rows.empty:
            return {text: "", sample: "", **emptied()}
        row = rows.iloc[0]
        return {
            text: row.text,
            sample: row.id,
            **emptied(),
            editors[run.task["type"]]: gr.update(value=view_of(run.task).proposed(row)),
        }

    def to_review(found: reviewing.Results, run: Run, current: str = "") -> Update:
        """Shows results, with the text after the current one in the editor."""
        rows = reviewing.disputed(found.labels)
        values = [
            [
                r.text,
                r.label,
                _shown_confidence(r.label_confidence),
                r.annotator_label,
                r.student_label,
                r.correction,
                r.id,
            ]
            for r in rows.itertuples()
        ]
        update = in_editor(run, _after(rows, current))
        for kind, one in editors.items():
            update[one] |= {"visible": kind == run.task["type"], **VIEWS[kind].choices(found.label_names)}
        agreed = "" if values else shown.note("Annotator and student agree on all texts.", "good")
        is_corrected = bool(reviewing.read_corrections(run))
        return {
            table: {"headers": _TABLE, "data": values} if values else None,
            **update,
            kept: agreed + shown.note(_said(run) if is_corrected else "", "good"),
            **dict.fromkeys([back, another], gr.update(visible=is_corrected)),
            key: gr.update(visible=is_corrected and wants_key(run)),
        }

    def fill(found: reviewing.Results | None, run: Run | None) -> Update:
        if found is not None and run is not None:
            return to_review(found, run)
        return {
            table: None,
            text: "",
            sample: "",
            **emptied(),
            kept: "",
            **dict.fromkeys([back, another, key], gr.update(visible=False)),
        }

    @showing_errors
    def choose(run_id: str, event: gr.SelectData) -> Update:
        run = backend.store.read(run_id)
        rows = reviewing.disputed(reviewing.load_results(run).labels)
        return in_editor(run, rows[rows["id"] == event.row_value[-1]])

    table.select(choose, page.run_id, editor, **QUIET)

    @showing_errors
    def go_to_next(run_id: str, current: str) -> Update:
        run = backend.store.read(run_id)
        return in_editor(run, _after(reviewing.disputed(reviewing.load_results(run).labels), current))

    skip.click(go_to_next, [page.run_id, sample], editor, api_visibility="private")

    def correct(run_id: str, text_id: str, right: str) -> str:
        """Saves the right label of a text, or its right entities, one on each line as `type: words`."""
        run = backend.store.read(run_id)
        if len(right) > (most := _LINES_PER_TEXT * backend.settings.max_characters):
            raise InputError(f"The limit is {most:,} characters, and these are {len(right):,}; write only entities.")
        reviewing.correct(run, text_id, right)
        backend.store.update(run_id)
        return _said(run)

    gr.api(showing_errors(correct), api_name="correct")

    @showing_errors
    def keep(run_id: str, text_id: str, *said: str | None) -> Update:
        run = backend.store.read(run_id)
        value = dict(zip(editors, said, strict=True))[run.task["type"]]
        correct(run_id, text_id, view_of(run.task).said(value))
        return to_review(reviewing.load_results(run), run, text_id)

    # Raw values: Gradio would check them against the choices of this session, which may be older than a restart.
    save.click(keep, [page.run_id, sample, *editors.values()], outputs, api_visibility="private", preprocess=False)

    @showing_errors
    def take_back(run_id: str, text_id: str) -> Update:
        """Deletes the correction of a text, if no round has used it."""
        run = backend.store.read(run_id)
        reviewing.take_back(run, text_id)
        backend.store.update(run_id)
        return to_review(reviewing.load_results(run), run)

    back.click(take_back, [page.run_id, sample], outputs, api_name="take_back")

    @showing_errors
    def run_another_round(run_id: str, secret: str, typed: str, login: gr.OAuthToken | None) -> Update:
        """Runs one more round, in which corrected labels are clean."""
        run = backend.store.read(run_id)
        if run.state in UNDER_WAY:
            raise InputError("The run is not finished; wait for it.")
        if not reviewing.read_corrections(run):
            raise InputError("You have not corrected a text yet.")
        number = len(reviewing.load_results(run).rounds) + 1
        words = ["--num-rounds", str(number), "--human-labels", str(run.corrections)]
        resume(backend, run, own_token(login, typed), secret, words)
        return {**page.go_to(RUN), **run_step.look(run_id)}

    started = another.click(
        run_another_round, [page.run_id, key, page.token], [page.steps, *run_step.seen], api_name="another_round"
    )
    forget_secrets(started, key, page.token)
    return Part(fill, outputs)


def _shown_confidence(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.0%}"


def _said(run: Run) -> str:
    return f"{counted(len(reviewing.read_corrections(run)), 'correction')} saved."


def _after(rows: "pd.DataFrame", current: str) -> "pd.DataFrame":
    """Returns the row after the current one, or the first row; empty if there are no rows."""
    ids = list(rows["id"])
    following = (ids.index(current) + 1) % len(ids) if current in ids else 0
    return rows.iloc[following : following + 1]
