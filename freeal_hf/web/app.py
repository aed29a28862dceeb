"""The page of the web app, with its four steps. It is started by `freeal-hf space`."""

import os
import signal
import sys
import threading
import traceback
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from freeal_hf.cli.ending import Stop, stopping_on_signals
from freeal_hf.web import shown
from freeal_hf.web.api import build as build_api
from freeal_hf.web.api import new_example
from freeal_hf.web.page import (
    DATA,
    HAS_LOGIN,
    QUIET,
    REMEMBER,
    RESULTS,
    RUN,
    STEPS,
    TASK,
    Backend,
    Page,
    Update,
    showing_errors,
    visitor_of,
)
from freeal_hf.web.runner import Runner, files_folder
from freeal_hf.web.settings import Settings
from freeal_hf.web.steps.data import build as build_data
from freeal_hf.web.steps.results import build as build_results
from freeal_hf.web.steps.run import build as build_run
from freeal_hf.web.steps.task import build as build_task
from freeal_hf.web.store import FINISHED, Run, Store, UnknownRunError
from freeal_hf.web.theme import CSS, THEME

_HEADLINE = """<div class="headline"><h1>FreeAL: label texts and train a small model</h1>
<p>A language model labels your texts. A small model learns the labels and finds the doubtful ones, which are labelled
again. You get your table with a label for each text, an estimate of how many labels are right, and the small
model.</p></div>"""
# The address contains the id of a run, so it is not sent to other sites.
_HEAD = '<meta name="referrer" content="no-referrer">'


def build(backend: Backend) -> gr.Blocks:
    """Builds the page.

    Args:
        backend (`Backend`): The settings, runs and processes.

    Returns:
        `gr.Blocks`: The page.
    """
    with gr.Blocks(title="FreeAL", analytics_enabled=False) as page_blocks:
        with gr.Row():
            with gr.Column(scale=4):
                gr.HTML(_HEADLINE)
            if HAS_LOGIN:
                with gr.Column(scale=1, min_width=200):
                    gr.LoginButton(size="md")
        run_id = gr.Textbox("", label="run", visible=False)
        timer = gr.Timer(1.5, active=False)
        with gr.Row(elem_id="landing") as landing:
            example = gr.Button("Try the example", variant="primary", size="lg", elem_id="try-example")
            own = gr.Button("Label my texts", size="lg", elem_id="label-texts")
        with gr.Column(visible=False) as working:
            with gr.Accordion(
                "Hugging Face token, for models of providers and for uploads", open=False, visible=not HAS_LOGIN
            ):
                token = gr.Textbox(
                    label="Your token",
                    type="password",
                    placeholder="hf_…",
                    info="Kept in memory only, while your run or an upload needs it. This field is emptied after use.",
                )
            _add_start_over(backend, run_id)
            # Not a Walkthrough: it closes all steps after the current one.
            steps = gr.Tabs(selected=DATA, overflow_behavior="wrap", elem_id="steps")
        with steps:
            tabs = {step: gr.Tab(name, id=step, interactive=step == DATA) for step, name in STEPS.items()}
            page = Page(
                steps, [tabs[TASK], tabs[RUN], tabs[RESULTS]], run_id, token, timer, landing=landing, working=working
            )
            with tabs[DATA]:
                data = build_data(backend, page)
            with tabs[TASK]:
                task = build_task(backend, page, data.done)
            with tabs[RUN]:
                run = build_run(backend, page, task.done)
            with tabs[RESULTS]:
                build_results(backend, page, run)
        build_api(backend)

        def tick(run_id: str) -> Update:
            try:
                is_done = backend.store.read(run_id).state == FINISHED
            except UnknownRunError:  # deleted, perhaps in another tab
                gr.Warning("This run has been deleted.")
                return run.look("")
            return {**run.look(run_id), **(page.go_to(RESULTS) if is_done else {})}

        timer.tick(tick, run_id, [*run.seen, steps], **QUIET, trigger_mode="once")
        run_id.change(None, run_id, js=REMEMBER, api_visibility="private")
        # A new run in the same tab starts with its own choices, not with those of the last run.
        run_id.change(run.look, run_id, run.seen, **QUIET)
        data.done.success(run.estimate, [run_id, *run.chosen], run.estimated, **QUIET)
        for fill, fields in ((data.fill, data.fields), (task.fill, task.fields)):
            run.started.success(fill, run_id, fields, **QUIET)

        def open_run(request: gr.Request) -> Update:
            asked = request.query_params.get("run", "")
            try:
                found = backend.store.read(asked) if asked else None
            except UnknownRunError:
                gr.Warning("This run does not exist any more. Start a new one.")
                found = None
            # A fast visitor may already have left the first page.
            return {run_id: ""} if found is None else shown_run(found)

        # One event opens and fills the steps. A later one would overwrite what a fast visitor has entered.
        def shown_run(found: Run) -> Update:
            opened = {**page.go_to(_step_of(found)), **page.open_tabs(found)}
            filled = {**data.fill(found.id), **task.fill(found.id)}
            return {run_id: found.id, **page.leave_landing(), **opened, **filled}

        opened = [run_id, landing, working, steps, *page.tabs, *data.fields, *task.fields]
        loaded = page_blocks.load(open_run, None, opened, **QUIET)
        own.click(page.leave_landing, None, [landing, working], **QUIET)

        @showing_errors
        def open_finished_example(request: gr.Request) -> Update:
            return shown_run(new_example(backend, visitor_of(request)))

        example.click(open_finished_example, None, opened, api_visibility="private")
        loaded.then(run.estimate, [run_id, *run.chosen], run.estimated, **QUIET)
    return page_blocks


