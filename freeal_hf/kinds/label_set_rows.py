"""The rows of the dataset of a round, for tasks with any number of labels for each text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.label_sets import LabelSetColumn
from freeal_hf.kinds.label_rows import text_rows
from freeal_hf.kinds.label_set_answers import LabelSetAnswers
from freeal_hf.kinds.label_set_corpus import LabelSetCorpus, sets_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.labels.label_sets import FinalLabelSets
from freeal_hf.tasks import MultiLabelClassification

if TYPE_CHECKING:
    from datasets import Dataset


def label_set_rows(
    dataset: "Dataset",
    corpus: LabelSetCorpus,
    task: MultiLabelClassification,
    answers: LabelSetAnswers,
    selection: Selection,
    student: np.ndarray,
    final: FinalLabelSets,
    number: int,
) -> "Dataset":
    """Returns the dataset of a round of a task with any number of labels for each text.

    Label columns have lists of label ids: an empty list for none of the labels, and null for no answer.

    Args:
        dataset (`Dataset`): The input.
        corpus (`LabelSetCorpus`): Its distinct texts.
        task (`MultiLabelClassification`): The task.
        answers (`LabelSetAnswers`): The annotators' answers.
        selection (`Selection`): The student's selection.
        student (`np.ndarray` of shape `(n, num_labels)`): The sets of labels of the student.
        final (`FinalLabelSets`): The final sets.
        number (`int`): The round.

    Returns:
        `Dataset`: The rows.
    """
    from datasets import List, Value

    sets, real = LabelSetColumn(task, "").feature, Value("float64")
    is_clean = selection.is_clean | corpus.is_human[:, None]
    certainty = np.where(student == 1, selection.probabilities, 1 - selection.probabilities).prod(axis=1)
    columns: dict[str, tuple[Any, np.ndarray | Sequence[Any]]] = {
        "label": (sets, sets_of(final.labels)),
        "label_confidence": (real, final.confidences),
        "label_probabilities": (List(real), _lists(final.probabilities)),
        "annotator_label": (sets, sets_of(answers.labels)),
        "annotator_confidence": (real, answers.confidences.prod(axis=1)),  # NaN if one is
        "student_label": (sets, sets_of(student)),
        "student_confidence": (real, certainty),
        "student_probabilities": (List(real), _lists(selection.probabilities)),
        "loss": (real, selection.losses.mean(axis=1)),  # NaN without an answer
        "is_clean": (Value("bool"), is_clean.all(axis=1)),
        "clean_labels": (List(Value("bool")), is_clean.tolist()),
    }
    return text_rows(dataset, corpus, columns, answers.reasons, number)


def _lists(rows: np.ndarray) -> list[list[float | None] | None]:
    """Returns the rows of a matrix as lists, with `None` for NaN; `None` for a row that has only NaN."""
    return [
        None if np.isnan(row).all() else [None if np.isnan(value) else value for value in row.tolist()] for row in rows
    ]
