"""The fourth step of the page: figures, corrections and downloads."""

from typing import Any

import gradio as gr

from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import INPUT, PROGRESS, RunFolder
from freeal_hf.loop.progress import read_progress
from freeal_hf.tasks import task_from_dict
from freeal_hf.web import pictures, reviewing, shown
from freeal_hf.web.page import Backend, Page, Update, showing_errors
from freeal_hf.web.steps import downloads_tab, review_tab, student_tab, texts_tab
from freeal_hf.web.steps.run import RunStep
from freeal_hf.web.views.base import TaskView
from freeal_hf.web.views.registry import view_of

_ABOUT_MAP = (
    "Each dot is a text. Texts with similar embeddings are close to each other. The colour is {}. Hollow dots are "
    "noisy, stars are demonstrations for the annotator. Point at a dot to read the text."
)


def build(backend: Backend, page: Page, run_step: RunStep) -> None:
    """Adds the step to the page."""
    empty = gr.HTML(shown.note("No round is finished yet."))
    with gr.Column(visible=False) as whole:
        tiles = gr.HTML(elem_id="tiles")
        with gr.Tabs():
            with gr.Tab("How good"):
                gr.HTML("<h3>Rounds</h3>")
                quality = gr.Plot(show_label=False, elem_id="quality")
                scores = gr.HTML(elem_id="scores")
                label_counts = gr.Plot(show_label=False, elem_id="counts")
            # Created hidden, because Gradio cannot hide a visible tab.
            with gr.Tab("Texts", visible=False) as texts_page:
                texts = texts_tab.build(backend, page)
            with gr.Tab("Trusted labels"):
                about_losses = gr.HTML()
                losses = gr.Plot(show_label=False, elem_id="losses")
            with gr.Tab("Map") as map_tab:
                about_map = gr.HTML()
                text_map = gr.Plot(show_label=False, elem_id="map")
            with gr.Tab("Review and correct"):
                review = review_tab.build(backend, page, run_step)
            with gr.Tab("Try the student"):
                student = student_tab.build(backend, page)
            with gr.Tab("Download"):
                downloads_tab.build(backend, page)

    @showing_errors
    def show(run_id: str) -> Update:
        """Shows the figures of the finished rounds, and the texts on which annotator and student differ."""
        run = backend.store.read(run_id) if run_id else None
        if run is None or not run.has_results:
            return {
                empty: gr.update(visible=True),
                whole: gr.update(visible=False),
                **dict.fromkeys([tiles, scores, about_losses, about_map], ""),
                **dict.fromkeys([quality, label_counts, losses], None),
                **review.fill(None, None),
                **texts.fill(None),
                **student.fill(None),
            }
        found = reviewing.load_results(run)
        view, events = view_of(run.task), read_progress(run.output / PROGRESS)
        return {
            empty: gr.update(visible=False),
            whole: gr.update(visible=True),
            tiles: shown.figures(_headline(found, view)) + shown.note(_doubt(found), "warning"),
            quality: pictures.quality(found.rounds, view.kind.measure, view.results.series),
            **figures_of(found, view, events),
            texts_page: gr.update(visible=view.has_texts),
            **review.fill(found, run),
            **texts.fill(found if view.has_texts else None),
            **student.fill(run),
        }

    def figures_of(found: reviewing.Results, view: TaskView, events: Any) -> Update:
        """Draws the scores and numbers of labels, the losses, and the map."""
        return {
            scores: view.scores(found.rounds) + shown.heading(view.results.final),
            label_counts: pictures.counts(view.counts(found.labels), found.label_names, view.counted),
            about_losses: shown.paragraph(view.results.about_losses),
            losses: pictures.losses(events, view.unit),
            about_map: shown.paragraph(_ABOUT_MAP.format(view.results.colour)),
        }

    figures = [tiles, quality, scores, label_counts, about_losses, losses, about_map]
    outputs = [empty, whole, *figures, texts_page, *review.fields, *texts.fields, *student.fields]
    run_step.arrived.change(show, page.run_id, outputs, api_name="results", show_progress="hidden")

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

    map_tab.select(draw_map, page.run_id, text_map, api_name="draw_map")


def _headline(found: reviewing.Results, view: TaskView) -> list[tuple[str, str]]:
    last = found.rounds[-1]
    tiles = view.headline(last, found.labels)
    tiles.append(("clean share", f"{last['clean_fraction']:.1%}"))
    calls = sum(record["annotator_calls"] for record in found.rounds)
    costs = [record["cost"] for record in found.rounds]
    tokens = sum(record["prompt_tokens"] + record["completion_tokens"] for record in found.rounds)
    tiles.append(("calls", f"{calls:,}"))
    if tokens:
        tiles.append(("tokens", f"{tokens:,}"))
    if all(cost is not None for cost in costs):
        tiles.append(("cost", f"${sum(costs):,.2f}"))
    return tiles


def _doubt(found: reviewing.Results) -> str:
    if found.rounds[-1]["student_has_learnt"]:
        return ""
    return (
        "The student has not learnt these labels, so it changed no label of the annotator. Use more texts, or "
        "describe the labels or types more clearly."
    )
