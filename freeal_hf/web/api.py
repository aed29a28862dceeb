"""Functions of the page for programs that have no step of their own: the results of a run as JSON."""

import math
from typing import Any

import gradio as gr

from freeal_hf.web import example, reviewing
from freeal_hf.web.page import Backend, showing_errors, visitor_of
from freeal_hf.web.store import FullError, Run
from freeal_hf.web.views.registry import view_of

_FIGURES = ("estimated_label_accuracy", "estimated_label_accuracy_range", "estimated_label_accuracy_source")


def build(backend: Backend) -> None:
    """Adds the functions."""

    def results(run: str, texts: bool = False) -> dict[str, Any]:
        """Returns the results of a run: its state, the estimated share of right labels and its range, how often each
        label was given, the metrics of each round, and with `texts=True` each text with its label, confidence and the
        labels of both models."""
        found_run = backend.store.read(run)
        if not found_run.has_results:
            return {"state": found_run.state, "rounds": []}
        found, view = reviewing.load_results(found_run), view_of(found_run.task)
        last = found.rounds[-1]
        counts = view.counts(found.labels)
        said: dict[str, Any] = {
            "state": found_run.state,
            **{name: last.get(name) for name in _FIGURES},
            "labels": {name: int(counts.get(name, 0)) for name in found.label_names},
            "doubtful": len(reviewing.doubtful(found.labels)),
            "rounds": found.rounds,
        }
        if texts:
            said["texts"] = [
                {
                    "id": row.id,
                    "text": row.text,
                    "label": row.label,
                    "confidence": None if math.isnan(row.label_confidence) else float(row.label_confidence),
                    "language_model": row.annotator_label,
                    "small_model": row.student_label,
                }
                for row in found.labels.itertuples()
            ]
        return said

    gr.api(showing_errors(results), api_name="results")

    def open_example(request: gr.Request = None) -> dict[str, str]:  # type: ignore[assignment]
        """Opens a finished run of the example, which can be changed like any other run. Returns its id."""
        return {"run": new_example(backend, visitor_of(request)).id}

    gr.api(showing_errors(open_example), api_name="open_example")


def new_example(backend: Backend, visitor: str) -> Run:
    """Makes a finished run of the example.

    Args:
        backend (`Backend`): The settings, runs and processes.
        visitor (`str`): The address of the visitor.

    Raises:
        FullError: If there are too many runs.
    """
    run = example.open_example(backend.store, backend.settings, visitor)
    try:
        backend.runner.make_room(run)
    except FullError:
        backend.store.delete(run.id)
        raise
    return run
