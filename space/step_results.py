"""The fourth step of the page: how good it is, why, what to correct, what to take home."""

import functools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

import asking
import pictures
import reviewing
import shown
from freeal_hf.errors import InputError
from freeal_hf.progress import read_progress
from freeal_hf.round_files import distinct_texts, read_labels
from freeal_hf.run_folder import INPUT, PROGRESS, STUDENT
from page import HAS_LOGIN, RUN, Page, Place, own_token, telling
from runner import files_folder
from step_run import RunStep, key_field, resume, wants_key
from store import UNDER_WAY, Run

if TYPE_CHECKING:
    import pandas as pd

    from freeal_hf.prediction import Classifier

_TABLE = ["text", "final label", "sure", "annotator", "student", "yours", "id"]
_PUSH_SECONDS = 900


def build(place: Place, page: Page, run_step: RunStep) -> None:
    """Adds the step to the page."""
    empty = gr.HTML(shown.note("No round is finished yet."))
    with gr.Column(visible=False) as whole:
        tiles = gr.HTML(elem_id="tiles")
        with gr.Tabs():
            with gr.Tab("How good"):
                gr.HTML("<h3>Round by round</h3>")
                quality = gr.Plot(show_label=False, elem_id="quality")
                gr.HTML("<h3>Final labels</h3>")
                label_counts = gr.Plot(show_label=False, elem_id="counts")
            with gr.Tab("Trusted labels"):
                gr.HTML(
                    "<p>The student learns labels that fit the others sooner than wrong ones: a small loss marks a "
                    "clean label, a large one a noisy label, which the annotator is asked again. Move the slider.</p>"
                )
                losses = gr.Plot(show_label=False, elem_id="losses")
            with gr.Tab("Map") as map_tab:
                gr.HTML(
                    "<p>Each dot is a text where the student sees it, coloured by its final label. Hollow: noisy. "
                    "Star: shown to the annotator as a demonstration. Point at one to read it.</p>"
                )
                text_map = gr.Plot(show_label=False, elem_id="map")
            with gr.Tab("Review and correct"):
                review = _review(place, page, run_step)
            with gr.Tab("Try the student"):
                _try(place, page)
            with gr.Tab("Take it home"):
                _take_home(place, page)

    @telling
    def show(run_id: str) -> tuple[Any, ...]:
        """The figures of the finished rounds: pictures, and the texts on which annotator and student differ."""
        run = place.store.read(run_id) if run_id else None
        if run is None or not run.has_results:
            return (gr.update(visible=True), gr.update(visible=False), "", *[None] * 3, *_nothing_to_review())
        found = reviewing.load_results(run)
        events = read_progress(run.output / PROGRESS)
        return (
            gr.update(visible=False),
            gr.update(visible=True),
            shown.figures(_headline(found)) + shown.note(_doubt(found), "warning"),
            pictures.quality(found.rounds),
            pictures.counts(found.labels, found.label_names),
            pictures.losses(events),
            *_to_review(found, run),
        )

    outputs = [empty, whole, tiles, quality, label_counts, losses, *review]
    run_step.arrived.change(show, page.run_id, outputs, api_name="results", show_progress="hidden")

    @telling
    def draw_map(run_id: str) -> Any:
        """The texts in two dimensions, as the student sees them."""
        run = place.store.read(run_id)
        found = reviewing.load_results(run)
        folder = run.output / f"round-{found.rounds[-1]['round']}"
        ids = distinct_texts(read_labels(run.output / INPUT)).ids
        return pictures.text_map(found.labels, found.label_names, folder, ids)

    map_tab.select(draw_map, page.run_id, text_map, api_name="draw_map")


def _headline(found: reviewing.Results) -> list[tuple[str, str]]:
    last, labels = found.rounds[-1], found.labels
    low, high = last["estimated_label_accuracy_range"]
    tiles = [
        ("texts labelled", f"{int(labels['label'].notna().sum()):,}"),
        (f"final labels right, estimated: {low:.0%} to {high:.0%}", f"{last['estimated_label_accuracy']:.0%}"),
    ]
    if last["label_accuracy"] is not None:
        tiles.append(("final labels right, by your true ones", f"{last['label_accuracy']:.1%}"))
        tiles.append(("student right, by your true labels", f"{last['student_accuracy']:.1%}"))
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


def _doubt(found: reviewing.Results) -> str:
    if found.rounds[-1]["student_has_learnt"]:
        return ""
    return (
        "The student has not learnt these labels, so it changed none of the annotator's. Bring more texts, or "
        "describe the labels so that they can be told apart."
    )


# ---- Review and correct ----


