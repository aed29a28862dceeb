"""The third step of the page: the choice of annotator and student, the estimate, and the progress of the run."""

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.loop.folder import METRICS, PROGRESS
from freeal_hf.loop.progress import read_progress
from freeal_hf.web import choices, pictures, shown, starting
from freeal_hf.web.page import (
    HAS_LOGIN,
    PRIVATE,
    QUIET,
    RESULTS,
    RUN,
    Backend,
    Page,
    Update,
    own_token,
    showing_errors,
    showing_errors_in,
)
from freeal_hf.web.store import DOUBTFUL, DRAFT, FAILED, FINISHED, RUNNING, STOPPED, UNDER_WAY, WAITING, Run
from freeal_hf.web.timing import Plan, duration, phases, seconds_left
from freeal_hf.web.views.registry import view_of

_MODELS = {
    choices.EMBEDDED: "A free model on this machine",
    choices.PROVIDER: "A chat model of a Hugging Face provider",
    choices.ANTHROPIC: "A chat model of Anthropic",
    choices.OWN_URL: "A chat model on my own server",
}
_LOSSES = "What the small model finds easy and hard"
_KINDS = {FINISHED: "good", FAILED: "problem", STOPPED: "warning", DOUBTFUL: "warning"}


@dataclass(frozen=True)
class RunStep:
    """The objects of this step that other steps use.

    Args:
        started (`Any`): The event after which the run has started.
        estimate (`Any`): The function that estimates a run.
        chosen (`list`): The components with the choices, which it reads after the id of the run.
        estimated (`list`): The components that it fills.
        look (`Any`): The function that shows the progress of a run.
        seen (`list`): The components that it fills.
        arrived (`gr.Textbox`): A component that changes if there are new results, of this run or another.
    """

    started: Any
    estimate: Any
    chosen: list[Any]
    estimated: list[Any]
    look: Any
    seen: list[Any]
    arrived: gr.Textbox


