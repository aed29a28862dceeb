"""What a round holds in memory and on disk: the distinct texts, the answers, the selection, the labelled rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from freeal_hf.annotators.base import Annotation
from freeal_hf.annotators.pacing import with_answer
from freeal_hf.data.arrow import PIECE, StringColumn, dataset_of, spooled, table_of
from freeal_hf.data.human_labels import HUMAN_NOTE, HumanLabel
from freeal_hf.data.joins import explain_unknown_id, rows_of_ids, rows_of_texts, shown
from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, restored
from freeal_hf.data.texts import class_label, content_ids, is_usable
from freeal_hf.data.ties import likeliest
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Demonstration, Task, TextClassification, normal_form

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


class HumanRows(NamedTuple):
    """How many of the rows that people gave are about texts of the data, and how many are about other texts."""

    matched: int
    not_matched: int


@dataclass(frozen=True)
class Corpus:
    """The distinct usable texts of a data set: asked once, trained on once, whatever the number of their rows.

    Args:
        ids (`StringColumn`): Id of the first row of each text.
        texts (`StringColumn`): The texts.
        augmented (`StringColumn`, *optional*): A paraphrase of each.
        index_of_row (`np.ndarray` of shape `(rows,)`): Each row's index in `texts`, -1 where a row has no usable text.
        human (`np.ndarray` of shape `(n,)`): Label id that a person gave a text, -1 for none.
        human_labels (`list[HumanLabel]` or `list[HumanEntities]`): What people said, once for each such text.
        human_rows (`HumanRows`): How many of the rows that people gave are about texts of the data.
    """

    ids: StringColumn
    texts: StringColumn
    augmented: StringColumn | None
    index_of_row: np.ndarray
    human: np.ndarray
    human_labels: list[Any] = field(default_factory=list)
    human_rows: HumanRows = field(default=HumanRows(0, 0))

    @property
    def is_human(self) -> np.ndarray:
        """Whether a person labelled a text, shape `(n,)`."""
        return self.human != NO_LABEL

    def human_demonstrations(self) -> dict[int, Demonstration]:
        """What people labelled, by index, to be shown to the annotator."""
        found = np.flatnonzero(self.is_human).tolist()
        return {i: Demonstration(self.texts[i], int(self.human[i]), "human", self.ids[i]) for i in found}

    def words_of(self, index: int) -> tuple[str, ...]:
        """The words of a text, in an entity task."""
        return ()

    def index_of(self, ids: Iterable[str]) -> dict[str, int]:
        """Where the texts with some ids are."""
        return rows_of_ids(set(ids), self.ids)

    def training_labels(self, answers: "Answers") -> np.ndarray:
        """What the student learns from: a person's label where there is one, else the annotator's; shape `(n,)`."""
        return np.where(self.is_human, self.human, answers.labels)


def distinct_texts(dataset: "Dataset") -> Corpus:
    """Collects the distinct usable texts of what `read_data` returned."""
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
    """For each row the number of its text among the distinct usable ones, by where they come first, else -1."""
    import pyarrow as pa

    digests = []
    for start in range(0, len(texts), PIECE):
        rows = zip(texts.slice(start, PIECE).to_pylist(), notes.slice(start, PIECE).to_pylist(), strict=True)
        # 16 bytes stand for a text: two in 10^18 that differ would have the same.
        digests.append(pa.array([_digest(text) if is_usable(note) else None for text, note in rows], pa.binary(16)))
    codes = pa.chunked_array(digests, pa.binary(16)).dictionary_encode().combine_chunks().indices
    return codes.fill_null(-1).to_numpy().astype(int)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def with_human_labels(
    corpus: Corpus, dataset: "Dataset", task: Task, given: Sequence[HumanLabel], known: Sequence[HumanLabel] = ()
) -> Corpus:
    """Enters the labels that people gave.

    Texts are compared in their normal form, and all that have the same one get the label. A text that is not in the
    data is added at the end, if its label may be about a new text (an example from elsewhere): it trains the student
    and may be a demonstration, but no row of the output has it.

    Args:
        corpus (`Corpus`): What `distinct_texts` collected.
        dataset (`Dataset`): The data set that it was collected from.
        task (`Task`): Whose labels they are.
        given (`Sequence[HumanLabel]`): The labels.
        known (`Sequence[HumanLabel]`): What an earlier call left in `human_labels`; a newer label takes its place.

    Raises:
        InputError: If an id is not in the data or its row has no text, if a text is not in the data and its label may
            not be about a new one, or if two of `given` contradict each other.
    """
    items = [*known, *given]
    row_of = ids_of_labels(items, dataset)
    count = len(corpus.texts)
    places = rows_of_texts((form for item in items for form in _forms(item.text)), corpus.texts)
    added: list[str] = []
    is_new: list[HumanLabel] = []

    def indices(item: HumanLabel, *, may_be_new: bool) -> list[int]:
        if item.id is not None:
            return [int(corpus.index_of_row[labelled_row(item, corpus, dataset, row_of)])]
        keys = list(map(normal_form, _forms(item.text)))
        found = next((places[key] for key in keys if key in places), None)
        if found is None:
            if not may_be_new:
                is_new.append(item)
                return []
            found = places[keys[0]] = [count + len(added)]
            added.append(str(item.text))
        return found

    found = {i: item.label for item in known for i in indices(item, may_be_new=True)}
    new: dict[int, HumanLabel] = {}
    matched = 0
    for item in given:
        about = indices(item, may_be_new=item.may_be_new)
        matched += any(i < count for i in about)
        for i in about:
            other = new.setdefault(i, item)
            if other.label != item.label:
                raise InputError(f"{other.origin} and {item.origin} give the same text two labels; keep one of them.")
    refuse_new_texts(is_new, len(given))
    found |= {i: item.label for i, item in new.items()}
    human = np.full(count + len(added), NO_LABEL)
    human[list(found)] = list(found.values())
    return replace(
        corpus,
        ids=corpus.ids.followed_by(content_ids(added)),
        texts=corpus.texts.followed_by(added),
        augmented=None if corpus.augmented is None else corpus.augmented.followed_by([""] * len(added)),
        human=human,
        human_labels=[
            HumanLabel(label, id=corpus.ids[i]) if i < count else HumanLabel(label, text=added[i - count])
            for i, label in found.items()
        ],
        human_rows=HumanRows(matched, len(given) - matched),
    )


def _forms(text: str | None) -> list[str]:
    """A text as it was given, and as it was before it was written to a file for spreadsheets."""
    return [] if text is None else list(dict.fromkeys((text, restored(text))))


def ids_of_labels(items: Sequence[Any], dataset: "Dataset") -> dict[str, int]:
    """Row of the data by the id that somebody gave.

    Args:
        items (`Sequence[HumanLabel]` or `Sequence[HumanEntities]`): What people said.
        dataset (`Dataset`): The data.
    """
    return rows_of_ids({item.id for item in items if item.id is not None}, _ids(dataset))


def labelled_row(item: Any, corpus: Corpus, dataset: "Dataset", row_of: Mapping[str, int]) -> int:
    """The row of the data that a person named by its id.

    Args:
        item (`HumanLabel` or `HumanEntities`): What the person said, with its id.
        corpus (`Corpus`), dataset (`Dataset`): The texts and where they were collected from.
        row_of (`Mapping[str, int]`): Row by id.

    Raises:
        InputError: If there is no such row, or it has no text.
    """
    if item.id not in row_of:
        raise InputError(
            f"{item.origin}: no row of the data has the id {item.id!r}. {explain_unknown_id(item.id, _ids(dataset))}"
        )
    row = row_of[item.id]
    if corpus.index_of_row[row] < 0:
        raise InputError(f"{item.origin}: row {item.id!r} cannot be labelled: {dataset['note'][row]}.")
    return row


def refuse_new_texts(items: Sequence[Any], count: int) -> None:
    """Refuses labels about texts that are not in the data.

    Args:
        items (`Sequence[HumanLabel]` or `Sequence[HumanEntities]`): What people said of such texts.
        count (`int`): How many labels people gave in all.

    Raises:
        InputError: If there are any.
    """
    if items:
        texts = [item.text if item.text is not None else " ".join(item.words) for item in items]
        raise InputError(
            f"{items[0].origin}: {len(items)} of {count} human labels match no text of the data, for example "
            f"{shown(texts)}. Give each text as it is in the data (blanks, line ends and the Unicode form do not "
            "matter) or its id. If they are examples that are not in the data, give them with --examples, or add "
            "--allow-new-texts (in Python: allow_new_texts=True)."
        )


def _ids(dataset: "Dataset") -> StringColumn:
    return StringColumn(table_of(dataset)["id"], np.arange(len(dataset)))


@dataclass
class Answers:
    """The annotator's current answers, an entry for each distinct text.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): The annotator's confidence, NaN where it gave none.
        reasons (`list[str | None]`): Why there is no label.
        human_labels (`list[HumanLabel]`): What people had said when the annotator was asked.
        parts (`list[Answers]`): Where there are several annotators, what each said; the rest is what it comes to.
    """

    labels: np.ndarray
    confidences: np.ndarray
    reasons: list[str | None]
    human_labels: list[HumanLabel] = field(default_factory=list)
    parts: list["Answers"] = field(default_factory=list)

    @classmethod
    def none(cls, count: int) -> "Answers":
        """Answers for `count` texts that nobody has been asked about."""
        return cls(np.full(count, NO_LABEL), np.full(count, np.nan), [None] * count)

    def extended_to(self, count: int) -> "Answers":
        """The same for more texts, of which the new ones have no answer."""
        more = Answers.none(count - len(self.labels))
        return Answers(
            np.concatenate([self.labels, more.labels]),
            np.concatenate([self.confidences, more.confidences]),
            [*self.reasons, *more.reasons],
            self.human_labels,
            [part.extended_to(count) for part in self.parts],
        )

    def take(self, index: int, answer: Annotation) -> None:
        """Enters an answer. One that is no label does not undo a label of an earlier round."""
        if answer.is_labelled:
            self.labels[index] = answer.label
            self.confidences[index] = np.nan if answer.confidence is None else answer.confidence
            self.reasons[index] = None
        elif self.labels[index] == NO_LABEL:
            self.reasons[index] = with_answer(answer.reason, answer.answer)

    def refined_by(self, other: "Answers") -> "Answers":
        """The same with another's labels wherever that has one."""
        has = other.labels != NO_LABEL
        return Answers(
            np.where(has, other.labels, self.labels),
            np.where(has, other.confidences, self.confidences),
            [None if found else reason for found, reason in zip(has, self.reasons, strict=True)],
        )

    @property
    def is_missing(self) -> np.ndarray:
        """Where there is no answer, shape `(n,)`."""
        return self.labels == NO_LABEL

    @property
    def figures(self) -> dict[str, Any]:
        """What a round's record says of the answers beside their costs."""
        return {}

    def explain_missing(self, reason: str) -> None:
        """Gives every missing label that has no reason yet this one."""
        missing = np.flatnonzero(self.labels == NO_LABEL)
        for index in missing:
            self.reasons[index] = self.reasons[index] or reason

    def save(self, path: Path, costs: Mapping[str, Any]) -> None:
        """Writes the answers and what they took."""
        path.write_text(json.dumps({"costs": dict(costs), **self._values()}), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> tuple["Answers", dict[str, Any]]:
        """Reads what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls._from_values(values), values["costs"]

    def _values(self) -> dict[str, Any]:
        return {
            "labels": self.labels.tolist(),
            "confidences": [None if np.isnan(value) else value for value in self.confidences.tolist()],
            "reasons": self.reasons,
            "human_labels": [{"label": item.label, "id": item.id, "text": item.text} for item in self.human_labels],
            "parts": [part._values() for part in self.parts],
        }

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> "Answers":
        return cls(
            np.array(values["labels"], dtype=int),
            np.array(values["confidences"], dtype=float),
            values["reasons"],
            [HumanLabel(**item, origin="an earlier human label") for item in values["human_labels"]],
            [cls._from_values(part) for part in values["parts"]],
        )


@dataclass(frozen=True)
class Selection:
    """What is kept of a student's judgement, an entry for each distinct text.

    Args:
        losses (`np.ndarray` of shape `(n,)`): Loss on the annotator's label, NaN where there is none.
        is_clean (`np.ndarray` of shape `(n,)`): Whether the label is trusted.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        embeddings (`np.ndarray` of shape `(n, d)`): The student's embeddings, in half precision.
        first_embeddings (`np.ndarray` of shape `(n, d)`): The same before training, when no label had shaped them.
    """

    losses: np.ndarray
    is_clean: np.ndarray
    probabilities: np.ndarray
    embeddings: np.ndarray
    first_embeddings: np.ndarray

    def save(self, path: Path) -> None:
        """Writes the arrays to one file."""
        with path.open("wb") as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Selection":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


def write_pool(path: Path, pool: Sequence[Demonstration], task: Task) -> None:
    """Writes demonstrations as JSON lines with label names."""
    with path.open("w", encoding="utf-8") as file:
        for shot in pool:
            row: dict[str, Any] = {
                "text": shot.text,
                "label": None if shot.label == NO_LABEL else task.label_names[shot.label],
                "source": shot.source,
                "id": shot.id,
            }
            if shot.entities:
                row["entities"] = shot.entities
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def pool_table(pool: Sequence[Demonstration], task: Task) -> dict[str, tuple[list[Any], Any]]:
    """The columns of a demonstration pool that all kinds of task have: name to values and feature."""
    from datasets import ClassLabel, Value

    text = Value("string")
    return {
        "text": ([shot.text for shot in pool], text),
        "label": ([shot.label for shot in pool], ClassLabel(names=task.label_names)),
        "source": ([shot.source for shot in pool], text),
        "id": ([shot.id for shot in pool], text),
    }


def read_pool(path: Path, task: Task) -> list[Demonstration]:
    """Reads what `write_pool` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [
        Demonstration(
            **{
                **row,
                "label": NO_LABEL if row["label"] is None else task.label2id[row["label"]],
                "entities": tuple((text, name) for text, name in row.get("entities", ())),
            }
        )
        for row in rows
    ]


def label_rows(
    dataset: "Dataset",
    corpus: Corpus,
    task: TextClassification,
    answers: Answers,
    selection: Selection,
    final: np.ndarray,
    confidence: np.ndarray,
    number: int,
) -> "Dataset":
    """The round's data set: one row for each row of the input, in its order, with the columns of the contract."""
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
    """The test split beside the round's data set, with the same columns: only the student has labelled it.

    Args:
        test (`Dataset`): What `read_data` returned.
        task (`TextClassification`): What is labelled.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's, for the distinct texts of `test`.
        number (`int`): The round.
    """

    corpus, count = distinct_texts(test), len(probabilities)
    none = np.zeros((count, 0))
    selection = Selection(np.full(count, np.nan), np.zeros(count, dtype=bool), probabilities, none, none)
    final, confidence = likeliest(probabilities), probabilities.max(axis=1)
    return label_rows(test, corpus, task, Answers.none(count), selection, final, confidence, number)


def label_counts(labels: "Dataset") -> Counter[str]:
    """How often each label is final in a round's dataset; in an entity task, how many entities of each type there are.

    Args:
        labels (`Dataset`): A round's dataset; its column `label` is enough.
    """
    from datasets import ClassLabel

    feature = labels.features["label"]
    if isinstance(feature, ClassLabel):
        return Counter(feature.names[i] for i in labels["label"] if i != NO_LABEL)
    tags = feature.feature.names  # each entity has one B- tag
    return Counter(tags[i][2:] for ids in labels["label"] for i in ids if i != NO_LABEL and tags[i].startswith("B-"))


def read_labels(path: Path) -> "Dataset":
    """Reads the Parquet file of a round's data set."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        pieces = (pa.Table.from_batches([batch]) for batch in file.iter_batches(PIECE))
        return dataset_of(spooled(chain([file.schema_arrow.empty_table()], pieces)))
