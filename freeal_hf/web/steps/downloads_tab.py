"""The tab of the results for downloads, the push to the Hub, and deleting the run."""

import functools
import subprocess
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from freeal_hf.errors import InputError
from freeal_hf.web import choices, reviewing, shown
from freeal_hf.web.page import HAS_LOGIN, Backend, Page, own_token, showing_errors
from freeal_hf.web.runner import files_folder
from freeal_hf.web.steps.run import forget_secrets
from freeal_hf.web.store import UNDER_WAY, Run

_PUSH_SECONDS = 900
_MAIN = {
    reviewing.TABLE: "My table (CSV)",
    reviewing.STUDENT_ZIP: "The small model (ZIP)",
    reviewing.REPORT_PAGE: "The report (HTML)",
}
_OTHER = {
    reviewing.CSV: "All columns of the run (CSV)",
    reviewing.PARQUET: "All columns of the run (Parquet)",
}
_ABOUT = (
    "The table has your columns, then the label and its confidence. Your corrections are included. A cell that a "
    "spreadsheet would execute begins with an apostrophe. The small model is a transformers model; its README shows "
    "how to use it."
)
# The hidden button has a link to the file as soon as the file is made.
_SAVE = "() => setTimeout(() => document.querySelector('#download').click(), 100)"


def build(backend: Backend, page: Page) -> None:
    """Adds the tab to the page."""
    with gr.Row():
        main, *others = _MAIN.items()
        buttons = {main[0]: gr.Button(main[1], variant="primary", elem_id=f"get-{main[0]}")}
        buttons |= {kind: gr.Button(caption, elem_id=f"get-{kind}") for kind, caption in others}
    gr.HTML(shown.paragraph(_ABOUT))
    with gr.Accordion("Other formats", open=False), gr.Row():
        buttons |= {kind: gr.Button(caption, elem_id=f"get-{kind}") for kind, caption in _OTHER.items()}
    file = gr.DownloadButton(visible="hidden", elem_id="download")
    chosen_kind = gr.Radio(list(reviewing.DOWNLOADS), visible=False)

    @showing_errors
    def download(run_id: str, chosen: str) -> str:
        """Makes a file: Table (your table with labels), Student (the small model), Report, CSV or Parquet."""
        run = backend.store.read(run_id)
        # The copy of Gradio is noted, so that it is deleted with the run.
        offered = save_file_to_cache(reviewing.export(run, chosen), str(files_folder(backend.settings)))
        backend.store.update(run_id, files=sorted({*run.files, Path(offered).parent.name}))
        return offered

    for kind, button in buttons.items():
        button.click(functools.partial(download, chosen=kind), page.run_id, file, api_visibility="private").success(
            None, js=_SAVE, api_visibility="private"
        )
    # For programs, which get the file itself. `gr.api` would return its path on the server.
    chosen_kind.input(download, [page.run_id, chosen_kind], file, api_name="download")
    with gr.Accordion("Upload to the Hugging Face Hub", open=False):
        login = "Log in at the top first." if HAS_LOGIN else "Enter your token at the top first."
        gr.HTML(f"<p>Creates a private dataset and a private model in your account, with your token. {login}</p>")
        name = gr.Textbox(label="Name", placeholder="my-reviews", elem_id="push-name")
        push = gr.Button("Upload", elem_id="push")
        pushed = gr.HTML(label="pushed", elem_id="pushed")

    @showing_errors
    def push_run(run_id: str, wanted: str, typed: str, login: gr.OAuthToken | None) -> str:
        """Pushes labels and student to private repositories of the visitor."""
        token = own_token(login, typed)
        if not token:
            raise InputError(choices.NO_TOKEN)
        run = backend.store.read(run_id)
        if not run.has_results or run.state in UNDER_WAY:
            raise InputError("Wait until the run is finished.")
        return shown.notes(_push(backend, run, wanted, token), "good")

    done = push.click(push_run, [page.run_id, name, page.token], pushed, api_name="push")
    forget_secrets(done, page.token)
    with gr.Accordion("Delete this run now", open=False):
        gr.HTML("<p>Your data, the labels and the small model are deleted from this Space at once.</p>")
        delete = gr.Button("Delete", variant="stop", elem_id="delete")

    @showing_errors
    def delete_run(run_id: str) -> str:
        """Deletes a run with all its files."""
        backend.runner.delete(run_id)
        return ""

    delete.click(delete_run, page.run_id, page.run_id, api_name="delete").success(
        None, js="() => window.location.assign(window.location.pathname)", api_visibility="private"
    )


def _push(backend: Backend, run: Run, name: str, token: str) -> list[str]:
    if not name.strip() or not all(c.isalnum() or c in "-_." for c in name.strip()):
        raise InputError(f"{name!r} is not the name of a repository; use letters, digits, '-', '_' and '.'.")
    words = ["--hub-dataset-id", f"{name.strip()}-freeal", "--hub-model-id", f"{name.strip()}-student"]
    done = subprocess.run(
        backend.runner.command("push", str(run.output), *words),
        **backend.runner.process_options(run, {"HF_TOKEN": token}),
        capture_output=True,
        text=True,
        timeout=_PUSH_SECONDS,
    )
    if done.returncode:
        _, mark, message = done.stderr.rpartition("freeal-hf: error: ")
        raise InputError(message.strip() if mark else "The upload ended unexpectedly; try again.")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
