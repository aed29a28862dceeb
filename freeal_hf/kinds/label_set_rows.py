"""The rows of the dataset of a round, for tasks with any number of labels for each text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.arrow import PIECE, dataset_of, spooled, table_of
from freeal_hf.data.human_labels import HUMAN_NOTE
from freeal_hf.data.label_sets import LabelSetColumn
from freeal_hf.kinds.label_set_answers import LabelSetAnswers
from freeal_hf.kinds.label_set_corpus import LabelSetCorpus, sets_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.labels.label_sets import FinalLabelSets
from freeal_hf.tasks import MultiLabelClassification

if TYPE_CHECKING:
    import pyarrow as pa
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
    """Returns the dataset of a round, with one row for each row of the input, in the same order.

    Label columns have lists of label ids: an empty list for none of the labels, and null for no answer.

    Args:
        dataset (`Dataset`): The input.
        corpus (`LabelSetCorpus`): Its distinct texts.
        task (`MultiLabelClassification`): What is labelled.
        answers (`LabelSetAnswers`): The annotators' answers.
        selection (`Selection`): The student's selection.
        student (`np.ndarray` of shape `(n, num_labels)`): The sets of labels of the student.
        final (`FinalLabelSets`): The final sets.
        number (`int`): The round.
    """
    import pyarrow as pa
    from datasets import Features, List, Value

    human, index = corpus.is_human, corpus.index_of_row
    table, sets, real = table_of(dataset), LabelSetColumn(task, "").feature, Value("float64")
    names = {
        "id": Value("string"),
        "text": Value("string"),
        "label": sets,
        "label_confidence": real,
        "label_probabilities": List(real),
        "annotator_label": sets,
        "annotator_confidence": real,
        "student_label": sets,
        "student_confidence": real,
        "student_probabilities": List(real),
        "loss": real,
        "is_clean": Value("bool"),
        "clean_labels": List(Value("bool")),
        "round": Value("int32"),
        "note": Value("string"),
        **({"gold": sets} if "gold" in table.column_names else {}),
    }
    schema = Features(names).arrow_schema
    is_clean = selection.is_clean | human[:, None]
    certainty = np.where(student == 1, selection.probabilities, 1 - selection.probabilities).prod(axis=1)
    loss = selection.losses.mean(axis=1)  # NaN without an answer
    values: dict[str, Sequence[Any] | np.ndarray] = {
        "label": sets_of(final.labels),
        "label_confidence": final.confidences,
        "label_probabilities": _lists(final.probabilities),
        "annotator_label": sets_of(answers.labels),
        "annotator_confidence": answers.confidences.prod(axis=1),  # NaN if one is
        "student_label": sets_of(student),
        "student_confidence": certainty,
        "student_probabilities": _lists(selection.probabilities),
        "loss": loss,
        "is_clean": is_clean.all(axis=1),
        "clean_labels": is_clean.tolist(),
    }

    def piece(start: int) -> pa.Table:
        given, rows = table.slice(start, PIECE), index[start : start + PIECE]
        reasons = [None if i < 0 else HUMAN_NOTE if human[i] else answers.reasons[i] for i in rows]
        columns: dict[str, Any] = {
            name: _taken(values[name], rows, schema.field(name).type) for name in names if name in values
        }
        columns |= {
            "id": given["id"],
            "text": given["text"],
            "round": np.full(len(rows), number),
            "note": [
                "; ".join(filter(None, (note, reason))) or None
                for note, reason in zip(given["note"].to_pylist(), reasons, strict=True)
            ],
        }
        if "gold" in names:
            columns["gold"] = given["gold"]
        return pa.table({name: columns[name] for name in names}, schema=schema)

    return dataset_of(spooled(piece(start) for start in range(0, len(table), PIECE)))


def _taken(values: Sequence[Any] | np.ndarray, rows: np.ndarray, type_: "pa.DataType") -> "pa.Array":
    """Returns the values of the texts of some rows; null for a row without a usable text, and for NaN."""
    import pyarrow as pa

    missing = False if pa.types.is_boolean(type_) else None
    found = [missing if i < 0 else values[i] for i in rows]
    return pa.array(found, type_, from_pandas=pa.types.is_floating(type_))


def _lists(rows: np.ndarray) -> list[list[float] | None]:
    """Returns the rows of a matrix as lists; `None` for a row with NaN."""
    return [None if np.isnan(row).any() else row.tolist() for row in rows]
