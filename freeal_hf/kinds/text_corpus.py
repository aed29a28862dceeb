"""The distinct texts of a task with one label for each text, and the labels that people gave them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from freeal_hf.data.arrow import PIECE, StringColumn, table_of
from freeal_hf.data.human_labels import HumanLabel
from freeal_hf.data.joins import rows_of_texts
from freeal_hf.data.spreadsheets import AUGMENTED_COLUMN, restored
from freeal_hf.data.texts import content_ids, is_usable
from freeal_hf.errors import InputError
from freeal_hf.kinds.corpus import Corpus, HumanRows, ids_of_labels, labelled_row, refuse_new_texts
from freeal_hf.tasks import NO_LABEL, Task, normal_form

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


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
        InputError: If an id is not in the data or its row has no text, if a label has the id of one row and the text
            of another, if a text is not in the data and its label may not be about a new one, or if two of `given`
            contradict each other.
    """
    items = [*known, *given]
    row_of = ids_of_labels(items, dataset)
    count = len(corpus.texts)
    places = rows_of_texts((form for item in items for form in _forms(item.text)), corpus.texts)
    added: list[str] = []
    is_new: list[HumanLabel] = []

    def indices(item: HumanLabel, *, may_be_new: bool) -> list[int]:
        keys = list(map(normal_form, _forms(item.text)))
        if item.id is not None:
            place = int(corpus.index_of_row[labelled_row(item, corpus, dataset, row_of)])
            with_text = [other for key in keys for other in places.get(key, ())]
            if with_text and place not in with_text:
                raise InputError(
                    f"{item.origin} has the id {item.id!r} and the text of another row of the data. A column was "
                    "probably sorted or shifted alone. Correct the row, or leave the column 'id' out."
                )
            return [place]
        found = next((places[key] for key in keys if key in places), None)
        if found is None:
            if not may_be_new:
                is_new.append(item)
                return []
            found = places[keys[0]] = [count + len(added)]
            added.append(str(item.text))
        return found

    found: dict[int, int] = {}
    drawn: dict[int, float] = {}  # a text stays a random one, whoever labels it again
    for item in known:
        for i in indices(item, may_be_new=True):
            found[i] = item.label
            if item.probability is not None:
                drawn[i] = item.probability
    new: dict[int, HumanLabel] = {}
    matched = 0
    for item in given:
        about = indices(item, may_be_new=item.may_be_new)
        matched += any(i < count for i in about)
        for i in about:
            if item.probability is not None:
                drawn[i] = item.probability
            other = new.setdefault(i, item)
            if other.label != item.label:
                raise InputError(f"{other.origin} and {item.origin} give the same text two labels; keep one of them.")
    refuse_new_texts(is_new, len(given))
    found |= {i: item.label for i, item in new.items()}
    human = np.full(count + len(added), NO_LABEL)
    human[list(found)] = list(found.values())
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
        human_rows=HumanRows(matched, len(given) - matched),
    )


def _forms(text: str | None) -> list[str]:
    """A text as it was given, and as it was before it was written to a file for spreadsheets."""
    return [] if text is None else list(dict.fromkeys((text, restored(text))))
