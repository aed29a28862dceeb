"""The fourth step of the page: figures, corrections and downloads."""

from typing import Any

import gradio as gr

from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import INPUT, PROGRESS, RunFolder
from freeal_hf.loop.progress import read_progress
from freeal_hf.tasks import task_from_dict
from freeal_hf.web import pictures, reviewing, shown
from freeal_hf.web.page import QUIET, Backend, Page, Update, showing_errors
from freeal_hf.web.steps import downloads_tab, review_tab, student_tab, texts_tab
from freeal_hf.web.steps.run import RunStep
from freeal_hf.web.store import Run
from freeal_hf.web.verdict import first_to_check, verdict_of
from freeal_hf.web.views.base import TaskView
from freeal_hf.web.views.registry import view_of

_CHECK = "check"
_EXAMPLE = (
    "This is a finished example: messages to the customer service of a shop. Start over to label your own texts."
)
_ABOUT_CONFIDENCE = "Each bar counts texts. The labels on the left are doubtful: check them first."
_ABOUT_SLIDER = "The slider shows how this changed during the training."
_ABOUT_MAP = (
    "Each mark is a text. Texts that the small model finds similar are close to each other. Colour and shape show {}. "
    "Hollow marks are doubtful. Large marks are examples that were shown to the language model. Point at a mark to "
    "read the text."
)