def _review(place: Place, page: Page, run_step: RunStep) -> list[Any]:
    gr.HTML(
        "<p>Texts on which annotator and student differ, the least sure first. Sort by a column, filter by its menu, "
        "choose a row to read it whole. Your labels count as clean in the next round.</p>"
    )
    table = gr.Dataframe(
        headers=_TABLE,
        datatype="str",
        type="array",
        interactive=False,
        show_search="filter",
        wrap=False,
        max_chars=120,
        max_height=360,
        column_widths=["35%", "16%", "8%", "14%", "14%", "13%", "0px"],
        show_label=False,
        elem_id="disputed",
    )
    text = gr.Textbox(label="The text", lines=3, interactive=False, elem_id="review-text")
    sample = gr.Textbox("", visible=False)
    label = gr.Radio([], label="Its right label", elem_id="review-label")
    with gr.Row():
        save = gr.Button("Keep this label and go to the next", variant="primary", elem_id="save-label")
        skip = gr.Button("Next text", elem_id="next-text")
    kept = gr.HTML(elem_id="kept")
    key = key_field()
    another = gr.Button("One more round with my labels", variant="primary", visible=False, elem_id="another-round")
    outputs = [table, text, sample, label, kept, another, key]

    def choose(rows: list[list[str]], event: gr.SelectData) -> tuple[Any, ...]:
        row = event.row_value
        return row[0], row[-1], row[5] or row[1]

    table.select(choose, table, [text, sample, label], api_visibility="private", show_progress="hidden")

    @telling
    def go_to_next(run_id: str, current: str) -> tuple[Any, ...]:
        run = place.store.read(run_id)
        rows = reviewing.disputed(reviewing.load_results(run).labels)
        return _shown_row(_after(rows, current))

    skip.click(go_to_next, [page.run_id, sample], [text, sample, label], api_visibility="private")

    @telling
    def correct(run_id: str, text_id: str, right: str | None) -> tuple[Any, ...]:
        """Keeps a person's label of a text; an empty label takes it back."""
        run = place.store.read(run_id)
        found = reviewing.load_results(run)
        reviewing.correct(run, text_id, right or None, found.label_names, list(found.labels["id"]))
        place.store.update(run_id)
        table_value, _, _, _, *rest = _to_review(reviewing.load_results(run), run)
        following = _shown_row(_after(reviewing.disputed(found.labels), text_id))
        return table_value, *following, *rest

    # Raw values: Gradio would hold them to the choices of this session, which a program has not been given.
    save.click(correct, [page.run_id, sample, label], outputs, api_name="correct", preprocess=False)

    @telling
    def run_another_round(run_id: str, secret: str, typed: str, login: gr.OAuthToken | None) -> tuple[Any, ...]:
        """Runs one more round, in which a person's labels count as clean."""
        run = place.store.read(run_id)
        if run.state in UNDER_WAY:
            raise InputError("The run is under way; wait for it.")
        if not reviewing.read_corrections(run):
            raise InputError("There is no label of yours yet.")
        number = len(reviewing.load_results(run).rounds) + 1
        words = ["--num-rounds", str(number), "--human-labels", str(run.corrections)]
        resume(place, run, own_token(login, typed), secret, words)
        return (gr.Walkthrough(selected=RUN), *run_step.look(run_id))

    another.click(
        run_another_round, [page.run_id, key, page.token], [page.steps, *run_step.seen], api_name="another_round"
    )
    return outputs


def _nothing_to_review() -> tuple[Any, ...]:
    return (None, "", "", gr.update(choices=[], value=None), "", *[gr.update(visible=False)] * 2)


def _to_review(found: reviewing.Results, run: Run) -> tuple[Any, ...]:
    rows = reviewing.disputed(found.labels)
    count = len(reviewing.read_corrections(run))
    note = shown.note(f"{count} of your labels are kept.", "good") if count else ""
    if rows.empty:
        said = shown.note("Annotator and student agree on every text.", "good")
        return (
            None,
            "",
            "",
            gr.update(choices=found.label_names, value=None),
            said + note,
            *_shown_if(count > 0, run),
        )
    text, sample, label = _shown_row(rows.iloc[0])
    values = [
        [r.text, r.label, f"{r.label_confidence:.0%}", r.annotator_label, r.student_label, r.correction or "", r.id]
        for r in rows.itertuples()
    ]
    return (
        {"headers": _TABLE, "data": values},
        text,
        sample,
        gr.update(choices=found.label_names, value=label),
        note,
        *_shown_if(count > 0, run),
    )


def _shown_if(has_labels: bool, run: Run) -> tuple[Any, Any]:
    """The button for another round, and the key that it may need."""
    return gr.update(visible=has_labels), gr.update(visible=has_labels and wants_key(run))


def _after(rows: "pd.DataFrame", current: str) -> Any:
    ids = list(rows["id"])
    following = (ids.index(current) + 1) % len(ids) if current in ids else 0
    return rows.iloc[following] if ids else None


