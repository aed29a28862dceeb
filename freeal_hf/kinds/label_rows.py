"""The rows of the dataset of a round, for tasks with labels for each text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    import pyarrow as pa
    from datasets import Dataset


def text_rows(
    dataset: "Dataset",
    corpus: Corpus,
    columns: Mapping[str, tuple[Any, np.ndarray | Sequence[Any]]],
    reasons: Sequence[str | None],
    number: int,
) -> "Dataset":
    """Returns the dataset of a round, with one row for each row of the input, in the same order.

    Args:
        dataset (`Dataset`): The input.
        corpus (`Corpus`): Its distinct texts.
        columns (`Mapping[str, tuple[Any, Sequence]]`): The feature of each column, and its value for each distinct
            text. `gold` has the feature of `label`.
        reasons (`Sequence[str | None]`): The reasons of missing answers.
        number (`int`): The round.

    Returns:
        `Dataset`: The rows with `id`, `text`, these columns, `round`, `note` and, if the input has it, `gold`.
    """
    import pyarrow as pa
    from datasets import Features, Value

    table, human = table_of(dataset), corpus.is_human
    features = {
        "id": Value("string"),
        "text": Value("string"),
        **{name: feature for name, (feature, _) in columns.items()},
        "round": Value("int32"),
        "note": Value("string"),
        **({"gold": columns["label"][0]} if "gold" in table.column_names else {}),
    }
    schema = Features(features).arrow_schema

    def piece(start: int) -> pa.Table:
        given, rows = table.slice(start, PIECE), corpus.index_of_row[start : start + PIECE]
        found = {name: _taken(values, rows, schema.field(name).type) for name, (_, values) in columns.items()}
        found["round"] = np.full(len(rows), number)
        own = [None if i < 0 else HUMAN_NOTE if human[i] else reasons[i] for i in rows]
        pairs = zip(given["note"].to_pylist(), own, strict=True)
        found["note"] = ["; ".join(filter(None, pair)) or None for pair in pairs]
        return pa.table({name: found[name] if name in found else given[name] for name in features}, schema=schema)

    return dataset_of(spooled(piece(start) for start in range(0, len(table), PIECE)))


def _taken(values: np.ndarray | Sequence[Any], rows: np.ndarray, type_: "pa.DataType") -> Any:
    """Returns the values of the texts of some rows. A row without a usable text has -1, false or null."""
    import pyarrow as pa

    if not isinstance(values, np.ndarray):
        return pa.array([None if i < 0 else values[i] for i in rows], type_)
    missing = {"b": False, "f": np.nan}.get(values.dtype.kind, NO_LABEL)
    return pa.array(np.where(rows >= 0, values[rows], missing), type_, from_pandas=True)  # null for NaN


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
    """Returns the dataset of a round of a task with one label for each text.

    Args:
        dataset (`Dataset`): The input.
        corpus (`Corpus`): Its distinct texts.
        task (`TextClassification`): The task.
        answers (`LabelAnswers`): The annotators' answers.
        selection (`Selection`): The student's selection.
        final (`np.ndarray` of shape `(n,)`): The final label ids.
        confidence (`np.ndarray` of shape `(n,)`): Their confidences.
        number (`int`): The round.

    Returns:
        `Dataset`: The rows.
    """
    from datasets import Value

    label, real = class_label(task), Value("float64")
    columns = {
        "label": (label, final),
        "label_confidence": (real, confidence),
        "annotator_label": (label, answers.labels),
        "annotator_confidence": (real, answers.confidences),
        "student_label": (label, likeliest(selection.probabilities)),
        "student_confidence": (real, selection.probabilities.max(axis=1)),
        "loss": (real, selection.losses),
        "is_clean": (Value("bool"), selection.is_clean | corpus.is_human),
    }
    return text_rows(dataset, corpus, columns, answers.reasons, number)


def test_rows(test: "Dataset", task: TextClassification, probabilities: np.ndarray, number: int) -> "Dataset":
    """Returns the test split of a round, with the same columns as the dataset. Only the student has labelled it.

    Args:
        test (`Dataset`): The result of `read_data`.
        task (`TextClassification`): The task.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities for the distinct texts of
            `test`.
        number (`int`): The round.

    Returns:
        `Dataset`: The rows.
    """
    corpus, count = distinct_texts(test), len(probabilities)
    none = np.zeros((count, 0))
    selection = Selection(np.full(count, np.nan), np.zeros(count, dtype=bool), probabilities, none, none)
    final, confidence = likeliest(probabilities), probabilities.max(axis=1)
    return label_rows(test, corpus, task, LabelAnswers.none(count), selection, final, confidence, number)
