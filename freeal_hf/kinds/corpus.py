"""The distinct texts of a run, for all kinds of task."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from freeal_hf.data.arrow import StringColumn, table_of
from freeal_hf.data.human_labels import HumanAnswer
from freeal_hf.data.joins import explain_unknown_id, rows_of_ids, shown
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Demonstration

if TYPE_CHECKING:
    from datasets import Dataset

AnswerT = TypeVar("AnswerT", bound=HumanAnswer)
ValueT = TypeVar("ValueT")


class HumanRows(NamedTuple):
    """The numbers of rows with human labels for texts of the data, and for other texts."""

    matched: int
    not_matched: int


@dataclass(frozen=True)
class Corpus:
    """The distinct usable texts of a dataset. Each is annotated and trained on once.

    Args:
        ids (`StringColumn`): Id of the first row of each text.
        texts (`StringColumn`): The texts.
        augmented (`StringColumn`, *optional*): A paraphrase of each.
        index_of_row (`np.ndarray` of shape `(rows,)`): Each row's index in `texts`, -1 if a row has no usable text.
        human (`np.ndarray` of shape `(n,)`): Label id that a person gave a text, -1 for none. In a task with any
            number of labels, the shape is `(n, num_labels)`, with 1 for each label that applies, 0 for the others, and
            -1 for a text without a human label.
        human_labels (`list[HumanAnswer]`): The human labels, one for each labelled text.
        human_rows (`HumanRows`): The numbers of rows with human labels for texts of the data and for other texts.
        inclusion (`np.ndarray` of shape `(n,)`, *optional*):
            The probability with which each text was drawn at random for a person to label, NaN if it was not; `None`
            if no text was.
    """

    ids: StringColumn
    texts: StringColumn
    augmented: StringColumn | None
    index_of_row: np.ndarray
    human: np.ndarray
    human_labels: list[Any] = field(default_factory=list)
    human_rows: HumanRows = field(default=HumanRows(0, 0))
    inclusion: np.ndarray | None = None

    @property
    def num_texts(self) -> int:
        """The number of distinct usable texts of the data. Texts that only human labels have come after them."""
        return int(self.index_of_row.max(initial=-1)) + 1

    @property
    def is_human(self) -> np.ndarray:
        """Whether a text has a human label, shape `[n]`."""
        return self.human != NO_LABEL

    @property
    def human_answers(self) -> Any:
        """The human labels with which annotators are compared: label ids, shape `[n]`, -1 for none."""
        return self.human

    def human_row(self, label: Any) -> Any:
        """Returns the value of `human` for the label in a human label."""
        return label

    def human_demonstrations(self) -> dict[int, Demonstration]:
        """The texts with human labels by index, as demonstrations for the annotator."""
        found = np.flatnonzero(self.is_human).tolist()
        return {i: Demonstration(self.texts[i], int(self.human[i]), "human", self.ids[i]) for i in found}

    def words_of(self, index: int) -> tuple[str, ...]:
        """Returns the words of a text, in an entity task."""
        return ()

    def index_of(self, ids: Iterable[str]) -> dict[str, int]:
        """Returns the indices of the texts with given ids."""
        return rows_of_ids(set(ids), self.ids)


@dataclass(frozen=True)
class Matches(Generic[AnswerT]):
    """The texts of human labels.

    Args:
        known (`list[tuple[HumanAnswer, list[int]]]`): Answers of an earlier call, each with the indices of its texts.
        given (the same): New answers.
        added (`list[HumanAnswer]`): Answers about texts that are not in the data. Their texts follow those of the
            corpus, in this order.
        row_of (`Mapping[str, int]`): The row of each id that an answer names.
        rows (`HumanRows`): The numbers of new answers about texts of the data and about other texts.
    """

    known: list[tuple[AnswerT, list[int]]]
    given: list[tuple[AnswerT, list[int]]]
    added: list[AnswerT]
    row_of: Mapping[str, int]
    rows: HumanRows


def match_answers(
    corpus: Corpus,
    dataset: "Dataset",
    given: Sequence[AnswerT],
    known: Sequence[AnswerT],
    *,
    find: Callable[[AnswerT], list[int] | None],
    key: Callable[[AnswerT], Hashable],
) -> Matches[AnswerT]:
    """Finds the texts of human labels by id, or otherwise by text.

    Args:
        corpus (`Corpus`): The distinct texts.
        dataset (`Dataset`): The dataset that they were collected from.
        given (`Sequence[HumanAnswer]`): New answers.
        known (`Sequence[HumanAnswer]`): Answers of an earlier call. They may be about texts that are not in the data.
        find (`Callable`): Returns the indices of the texts that are the text of an answer, `None` if there are none.
        key (`Callable`): Returns the same value for answers about the same text.

    Raises:
        InputError: If an id is not in the data or its row has no text, or if a text is not in the data and its answer
            may not be about a new one.
    """
    ids = StringColumn(table_of(dataset)["id"], np.arange(len(dataset)))
    row_of = rows_of_ids({item.id for item in (*known, *given) if item.id is not None}, ids)
    count, added, refused = len(corpus.texts), list[AnswerT](), list[AnswerT]()
    index_of_key: dict[Hashable, int] = {}

    def indices(item: AnswerT, *, may_be_new: bool) -> list[int]:
        if item.id is not None:
            if item.id not in row_of:
                reason = explain_unknown_id(item.id, ids)
                raise InputError(f"{item.origin}: no row of the data has the id {item.id!r}. {reason}")
            row = row_of[item.id]
            if corpus.index_of_row[row] < 0:
                raise InputError(f"{item.origin}: row {item.id!r} cannot be labelled: {dataset['note'][row]}.")
            return [int(corpus.index_of_row[row])]
        if (found := find(item)) is not None:
            return found
        if key(item) not in index_of_key:
            if not may_be_new:
                refused.append(item)
                return []
            index_of_key[key(item)] = count + len(added)
            added.append(item)
        return [index_of_key[key(item)]]

    old = [(item, indices(item, may_be_new=True)) for item in known]
    new = [(item, indices(item, may_be_new=item.may_be_new)) for item in given]
    if refused:
        raise InputError(
            f"{refused[0].origin}: {len(refused)} of {len(given)} human labels match no text of the data, for example "
            f"{shown([item.shown for item in refused])}. Give each text as it is in the data (blanks, line ends and "
            "the Unicode form do not matter) or its id. If they are examples that are not in the data, give them with "
            "--examples, or add --allow-new-texts (in Python: allow_new_texts=True)."
        )
    matched = sum(any(i < count for i in about) for _, about in new)
    return Matches(old, new, added, row_of, HumanRows(matched, len(new) - matched))


def values_of(
    matches: Sequence[tuple[AnswerT, list[int]]], value: Callable[[AnswerT, int], ValueT], *, conflict: str
) -> dict[int, ValueT]:
    """Returns the human labels of each text by index.

    Args:
        matches (`Sequence[tuple[HumanAnswer, list[int]]]`): Answers with the indices of their texts.
        value (`Callable`): Returns the human label of the text with an index.
        conflict (`str`): The description of a contradiction of two answers, for the error.

    Raises:
        InputError: If two answers contradict each other.
    """
    found: dict[int, ValueT] = {}
    origins: dict[int, str] = {}
    for item, about in matches:
        for i in about:
            said = value(item, i)
            if found.setdefault(i, said) != said:
                raise InputError(f"{origins[i]} and {item.origin} {conflict}; keep one of them.")
            origins.setdefault(i, item.origin)
    return found
