"""The tab of the results that shows texts with the entities of the annotator and the final entities."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.web import entities, pictures, reviewing, shown
from freeal_hf.web.page import QUIET, Backend, Page, Part, Update, showing_errors
from freeal_hf.web.views.registry import view_of


@dataclass(frozen=True)
class _Slot:
    """The components of one text."""

    whole: gr.Column
    about: gr.HTML
    annotator: gr.HighlightedText
    final: gr.HighlightedText


def build(backend: Backend, page: Page) -> Part:
    """Adds the tab to the page."""
    gr.HTML("<p>The entities of the language model, and the result. Correct them in the tab “Check and correct”.</p>")
    which = gr.Radio(
        [entities.ALL, entities.DIFFERENT], value=entities.ALL, label="Which texts", elem_id="which-texts"
    )
    slots: list[_Slot] = []
    for number in range(entities.PAGE):
        with gr.Column(visible=False, elem_classes="sentence") as slot:
            about = gr.HTML(label="about")
            with gr.Row():
                annotator, final = (
                    gr.HighlightedText(
                        label=name,
                        min_width=280,
                        elem_id=f"{key}-entities-{number}",
                        elem_classes="entities",
                    )
                    for name, key in (("Language model", "annotator"), ("Result", "final"))
                )
        slots.append(_Slot(slot, about, annotator, final))
    with gr.Row():
        before = gr.Button("Previous", size="sm", min_width=80, elem_id="previous-texts")
        current = gr.Number(1, label="Page", precision=0, min_width=80, elem_id="page")
        after = gr.Button("Next", size="sm", min_width=80, elem_id="next-texts")
    said = gr.HTML(label="said", elem_id="pages")
    parts = [part for one in slots for part in (one.whole, one.about, one.annotator, one.final)]
    shown_page = [current, said, *parts]

    @showing_errors
    def show_entities(run_id: str, chosen: str, wanted: float) -> Update:
        """Returns a page of texts: its number, a description, and the entities of the annotator and final entities."""
        run = backend.store.read(run_id)
        if not view_of(run.task).has_texts:
            raise InputError("This run labels texts and has no entities.")
        if not run.has_results:
            raise InputError("No round is finished yet.")
        return page_of(reviewing.load_results(run), chosen, wanted)

    gr.on(
        [current.submit, current.blur],
        show_entities,
        [page.run_id, which, current],
        shown_page,
        api_name="entities",
        show_progress="hidden",
    )
    which.input(
        lambda run_id, chosen: show_entities(run_id, chosen, 1),
        [page.run_id, which],
        shown_page,
        **QUIET,
    )
    for button, step in ((before, -1), (after, 1)):
        button.click(
            lambda run_id, chosen, shown_now, step=step: show_entities(run_id, chosen, (shown_now or 1) + step),
            [page.run_id, which, current],
            shown_page,
            **QUIET,
        )

    def page_of(found: reviewing.Results, chosen: str, wanted: float) -> Update:
        labels = reviewing.disputed(found.labels) if chosen == entities.DIFFERENT else found.labels
        rows, number, pages = entities.page_of(labels, wanted)
        update: Update = {
            current: number,
            said: shown.aside(f"Page {number:,} of {pages:,}" if len(rows) else "There is no such text."),
        }
        for slot, row in zip(slots, rows.itertuples(), strict=False):
            about = ["" if row.is_clean else "doubtful: an entity may be wrong", row.note]
            update[slot.whole] = gr.update(visible=True)
            update[slot.about] = shown.aside(" · ".join(filter(None, about)))
            update[slot.annotator] = entities.highlighted(row.text, row.annotator_spans)
            update[slot.final] = entities.highlighted(row.text, row.spans)
        return update | _without_text(slots[len(rows) :])

    def fill(found: reviewing.Results | None) -> Update:
        if found is None:
            return {which: entities.ALL, current: 1, said: "", **_without_text(slots)}
        update = page_of(found, entities.ALL, 1)
        colours = pictures.colours(found.label_names)  # used for all pages
        for part in (part for slot in slots for part in (slot.annotator, slot.final)):
            update[part] = gr.update(value=update[part], color_map=colours)
        return {which: entities.ALL, **update}

    return Part(fill, [which, *shown_page])


def _without_text(slots: Sequence[_Slot]) -> Update:
    """Hides the slots without a text."""
    update: Update = {}
    for slot in slots:
        update |= {slot.whole: gr.update(visible=False), slot.about: "", slot.annotator: None, slot.final: None}
    return update
