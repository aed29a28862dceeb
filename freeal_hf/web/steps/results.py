"""The fourth step of the page: figures, corrections and downloads."""

from typing import Any

import gradio as gr

from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import INPUT, PROGRESS, RunFolder
from freeal_hf.loop.progress import read_progress
from freeal_hf.tasks import task_from_dict
from freeal_hf.web import entities, pictures, reviewing, shown
from freeal_hf.web.page import Page, Place, Update, telling
from freeal_hf.web.steps import downloads_tab, review_tab, student_tab, texts_tab
from freeal_hf.web.steps.run import RunStep

_ABOUT_LOSSES = (
    "The student learns labels that agree with the others earlier than wrong ones. Labels with a small loss are "
    "clean. Labels with a large loss are noisy, and the annotator labels these texts again. The slider changes the "
    "epoch."
)
_ABOUT_WORD_LOSSES = (
    "The student learns tags that agree with the others earlier than wrong ones. Words with a small loss are clean, "
    "words with a large loss are noisy. The annotator labels sentences with a noisy entity again. Most words are "
    "outside of entities. The slider changes the epoch."
)
_ABOUT_MAP = (
    "Each dot is a text. Texts with similar embeddings are close to each other. The colour is {}. Hollow dots are "
    "noisy, stars are demonstrations for the annotator. Point at a dot to read the text."
)


def build(place: Place, page: Page, run_step: RunStep) -> None:
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
            with gr.Tab("Texts", visible=False) as entities_tab:
                texts = texts_tab.build(place, page)
            with gr.Tab("Trusted labels"):
                about_losses = gr.HTML()
                losses = gr.Plot(show_label=False, elem_id="losses")
            with gr.Tab("Map") as map_tab:
                about_map = gr.HTML()
                text_map = gr.Plot(show_label=False, elem_id="map")
            with gr.Tab("Review and correct"):
                review = review_tab.build(place, page, run_step)
            with gr.Tab("Try the student"):
                student = student_tab.build(place, page)
            with gr.Tab("Download"):
                downloads_tab.build(place, page)

    @telling
    def show(run_id: str) -> Update:
        """Shows the figures of the finished rounds, and the texts on which annotator and student differ."""
        run = place.store.read(run_id) if run_id else None
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
        events = read_progress(run.output / PROGRESS)
        return {
            empty: gr.update(visible=False),
            whole: gr.update(visible=True),
            tiles: shown.figures(_headline(found)) + shown.note(_doubt(found), "warning"),
            quality: pictures.quality(found.rounds),
            **(entity_figures(found, events) if run.finds_entities else label_figures(found, events)),
            entities_tab: gr.update(visible=run.finds_entities),
            **review.fill(found, run),
            **texts.fill(found if run.finds_entities else None),
            **student.fill(run),
        }

    def label_figures(found: reviewing.Results, events: Any) -> Update:
        """Draws the numbers of labels, the losses of texts, and the map."""
        return {
            scores: shown.heading("Final labels"),
            label_counts: pictures.counts(found.labels["label"].value_counts(), found.label_names),
            about_losses: shown.paragraph(_ABOUT_LOSSES),
            losses: pictures.losses(events),
            about_map: shown.paragraph(_ABOUT_MAP.format("the final label")),
        }

    def entity_figures(found: reviewing.Results, events: Any) -> Update:
        """Draws the scores and numbers of entities, the losses of words, and the map."""
        rows = entities.scores(found.rounds)
        said = ""
        if rows:
            by_type = entities.scores_by_type(found.rounds[-1])
            said = shown.preview(entities.SCORES, rows, "scores")
            said += shown.preview(entities.SCORES_BY_TYPE, by_type, "scores")
        return {
            scores: said + shown.heading("Final entities"),
            label_counts: pictures.counts(entities.count_types(found.labels), found.label_names, "entities"),
            about_losses: shown.paragraph(_ABOUT_WORD_LOSSES),
            losses: pictures.losses(events, "words"),
            about_map: shown.paragraph(_ABOUT_MAP.format("the type of most of its entities")),
        }

    figures = [tiles, quality, scores, label_counts, about_losses, losses, about_map]
    outputs = [empty, whole, *figures, entities_tab, *review.filled, *texts.filled, *student.filled]
    run_step.arrived.change(show, page.run_id, outputs, api_name="results", show_progress="hidden")

    @telling
    def draw_map(run_id: str) -> Any:
        """Draws the map of the embeddings of the texts."""
        from freeal_hf.kinds.registry import kind_of

        run = place.store.read(run_id)
        found = reviewing.load_results(run)
        round_, task = RunFolder(run.output).round(found.rounds[-1]["round"]), task_from_dict(run.task)
        ids = kind_of(task).collect(read_labels(run.output / INPUT)).ids
        if run.finds_entities:
            names = [*found.label_names, entities.NO_ENTITY]
            return pictures.text_map(found.labels, names, round_, task, ids, by="main_type")
        return pictures.text_map(found.labels, found.label_names, round_, task, ids)

    map_tab.select(draw_map, page.run_id, text_map, api_name="draw_map")


def _headline(found: reviewing.Results) -> list[tuple[str, str]]:
    last, labels = found.rounds[-1], found.labels
    if "label_f1" in last:
        tiles = _headline_of_entities(found)
    else:
        tiles = [("texts labelled", f"{int(labels['label'].notna().sum()):,}")]
        if last["estimated_label_accuracy"] is None:
            tiles.append(("right final labels, estimated", "unknown"))
        else:
            low, high = last["estimated_label_accuracy_range"]
            about = f"right final labels, estimated: {low:.0%} to {high:.0%}"
            tiles.append((about, f"{last['estimated_label_accuracy']:.0%}"))
        if last["label_accuracy"] is not None:
            tiles.append(("accuracy of the final labels (true labels)", f"{last['label_accuracy']:.1%}"))
            tiles.append(("accuracy of the student (true labels)", f"{last['student_accuracy']:.1%}"))
        if last["agreement"] is not None:
            tiles.append(("annotator and student agree", f"{last['agreement']:.1%}"))
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


def _headline_of_entities(found: reviewing.Results) -> list[tuple[str, str]]:
    last = found.rounds[-1]
    tiles = [
        ("texts", f"{len(found.labels):,}"),
        ("entities found", f"{entities.count_types(found.labels).total():,}"),
    ]
    if last["label_f1"] is not None:
        tiles.append(("F1 of the final entities (true tags)", f"{last['label_f1']:.1%}"))
        tiles.append(("F1 of the student (true tags)", f"{last['student_f1']:.1%}"))
    if last["agreement"] is not None:
        tiles.append(("texts on which annotator and student agree", f"{last['agreement']:.1%}"))
    return tiles


def _doubt(found: reviewing.Results) -> str:
    if found.rounds[-1]["student_has_learnt"]:
        return ""
    return (
        "The student has not learnt these labels, so it changed no label of the annotator. Use more texts, or "
        "describe the labels or types more clearly."
    )
