"""The tab of the results in which a person corrects labels: texts on which annotator and student differ."""

from typing import TYPE_CHECKING, Any

import gradio as gr

import reviewing
import shown
from freeal_hf.errors import InputError
from page import RUN, Page, Place, own_token, telling
from step_run import RunStep, key_field, resume, wants_key
from store import UNDER_WAY, Run

if TYPE_CHECKING:
    import pandas as pd

_TABLE = ["text", "final label", "sure", "annotator", "student", "yours", "id"]


def build(place: Place, page: Page, run_step: RunStep) -> list[Any]:
    """Adds the tab to the page; gives the components that `to_review` fills."""
    gr.HTML(
        "<p>Texts on which annotator and student differ, the least sure first. Sort by a column, filter by its menu, "
        "choose a row to read it whole. Your labels count as clean in the next round.</p>"
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
    label = gr.Radio([], label="Its right label", elem_id="review-label")
    with gr.Row():
        save = gr.Button("Keep this label and go to the next", variant="primary", elem_id="save-label")
        skip = gr.Button("Next text", elem_id="next-text")
    kept = gr.HTML(elem_id="kept")
    key = key_field()
    another = gr.Button("One more round with my labels", variant="primary", visible=False, elem_id="another-round")
    outputs = [table, text, sample, label, kept, another, key]

    def choose(rows: list[list[str]], event: gr.SelectData) -> tuple[Any, ...]:
        row = event.row_value
        return row[0], row[-1], row[5] or row[1]

    table.select(choose, table, [text, sample, label], api_visibility="private", show_progress="hidden")

    @telling
    def go_to_next(run_id: str, current: str) -> tuple[Any, ...]:
        run = place.store.read(run_id)
        rows = reviewing.disputed(reviewing.load_results(run).labels)
        return _shown_row(_after(rows, current))

    skip.click(go_to_next, [page.run_id, sample], [text, sample, label], api_visibility="private")

    @telling
    def correct(run_id: str, text_id: str, right: str | None) -> tuple[Any, ...]:
        """Keeps a person's label of a text; an empty label takes it back."""
        run = place.store.read(run_id)
        found = reviewing.load_results(run)
        reviewing.correct(run, text_id, right or None, found.label_names, list(found.labels["id"]))
        place.store.update(run_id)
        table_value, _, _, _, *rest = to_review(reviewing.load_results(run), run)
        following = _shown_row(_after(reviewing.disputed(found.labels), text_id))
        return table_value, *following, *rest

    # Raw values: Gradio would hold them to the choices of this session, which a program has not been given.
    save.click(correct, [page.run_id, sample, label], outputs, api_name="correct", preprocess=False)

    @telling
    def run_another_round(run_id: str, secret: str, typed: str, login: gr.OAuthToken | None) -> tuple[Any, ...]:
        """Runs one more round, in which a person's labels count as clean."""
        run = place.store.read(run_id)
        if run.state in UNDER_WAY:
            raise InputError("The run is under way; wait for it.")
        if not reviewing.read_corrections(run):
            raise InputError("There is no label of yours yet.")
        number = len(reviewing.load_results(run).rounds) + 1
        words = ["--num-rounds", str(number), "--human-labels", str(run.corrections)]
        resume(place, run, own_token(login, typed), secret, words)
        return (gr.Walkthrough(selected=RUN), *run_step.look(run_id))

    another.click(
        run_another_round, [page.run_id, key, page.token], [page.steps, *run_step.seen], api_name="another_round"
    )
    return outputs


def nothing_to_review() -> tuple[Any, ...]:
    return (None, "", "", gr.update(choices=[], value=None), "", *[gr.update(visible=False)] * 2)


def to_review(found: reviewing.Results, run: Run) -> tuple[Any, ...]:
    rows = reviewing.disputed(found.labels)
    count = len(reviewing.read_corrections(run))
    note = shown.note(f"{count} of your labels are kept.", "good") if count else ""
    if rows.empty:
        said = shown.note("Annotator and student agree on every text.", "good")
        return (
            None,
            "",
            "",
            gr.update(choices=found.label_names, value=None),
            said + note,
            *_shown_if(count > 0, run),
        )
    text, sample, label = _shown_row(rows.iloc[0])
    values = [
        [r.text, r.label, f"{r.label_confidence:.0%}", r.annotator_label, r.student_label, r.correction or "", r.id]
        for r in rows.itertuples()
    ]
    return (
        {"headers": _TABLE, "data": values},
        text,
        sample,
        gr.update(choices=found.label_names, value=label),
        note,
        *_shown_if(count > 0, run),
    )


def _shown_if(has_labels: bool, run: Run) -> tuple[Any, Any]:
    """The button for another round, and the key that it may need."""
    return gr.update(visible=has_labels), gr.update(visible=has_labels and wants_key(run))


def _after(rows: "pd.DataFrame", current: str) -> Any:
    ids = list(rows["id"])
    following = (ids.index(current) + 1) % len(ids) if current in ids else 0
    return rows.iloc[following] if ids else None


def _shown_row(row: Any) -> tuple[str, str, Any]:
    if row is None:
        return "", "", None
    return row["text"], row["id"], row["correction"] or row["label"]
