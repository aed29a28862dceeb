"""The tab of the results for predictions of the trained student."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.loop.folder import STUDENT
from freeal_hf.web import entities, pictures
from freeal_hf.web.page import Page, Place, Update, telling
from freeal_hf.web.store import Run

if TYPE_CHECKING:
    from freeal_hf.prediction.classifier import Classifier
    from freeal_hf.prediction.tagger import EntityTagger


@functools.lru_cache(maxsize=2)
def _classifier(student: str, trained: float) -> "Classifier":
    """Loads the student of a run. The time of its training is part of the cache key."""
    from freeal_hf.prediction.classifier import Classifier

    return Classifier(student)


@functools.lru_cache(maxsize=2)
def _tagger(student: str, trained: float) -> "EntityTagger":
    """Loads a student that finds entities, in the same way."""
    from freeal_hf.prediction.tagger import EntityTagger

    return EntityTagger(student)


@dataclass(frozen=True)
class StudentTab:
    """The objects of this tab that the step uses.

    Args:
        fill (`Callable`): The function that prepares the tab for the student of a run.
        filled (`list`): The components that it fills.
    """

    fill: Callable[[Run | None], Update]
    filled: list[Any]


def build(place: Place, page: Page) -> StudentTab:
    """Adds the tab to the page."""
    with gr.Column() as for_labels:
        text = gr.Textbox(label="Text", lines=3, elem_id="try-text")
        ask = gr.Button("Predict", variant="primary", elem_id="try")
        answer = gr.Label(label="Prediction", num_top_classes=6, elem_id="try-answer")
    with gr.Column(visible=False) as for_entities:
        sentence = gr.Textbox(label="Text", lines=3, elem_id="try-sentence")
        find = gr.Button("Predict", variant="primary", elem_id="try-entities")
        found = gr.HighlightedText(label="Prediction", elem_id="try-found", elem_classes="entities")

    @telling
    def try_student(run_id: str, tried: str) -> dict[str, float]:
        """Predicts the label of a text with the trained student."""
        run = _tried(place, run_id, tried)
        if run.finds_entities:
            raise InputError("The student of this run finds entities: use find_entities.")
        student = run.output / STUDENT
        classifier = _classifier(str(student), student.stat().st_mtime)
        likely = classifier.probabilities([tried[: place.settings.max_characters]])[0]
        return dict(zip(classifier.label_names, likely.tolist(), strict=True))

    gr.on([ask.click, text.submit], try_student, [page.run_id, text], answer, api_name="try_student")

    @telling
    def find_entities(run_id: str, tried: str) -> dict[str, Any]:
        """Finds the entities of a text with the trained student."""
        run = _tried(place, run_id, tried)
        if not run.finds_entities:
            raise InputError("The student of this run labels texts: use try_student.")
        student = run.output / STUDENT
        tagger = _tagger(str(student), student.stat().st_mtime)
        tried = tried[: place.settings.max_characters]
        return entities.highlighted(tried, tagger.find(tried))

    gr.on([find.click, sentence.submit], find_entities, [page.run_id, sentence], found, api_name="find_entities")

    def fill(run: Run | None) -> Update:
        finds_entities = run is not None and run.finds_entities
        colours = pictures.colours(list(run.task["labels"])) if run is not None and finds_entities else {}
        return {
            for_labels: gr.update(visible=not finds_entities),
            for_entities: gr.update(visible=finds_entities),
            found: gr.update(value=None, color_map=colours),
        }

    return StudentTab(fill, [for_labels, for_entities, found])


def _tried(place: Place, run_id: str, text: str) -> Run:
    run = place.store.read(run_id)
    if not run.has_results:
        raise InputError("No round is finished yet.")
    if not text.strip():
        raise InputError("Enter a text first.")
    return run
