"""The distinct texts of a run: what all kinds of task share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from freeal_hf.data.arrow import StringColumn, table_of
from freeal_hf.data.joins import explain_unknown_id, rows_of_ids, shown
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, Demonstration

if TYPE_CHECKING:
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
