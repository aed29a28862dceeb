"""The fields in which a visitor describes labels or types of entities: name, meaning and example of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from freeal_hf.data.counting import counted
from freeal_hf.web import shown
from freeal_hf.web.page import QUIET, Update
from freeal_hf.web.views.base import TaskTexts

Row = list[str]
"""Name, meaning and example of a label."""

_EMPTY: Row = ["", "", ""]
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class LabelEditor:
    """The fields of all labels, of which the first ones are visible.

    Args:
        count (`gr.State`): The number of visible labels.
        slots (`list[gr.Group]`): The parts of the page with the fields of a label.
        fields (`list[gr.Textbox]`): Name, meaning and example of each label.
        removers (`list[gr.Button]`): A button for each label.
        add (`gr.Button`): A button for another label.
        hint (`gr.HTML`): A hint about labels without a meaning, or about too many labels.
    """

    count: gr.State
    slots: list[gr.Group]
    fields: list[gr.Textbox]
    removers: list[gr.Button]
    add: gr.Button
    hint: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """The components that `fill` changes."""
        return [self.count, *self.slots, *self.fields, self.add, self.hint]

    @property
    def inputs(self) -> list[Any]:
        """The components that `rows` reads."""
        return [self.count, *self.fields]

    def rows(self, count: int, *values: str) -> list[Row]:
        """Returns the visible labels from the values of `inputs`."""
        return [list(values[3 * i : 3 * i + 3]) for i in range(count)]

    def fill(self, rows: Sequence[Row], said: TaskTexts | None = None) -> Update:
        """Shows labels.

        Args:
            rows (`Sequence[Row]`): The labels.
            said (`TaskTexts`, *optional*): The names of the fields, if they change.
        """
        most = len(self.slots)
        kept = [*rows[:most], *[_EMPTY] * (most - len(rows))]
        update: Update = {
            self.count: min(len(rows), most),
            self.add: gr.update(interactive=len(rows) < most),
            self.hint: hint(rows, most, said.label if said else "label"),
        }
        for i, (slot, row) in enumerate(zip(self.slots, kept, strict=True)):
            update[slot] = gr.update(visible=i < len(rows))
            fields = self.fields[3 * i : 3 * i + 3]
            update |= dict(zip(fields, row, strict=True))
            if said:
                names = [f"{said.label.capitalize()} {i + 1}", said.meaning, said.example]
                for field, value, name in zip(fields, row, names, strict=True):
                    update[field] = gr.update(value=value, label=name)
        return update


def build(most: int, said: TaskTexts) -> LabelEditor:
    """Adds the fields to the page.

    Args:
        most (`int`): The maximum number of labels.
        said (`TaskTexts`): The names of the fields.
    """
    count = gr.State(2)
    slots, fields, removers = [], [], []
    for i in range(most):
        with gr.Group(visible=i < 2, elem_classes="label-slot", elem_id=f"label-{i + 1}") as slot, gr.Row():
            name = gr.Textbox(label=f"{said.label.capitalize()} {i + 1}", scale=3, min_width=150)
            meaning = gr.Textbox(label=said.meaning, scale=5, min_width=220, lines=1, max_lines=4)
            example = gr.Textbox(label=said.example, scale=4, min_width=180, lines=1, max_lines=4)
            removers.append(gr.Button("Remove", size="sm", scale=0, min_width=80, elem_id=f"remove-label-{i + 1}"))
        slots.append(slot)
        fields += [name, meaning, example]
    add = gr.Button("Add another", size="sm", elem_id="add-label")
    editor = LabelEditor(count, slots, fields, removers, add, gr.HTML(elem_id="labels-hint"))
    # No queue, so that a click has an effect at once.
    add.click(lambda *given: editor.fill([*editor.rows(*given), _EMPTY]), editor.inputs, editor.outputs, **_AT_ONCE)
    for i, button in enumerate(removers):

        def remove(*given: Any, i: int = i) -> Update:
            rows = editor.rows(*given)
            return editor.fill([*rows[:i], *rows[i + 1 :]] or [_EMPTY])

        button.click(remove, editor.inputs, editor.outputs, **_AT_ONCE)
    gr.on(
        [field.blur for field in fields],
        lambda *given: hint(editor.rows(*given), most, "label"),
        editor.inputs,
        editor.hint,
        **_AT_ONCE,
    )
    return editor


_AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}


def hint(rows: Sequence[Row], most: int, what: str) -> str:
    """Returns a hint about labels without a meaning, or about more labels than allowed.

    Args:
        rows (`Sequence[Row]`): The labels.
        most (`int`): The maximum number of labels.
        what (`str`): The word for a label.
    """
    if len(rows) > most:
        return shown.note(
            f"There are {counted(len(rows), what)}, and the limit of this Space is {most}, so only the first {most} "
            "are here. Join similar ones.",
            "warning",
        )
    names = [name.strip() for name, meaning, _ in rows if name.strip() and not meaning.strip()]
    if not names:
        return ""
    listed = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    return shown.note(
        f"Without a meaning: {listed}. The language model then only knows the name. One sentence each helps, also to "
        "tell similar ones apart. You can leave a meaning empty if the name says everything."
    )
