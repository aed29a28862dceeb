"""The rows of the dataset of a round, for tasks with one label for each text."""

from typing import TYPE_CHECKING

import numpy as np

from freeal_hf.data.arrow import PIECE, dataset_of, spooled, table_of
from freeal_hf.data.human_labels import HUMAN_NOTE
from freeal_hf.data.texts import class_label
from freeal_hf.data.ties import likeliest
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.label_answers import LabelAnswers
from freeal_hf.kinds.rounds import Selection
from freeal_hf.kinds.text_corpus import distinct_texts
from freeal_hf.tasks import NO_LABEL, TextClassification

if TYPE_CHECKING:
    from datasets import Dataset


def label_rows(
    dataset: "Dataset",
    corpus: Corpus,
    task: TextClassification,
    answers: LabelAnswers,
    selection: Selection,
    final: np.ndarray,
    confidence: np.ndarray,
    number: int,
) -> "Dataset":
    """Returns the dataset of a round, with one row for each row of the input, in the same order."""
    import pyarrow as pa
    from datasets import Features, Value

    human = corpus.is_human
    student = likeliest(selection.probabilities)
    certainty, is_trusted = selection.probabilities.max(axis=1), selection.is_clean | human
    table, label, real = table_of(dataset), class_label(task), Value("float64")
    names = {
        "id": Value("string"),
        "text": Value("string"),
        "label": label,
        "label_confidence": real,
        "annotator_label": label,
        "annotator_confidence": real,
        "student_label": label,
        "student_confidence": real,
        "loss": real,
        "is_clean": Value("bool"),
        "round": Value("int32"),
        "note": Value("string"),
        **({"gold": label} if "gold" in table.column_names else {}),
    }
    schema = Features(names).arrow_schema

    def piece(start: int) -> pa.Table:
        given = table.slice(start, PIECE)
        rows = corpus.index_of_row[start : start + PIECE]
        usable = rows >= 0

        def labels(values: np.ndarray) -> np.ndarray:
            return np.where(usable, values[rows], NO_LABEL)

        def reals(values: np.ndarray) -> pa.Array:
            return pa.array(np.where(usable, values[rows], np.nan), pa.float64(), from_pandas=True)  # null for NaN

        reasons = [None if i < 0 else HUMAN_NOTE if human[i] else answers.reasons[i] for i in rows]
        columns = {
            "id": given["id"],
            "text": given["text"],
            "label": labels(final),
            "label_confidence": reals(confidence),
            "annotator_label": labels(answers.labels),
            "annotator_confidence": reals(answers.confidences),
            "student_label": labels(student),
            "student_confidence": reals(certainty),
            "loss": reals(selection.losses),
            "is_clean": usable & is_trusted[rows],
            "round": np.full(len(rows), number),
            "note": [
                "; ".join(filter(None, (note, reason))) or None
                for note, reason in zip(given["note"].to_pylist(), reasons, strict=True)
            ],
        }
        if "gold" in names:
            columns["gold"] = given["gold"]
        return pa.table(columns, schema=schema)

    return dataset_of(spooled(piece(start) for start in range(0, len(table), PIECE)))


def test_rows(test: "Dataset", task: TextClassification, probabilities: np.ndarray, number: int) -> "Dataset":
    """Returns the test split of a round, with the same columns as the dataset. Only the student has labelled it.

    Args:
        test (`Dataset`): The result of `read_data`.
        task (`TextClassification`): What is labelled.
        probabilities (`np.ndarray` of shape `(n, num_labels)`):
            The student's probabilities for the distinct texts of `test`.
        number (`int`): The round.
    """

    corpus, count = distinct_texts(test), len(probabilities)
    none = np.zeros((count, 0))
    selection = Selection(np.full(count, np.nan), np.zeros(count, dtype=bool), probabilities, none, none)
    final, confidence = likeliest(probabilities), probabilities.max(axis=1)
    return label_rows(test, corpus, task, LabelAnswers.none(count), selection, final, confidence, number)