def _add_start_over(backend: Backend, run_id: gr.Textbox) -> None:
    """Adds a button that starts a new run, after a confirmation."""
    start_over = gr.Button("Start over", size="sm", visible=False, elem_id="start-over")
    with gr.Row(visible=False, elem_id="start-over-question") as question:
        gr.HTML(
            shown.note(
                "Start over with other data? This run stays at its address, and is deleted "
                f"{backend.settings.keep_hours:g} hours after its last use. Copy the address to return to it.",
                "warning",
            )
        )
        confirm = gr.Button("Yes, start over", variant="stop", size="sm", elem_id="start-over-yes")
        cancel = gr.Button("No, stay here", size="sm", elem_id="start-over-no")
    run_id.change(
        lambda known: {start_over: gr.update(visible=bool(known)), question: gr.update(visible=False)},
        run_id,
        [start_over, question],
        **QUIET,
    )
    for button, is_asked in ((start_over, True), (cancel, False)):
        button.click(
            lambda is_asked=is_asked: {
                start_over: gr.update(visible=not is_asked),
                question: gr.update(visible=is_asked),
            },
            None,
            [start_over, question],
            **QUIET,
        )
    confirm.click(None, js="() => window.location.assign(window.location.pathname)", api_visibility="private")


def _step_of(run: Run | None) -> int:
    if run is None or not run.texts.is_file():
        return DATA
    if not run.task:
        return TASK
    return RESULTS if run.state == FINISHED else RUN


def _warm_up() -> None:
    """Loads libraries, so that the first visitor does not wait for them."""
    import sklearn.manifold  # noqa: F401
    import torch  # noqa: F401

    import freeal_hf.kinds.registry
    import freeal_hf.prediction.classifier  # noqa: F401


class NoDeepLinks:
    """Middleware that blocks the deep links of Gradio, which store all inputs of a visitor, also tokens, in a file.

    Args:
        app (`Any`): The ASGI application.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_deep_link = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/deep_link")
        answer = PlainTextResponse("Not found", 404) if is_deep_link else self.app
        await answer(scope, receive, send)


def serve(settings: Settings) -> None:
    """Serves the page until a signal ends the server and all runs.

    Args:
        settings (`Settings`): The settings of the operator.
    """
    # Not in a thread: datasets looks for classes of transformers, which must be loaded completely.
    import transformers  # noqa: F401

    store = Store(settings.folder / "runs", settings.kept_runs, settings.visitor_runs)
    files_folder(settings).mkdir(mode=0o700, exist_ok=True)
    runner = Runner(store, settings)
    exit_code = 1
    try:
        with stopping_on_signals():
            _launch(Backend(settings, store, runner))
    except Stop as stop:
        print("The Space is closing, and all runs are stopped.", flush=True)
        exit_code = stop.exit_code
    except OSError as error:  # no free port
        print(f"freeal-hf: error: {error}", file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
    finally:
        runner.close()
        os._exit(exit_code)  # does not wait for handlers in threads


def _launch(backend: Backend) -> None:
    backend.runner.watch()
    threading.Thread(target=_warm_up, daemon=True).start()
    demo = build(backend)
    demo.queue(default_concurrency_limit=8, max_size=200)
    demo.launch(
        theme=THEME,
        css=CSS,
        head=_HEAD,
        max_file_size=backend.settings.max_megabytes * 2**20,
        footer_links=["api", "gradio"],
        # Otherwise the token, key and texts of a visitor would be in localStorage and at /gradio_api/runs.
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        app_kwargs={"middleware": [Middleware(NoDeepLinks)]},
        show_error=False,
        ssr_mode=False,
        server_name=os.environ.get("GRADIO_SERVER_NAME"),
        prevent_thread_lock=True,  # the loop of Gradio treats Ctrl-C as a normal end
    )
    while True:
        signal.pause()
