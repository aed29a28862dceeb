"""What a round holds in memory and on disk: the distinct texts, the answers, the selection, the labelled rows."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotation.annotator import Annotation
from freeal_hf.errors import InputError
from freeal_hf.human_labels import HUMAN_NOTE, HumanLabel
from freeal_hf.inputs import AUGMENTED_COLUMN, class_label, content_ids, is_usable
from freeal_hf.tasks import NO_LABEL, Demonstration, Task, TextClassification

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Corpus:
    """The distinct usable texts of a data set: asked once, trained on once, whatever the number of their rows.

    Args:
        ids (`list[str]`): Id of the first row of each text.
        texts (`list[str]`): The texts.
        augmented (`list[str]`, *optional*): A paraphrase of each.
        index_of_row (`np.ndarray` of shape `(rows,)`): Each row's index in `texts`, -1 where a row has no usable text.
        human (`np.ndarray` of shape `(n,)`): Label id that a person gave a text, -1 for none.
        human_labels (`list[HumanLabel]` or `list[HumanEntities]`): What people said, once for each such text.
    """

    ids: list[str]
    texts: list[str]
    augmented: list[str] | None
    index_of_row: np.ndarray
    human: np.ndarray
    human_labels: list[Any] = field(default_factory=list)

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

    def training_labels(self, answers: "Answers") -> np.ndarray:
        """What the student learns from: a person's label where there is one, else the annotator's; shape `(n,)`."""
        return np.where(self.is_human, self.human, answers.labels)


def distinct_texts(dataset: "Dataset") -> Corpus:
    """Collects the distinct usable texts of what `read_data` returned."""
    index: dict[str, int] = {}
    first_rows: list[int] = []
    index_of_row = np.full(len(dataset), -1)
    for row, (text, note) in enumerate(zip(dataset["text"], dataset["note"], strict=True)):
        if is_usable(note):
            if text not in index:
                index[text] = len(first_rows)
                first_rows.append(row)
            index_of_row[row] = index[text]
    ids = list(dataset["id"])
    augmented = list(dataset[AUGMENTED_COLUMN]) if AUGMENTED_COLUMN in dataset.column_names else None
    return Corpus(
        ids=[ids[row] for row in first_rows],
        texts=list(index),
        augmented=None if augmented is None else [augmented[row] for row in first_rows],
        index_of_row=index_of_row,
        human=np.full(len(index), NO_LABEL),
    )


def with_human_labels(
    corpus: Corpus, dataset: "Dataset", task: Task, given: Sequence[HumanLabel], known: Sequence[HumanLabel] = ()
) -> Corpus:
    """Enters the labels that people gave.

    A text that is not in the data (an example from elsewhere) is added at the end: it trains the student and may be a
    demonstration, but no row of the output has it.

    Args:
        corpus (`Corpus`): What `distinct_texts` collected.
        dataset (`Dataset`): The data set that it was collected from.
        task (`Task`): Whose labels they are.
        given (`Sequence[HumanLabel]`): The labels.
        known (`Sequence[HumanLabel]`): What an earlier call left in `human_labels`; a newer label takes its place.

    Raises:
        InputError: If an id is not in the data or its row has no text, or two of `given` contradict each other.
    """
    row_of = {sample: row for row, sample in enumerate(dataset["id"])} if given or known else {}
    index_of = {text: i for i, text in enumerate(corpus.texts)}

    def index(item: HumanLabel) -> int:
        if item.id is None:
            return index_of.setdefault(str(item.text), len(index_of))
        return int(corpus.index_of_row[labelled_row(item, corpus, dataset, row_of)])

    found = {index(item): item.label for item in known}
    new: dict[int, HumanLabel] = {}
    for item in given:
        other = new.setdefault(index(item), item)
        if other.label != item.label:
            raise InputError(f"{other.origin} and {item.origin} give the same text two labels; keep one of them.")
    found |= {i: item.label for i, item in new.items()}
    texts, count = list(index_of), len(corpus.texts)
    human = np.full(len(texts), NO_LABEL)
    human[list(found)] = list(found.values())
    return replace(
        corpus,
        ids=[*corpus.ids, *content_ids(texts[count:])],
        texts=texts,
        augmented=None if corpus.augmented is None else [*corpus.augmented, *[""] * (len(texts) - count)],
        human=human,
        human_labels=[
            HumanLabel(label, id=corpus.ids[i]) if i < count else HumanLabel(label, text=texts[i])
            for i, label in found.items()
        ],
    )


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
            f"{item.origin}: no row of the data has the id {item.id!r}. Give ids as in labels.csv (those of "
            "your data, if --id-column names their column), or leave the column 'id' out and give the texts."
        )
    row = row_of[item.id]
    if corpus.index_of_row[row] < 0:
        raise InputError(f"{item.origin}: row {item.id!r} cannot be labelled: {dataset['note'][row]}.")
    return row


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
            self.reasons[index] = answer.reason

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
    from datasets import Dataset, Features, Value

    human = corpus.is_human
    student = selection.probabilities.argmax(axis=1)
    rows = corpus.index_of_row
    usable = rows >= 0

    def spread(values: np.ndarray, missing: Any) -> np.ndarray:
        return np.where(usable, values[rows], missing)

    reasons = [None if i < 0 else HUMAN_NOTE if human[i] else answers.reasons[i] for i in rows]
    label, real = class_label(task), Value("float64")
    columns: dict[str, tuple[Any, Any]] = {
        "id": (list(dataset["id"]), Value("string")),
        "text": (list(dataset["text"]), Value("string")),
        "label": (spread(final, NO_LABEL), label),
        "label_confidence": (_nullable(spread(confidence, np.nan)), real),
        "annotator_label": (spread(answers.labels, NO_LABEL), label),
        "annotator_confidence": (_nullable(spread(answers.confidences, np.nan)), real),
        "student_label": (spread(student, NO_LABEL), label),
        "student_confidence": (_nullable(spread(selection.probabilities.max(axis=1), np.nan)), real),
        "loss": (_nullable(spread(selection.losses, np.nan)), real),
        "is_clean": (spread(selection.is_clean | human, False), Value("bool")),
        "round": (np.full(len(dataset), number), Value("int32")),
        "note": (
            [
                "; ".join(filter(None, (note, reason))) or None
                for note, reason in zip(dataset["note"], reasons, strict=True)
            ],
            Value("string"),
        ),
    }
    if "gold" in dataset.column_names:
        columns["gold"] = (list(dataset["gold"]), label)
    features = Features({name: feature for name, (_, feature) in columns.items()})
    return Dataset.from_dict({name: values for name, (values, _) in columns.items()}, features=features)


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
    final, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    return label_rows(test, corpus, task, Answers.none(count), selection, final, confidence, number)


def read_labels(path: Path) -> "Dataset":
    """Reads the Parquet file of a round's data set."""
    import pyarrow.parquet as pq
    from datasets import Dataset

    return Dataset(pq.read_table(path))


def write_csv(path: Path, labels: "Dataset") -> None:
    """Writes a round's data set with label names, an empty cell where there is no label or value."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=labels.column_names)
        writer.writeheader()
        for row in labels:
            writer.writerow({name: _csv_cell(value, labels.features[name]) for name, value in row.items()})


def _csv_cell(value: Any, feature: Any) -> Any:
    if hasattr(feature, "names"):
        return "" if value == NO_LABEL else feature.names[value]
    if not isinstance(value, list):
        return value
    names = getattr(getattr(feature, "feature", None), "names", None)
    return json.dumps([names[i] if i != NO_LABEL else None for i in value] if names else value, ensure_ascii=False)


def _nullable(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
