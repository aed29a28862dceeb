"""Ids of rows: read from a column or made from the texts, and the fingerprint of a dataset."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from freeal_hf.data.arrow import StringColumn, dataset_of, table_of
from freeal_hf.data.cells import plain_text
from freeal_hf.data.columns import Table
from freeal_hf.data.joins import former_id
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


def read_ids(table: Table, id_column: str | None, texts: Sequence[str], origin: str) -> list[str]:
    """Returns the ids of rows: those of a column, which must be unique, or ids that are made from the texts.

    Args:
        table (`Table`): The columns by name.
        id_column (`str`, *optional*): The column of the ids.
        texts (`Sequence[str]`): The texts of the rows.
        origin (`str`): The name of the table, for errors.

    Returns:
        `list[str]`: The ids.

    Raises:
        InputError: If an id of the column is repeated or missing.
    """
    import pyarrow as pa

    ids = pa.chunked_array([pa.array(given_or_content_ids(table, id_column, texts), pa.string())])
    return unique_ids(ids, id_column, origin).to_pylist()


def given_or_content_ids(table: Table, id_column: str | None, texts: Sequence[str]) -> list[str]:
    """Returns the ids of a piece of a table, before `unique_ids` compares them with those of the other pieces.

    Args:
        table (`Table`): The columns by name.
        id_column (`str`, *optional*): The column of the ids. By default they are made from the texts.
        texts (`Sequence[str]`): The texts of the rows.

    Returns:
        `list[str]`: The ids; those of equal texts are equal.
    """
    return list(map(_content_id, texts) if id_column is None else map(plain_text, table[id_column]))


def unique_ids(ids: "pa.ChunkedArray", id_column: str | None, origin: str) -> "pa.ChunkedArray":
    """Checks that the ids of a column are unique, or adds numbers to equal ids that were made from texts.

    Args:
        ids (`pyarrow.ChunkedArray`): The ids of all rows.
        id_column (`str`, *optional*): The column of the ids, if they were read from one.
        origin (`str`): The name of the table, for errors.

    Returns:
        `pyarrow.ChunkedArray`: The unique ids.

    Raises:
        InputError: If an id of the column is repeated or missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = ids.dictionary_encode().combine_chunks()
    codes = encoded.indices.to_numpy()
    counts = np.bincount(codes)
    if id_column is None:
        is_repeated = counts[codes] > 1
        numbered = pa.array(_numbered(ids.filter(pa.array(is_repeated)).to_pylist()), pa.string())
        return pc.replace_with_mask(ids, pa.array(is_repeated), numbered)
    if counts.max() > 1:
        repeated = encoded.dictionary[int(counts.argmax())].as_py()
        raise InputError(
            f"{origin}: id {repeated!r} is in {counts.max()} rows of column {id_column!r}; ids must be unique."
        )
    if (empty := pc.index(ids, "").as_py()) >= 0:
        raise InputError(f"{origin}: row {empty + 1} has no id in column {id_column!r}; give each row one.")
    return ids


def content_ids(texts: Sequence[str]) -> Iterator[str]:
    """Makes ids from texts. Ids of equal texts get a number.

    Args:
        texts (`Sequence[str]`): The texts.

    Returns:
        `Iterator[str]`: The ids.

    Example:

        >>> list(content_ids(["a plum", "a plum"]))
        ['t4412202718673347', 't4412202718673347-1']
    """
    return _numbered(map(_content_id, texts))


def _numbered(digests: Iterable[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for digest in digests:
        yield f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1


def _content_id(text: str) -> str:
    # Without the letter, a spreadsheet would read an id of digits, or of digits and one e, as a number.
    return "t" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fingerprint(dataset: "Dataset") -> str:
    """Computes a digest of the ids of a dataset, by which the folder of a run recognizes it.

    Args:
        dataset (`Dataset`): The dataset that `read_data` or `read_sentences` returned.

    Returns:
        `str`: The digest.

    Example:

        >>> from datasets import Dataset
        >>> fingerprint(Dataset.from_dict({"id": ["1", "2"]})) == fingerprint(Dataset.from_dict({"id": ["2", "1"]}))
        False
    """
    return _fingerprint(StringColumn(table_of(dataset)["id"], np.arange(len(dataset))))


def with_stored_ids(dataset: "Dataset", stored: str | None) -> "Dataset":
    """Returns the dataset with the ids that the folder of a run uses for it.

    In runs of former versions, ids that are made from texts do not begin with a letter.

    Args:
        dataset (`Dataset`): The dataset that `read_data` or `read_sentences` returned.
        stored (`str`, *optional*): Its fingerprint in the folder of the run.

    Returns:
        `Dataset`: The dataset, with former ids if the folder has them.
    """
    import pyarrow as pa

    if stored is None or stored == fingerprint(dataset):
        return dataset
    table = table_of(dataset)
    former = [former_id(sample) for sample in StringColumn(table["id"], np.arange(len(dataset)))]
    if None in former or _fingerprint(former) != stored:
        return dataset
    place = table.column_names.index("id")
    return dataset_of(table.set_column(place, table.schema.field("id"), pa.array(former, pa.string())))


def _fingerprint(ids: Iterable[str | None]) -> str:
    digest = hashlib.sha256()
    for number, sample in enumerate(ids):
        digest.update(f"\n{sample}".encode() if number else str(sample).encode())
    return digest.hexdigest()[:16]