def build(backend: Backend, page: Page, described: Any) -> RunStep:
    """Adds the step to the page."""
    settings = backend.settings
    kinds = [(name, kind) for kind, name in _MODELS.items() if kind != choices.OWN_URL or settings.own_urls]
    with gr.Column() as choosing:
        annotator = gr.Radio(kinds, value=choices.EMBEDDED, label="Which model labels the texts?")
        about = gr.HTML(_about(choices.EMBEDDED))
        with gr.Row():
            model = gr.Textbox(label="Model", visible=False, min_width=280)
            url = gr.Textbox(
                label="Address of the server", placeholder="https://host/v1", visible=False, min_width=280
            )
        key = key_field()
        with gr.Row():
            student = gr.Dropdown(
                list(settings.students),
                value=next(iter(settings.students)),
                label="Small model, which learns the labels",
                min_width=280,
            )
            rounds = gr.Slider(
                1,
                settings.max_rounds,
                value=min(2, settings.max_rounds),
                step=1,
                label="Rounds: each further one labels the doubtful texts again",
                min_width=280,
            )
            samples = gr.Slider(
                1,
                choices.MOST_SAMPLES,
                value=1,
                step=1,
                label="Answers for each text: several show where the model is unsure, and each is paid for",
                visible=False,
                min_width=280,
            )
        estimate = gr.HTML(elem_id="estimate")
        with gr.Row():
            start = gr.Button("Label all texts", variant="primary", interactive=False, elem_id="start")
            try_first = gr.Button(f"Try {starting.TRIED} texts first", interactive=False, elem_id="try-first")
        start_problem = gr.HTML(elem_id="start-problem")
    status = gr.HTML(elem_id="status")
    bars = gr.HTML(elem_id="bars")
    key_again = key_field()
    with gr.Row():
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
        go_on = gr.Button("Continue", variant="primary", visible=False, elem_id="go-on")
        use_answers = gr.Button("Use these answers", variant="primary", visible=False, elem_id="use-answers")
        arrived = gr.Textbox("", visible=False)
    problem = gr.HTML(elem_id="run-problem")
    results = gr.Button("See the results", variant="primary", visible=False, elem_id="to-results")
    labelled = gr.HTML(elem_id="live-labels")
    about_losses = gr.HTML(elem_id="about-live-losses")
    losses = gr.Plot(show_label=False, visible=False, elem_id="live-losses")

    chosen = [annotator, model, url, student, rounds, samples]
    seen = [
        choosing,
        status,
        bars,
        labelled,
        about_losses,
        losses,
        stop,
        go_on,
        use_answers,
        key_again,
        results,
        arrived,
        page.timer,
        *page.tabs,
    ]

    def show_annotator(kind: str) -> Update:
        return {
            about: _about(kind),
            model: gr.update(value=choices.DEFAULT_MODELS.get(kind, ""), visible=kind != choices.EMBEDDED),
            url: gr.update(visible=kind == choices.OWN_URL),
            key: gr.update(visible=kind in choices.WITH_KEY),
            samples: gr.update(visible=kind != choices.EMBEDDED),
        }

    annotator.change(show_annotator, annotator, [about, model, url, key, samples], **QUIET)

    @showing_errors
    def estimate_run(run_id: str, *chosen: Any) -> Update:
        """Shows the estimate, or what is missing. The language model is not called."""
        run = starting.described(backend, run_id)
        try:
            choice = choices.check_choice(settings, *chosen)
        except InputError as error:  # shown in the estimate only, because the choice may be incomplete
            return {estimate: shown.note(str(error), "warning"), **startable(False)}
        weak = view_of(run.task).weak if choice.annotator == choices.EMBEDDED else ""
        rows, _ = choices.estimate(run, choice, settings)
        return {estimate: shown.table(rows) + shown.note(weak, "warning"), **startable(True)}

    def startable(is_complete: bool) -> Update:
        return dict.fromkeys([start, try_first], gr.update(interactive=is_complete))

    def forget_estimate() -> Update:
        return {estimate: "", **startable(False)}

    def forget_trial(run_id: str) -> Update:
        """Hides the labels of a trial with another description of the task."""
        choices.forget_trial(backend.store.update(run_id, message=""))
        return look(run_id)

    estimated = [estimate, start, try_first]
    described.success(forget_trial, page.run_id, seen, **QUIET).success(
        estimate_run, [page.run_id, *chosen], estimated, **QUIET
    ).success(
        lambda run_id: {**page.go_to(RUN), **page.open_tabs(backend.store.read(run_id))},
        page.run_id,
        [page.steps, *page.tabs],
        api_visibility="private",
    )
    gr.on(
        [annotator.change, model.change, url.change, student.change, rounds.change, samples.change],
        forget_estimate,
        None,
        estimated,
        **QUIET,
    ).then(
        estimate_run,
        [page.run_id, *chosen],
        estimated,
        **QUIET,
        trigger_mode="always_last",
    )

    @showing_errors
    def look(run_id: str) -> Update:
        if not run_id:
            return {
                choosing: gr.update(visible=True),
                **dict.fromkeys([status, bars, labelled, about_losses], ""),
                **dict.fromkeys([losses, stop, go_on, use_answers, key_again, results], gr.update(visible=False)),
                arrived: "",
                page.timer: gr.Timer(active=False),
                **page.open_tabs(None),
            }
        run = backend.store.read(run_id)
        events = read_progress(run.output / PROGRESS)
        under_way, has_ended_early = run.state in UNDER_WAY, run.state in (STOPPED, FAILED, DOUBTFUL)
        live = under_way and any("edges" in event for event in events)
        picture = pictures.losses(events, view_of(run.task).unit) if live else None
        plan = Plan(**run.choice["plan"]) if "plan" in run.choice and not run.is_trial else None
        found = phases(events, plan) if plan else []
        newest = "" if under_way or not run.has_results else str(run.output.joinpath(METRICS).stat().st_mtime_ns)
        return {
            choosing: gr.update(visible=run.state == DRAFT),
            status: _status(backend, run, bool(events), seconds_left(found, plan) if plan else None),
            bars: shown.progress(found),
            labelled: shown.labelled(events) if run.state != FINISHED else "",
            about_losses: shown.heading(_LOSSES) + shown.paragraph(view_of(run.task).results.about_losses)
            if live
            else "",
            losses: gr.update(value=picture, visible=True) if live else gr.update(visible=False),
            stop: gr.update(visible=under_way, interactive=not backend.runner.is_stopping(run.id)),
            go_on: gr.update(visible=run.state in (STOPPED, FAILED)),
            use_answers: gr.update(visible=run.state == DOUBTFUL),
            key_again: gr.update(visible=has_ended_early and wants_key(run)),
            results: gr.update(visible=run.has_results and not under_way),
            arrived: newest and f"{run.id} {newest}",
            page.timer: gr.Timer(active=under_way),
            **page.open_tabs(run),
        }

    def begin(is_trial: bool) -> Callable[..., Update]:
        def begun(
            run_id: str,
            kind: str,
            name: str,
            address: str,
            pupil: str,
            count: float,
            answers: float,
            secret: str,
            typed: str,
            login: gr.OAuthToken | None,
        ) -> Update:
            given = (kind, name, address, pupil, count, answers)
            starting.start(backend, run_id, given, own_token(login, typed), secret, is_trial=is_trial)
            return look(run_id)

        return begun

    inputs = [page.run_id, *chosen, key, page.token]
    started = start.click(showing_errors_in(start_problem)(begin(False)), inputs, [*seen, start_problem], **PRIVATE)
    forget_secrets(started, key, page.token)
    # The fields are not emptied after a trial, because the run needs the same token or key again.
    try_first.click(showing_errors_in(start_problem)(begin(True)), inputs, [*seen, start_problem], **PRIVATE)

    @showing_errors_in(problem)
    def stop_run(run_id: str) -> Update:
        backend.runner.stop(run_id)
        return look(run_id)

    stop.click(stop_run, page.run_id, [*seen, problem], **PRIVATE)

    @showing_errors_in(problem)
    def go_on_with_run(run_id: str, secret: str, typed: str, login: gr.OAuthToken | None) -> Update:
        starting.resume(backend, backend.store.read(run_id), own_token(login, typed), secret)
        return look(run_id)

    @showing_errors_in(problem)
    def use_doubtful_answers(run_id: str, secret: str, typed: str, login: gr.OAuthToken | None) -> Update:
        starting.use_answers(backend, run_id, own_token(login, typed), secret)
        return look(run_id)

    for button, continued in ((go_on, go_on_with_run), (use_answers, use_doubtful_answers)):
        event = button.click(continued, [page.run_id, key_again, page.token], [*seen, problem], **PRIVATE)
        forget_secrets(event, key_again, page.token)
    results.click(lambda: page.go_to(RESULTS), None, page.steps, **PRIVATE)

    def estimate_again(run_id: str, *choice: Any) -> Update:
        """Estimates a run that was set up before the page was opened."""
        if not run_id:
            return {estimate: gr.skip()}
        run = backend.store.read(run_id)
        if run.state != DRAFT or not run.texts.is_file() or not run.task:
            return forget_estimate()
        try:
            return estimate_run(run_id, *choice)
        except gr.Error as error:  # shown in the estimate only, because the visitor did not ask for it
            return {estimate: shown.note(html.unescape(str(error.message)), "problem"), **startable(False)}

    return RunStep(started, estimate_again, chosen, estimated, look, seen, arrived)