def build(backend: Backend, page: Page, run_step: RunStep) -> None:
    """Adds the step to the page."""
    empty = gr.HTML(shown.note("There are no results yet. They appear after the first round."), label="empty")
    with gr.Column(visible=False) as whole, gr.Tabs(overflow_behavior="wrap", elem_id="result-tabs") as tabs:
        with gr.Tab("Results"):
            verdict = gr.HTML(label="verdict", elem_id="verdict")
            check = gr.Button(variant="primary", visible=False, elem_id="check-first")
            tiles = gr.HTML(label="tiles", elem_id="tiles")
            gr.HTML(shown.heading("How often each label was given"))
            label_counts = gr.Plot(label="label counts", show_label=False, elem_id="counts")
            about_confidences = gr.HTML(label="about confidences")
            confidences = gr.Plot(label="confidences", show_label=False, elem_id="confidences")
            with gr.Accordion("Each round, calls and costs", open=False):
                quality = gr.Plot(label="quality", show_label=False, elem_id="quality")
                scores = gr.HTML(label="scores", elem_id="scores")
            with gr.Accordion("What the small model finds easy and hard", open=False):
                about_losses = gr.HTML(label="about losses")
                losses = gr.Plot(label="losses", show_label=False, elem_id="losses")
            with gr.Accordion("Map of the texts", open=False, elem_id="map-part") as map_part:
                about_map = gr.HTML(label="about map")
                text_map = gr.Plot(label="text map", show_label=False, elem_id="map")
        # Created hidden, because Gradio cannot hide a visible tab.
        with gr.Tab("Texts", visible=False) as texts_page:
            texts = texts_tab.build(backend, page)
        with gr.Tab("Check and correct", id=_CHECK):
            review = review_tab.build(backend, page, run_step)
        with gr.Tab("Try the small model"):
            student = student_tab.build(backend, page)
        with gr.Tab("Download"):
            downloads_tab.build(backend, page)

    check.click(lambda: gr.Tabs(selected=_CHECK), None, tabs, **QUIET)

    @showing_errors
    def show(run_id: str) -> Update:
        """Shows the results of the finished rounds, and the texts that a person should check first."""
        run = backend.store.read(run_id) if run_id else None
        if run is None or not run.has_results:
            return {
                empty: gr.update(visible=True),
                whole: gr.update(visible=False),
                check: gr.update(visible=False),
                **dict.fromkeys([verdict, tiles, scores, about_confidences, about_losses, about_map], ""),
                **dict.fromkeys([quality, confidences, label_counts, losses, text_map], None),
                **review.fill(None, None),
                **texts.fill(None),
                **student.fill(None),
            }
        found = reviewing.load_results(run)
        view, events = view_of(run.task), read_progress(run.output / PROGRESS)
        return {
            empty: gr.update(visible=False),
            whole: gr.update(visible=True),
            **summary_of(run, found),
            **figures_of(found, view, events),
            texts_page: gr.update(visible=view.has_texts),
            **review.fill(found, run),
            **texts.fill(found if view.has_texts else None),
            **student.fill(run),
        }

    def summary_of(run: Run, found: reviewing.Results) -> Update:
        view = view_of(run.task)
        said = verdict_of(view, found.rounds[-1], found.labels, len(reviewing.doubtful(found.labels)))
        caption, figures = first_to_check(said), view.headline(found.labels)
        return {
            verdict: shown.note("" if reviewing.has_student(run) else _EXAMPLE)
            + shown.verdict(said)
            + shown.note(_doubt(found), "warning"),
            check: gr.update(value=caption, visible=bool(caption)),
            tiles: shown.figures([*figures, ("texts to check first", f"{said.doubtful:,}")]),
        }

    def summarize_again(run_id: str) -> Update:
        run = backend.store.read(run_id)
        return summary_of(run, reviewing.load_results(run))

    for answered in review.done:
        answered.success(summarize_again, page.run_id, [verdict, check, tiles], **QUIET)

    def figures_of(found: reviewing.Results, view: TaskView, events: Any) -> Update:
        """Draws the figures, except for the map, which takes longer."""
        sure = found.labels["label_confidence"]
        is_known = bool(sure.notna().any())
        return {
            label_counts: pictures.counts(view.counts(found.labels), found.label_names, view.counted),
            about_confidences: shown.heading("How sure the labels are")
            + shown.paragraph(_ABOUT_CONFIDENCE if is_known else "This cannot be known: no label has a confidence."),
            confidences: gr.update(value=pictures.confidences(sure), visible=is_known),
            quality: pictures.quality(found.rounds, view.kind.measure, view.results.series),
            scores: view.scores(found.rounds) + shown.figures(_costs(found)),
            about_losses: shown.paragraph(f"{view.results.about_losses} {_ABOUT_SLIDER}"),
            losses: pictures.losses(events, view.unit, has_slider=True),
            about_map: shown.paragraph(_ABOUT_MAP.format(view.results.colour)),
            text_map: None,
        }

    figures = [verdict, check, tiles, label_counts, about_confidences, confidences, quality, scores]
    figures += [about_losses, losses, about_map, text_map]
    outputs = [empty, whole, *figures, texts_page, *review.fields, *texts.fields, *student.fields]
    run_step.arrived.change(show, page.run_id, outputs, api_name="figures", show_progress="hidden")

    @showing_errors
    def draw_map(run_id: str) -> Any:
        """Draws the map of the embeddings of the texts."""
        from freeal_hf.kinds.registry import kind_of

        run = backend.store.read(run_id)
        found = reviewing.load_results(run)
        round_, task = RunFolder(run.output).round(found.rounds[-1]["round"]), task_from_dict(run.task)
        ids = kind_of(task).collect(read_labels(run.output / INPUT)).ids
        view = view_of(run.task)
        names = view.map_names(found.label_names)
        return pictures.text_map(found.labels, names, round_, task, ids, by=view.map_column)

    map_part.expand(draw_map, page.run_id, text_map, api_name="draw_map")


def _costs(found: reviewing.Results) -> list[tuple[str, str]]:
    calls = sum(record["annotator_calls"] for record in found.rounds)
    costs = [record["cost"] for record in found.rounds]
    tokens = sum(record["prompt_tokens"] + record["completion_tokens"] for record in found.rounds)
    tiles = [("calls", f"{calls:,}")]
    if tokens:
        tiles.append(("tokens", f"{tokens:,}"))
    if all(cost is not None for cost in costs):
        tiles.append(("cost", f"${sum(costs):,.2f}"))
    return tiles


def _doubt(found: reviewing.Results) -> str:
    if found.rounds[-1]["student_has_learnt"]:
        return ""
    return (
        "The small model has not learnt these labels, so it changed none of them. Use more texts, or describe the "
        "labels more clearly."
    )
