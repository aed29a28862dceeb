"""The tab of the results that shows texts with their entities: the annotator's beside the final ones."""

from typing import Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.web import entities, pictures, reviewing, shown
from freeal_hf.web.page import Page, Place, telling


def build(place: Place, page: Page) -> list[Any]:
    """Adds the tab to the page; gives the components that `fill` fills."""
    gr.HTML(
        "<p>The annotator's last answer beside the final entities. Where annotator and student differ, correct them "
        "under Review and correct.</p>"
    )
    which = gr.Radio(
        [entities.ALL, entities.DIFFERENT], value=entities.ALL, label="Which texts", elem_id="which-texts"
    )
    slots = []
    for number in range(entities.PAGE):
        with gr.Column(visible=False, elem_classes="sentence") as slot:
            about = gr.HTML()
            with gr.Row():
                annotator, final = (
                    gr.HighlightedText(
                        label=name,
                        min_width=280,
                        elem_id=f"{name.lower()}-entities-{number}",
                        elem_classes="entities",
                    )
                    for name in ("Annotator", "Final")
                )
        slots += [slot, about, annotator, final]
    with gr.Row():
        before = gr.Button("Previous", size="sm", min_width=80, elem_id="previous-texts")
        current = gr.Number(1, label="Page", precision=0, min_width=80, elem_id="page")
        after = gr.Button("Next", size="sm", min_width=80, elem_id="next-texts")
    said = gr.HTML(elem_id="pages")
    shown_page = [current, said, *slots]

    @telling
    def show_entities(run_id: str, chosen: str, wanted: float) -> tuple[Any, ...]:
        """A page of texts: its number, what is on it, and of each text the annotator's and the final entities."""
        run = place.store.read(run_id)
        if not run.finds_entities:
            raise InputError("This run labels whole texts; it finds no entities.")
        if not run.has_results:
            raise InputError("No round is finished yet.")
        return _page(reviewing.load_results(run), chosen, wanted)

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
        api_visibility="private",
        show_progress="hidden",
    )
    for button, step in ((before, -1), (after, 1)):
        button.click(
            lambda run_id, chosen, shown_now, step=step: show_entities(run_id, chosen, (shown_now or 1) + step),
            [page.run_id, which, current],
            shown_page,
            api_visibility="private",
            show_progress="hidden",
        )
    return [which, *shown_page]


def fill(found: reviewing.Results | None) -> tuple[Any, ...]:
    """The first page of a run's texts, in the order of the components that `build` gave; without a run, nothing."""
    if found is None:
        return entities.ALL, 1, "", *[value for _ in range(entities.PAGE) for value in _no_text()]
    colours = pictures.colours(found.label_names)
    number, said, *slots = _page(found, entities.ALL, 1)
    # A value for a text with its entities also gets the colours, which later pages keep.
    coloured = [
        gr.update(value=value, color_map=colours) if i % _PER_TEXT >= _PER_TEXT - 2 else value
        for i, value in enumerate(slots)
    ]
    return entities.ALL, number, said, *coloured


_PER_TEXT = 4  # components: the whole, a remark, the annotator's entities, the final ones


def _page(found: reviewing.Results, which: str, wanted: float) -> tuple[Any, ...]:
    labels = reviewing.disputed(found.labels) if which == entities.DIFFERENT else found.labels
    rows, number, pages = entities.page_of(labels, wanted)
    slots: list[Any] = []
    for row in rows.itertuples():
        parts = ["clean" if row.is_clean else "noisy: an entity is in doubt", row.note]
        both = [entities.highlighted(row.text, spans) for spans in (row.annotator_spans, row.spans)]
        slots += [gr.update(visible=True), shown.aside(" · ".join(filter(None, parts))), *both]
    for _ in range(entities.PAGE - len(rows)):
        slots += _no_text()
    said = f"Page {number:,} of {pages:,}" if len(rows) else "There is no such text."
    return number, shown.aside(said), *slots


def _no_text() -> list[Any]:
    return [gr.update(visible=False), "", None, None]
