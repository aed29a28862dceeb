"""Any number of labels for each text, as the page shows them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.kinds.multi_label import MultiLabelKind
from freeal_hf.tasks import NONE_OF_THEM, MultiLabelClassification
from freeal_hf.web import reading, shown
from freeal_hf.web.card import Question
from freeal_hf.web.views.base import TaskView, Trial
from freeal_hf.web.views.labels import LabelView, student_of

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

_NONE = "none of the labels"
_SCORES = ["round", "micro F1", "macro F1", "exactly right"]


class LabelSetView(TaskView):
    """Any number of labels for each text, or none of them."""

    kind = MultiLabelKind
    task_type = MultiLabelClassification
    task = replace(
        LabelView.task,
        name="Any number of labels per text",
        placeholder="Which problems does the customer report?",
        help=f"{LabelView.task.help} A text can have several labels, or none.",
    )
    results = replace(
        LabelView.results,
        series="final labels",
        about_losses=(
            "The small model learns right labels sooner than wrong ones. The bars on the left are labels of texts "
            "that it finds easy: they are probably right. Those on the right are doubtful, and their texts are "
            "labelled again."
        ),
        colour="the rarest of its final labels",
        unknown="How many texts have the right labels cannot be known yet.",
        between="between {low:.0f} and {high:.0f} of 100 texts probably have exactly the right labels",
    )
    trial = Trial(
        text="try-labels-text",
        button="try-labels",
        api_name="find_labels",
        about="Predicts the probability of each label of a text with the trained small model.",
        other="The small model of this run gives a text any number of labels: use find_labels.",
    )
    of_several = True
    refuses_words = LabelView.refuses_words
    unit = "labels of texts"
    counted = "texts"
    weak = (
        "The free model on this machine is weak if a text can have any number of labels, because similarity "
        "does not show whether a label applies. Use a chat model for good results."
    )
    map_column = "main_label"

    def example(self) -> MultiLabelClassification:
        task = reading.example_task()
        return MultiLabelClassification(task.descriptions, task.description)

    def frame(self, dataset: "Dataset", corrections: Mapping[str, str]) -> "pd.DataFrame":
        frame = dataset.to_pandas()
        names = dataset.features["label"].feature.names
        sets = {name: dataset[name][:] for name in ("label", "annotator_label", "student_label")}
        counts = Counter(i for labels in sets["label"] for i in labels or ())
        frame["main_label"] = [
            None if labels is None else names[min(labels, key=lambda i: counts[i])] if labels else _NONE
            for labels in sets["label"]
        ]
        frame["names"] = [None if labels is None else [names[i] for i in labels] for labels in sets["label"]]
        for column, values in sets.items():
            frame[column] = [None if labels is None else _shown([names[i] for i in labels]) for labels in values]
        task = MultiLabelClassification(names)
        given = {sample: [names[i] for i in task.labels_of(said) or ()] for sample, said in corrections.items()}
        frame["correction"] = [_shown(given[sample]) if sample in given else "" for sample in frame["id"]]
        frame["corrected"] = [given.get(sample) for sample in frame["id"]]
        frame["note"] = frame["note"].fillna("")
        annotator, student = frame["annotator_label"], frame["student_label"]
        frame["differs"] = annotator.notna() & student.notna() & (annotator != student)
        return frame

    def measured(self, last: Mapping[str, Any]) -> str:
        right = last["label_exact_match"]
        return "" if right is None else f"{100 * right:.0f} of 100 texts have exactly the right labels."

    def counts(self, labels: "pd.DataFrame") -> Mapping[str, int]:
        return Counter(name for names in labels["names"].dropna() for name in names)

    def scores(self, rounds: Sequence[Mapping[str, Any]]) -> str:
        if rounds[-1]["label_micro_f1"] is None:
            return ""
        keys = ("label_micro_f1", "label_macro_f1", "label_exact_match")
        rows = [[str(record["round"] + 1), *(f"{record[key]:.1%}" for key in keys)] for record in rounds]
        by_label = [
            [name, "none in labels and true labels" if f1 is None else f"{f1:.1%}"]
            for name, f1 in rounds[-1]["label_f1_by_label"].items()
        ]
        return shown.preview(_SCORES, rows, "scores") + shown.preview(["label", "F1"], by_label, "scores")

    def map_names(self, names: Sequence[str]) -> list[str]:
        return [*names, _NONE]

    def ask(self, row: Any, names: Sequence[str], *, is_blind: bool) -> Question:
        if is_blind:
            return Question(row.id, row.text, names, several=True)
        chosen = row.names if row.corrected is None else row.corrected
        return Question(row.id, row.text, names, chosen or [], several=True, opinions=self.opinions(row))

    def read_answer(self, said: str, row: Any, names: Sequence[str]) -> str:
        task = MultiLabelClassification(names)
        labels = task.labels_of(said)
        if labels is None:
            raise InputError(
                f"{said!r} are not labels of the task; its labels are {', '.join(names)}. Write several as "
                f"{task.joined([0, 1])!r}, and {NONE_OF_THEM!r} for none of them."
            )
        return task.joined(labels)

    def answer(self) -> gr.Label:
        return gr.Label(label="Probability of each label", elem_id="try-labels-answer")

    def predict(self, student: Path, text: str) -> dict[str, float]:
        classifier = student_of(student)
        return dict(zip(classifier.label_names, classifier.probabilities([text])[0].tolist(), strict=True))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names) or _NONE
