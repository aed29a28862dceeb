"""Functions for programs: the steps Run and Results with JSON results. The other steps have their own functions."""

import math
from collections.abc import Callable
from typing import Any

import gradio as gr

from freeal_hf.web import choices, example, reviewing, starting
from freeal_hf.web.page import Backend, showing_errors, visitor_of
from freeal_hf.web.store import FullError, Run
from freeal_hf.web.views.registry import view_of

_FIGURES = ("estimated_label_accuracy", "estimated_label_accuracy_range", "estimated_label_accuracy_source")


def build(backend: Backend) -> None:
    """Adds the functions."""
    settings = backend.settings

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

    def open_example(request: gr.Request = None) -> dict[str, str]:  # type: ignore[assignment]
        """Opens a finished run of the example, which can be changed like any other run. Returns its id."""
        return {"run": new_example(backend, visitor_of(request)).id}

    first = next(iter(settings.students))

    def estimate(
        run: str,
        annotator: str = choices.EMBEDDED,
        model: str = "",
        url: str = "",
        student: str = first,
        rounds: int = min(2, settings.max_rounds),
        samples: int = 1,
    ) -> dict[str, str]:
        """Estimates the calls, tokens, cost and time of a run. The language model is not called."""
        chosen = (annotator, model_of(annotator, model), url, student, rounds, samples)
        choice, found = choices.check_choice(settings, *chosen), starting.described(backend, run)
        rows, _ = choices.estimate(found, choice, settings)
        weak = view_of(found.task).weak if choice.annotator == choices.EMBEDDED else ""
        return {**dict(rows), **({"Warning": weak} if weak else {})}

    def starting_with(name: str, about: str, *, is_trial: bool) -> Callable[..., dict[str, Any]]:
        def begin(
            run: str,
            annotator: str = choices.EMBEDDED,
            model: str = "",
            url: str = "",
            student: str = first,
            rounds: int = min(2, settings.max_rounds),
            key: str = "",
            token: str = "",
            samples: int = 1,
        ) -> dict[str, Any]:
            chosen = (annotator, model_of(annotator, model), url, student, rounds, samples)
            starting.start(backend, run, chosen, token.strip() or None, key, is_trial=is_trial)
            return status(run)

        begin.__name__, begin.__doc__ = name, about
        return begin

    start = starting_with("start", "Starts a run, or adds it to the queue. Returns its status.", is_trial=False)
    try_texts = starting_with(
        "try_texts",
        "Labels 20 random texts. They are paid for once: `start` uses their labels again. Returns the status.",
        is_trial=True,
    )

    def status(run: str) -> dict[str, Any]:
        """Returns the state of a run, a message, the number of runs before it, and its last progress event."""
        return starting.status_of(backend, backend.store.read(run))

    def stop(run: str) -> dict[str, Any]:
        """Stops a run. Finished rounds are kept, and the run can be continued. Returns its status."""
        backend.runner.stop(run)
        return status(run)

    def go_on(run: str, key: str = "", token: str = "") -> dict[str, Any]:
        """Continues a stopped run. No answer is paid for twice. Returns its status."""
        starting.resume(backend, backend.store.read(run), token.strip() or None, key)
        return status(run)

    def use_answers(run: str, key: str = "", token: str = "") -> dict[str, Any]:
        """Continues a run that stopped because the answers of the language model look independent of the texts."""
        starting.use_answers(backend, run, token.strip() or None, key)
        return status(run)

    for function in (results, open_example, estimate, start, try_texts, status, stop, go_on, use_answers):
        gr.api(showing_errors(function), api_name=function.__name__)


def model_of(annotator: str, model: str) -> str:
    """Returns the model, or the one that is used without a choice."""
    return model or choices.DEFAULT_MODELS.get(annotator, "")


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
