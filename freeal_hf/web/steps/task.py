"""The second step of the page: the kind of task, and the labels or types with their descriptions."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.tasks import Task
from freeal_hf.web import reading, shown
from freeal_hf.web.choices import read_texts
from freeal_hf.web.page import QUIET, TASK, Backend, Page, Part, Update, showing_errors, showing_errors_in
from freeal_hf.web.steps import label_editor
from freeal_hf.web.steps.label_editor import Row
from freeal_hf.web.store import DRAFT, Run
from freeal_hf.web.views.base import TaskView
from freeal_hf.web.views.registry import VIEWS, view_named, view_of

_BEGUN = "This run has started with this task. Press Start over to describe another one."
_EMPTY = [["", "", ""], ["", "", ""]]
_UNUSED = (
    "Your true labels are not used here, because they are not tags of words. Tags need the words to which they "
    "belong, as a list in each row of a JSON or Parquet file."
)
Described = tuple[str, list[Row]]
"""The description of the task, and a row for each label or type: name, meaning, example."""

Labels = dict[str, str] | list[str] | list[list[str]]
"""The labels as a program gives them: meanings by name, names, or a list for each with name, meaning and example."""


def build(backend: Backend, page: Page, chosen: Any) -> Part:
    """Adds the step to the page.

    Args:
        backend (`Backend`): The settings, runs and processes.
        page (`Page`): The shared components.
        chosen (`Any`): The event after which the columns are chosen.
    """
    words = view_of({}).task
    begun = gr.HTML(shown.note(_BEGUN), visible=False)
    kind = gr.Radio(
        [view.task.name for view in VIEWS.values()], value=words.name, label="Kind of task", elem_id="task-kind"
    )
    unused = gr.HTML(visible=False, elem_id="unused-gold")
    description = gr.Textbox(
        label=words.question, placeholder=words.placeholder, lines=2, elem_id="task-description", interactive=True
    )
    help_text = gr.HTML(shown.paragraph(words.help))
    editor = label_editor.build(backend.settings.max_labels, words)
    problem = gr.HTML(elem_id="task-problem")
    describe = gr.Button("Next: the run", variant="primary", elem_id="use-task")
    fields = [kind, unused, description, help_text, problem, *editor.outputs]
    closing = [begun, describe]

    def fill(run_id: str) -> Update:
        run = backend.store.read(run_id)
        is_draft = run.state == DRAFT
        return {
            **described_in(run),
            begun: gr.update(visible=not is_draft),
            editor.add: gr.update(visible=is_draft),
            **dict.fromkeys([describe, *editor.removers], gr.update(visible=is_draft)),
        }

    def described_in(run: Run) -> Update:
        view = _fitting(run)
        return fields_for(view, _described(run) if run.task else _proposed(run, view), run)

    def fields_for(view: TaskView, given: Described, run: Run | None) -> Update:
        said = view.task
        data = run.data if run is not None else {}
        has_unused_gold = view.of_words and data.get("gold_column") is not None and not data.get("has_words")
        return {
            kind: said.name,
            unused: gr.update(value=shown.note(_UNUSED, "warning"), visible=has_unused_gold),
            description: gr.update(value=given[0], label=said.question, placeholder=said.placeholder),
            help_text: shown.paragraph(said.help),
            problem: "",
            **editor.fill(given[1], said),
        }

    chosen.success(fill, page.run_id, [*fields, *closing, *editor.removers], **QUIET).success(
        lambda run_id: {**page.go_to(TASK), **page.open_tabs(backend.store.read(run_id))},
        page.run_id,
        [page.steps, *page.tabs],
        api_visibility="private",
    )

    def change_kind(run_id: str, wanted: str, decided: str, *given: Any) -> Update:
        """Keeps the entered values. Values that were proposed for the other kind are replaced by a new proposal."""
        run, rows = backend.store.read(run_id) if run_id else None, editor.rows(*given)
        view, others = view_named(wanted), [view for view in VIEWS.values() if view.task.name != wanted]
        is_proposed = run is not None and any((decided, rows) == _proposed(run, other) for other in others)
        return fields_for(view, _proposed(run, view) if run and is_proposed else (decided, rows), run)

    kind.input(
        change_kind,
        [page.run_id, kind, description, *editor.inputs],
        fields,
        **QUIET,
    )

    def describe_task(
        run_id: str, labels: Labels, description: str = "", kind: str = words.name
    ) -> dict[str, dict[str, str]]:
        """Sets the labels or types of entities: meanings by name, or lists of name, meaning and example. Returns the
        description that the language model gets for each."""
        rows = (
            labels.items() if isinstance(labels, dict) else ([one] if isinstance(one, str) else one for one in labels)
        )
        return {"labels": _describe(backend, run_id, view_named(kind), description, list(map(list, rows)))}

    gr.api(showing_errors(describe_task), api_name="describe_task")

    @showing_errors_in(problem)
    def describe_on_page(run_id: str, decided: str, wanted: str, *given: Any) -> None:
        _describe(backend, run_id, view_named(wanted), decided, editor.rows(*given))

    described = describe.click(
        describe_on_page, [page.run_id, description, kind, *editor.inputs], problem, api_visibility="private"
    )
    return Part(fill, [*fields, *closing, *editor.removers], described)


def _describe(
    backend: Backend, run_id: str, view: TaskView, description: str, rows: Sequence[Sequence[str]]
) -> dict[str, str]:
    run = backend.store.read(run_id)
    if run.state != DRAFT:
        raise InputError("This run has started with its labels; read the data again to make another run.")
    task = _task(view, description, rows, backend.settings.max_labels)
    _check_texts(run, task)
    backend.store.update(run_id, task=task.to_dict())
    return dict(task.descriptions)


def _described(run: Run) -> Described:
    return run.task["description"], _rows(run.task["labels"], view_of(run.task).task.example_mark)


def _proposed(run: Run, view: TaskView) -> Described:
    """Returns a proposal for a task of this kind, from the data."""
    if run.data.get("source") == reading.EXAMPLE:
        task = view.example()
        return task.description, _rows(task.descriptions, view.task.example_mark)
    names = run.data.get("labels", []) if run.data.get("has_words", False) == view.of_words else []
    return "", [[name, "", ""] for name in names] or _EMPTY


def _fitting(run: Run) -> TaskView:
    """Returns the view of the task, or of what the data fit."""
    if run.task:
        return view_of(run.task)
    fits = (run.data.get("has_words", False), run.data.get("has_several", False))
    return next(view for view in VIEWS.values() if (view.of_words, view.of_several) == fits)


def _rows(descriptions: Any, mark: str) -> list[list[str]]:
    parts = {name: text.partition(mark) for name, text in descriptions.items()}
    return [[name, meaning, example] for name, (meaning, _, example) in parts.items()]


def _task(view: TaskView, description: str, rows: Sequence[Sequence[str]], max_labels: int) -> Task:
    labels: dict[str, str] = {}
    what = view.task.label
    for number, row in enumerate(rows, start=1):
        name, meaning, example = [*(str(cell or "").strip() for cell in row), "", "", ""][:3]
        if not name:
            if meaning or example:
                raise InputError(f"The name of {what} {number} is empty; enter a name, or remove the {what}.")
            continue
        if name in labels:
            raise InputError(
                f"{what.capitalize()} {number} has the same name as another one, {name!r}; rename or remove it."
            )
        labels[name] = f"{meaning}{view.task.example_mark}{example}".lstrip(" ,") if example else meaning
    if len(labels) > max_labels:
        raise InputError(
            f"There are {len(labels)} {what}s; the limit is {max_labels}. Remove some, or join similar ones."
        )
    if len(labels) < view.task_type.fewest_labels:
        raise InputError(view.task.too_few)
    return view.task_type(labels, description)


def _check_texts(run: Run, task: Task) -> None:
    """Checks the texts like the run: gold values must be labels, and there must be enough usable texts."""
    if not run.texts.is_file():
        raise InputError("Choose the columns of the data first.")
    if run.data.get("has_words") and (refusal := view_of(task.to_dict()).refuses_words):
        raise InputError(refusal)
    different = set(read_texts(run, task)["text"])
    if len(different) < task.num_labels:
        raise InputError(f"There are fewer different texts than labels ({task.num_labels}); use more texts.")
