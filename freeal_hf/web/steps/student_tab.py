"""The tab of the results for predictions of the trained student."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.loop.folder import STUDENT
from freeal_hf.web import reviewing
from freeal_hf.web.page import QUIET, Backend, Page, Part, Update, showing_errors
from freeal_hf.web.store import Run
from freeal_hf.web.views.base import TaskView
from freeal_hf.web.views.registry import VIEWS, view_of


def build(backend: Backend, page: Page) -> Part:
    """Adds the tab to the page."""
    columns, answers, places = {}, {}, {}
    for kind, view in VIEWS.items():
        with gr.Column(visible=view is view_of({})) as columns[kind]:
            text = gr.Textbox(label="Text", lines=3, elem_id=view.trial.text)
            ask = gr.Button("Predict", variant="primary", elem_id=view.trial.button)
            with gr.Column(visible=False) as places[kind]:
                answers[kind] = view.answer()
        predict = _predictor(backend, view)
        api_name = view.trial.api_name
        gr.on([ask.click, text.submit], predict, [page.run_id, text], answers[kind], api_name=api_name).success(
            lambda: gr.update(visible=True), None, places[kind], **QUIET
        )

    def fill(run: Run | None) -> Update:
        shown = view_of(run.task if run is not None else {})
        names = list(run.task["labels"]) if run is not None else []
        return {
            **{columns[kind]: gr.update(visible=view is shown) for kind, view in VIEWS.items()},
            **{place: gr.update(visible=False) for place in places.values()},
            **{answers[kind]: gr.update(**view.empty_answer(names)) for kind, view in VIEWS.items()},
        }

    return Part(fill, [*columns.values(), *places.values(), *answers.values()])


def _predictor(backend: Backend, view: TaskView) -> Callable[[str, str], Any]:
    def predict(run_id: str, tried: str) -> Any:
        run = _tried(backend, run_id, tried)
        if view_of(run.task) is not view:
            raise InputError(view_of(run.task).trial.other)
        return view.predict(run.output / STUDENT, tried[: backend.settings.max_characters])

    predict.__doc__ = view.trial.about
    return showing_errors(predict)


def _tried(backend: Backend, run_id: str, text: str) -> Run:
    run = backend.store.read(run_id)
    if not run.has_results:
        raise InputError("No round is finished yet.")
    if not reviewing.has_student(run):
        raise InputError(
            "The example comes without its small model. Press Start over and label the example's messages to train it."
        )
    if not text.strip():
        raise InputError("Enter a text first.")
    return run
