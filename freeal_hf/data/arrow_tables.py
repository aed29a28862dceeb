"""Opens Parquet files, datasets and data in memory as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.data.cells import normal_cell
from freeal_hf.data.columns import OpenTable
from freeal_hf.data.counting import counted
from freeal_hf.data.option_names import flag, has_option
from freeal_hf.data.text_tables import Columns
from freeal_hf.errors import InputError, offline_hint

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, DatasetDict


def open_parquet(path: Path) -> OpenTable:
    """Opens a Parquet file.

    Args:
        path (`Path`): The file.

    Returns:
        `OpenTable`: The table. Label ids that datasets wrote are read as label names.

    Raises:
        InputError: If it cannot be read.
    """
    import pyarrow.parquet as pq

    with _refusing_parquet(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow

    def pieces(positions: Sequence[int], rows: int, are_needed: bool) -> Iterator[Columns]:
        names = [schema.names[i] for i in positions]
        label_names = _stored_label_names(schema.metadata, names)
        # Equal names can only be distinguished by their positions among all columns.
        chosen = names if all(schema.names.count(name) == 1 for name in names) else None
        with _refusing_parquet(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=chosen):
                found = [batch.column(name if chosen else i) for name, i in zip(names, positions, strict=True)]
                yield [
                    _named_labels(_values(column), label_names.get(name))
                    for name, column in zip(names, found, strict=True)
                ]

    return OpenTable(str(path), list(schema.names), pieces)


@contextmanager
def _refusing_parquet(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as a Parquet file: {error}. Write the file again.") from error


def open_saved(source: str, split: str | None) -> OpenTable:
    """Opens a folder of `save_to_disk`.

    Args:
        source (`str`): The folder.
        split (`str`, *optional*): The split. Can be left out if there is one.

    Returns:
        `OpenTable`: The table.

    Raises:
        InputError: If it cannot be read, or has no such split.
    """
    from datasets import DatasetDict, load_from_disk

    try:
        saved = load_from_disk(source)
    except Exception as error:  # datasets raises many types of errors
        raise InputError(
            f"{source!r} was written by save_to_disk and cannot be read: {error}. Write the folder again."
        ) from error
    return open_dataset(chosen_split(saved, split) if isinstance(saved, DatasetDict) else saved, source)


def chosen_split(splits: "DatasetDict", split: str | None) -> "Dataset":
    """Returns a split.

    Args:
        splits (`DatasetDict`): The splits.
        split (`str`, *optional*): The name of the split. Can be left out if there is one.

    Returns:
        `Dataset`: The split.

    Raises:
        InputError: If there is no such split.
    """
    name = split or (next(iter(splits)) if len(splits) == 1 else None)
    if name not in splits:
        option = f" or {flag('split')} train" if has_option("split") else ""
        raise InputError(
            f"The dataset has the splits {', '.join(map(repr, splits))}; choose one, such as data['train']{option}."
        )
    return splits[name]


def load_from_hub(name: str, split: str) -> "Dataset":
    """Loads a split of a dataset of the Hub.

    Args:
        name (`str`): The id of the dataset.
        split (`str`): The name of the split.

    Returns:
        `Dataset`: The split.

    Raises:
        InputError: If it cannot be loaded.
    """
    from datasets import load_dataset

    try:
        return load_dataset(name, split=split)
    except Exception as error:  # datasets raises many types of errors for files and the network
        raise InputError(
            f"There is no file {name!r}, and loading split {split!r} of it as a Hub dataset failed: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            f"{offline_hint()}"
        ) from error


def open_dataset(dataset: "Dataset", origin: str) -> OpenTable:
    """Opens a dataset. Its label ids are read as label names.

    Args:
        dataset (`Dataset`): The dataset.
        origin (`str`): Its name in messages.

    Returns:
        `OpenTable`: The table.
    """
    if dataset.format["type"] == "custom":
        return _open_transformed(dataset, origin)
    names = list(dataset.column_names)
    label_names = {name: _label_names(feature) for name, feature in dataset.features.items()}

    def pieces(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
        wanted = [names[i] for i in positions]
        chosen = dataset.select_columns(wanted).with_format("arrow")
        for start in range(0, len(dataset), rows):
            table = chosen[start : start + rows]
            yield [_named_labels(_values(table.column(name)), label_names[name]) for name in wanted]

    return OpenTable(origin, names, pieces)


def _open_transformed(dataset: "Dataset", origin: str) -> OpenTable:
    """Opens a dataset with a transform, which determines its columns and values."""
    names = list(dataset[:1]) if len(dataset) else list(dataset.column_names)
    label_names = {name: _label_names(feature) for name, feature in dataset.features.items()}

    def pieces(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
        for start in range(0, len(dataset), rows):
            batch = dataset[start : start + rows]
            yield [
                _named_labels(list(map(normal_cell, batch[names[i]])), label_names.get(names[i])) for i in positions
            ]

    return OpenTable(origin, names, pieces)


def open_loaded(source: Any) -> OpenTable:
    """Opens a pandas or polars object, or an Arrow table.

    Args:
        source (`Any`): The object.

    Returns:
        `OpenTable`: The table.

    Raises:
        InputError: If it is another object.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(source, pd.Series):
        source = source.to_frame("text" if source.name is None else source.name)
    if isinstance(source, pd.DataFrame):
        frame = source

        def pieces(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
            for start in range(0, len(frame), rows):
                yield [frame.iloc[start : start + rows, i].tolist() for i in positions]

        return OpenTable("The data frame", list(map(str, frame.columns)), pieces)
    if type(source).__module__.partition(".")[0] == "polars":
        source = _of_polars(source)
    if isinstance(source, pa.Table):
        table = source

        def of_table(positions: Sequence[int], rows: int, _: bool) -> Iterator[Columns]:
            for start in range(0, len(table), rows):
                yield [_values(table.column(i).slice(start, rows)) for i in positions]

        return OpenTable("The table", list(table.column_names), of_table)
    raise InputError(f"Cannot read data from a {type(source).__name__}; give a path, a Dataset or a DataFrame.")


def _of_polars(source: Any) -> Any:
    import polars

    if isinstance(source, polars.Series):
        source = source.to_frame(source.name or "text")
    if isinstance(source, polars.LazyFrame):
        source = source.collect()
    return source.to_arrow() if isinstance(source, polars.DataFrame) else source


def _values(column: "pa.ChunkedArray | pa.Array[Any]") -> list[Any]:
    """Returns the values of an Arrow column; as strings if Python has no type for them."""
    import pyarrow as pa

    try:
        return column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):  # such as a date after the year 9999
        return column.cast(pa.string()).to_pylist()


