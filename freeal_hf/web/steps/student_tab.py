"""The tab of the results for predictions of the trained student."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.loop.folder import STUDENT
from freeal_hf.web.page import Page, Place, Update, telling
from freeal_hf.web.store import Run
from freeal_hf.web.views.base import TaskView
from freeal_hf.web.views.registry import VIEWS, view_of


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
    columns, answers = {}, {}
    for kind, view in VIEWS.items():
        with gr.Column(visible=view is view_of({})) as columns[kind]:
            text = gr.Textbox(label="Text", lines=3, elem_id=view.trial.text)
            ask = gr.Button("Predict", variant="primary", elem_id=view.trial.button)
            answers[kind] = view.answer()
        predict = _predictor(place, view)
        api_name = view.trial.api_name
        gr.on([ask.click, text.submit], predict, [page.run_id, text], answers[kind], api_name=api_name)

    def fill(run: Run | None) -> Update:
        shown = view_of(run.task if run is not None else {})
        names = list(run.task["labels"]) if run is not None else []
        return {
            **{columns[kind]: gr.update(visible=view is shown) for kind, view in VIEWS.items()},
            **{answers[kind]: gr.update(**view.empty_answer(names)) for kind, view in VIEWS.items()},
        }

    return StudentTab(fill, [*columns.values(), *answers.values()])


def _predictor(place: Place, view: TaskView) -> Callable[[str, str], Any]:
    def predict(run_id: str, tried: str) -> Any:
        run = _tried(place, run_id, tried)
        if view_of(run.task) is not view:
            raise InputError(view_of(run.task).trial.other)
        return view.predict(run.output / STUDENT, tried[: place.settings.max_characters])

    predict.__doc__ = view.trial.about
    return telling(predict)


def _tried(place: Place, run_id: str, text: str) -> Run:
    run = place.store.read(run_id)
    if not run.has_results:
        raise InputError("No round is finished yet.")
    if not text.strip():
        raise InputError("Enter a text first.")
    return run
