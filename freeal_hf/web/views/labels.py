"""One label for each text, as the page shows it."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from freeal_hf.errors import InputError
from freeal_hf.kinds.single_label import SingleLabelKind
from freeal_hf.tasks import NO_LABEL, TextClassification
from freeal_hf.web import reading
from freeal_hf.web.card import Question
from freeal_hf.web.views.base import ResultTexts, TaskTexts, TaskView, Trial

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from freeal_hf.prediction.classifier import Classifier


class LabelView(TaskView):
    """One label for each text."""

    kind = SingleLabelKind
    task_type = TextClassification
    task = TaskTexts(
        name="One label per text",
        question="What should be decided about a text?",
        placeholder="What did the reviewer think of the film?",
        help="Describe each label as for a person, because the language model reads the description. Examples help.",
        label="label",
        meaning="What it means",
        example="An example",
        example_mark=" For example: ",
        too_few="Enter the names of at least two labels.",
    )
    results = ResultTexts(
        final="Final labels",
        series="final label",
        about_losses=(
            "The small model learns right labels sooner than wrong ones. The bars on the left are texts whose label "
            "it finds easy: these labels are probably right. Those on the right are doubtful, and are labelled again."
        ),
        colour="the final label",
        unknown="How many labels are right cannot be known yet.",
        between="between {low:.0f} and {high:.0f} of 100 labels are probably right",
    )
    trial = Trial(
        text="try-text",
        button="try",
        api_name="try_student",
        about="Predicts the label of a text with the trained small model.",
        other="The small model of this run labels texts: use try_student.",
    )

    refuses_words = (
        "Your data have lists of words, in which entities can be found. For labels of texts, choose a column of texts "
        "in the step Data."
    )

    def example(self) -> TextClassification:
        return reading.example_task()

    def frame(self, dataset: "Dataset", corrections: Mapping[str, str]) -> "pd.DataFrame":
        frame = dataset.to_pandas()
        names = dataset.features["label"].names
        for column in {"label", "annotator_label", "student_label", "gold"} & set(frame.columns):
            frame[column] = [None if i == NO_LABEL else names[i] for i in frame[column]]
        frame["correction"] = [corrections.get(sample, "") for sample in frame["id"]]
        frame["note"] = frame["note"].fillna("")
        annotator, student = frame["annotator_label"], frame["student_label"]
        frame["differs"] = annotator.notna() & student.notna() & (annotator != student)
        return frame

    def measured(self, last: Mapping[str, Any]) -> str:
        right = last.get("label_accuracy")
        return "" if right is None else f"{100 * right:.0f} of 100 labels are right."

    def counts(self, labels: "pd.DataFrame") -> Mapping[str, int]:
        return labels["label"].value_counts()

    def ask(self, row: Any, names: Sequence[str], *, is_blind: bool) -> Question:
        opinions = [] if is_blind else self.opinions(row)
        return Question(row.id, row.text, names, [row.correction] if not is_blind else [], opinions=opinions)

    def read_answer(self, said: str, row: Any, names: Sequence[str]) -> str:
        if said not in names:
            raise InputError(f"{said!r} is not a label of the task; its labels are {', '.join(names)}.")
        return said

    def answer(self) -> gr.Label:
        return gr.Label(label="Prediction", num_top_classes=6, elem_id="try-answer")

    def predict(self, student: Path, text: str) -> dict[str, float]:
        classifier = student_of(student)
        return dict(zip(classifier.label_names, classifier.probabilities([text])[0].tolist(), strict=True))


def student_of(student: Path) -> "Classifier":
    """Returns the student of a run, which is kept for further texts.

    Args:
        student (`Path`): The folder of the student.
    """
    return _classifier(str(student), student.stat().st_mtime)


@functools.lru_cache(maxsize=2)
def _classifier(student: str, trained: float) -> "Classifier":
    """Loads the student of a run. The time of its training is part of the cache key."""
    from freeal_hf.prediction.classifier import Classifier

    return Classifier(student)