def _label_names(feature: Any) -> list[str] | None:
    """Returns the names of label ids, also for lists of them."""
    from datasets import ClassLabel, LargeList, List

    if isinstance(feature, (List, LargeList)):
        feature = feature.feature
    return feature.names if isinstance(feature, ClassLabel) else None


def _stored_label_names(metadata: Mapping[bytes, bytes] | None, columns: Sequence[str]) -> dict[str, list[str] | None]:
    """Returns the label names of the columns of a Parquet file that datasets wrote."""
    from datasets import Features

    stored = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    features = Features.from_dict({name: stored[name] for name in columns if name in stored})
    return {name: _label_names(feature) for name, feature in features.items()}


def _named_labels(values: Sequence[Any], names: Sequence[str] | None) -> Sequence[Any]:
    return values if names is None else [_named(value, names) for value in values]


def _named(value: Any, names: Sequence[str]) -> Any:
    """Returns the name of a label id, or the names of a list of them; `None` for a missing id."""
    if isinstance(value, list):
        found = [_named(one, names) for one in value]
        return None if None in found else found
    if value is None or isinstance(value, str):
        return value
    if value >= len(names):
        raise InputError(
            f"A column of label ids contains {value}, but there are only names for {counted(len(names), 'label')}; "
            "correct the ids or the ClassLabel feature."
        )
    return None if value < 0 else names[int(value)]
