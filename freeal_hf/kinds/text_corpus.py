"""The distinct texts of a task with labels for each text, and their human labels."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from freeal_hf.data.arrow import PIECE, StringColumn, dataset_of, spooled, table_of
from freeal_hf.data.human_labels import LABEL_COLUMN, HumanLabel, HumanTable, quoted
from freeal_hf.data.joins import rows_of_texts
from freeal_hf.data.label_columns import LabelColumn
from freeal_hf.data.row_ids import content_ids
from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, restored
from freeal_hf.data.texts import MAX_CHARACTERS, is_usable, join_columns
from freeal_hf.errors import InputError
from freeal_hf.kinds.corpus import Corpus, match_answers, values_of
from freeal_hf.task_labels import normal_form
from freeal_hf.tasks import NO_LABEL, Task

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

logger = logging.getLogger(__name__)

CorpusT = TypeVar("CorpusT", bound=Corpus)


def distinct_texts(dataset: "Dataset") -> Corpus:
    """Collects the distinct usable texts of the dataset that `read_data` returned."""
    table = table_of(dataset)
    index_of_row = _first_of_equal(table["text"], table["note"])
    usable = np.flatnonzero(index_of_row >= 0)
    first_rows = usable[np.unique(index_of_row[usable], return_index=True)[1]]
    augmented = StringColumn(table[AUGMENTED_COLUMN], first_rows) if AUGMENTED_COLUMN in table.column_names else None
    return Corpus(
        ids=StringColumn(table["id"], first_rows),
        texts=StringColumn(table["text"], first_rows),
        augmented=augmented,
        index_of_row=index_of_row,
        human=np.full(len(first_rows), NO_LABEL),
    )


def _first_of_equal(texts: "pa.ChunkedArray", notes: "pa.ChunkedArray") -> np.ndarray:
    """Returns the number of the distinct usable text of each row, in order of first occurrence; -1 if unusable."""
    import pyarrow as pa

    digests = []
    for start in range(0, len(texts), PIECE):
        rows = zip(texts.slice(start, PIECE).to_pylist(), notes.slice(start, PIECE).to_pylist(), strict=True)
        # Texts are compared by 16-byte digests, whose collisions are negligible.
        digests.append(
            pa.array([text_digest(text) if is_usable(note) else None for text, note in rows], pa.binary(16))
        )
    codes = pa.chunked_array(digests, pa.binary(16)).dictionary_encode().combine_chunks().indices
    return codes.fill_null(-1).to_numpy().astype(int)


def text_digest(text: str) -> bytes:
    """Returns 16 bytes that represent a text, so that many texts can be compared in little memory."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def training_set(
    corpus: Corpus, labels: np.ndarray, name: str, feature: Any, confidences: np.ndarray | None = None
) -> "Dataset":
    """Returns the training set of texts with labels.

    Args:
        corpus (`Corpus`): The texts.
        labels (`np.ndarray` of shape `(n,)` or `(n, num_labels)`): The labels that the student learns.
        name (`str`), feature (`Any`): The column of these labels.
        confidences (`np.ndarray` of shape `(n,)`, *optional*): The annotator's confidence in each label, NaN for none.

    Returns:
        `Dataset`: The columns `id`, `text`, `augmented_text` (if there is one), the labels, `is_trusted`, and
        `label_confidence` if confidences are given.
    """
    import pyarrow as pa
    from datasets import Features, Value

    strings = {"id": corpus.ids, "text": corpus.texts}
    if corpus.augmented is not None:
        strings["augmented_text"] = corpus.augmented
    features = {**dict.fromkeys(strings, Value("string")), name: feature, "is_trusted": Value("bool")}
    if confidences is not None:
        features["label_confidence"] = Value("float64")
    schema = Features(features).arrow_schema

    def pieces() -> Iterator[pa.Table]:
        done = 0
        for piece in zip(*(column.pieces() for column in strings.values()), strict=True):
            rows = slice(done, done := done + len(piece[0]))
            values = labels[rows] if labels.ndim == 1 else pa.array(list(labels[rows]), schema.field(name).type)
            columns = [*piece, values, corpus.is_human[rows]]
            if confidences is not None:
                columns.append(pa.array(confidences[rows], pa.float64(), from_pandas=True))  # null for NaN
            yield pa.table(columns, schema=schema)

    return dataset_of(spooled(pieces()))