def _shown_row(row: Any) -> tuple[str, str, Any]:
    if row is None:
        return "", "", None
    return row["text"], row["id"], row["correction"] or row["label"]


# ---- Try and take home ----


@functools.lru_cache(maxsize=2)
def _classifier(student: str, trained: float) -> "Classifier":
    """A student of a run; loaded again after another round trained a new one."""
    from freeal_hf.prediction import Classifier

    return Classifier(student)


def _try(place: Place, page: Page) -> None:
    text = gr.Textbox(label="A text of yours", lines=3, elem_id="try-text")
    ask = gr.Button("Ask the student", variant="primary", elem_id="try")
    answer = gr.Label(label="What the student says", num_top_classes=6, elem_id="try-answer")

    @telling
    def try_student(run_id: str, tried: str) -> dict[str, float]:
        """Labels a text with the new student."""
        run = place.store.read(run_id)
        if not run.has_results:
            raise InputError("No round is finished yet.")
        if not tried.strip():
            raise InputError("Type a text first.")
        student = run.output / STUDENT
        classifier = _classifier(str(student), student.stat().st_mtime)
        found = classifier.probabilities([tried[: place.settings.max_characters]])[0]
        return dict(zip(classifier.label_names, found.tolist(), strict=True))

    gr.on([ask.click, text.submit], try_student, [page.run_id, text], answer, api_name="try_student")


def _take_home(place: Place, page: Page) -> None:
    with gr.Row():
        kind = gr.Radio(list(reviewing.DOWNLOADS), value=reviewing.PARQUET, label="What to take home")
    prepare = gr.Button("Prepare the file", variant="primary", elem_id="prepare")
    file = gr.File(label="Your file", interactive=False, visible=False, elem_id="download")

    @telling
    def download(run_id: str, chosen: str) -> str:
        """A file of the results: the labels as Parquet or CSV, the report, or the student as a zip."""
        run = place.store.read(run_id)
        # Where Gradio would copy it to: noted, so that it is deleted with the run.
        offered = save_file_to_cache(reviewing.export(run, chosen), str(files_folder(place.settings)))
        place.store.update(run_id, files=sorted({*run.files, Path(offered).parent.name}))
        return offered

    prepare.click(download, [page.run_id, kind], file, api_name="download").success(
        lambda: gr.update(visible=True), None, file, api_visibility="private"
    )
    gr.HTML(
        "<p>In the CSV, cells that a spreadsheet would execute begin with an apostrophe. The zip holds a plain "
        'transformers model: <code>pipeline("text-classification", "student")</code>.</p>'
    )
    with gr.Accordion("Push to the Hub", open=False):
        login = "Log in at the top first." if HAS_LOGIN else "Give a token of yours at the top first."
        gr.HTML(f"<p>A private data set and a private model, in your account and with your token. {login}</p>")
        name = gr.Textbox(label="Name", placeholder="my-reviews", elem_id="push-name")
        push = gr.Button("Push", elem_id="push")
        pushed = gr.HTML(elem_id="pushed")

    @telling
    def push_run(run_id: str, wanted: str, typed: str, login: gr.OAuthToken | None) -> str:
        """Pushes labels and student to private repositories of the visitor."""
        token = own_token(login, typed)
        if not token:
            raise InputError(asking.NO_TOKEN)
        run = place.store.read(run_id)
        if not run.has_results or run.state in UNDER_WAY:
            raise InputError("Wait until the run is finished.")
        return shown.notes(_push(place, run, wanted, token), "good")

    push.click(push_run, [page.run_id, name, page.token], pushed, api_name="push")
    with gr.Accordion("Delete this run now", open=False):
        gr.HTML("<p>Data, labels and student are deleted from this Space at once.</p>")
        delete = gr.Button("Delete", variant="stop", elem_id="delete")

    @telling
    def delete_run(run_id: str) -> str:
        """Deletes a run with all its files."""
        place.runner.delete(run_id)
        return ""

    delete.click(delete_run, page.run_id, page.run_id, api_name="delete").success(
        None, js="() => window.location.assign(window.location.pathname)", api_visibility="private"
    )


def _push(place: Place, run: Run, name: str, token: str) -> list[str]:
    if not name.strip() or not all(c.isalnum() or c in "-_." for c in name.strip()):
        raise InputError(f"{name!r} is no name of a repository; use letters, digits, '-', '_' and '.'.")
    words = ["--hub-dataset-id", f"{name.strip()}-freeal", "--hub-model-id", f"{name.strip()}-student"]
    done = subprocess.run(
        place.runner.command("push", str(run.output), *words),
        env=place.runner.environment(run, {"HF_TOKEN": token}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PUSH_SECONDS,
    )
    if done.returncode:
        _, mark, message = done.stderr.rpartition("freeal-hf: error: ")
        raise InputError(message.strip() if mark else "The push ended unexpectedly; try again.")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
