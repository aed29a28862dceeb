"""The tab of the results in which a person checks and corrects labels, one text after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.web import checking, reviewing, shown
from freeal_hf.web.card import SCRIPT, STYLE, card
from freeal_hf.web.page import QUIET, RUN, Backend, Page, Part, Update, own_token, showing_errors
from freeal_hf.web.starting import resume
from freeal_hf.web.steps.run import RunStep, forget_secrets, key_field, wants_key
from freeal_hf.web.store import UNDER_WAY, Run
from freeal_hf.web.views.registry import view_of

if TYPE_CHECKING:
    import pandas as pd

DOUBTFUL, SAMPLE = "The most doubtful texts", "A random sample"
_ABOUT = {
    DOUBTFUL: "These labels are most likely to be wrong, the worst first. Your answers replace them.",
    SAMPLE: "Your answers measure how many labels are right. {} You can stop at any time, and 30 answers give a "
    "useful range.",
}
_LINES_PER_TEXT = 4  # maximum length of the lines of entities, as a multiple of the length of the text
_MOST_UNDONE = 100

Answered = tuple[str, str, Any]
"""What an answer replaced: which texts, the id of the text, and the former correction or cells."""


@dataclass(frozen=True)
class _Queue:
    """The texts to check.

    Args:
        rows (`DataFrame`): Their rows in the frame of the results.
        done (`set[str]`): The ids of the texts with an answer.
        label_names (`Sequence[str]`): The labels, or the types of entities.
    """

    rows: "pd.DataFrame"
    done: set[str]
    label_names: Sequence[str]


def build(backend: Backend, page: Page, run_step: RunStep) -> Part:
    """Adds the tab to the page."""
    which = gr.Radio([DOUBTFUL, SAMPLE], value=DOUBTFUL, label="Which texts do you want to check?", elem_id="which")
    about = gr.HTML(shown.paragraph(_ABOUT[DOUBTFUL]), label="about")
    accuracy = gr.HTML(label="accuracy", elem_id="accuracy")
    question = gr.HTML(label="question", css_template=STYLE, js_on_load=SCRIPT, elem_id="question")
    problem = gr.HTML(label="problem", elem_id="review-problem")
    sample = gr.Textbox("", label="sample", visible=False)
    undone = gr.State([])
    with gr.Row():
        skip = gr.Button("Skip (s)", size="sm", min_width=80, elem_id="skip-text")
        undo = gr.Button("Undo (u)", size="sm", min_width=80, interactive=False, elem_id="undo")
        back = gr.Button("Take back my answer", size="sm", min_width=80, visible=False, elem_id="take-back")
    kept = gr.HTML(label="kept", elem_id="kept")
    key = key_field()
    another = gr.Button("Train again with my answers", variant="primary", visible=False, elem_id="another-round")
    outputs = [which, about, accuracy, question, problem, sample, undone, skip, undo, back, kept, another, key]

    def show(run: Run, chosen: str, history: list[Answered], current: str = "", *, is_next: bool = True) -> Update:
        """Shows a text: the one after the current one without an answer, or the current one itself."""
        found = reviewing.load_results(run)
        queue = _queue(run, found, chosen)
        ids = list(queue.rows["id"])
        wanted = _next(ids, queue.done, current) if is_next else current
        is_corrected = chosen == DOUBTFUL and wanted in queue.done
        has_answers = bool(reviewing.read_corrections(run)) or bool(checking.answered(run))
        update: Update = {
            which: chosen,
            about: shown.paragraph(_ABOUT[chosen].format(view_of(run.task).about_sample)),
            accuracy: _accuracy(run) if chosen == SAMPLE else "",
            problem: "",
            sample: wanted,
            undone: history,
            skip: gr.update(visible=len(ids) > 1),
            undo: gr.update(interactive=bool(history)),
            back: gr.update(visible=is_corrected),
            kept: shown.note(_said(run) if has_answers else "", "good"),
            another: gr.update(visible=has_answers),
            key: gr.update(visible=has_answers and wants_key(run)),
        }
        if not ids:
            return {**update, question: shown.note("No label is doubtful.", "good")}
        row = next(queue.rows[queue.rows["id"] == wanted].itertuples())
        asked = view_of(run.task).ask(row, queue.label_names, is_blind=chosen == SAMPLE)
        all_done = shown.note("You have checked all these texts.", "good") if queue.done >= set(ids) else ""
        return {**update, question: all_done + card(asked, ids.index(wanted) + 1, len(ids))}

    def fill(found: reviewing.Results | None, run: Run | None) -> Update:
        if found is not None and run is not None:
            return show(run, DOUBTFUL, [])
        empty: Update = dict.fromkeys([accuracy, question, problem, sample, kept], "")
        return {**empty, undone: [], **dict.fromkeys([back, another, key], gr.update(visible=False))}

    @showing_errors
    def change_texts(run_id: str, chosen: str, history: list[Answered]) -> Update:
        return show(backend.store.read(run_id), chosen, history)

    which.input(change_texts, [page.run_id, which, undone], outputs, **QUIET)

    @showing_errors
    def go_to_next(run_id: str, chosen: str, history: list[Answered], current: str) -> Update:
        return show(backend.store.read(run_id), chosen, history, current)

    skip.click(go_to_next, [page.run_id, which, undone, sample], outputs, **QUIET)

    @showing_errors
    def answer(run_id: str, chosen: str, history: list[Answered], event: gr.EventData) -> Update:
        run, text_id = backend.store.read(run_id), str(event.sample)
        before = (_check if chosen == SAMPLE else _correct)(backend, run, text_id, str(event.right))
        return show(run, chosen, [*history, (chosen, text_id, before)][-_MOST_UNDONE:], text_id)

    answered = question.submit(answer, [page.run_id, which, undone], outputs, **QUIET)

    @showing_errors
    def undo_last(run_id: str, history: list[Answered]) -> Update:
        run = backend.store.read(run_id)
        if not history:
            raise InputError("There is no answer to undo.")
        *others, (chosen, text_id, before) = history
        if chosen == SAMPLE:
            checking.answer(run, text_id, before)
        elif before is None:
            reviewing.take_back(run, text_id)
        else:
            reviewing.restore(run, text_id, before)
        return show(run, chosen, others, text_id, is_next=False)

    was_undone = undo.click(undo_last, [page.run_id, undone], outputs, **QUIET)

    @showing_errors
    def publish(run_id: str, chosen: str) -> None:
        if chosen == SAMPLE:
            checking.publish(backend.store.read(run_id))

    published = [
        event.success(publish, [page.run_id, which], None, **QUIET, trigger_mode="always_last")
        for event in (answered, was_undone)
    ]

    @showing_errors
    def take_answer_back(run_id: str, text_id: str, history: list[Answered]) -> Update:
        run = backend.store.read(run_id)
        reviewing.take_back(run, text_id)
        backend.store.update(run_id)
        return show(run, DOUBTFUL, [one for one in history if one[1] != text_id], text_id, is_next=False)

    back.click(take_answer_back, [page.run_id, sample, undone], outputs, **QUIET)

    @showing_errors
    def run_another_round(run_id: str, secret: str, typed: str, login: gr.OAuthToken | None) -> Update:
        _train_again(backend, run_id, own_token(login, typed), secret)
        return {**page.go_to(RUN), **run_step.look(run_id)}

    started = another.click(
        run_another_round, [page.run_id, key, page.token], [page.steps, *run_step.seen], api_visibility="private"
    )
    forget_secrets(started, key, page.token)
    for function in _functions(backend):
        gr.api(showing_errors(function), api_name=function.__name__)
    return Part(fill, outputs, published)


def _functions(backend: Backend) -> list[Callable[..., Any]]:
    """Returns the functions of this tab for programs."""

    def texts_to_check(run: str, random_sample: bool = False) -> list[dict[str, Any]]:
        """Returns the most doubtful texts, the worst first, or a random sample, whose labels are hidden. The sample is
        drawn at the first call."""
        found = backend.store.read(run)
        queue = _queue(found, reviewing.load_results(found), SAMPLE if random_sample else DOUBTFUL)
        view = view_of(found.task)
        return [
            {"id": row.id, "text": row.text, "is_checked": row.id in queue.done}
            | ({} if random_sample else dict(view.opinions(row)))
            for row in queue.rows.itertuples()
        ]

    def correct(run: str, text_id: str, label: str) -> dict[str, int]:
        """Saves the right label of a text: its name, a JSON list of names, or the entities as a JSON list of BIO tags
        or a line `type: words` for each. Returns the number of corrections."""
        _correct(backend, backend.store.read(run), text_id, label)
        return {"corrections": len(reviewing.read_corrections(backend.store.read(run)))}

    def take_back(run: str, text_id: str) -> dict[str, int]:
        """Deletes the correction of a text, if no round has used it. Returns the number of corrections."""
        reviewing.take_back(backend.store.read(run), text_id)
        return {"corrections": len(reviewing.read_corrections(backend.store.update(run)))}

    def check(run: str, text_id: str, label: str) -> dict[str, Any]:
        """Saves the right label of a text of the random sample, as `correct` does. Returns how many labels are right:
        the estimate, its interval of 95 %, and the number of answers."""
        found = backend.store.read(run)
        _check(backend, found, text_id, label)
        checking.publish(found)
        result = checking.score(found)
        assert result is not None  # there is an answer
        measured = {"right": result.accuracy, "low": result.low, "high": result.high}
        return {**measured, "checked": result.answered, "drawn": result.drawn}

    def another_round(run: str, key: str = "", token: str = "") -> dict[str, str]:
        """Trains again, with all answers about texts. Returns the state of the run."""
        _train_again(backend, run, token.strip() or None, key)
        return {"state": backend.store.read(run).state}

    return [texts_to_check, correct, take_back, check, another_round]


def _train_again(backend: Backend, run_id: str, token: str | None, key: str) -> None:
    """Runs one more round, which uses the answers of the person."""
    run = backend.store.read(run_id)
    if run.state in UNDER_WAY:
        raise InputError("The run is not finished; wait for it.")
    words = _arguments(run)
    if not words:
        raise InputError("You have not checked a text yet.")
    number = len(reviewing.load_results(run).rounds) + 1
    resume(backend, run, token, key, ["--num-rounds", str(number), *words])


def _queue(run: Run, found: reviewing.Results, chosen: str) -> _Queue:
    if chosen == SAMPLE:
        cells = {row["id"]: row for row in checking.read_sample(run)}
        rows = found.labels.set_index("id", drop=False).loc[list(cells)]
        return _Queue(rows, {sample for sample, row in cells.items() if row["label"]}, found.label_names)
    return _Queue(reviewing.doubtful(found.labels), set(reviewing.read_corrections(run)), found.label_names)


def _next(ids: Sequence[str], done: set[str], current: str) -> str:
    """Returns the first text after the current one that has no answer, or else the following text."""
    start = ids.index(current) + 1 if current in ids else 0
    following = [*ids[start:], *ids[:start]]
    return next((one for one in following if one not in done), following[0] if following else "")


def _correct(backend: Backend, run: Run, sample: str, right: str) -> str | None:
    _check_length(backend, right)
    before = reviewing.correct(run, sample, right)
    backend.store.update(run.id)
    return before


def _check(backend: Backend, run: Run, sample: str, right: str) -> checking.Cells:
    _check_length(backend, right)
    before = reviewing.check(run, sample, right)
    backend.store.update(run.id)
    return before


def _check_length(backend: Backend, right: str) -> None:
    is_list = right.startswith("[")  # a list of tags or labels, whose length is checked when it is read
    if not is_list and len(right) > (most := _LINES_PER_TEXT * backend.settings.max_characters):
        raise InputError(f"The limit is {most:,} characters, and these are {len(right):,}; write only entities.")


def _arguments(run: Run) -> list[str]:
    """Returns the options of a further round that uses all answers of the person."""
    corrected = ["--human-labels", str(run.corrections)] if reviewing.read_corrections(run) else []
    return [*corrected, *(["--audit", str(checking.TEXTS)] if checking.answered(run) else [])]


def _accuracy(run: Run) -> str:
    found = checking.score(run)
    if found is None:
        return ""
    said = view_of(run.task).results.range(found.low, found.high)
    return shown.note(
        f"You have checked {found.answered} of {found.drawn} texts: {said}. The best guess is "
        f"{100 * found.accuracy:.0f}. Such a range is right in 95 of 100 cases."
    )


def _said(run: Run) -> str:
    corrected, checked = len(reviewing.read_corrections(run)), checking.answered(run)
    said = [counted(corrected, "correction")] if corrected else []
    said += [f"{counted(checked, 'answer')} about the random sample"] if checked else []
    return f"{' and '.join(said)} saved." if said else ""