def read_human_labels(
    table: HumanTable, task: Task, label_column: type[LabelColumn] = LabelColumn
) -> list[HumanLabel]:
    """Reads the column `label`. Rows without a label are left out.

    Args:
        table (`HumanTable`): The table of human labels.
        task (`Task`): The task of the labels.
        label_column (`type`, *optional*, defaults to `LabelColumn`): The class that reads the column.

    Raises:
        InputError: If a column is missing, a value is not a label, or a label has no text.
    """
    columns, origin = table.columns, table.origin
    if LABEL_COLUMN not in columns:
        raise InputError(f"{origin} has no column 'label' with human labels; its columns are {quoted(table.names)}.")
    if "id" not in columns and not set(table.text_columns) <= set(columns):
        raise InputError(
            f"{origin} needs the column 'id' or {quoted(table.text_columns)} with the text of each label; its columns "
            f"are {quoted(table.names)}."
        )
    column = label_column(task, f"{origin}, column {LABEL_COLUMN!r}")
    labels = column.ids(columns[LABEL_COLUMN])
    column.check_all()
    if not labels:
        logger.warning("%s has a header and no rows, so it has no human label.", origin)
    elif all(label == column.missing for label in labels):
        logger.warning("%s: the column 'label' is empty in every row, so it has no human label. Fill it in.", origin)
    return [_human_label(table, row, label) for row, label in enumerate(labels) if label != column.missing]


def _human_label(table: HumanTable, row: int, label: Any) -> HumanLabel:
    columns, names, origin = table.columns, table.text_columns, f"{table.origin}, row {row + 1}"
    has_text = all(name in columns for name in names)
    text = join_columns({name: columns[name][row] for name in names}, names) if has_text else None
    text = text[:MAX_CHARACTERS] if isinstance(text, str) and text.strip() else None
    if "id" in columns:
        if columns["id"][row] in (None, ""):
            raise InputError(f"{origin} has a label but no id. Fill in its id, or empty the label.")
        return HumanLabel(label, id=str(columns["id"][row]), text=text, origin=origin)
    if text is None:
        raise InputError(f"{origin} has a label but no text. Fill in its text, or empty the label.")
    return HumanLabel(label, text=text, origin=origin)


def with_human_labels(
    corpus: CorpusT, dataset: "Dataset", given: Sequence[HumanLabel], known: Sequence[HumanLabel] = ()
) -> CorpusT:
    """Adds human labels to a corpus, see `TaskKind.with_human_labels`.

    Raises:
        InputError: As there, and if a label has the id of one row and the text of another.
    """
    items = [*known, *given]
    places = rows_of_texts((form for item in items for form in _forms(item.text)), corpus.texts)

    def find(item: HumanLabel) -> list[int] | None:
        return next((places[form] for form in map(normal_form, _forms(item.text)) if form in places), None)

    matches = match_answers(
        corpus, dataset, given, known, find=find, key=lambda item: normal_form(_forms(item.text)[0])
    )
    drawn: dict[int, float] = {}  # a text that was drawn at random stays one if it is labelled again
    for item, about in (*matches.known, *matches.given):
        with_text = [i for form in map(normal_form, _forms(item.text)) for i in places.get(form, ())]
        if item.id is not None and with_text and about[0] not in with_text:
            raise InputError(
                f"{item.origin} has the id {item.id!r} and the text of another row of the data. A column was "
                "probably sorted or shifted alone. Correct the row, or leave the column 'id' out."
            )
        if item.probability is not None:
            drawn |= dict.fromkeys(about, item.probability)
    conflict = "give the same text two labels"
    old, new = (
        values_of(part, lambda item, _: item.label, conflict=conflict) for part in (matches.known, matches.given)
    )
    found, count, added = old | new, len(corpus.texts), [str(item.text) for item in matches.added]
    human = np.full((count + len(added), *corpus.human.shape[1:]), NO_LABEL)
    for i, label in found.items():
        human[i] = corpus.human_row(label)
    inclusion = np.full(len(human), np.nan)
    inclusion[list(drawn)] = list(drawn.values())
    return replace(
        corpus,
        ids=corpus.ids.followed_by(content_ids(added)),
        texts=corpus.texts.followed_by(added),
        augmented=None if corpus.augmented is None else corpus.augmented.followed_by([""] * len(added)),
        human=human,
        human_labels=[
            HumanLabel(label, id=corpus.ids[i], probability=drawn.get(i))
            if i < count
            else HumanLabel(label, text=added[i - count])
            for i, label in found.items()
        ],
        inclusion=inclusion if drawn else None,
        human_rows=matches.rows,
    )


def _forms(text: str | None) -> list[str]:
    """Returns a text as given, and without the apostrophe for spreadsheets."""
    return [] if text is None else list(dict.fromkeys((text, restored(text))))
