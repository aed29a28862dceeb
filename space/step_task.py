"""The second step of the page: which labels there are, and what each means."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

import reading
from freeal_hf.errors import InputError
from freeal_hf.inputs import read_data
from freeal_hf.tasks import TextClassification
from page import TASK, Page, Place, telling
from store import DRAFT, Run

_HEADERS = ["label", "what it means", "an example"]
_EMPTY = [["", "", ""], ["", "", ""]]
_EXAMPLE_MARK = " For example: "


@dataclass(frozen=True)
class TaskStep:
    """What other steps need of this one.

    Args:
        described (`Any`): The event after which the task is described.
        fill (`Any`): Function that tells the task of a run, or what it may be.
        fields (`list`): The components that it fills.
    """

    described: Any
    fill: Any
    fields: list[Any]


def build(place: Place, page: Page, chosen: Any) -> TaskStep:
    """Adds the step to the page.

    Args:
        place (`Place`): Where runs live.
        page (`Page`): Shared components.
        chosen: The event after which the columns are chosen.
    """
    description = gr.Textbox(
        label="What is to be decided about a text?",
        placeholder="What did the reviewer think of the film?",
        lines=2,
        elem_id="task-description",
    )
    gr.HTML("<p>Describe each label as you would to a person: the annotator reads it. An example helps.</p>")
    labels = gr.Dataframe(
        _EMPTY,
        headers=_HEADERS,
        datatype="str",
        type="array",
        interactive=True,
        wrap=True,
        column_count=3,
        label="Labels: one a row",
        column_widths=["26%", "44%", "30%"],
        max_height=1200,
        elem_id="labels",
    )
    add = gr.Button("Add a row", size="sm", elem_id="add-label")
    describe = gr.Button("Next: the run", variant="primary", elem_id="use-task")

    def fill(run_id: str) -> tuple[str, list[list[str]]]:
        return _filled(place.store.read(run_id)) if run_id else ("", _EMPTY)

    chosen.success(fill, page.run_id, [description, labels], api_visibility="private", show_progress="hidden").success(
        lambda: gr.Walkthrough(selected=TASK), None, page.steps, api_visibility="private"
    )

    add.click(
        lambda rows: [*rows, _EMPTY[0]], labels, labels, api_visibility="private", show_progress="hidden", queue=False
    )

    @telling
    def describe_task(run_id: str, decided: str, rows: list[list[str]]) -> None:
        """Settles on the labels, a row each: name, what it means, an example; the last two may be empty."""
        run = place.store.read(run_id)
        if run.state != DRAFT:
            raise InputError("This run has begun with its labels; read the data again to make another one.")
        task = _task(decided, rows, place.settings.max_labels)
        _check_texts(run, task)
        place.store.update(run_id, task=task.to_dict())

    described = describe.click(describe_task, [page.run_id, description, labels], api_name="describe_task")
    return TaskStep(described, fill, [description, labels])


def _filled(run: Run) -> tuple[str, list[list[str]]]:
    if run.task:
        rows = []
        for name, text in run.task["labels"].items():
            meaning, _, example = text.partition(_EXAMPLE_MARK)
            rows.append([name, meaning, example])
        return run.task["description"], rows
    if run.data.get("source") == reading.EXAMPLE:
        task = reading.example_task()
        return task.description, [[name, text, ""] for name, text in task.descriptions.items()]
    found = [[name, "", ""] for name in run.data.get("labels", [])]
    return "", found or _EMPTY


def _task(description: str, rows: list[list[str]], max_labels: int) -> TextClassification:
    labels: dict[str, str] = {}
    for row in rows:
        name, meaning, example = ([str(cell or "").strip() for cell in row] + ["", "", ""])[:3]
        if not name:
            if meaning or example:
                raise InputError(f"The row with {(meaning or example)!r} has no label; give it a name, or empty it.")
            continue
        if name in labels:
            raise InputError(f"Label {name!r} stands in two rows; name every label once.")
        labels[name] = f"{meaning}{_EXAMPLE_MARK}{example}" if example else meaning
    if len(labels) < 2:
        raise InputError("Name at least two labels, one in each row of the table.")
    if len(labels) > max_labels:
        raise InputError(f"There are {len(labels)} labels; the limit is {max_labels}.")
    return TextClassification(labels, description)


def _check_texts(run: Run, task: TextClassification) -> None:
    """Says now what the run would say: gold values that are no label, no usable text, fewer texts than labels."""
    if not run.texts.is_file():
        raise InputError("Choose the columns of the data first.")
    try:
        dataset = read_data(
            run.texts, task, text_columns=run.data["text_columns"], gold_column=run.data.get("gold_column")
        )
    except InputError as error:
        raise InputError(str(error).replace(str(run.texts), "The data")) from error
    if len(set(dataset["text"])) < task.num_labels:
        raise InputError(f"There are fewer different texts than labels ({task.num_labels}); bring more texts.")