def key_field() -> gr.Textbox:
    """Returns a field for the key of the visitor."""
    return gr.Textbox(label="Your key for this model, if it needs one", type="password", visible=False)


def forget_secrets(used: Any, *fields: gr.Textbox) -> None:
    """Empties fields with a token or key after the event that used them, so that Gradio does not keep them."""
    used.success(
        lambda: [""] * len(fields) if len(fields) > 1 else "",
        None,
        list(fields),
        **QUIET,
    )


def wants_key(run: Run) -> bool:
    """Returns whether a run needs the key of the visitor, which the Space does not keep."""
    return run.choice.get("choice", {}).get("annotator") in choices.WITH_KEY


def _status(backend: Backend, run: Run, has_begun: bool, seconds_left: float | None) -> str:
    if run.state == DRAFT:
        return shown.note(run.message)
    if run.state == WAITING:
        before = backend.runner.position(run)
        said = f"{counted(before, 'run')} before yours" if before else "yours is next"
        return shown.note(f"Waiting: {said}. You can close this page and return to its address.")
    if run.state == RUNNING:
        if backend.runner.is_stopping(run.id):
            return shown.note("Stopping …")
        beginning = "" if has_begun else "Loading the models. "
        left = "" if not has_begun or seconds_left is None else f", about {duration(seconds_left)} left"
        if seconds_left == 0:
            left = ", nearly finished"
        return shown.note(
            f"{beginning}Running for {duration(time.time() - run.started)}{left}. The limit is "
            f"{backend.settings.run_minutes:g} min. You can close this page and return to its address. Anyone who "
            "knows the address can see the run, so keep it secret."
        )
    message = run.message or "Finished."
    if run.state == DOUBTFUL:
        message += (
            " The run stopped before the training, and all answers are kept. If the answers are right, press Use "
            "these answers. Otherwise press Start over and describe the labels better, or choose another model."
        )
    return shown.note(message, _KINDS[run.state])


def _about(kind: str) -> str:
    if kind == choices.EMBEDDED:
        said = (
            "It compares each text with your descriptions of the labels, and no text leaves this machine. A chat "
            "model is usually better."
        )
    elif kind == choices.PROVIDER:
        login = "your own login" if HAS_LOGIN else "your own token"
        said = f"It reads your texts, and is paid through {login}."
    elif kind == choices.ANTHROPIC:
        said = "It reads your texts, and is paid through your own key, which is kept in memory only."
    else:
        said = "Any public server with OpenAI's protocol. It reads your texts. Your key is kept in memory only."
    return shown.note(said)
