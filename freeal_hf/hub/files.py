"""Makes the files of a round for the Hub: Parquet shards, state and student, without paths and tokens."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.http_errors import public_url
from freeal_hf.config import AnnotatorConfig, DataConfig, RunConfig, metadata_of
from freeal_hf.data.files import read_json, write_json
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.folder import RunFolder
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_BYTES = 256 * 2**20
_BATCH_ROWS = 10_000
STUDENT_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_ROUND_FIELDS = {
    "round": "int32",
    "annotator_accuracy": "float64",
    "student_accuracy": "float64",
    "label_accuracy": "float64",
    "estimated_label_accuracy": "float64",
    "audited_label_accuracy": "float64",
    "clean_fraction": "float64",
    "clean_accuracy": "float64",
    "agreement": "float64",
    "changed_labels": "float64",
    "annotator_calls": "int64",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "cost": "float64",
    "seconds": "float64",
    "budget_spent": "bool",
}
_INPUT_COLUMNS = {"id", "text", "note", "augmented_text", "tokens", "token_starts"}


def dataset_files(
    folder: RunFolder, number: int, task: Task, columns: Sequence[str], staging: Path
) -> dict[str, Path]:
    """Makes the files of the dataset repository of a round, except card, figures and `config.yaml`.

    Args:
        folder (`RunFolder`): The folder of the run.
        number (`int`): The number of the round.
        task (`Task`): The task.
        columns (`Sequence[str]`): The columns of the user that are pushed.
        staging (`Path`): An empty folder for the files. Shards are written in batches of rows.

    Returns:
        `dict[str, Path]`: The local files by their path in the repository.
    """
    kept = set(columns)
    files: dict[str, Path] = {}
    for split, path in split_files(folder, number).items():
        names = [name for name in column_names(path) if name != "gold" or "gold" in kept]
        files |= _shards(path, split, names, staging)
    files |= _tables(folder, number, task, staging)
    source = folder / run_folder.INPUT
    own = [name for name in column_names(source) if name in _INPUT_COLUMNS | kept]
    target = staging / "input.parquet"
    _copy_rows(source, own, [target])
    files["state/input.parquet"] = target
    return files | {f"state/{path.name}": path for path in folder.round(number).state_paths}


def split_files(folder: RunFolder, number: int) -> dict[str, Path]:
    """Returns the local files with the labelled data of a round, by split."""
    place = folder.round(number)
    splits = {"train": place.labels_path, "test": place.test_labels_path}
    return {split: path for split, path in splits.items() if path.is_file()}


def own_columns(folder: RunFolder, number: int, asked: Sequence[str]) -> list[str]:
    """Returns the columns of the user that are pushed.

    Args:
        folder (`RunFolder`): The folder of the run.
        number (`int`): The number of the round.
        asked (`Sequence[str]`): The columns that the user named. The name of the gold column means `gold`.
    """
    columns = [name for name in asked if name != "gold"]
    if not {"gold", folder.config().data.gold_column} & set(asked):
        return columns
    # All splits of a dataset have the same columns.
    everywhere = all("gold" in column_names(path) for path in split_files(folder, number).values())
    return [*columns, "gold"] if everywhere else columns


def student_files(folder: RunFolder, number: int, staging: Path) -> dict[str, Path]:
    """Makes the files of the student of a round. Weights are safetensors, and the configuration has no local paths.

    Args:
        folder (`RunFolder`): The folder of the run.
        number (`int`): The number of the round.
        staging (`Path`): An empty folder for the files.

    Returns:
        `dict[str, Path]`: The local files by their path in the repository.
    """
    student = folder.round(number).student_path
    files = {path.name: path for pattern in STUDENT_FILES for path in sorted(student.glob(pattern))}
    for name in ("config.json", "tokenizer_config.json"):
        if name in files:
            values = {key: value for key, value in read_json(files[name]).items() if not is_local(value)}
            files[name] = staging / name
            write_json(staging / name, values)
    return files


def public_config(folder: RunFolder, dataset_id: str, *, has_gold: bool) -> RunConfig:
    """Returns the public configuration of a run: the pushed dataset replaces local files, without paths and keys.

    Args:
        folder (`RunFolder`): The folder of the run.
        dataset_id (`str`): The Hub id of the dataset.
        has_gold (`bool`): Whether gold labels are pushed.
    """
    config = folder.config()
    annotators = config.annotators
    public = config.without(lambda name, value: bool(metadata_of(name).get("local")) or is_local(value))
    public.data = DataConfig(dataset_id, id_column="id", gold_column="gold" if has_gold else None)
    refiner = annotators.refine_annotator
    is_public = isinstance(refiner, str) and not refiner.startswith("column:")  # columns are not pushed
    public.annotators = AnnotatorConfig(
        _public_annotator(annotators.annotator),
        _without_key(str(refiner)) if is_public else None,
        _plain(annotators.annotator_options),
    )
    return public


def _public_annotator(annotator: str | Mapping[str, Any] | None) -> str | Mapping[str, Any] | None:
    if isinstance(annotator, Mapping):
        return _plain(annotator)
    if annotator is None or annotator.startswith("column:"):
        return annotator and "column:annotator_label"
    return " + ".join(_without_key(spec) for spec in annotator.split(" + "))


def is_local(value: Any) -> bool:
    """Whether a value is a local path: an absolute or relative path, or a text like a Hub id that exists as a path.

    Example:

        >>> is_local("/home/ada/texts.csv"), is_local("./texts.csv"), is_local("ada/reviews")
        (True, True, False)
    """
    if not isinstance(value, str) or "\n" in value or len(value) > 4096:
        return False
    return Path(value).is_absolute() or value.startswith(("~", ".")) or ("/" in value and Path(value).exists())


def label_columns(path: Path, names: Sequence[str]) -> Any:
    """Returns some columns of the dataset of a round in NumPy format, so that the texts are not read."""
    import pyarrow.parquet as pq
    from datasets import Dataset, Features

    present = [name for name in names if name in column_names(path)]
    features = Features.from_arrow_schema(pq.read_schema(path))
    table = pq.read_table(path, columns=present)
    schema = Features({name: features[name] for name in present}).arrow_schema
    return Dataset(table.replace_schema_metadata(schema.metadata)).with_format("numpy")


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in options.items() if not is_local(value)}
    return {key: _without_key(value) if isinstance(value, str) else value for key, value in found.items()}


def _without_key(spec: str) -> str:
    """Removes user, password and query, which can contain a key, from a specification or address."""
    kind, _, address = spec.partition("http")
    return f"{kind}{public_url(f'http{address}')}" if address else kind


def column_names(path: Path) -> list[str]:
    """Returns the names of the columns of a Parquet file."""
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


def _shards(source: Path, split: str, names: Sequence[str], staging: Path) -> dict[str, Path]:
    count = max(1, math.ceil(source.stat().st_size / SHARD_BYTES))
    paths = [staging / f"{split}-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    _copy_rows(source, names, paths)
    return {f"data/{path.name}": path for path in paths}


def _copy_rows(source: Path, names: Sequence[str], targets: Sequence[Path]) -> None:
    """Copies columns of a Parquet file in batches of rows to files with about the same number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    with pq.ParquetFile(source) as file:
        features = Features.from_arrow_schema(file.schema_arrow)
        schema = Features({name: features[name] for name in names}).arrow_schema
        rows = math.ceil(file.metadata.num_rows / len(targets))
        batches = row_batches(file, names)
        rest = None
        for target in targets:
            with pq.ParquetWriter(target, schema) as writer:
                left = rows
                while left > 0 and (batch := rest if rest is not None else next(batches, None)) is not None:
                    rest = batch.slice(left) if batch.num_rows > left else None
                    part = batch.slice(0, left)
                    columns = [part.column(name) for name in names]
                    writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                    left -= min(left, batch.num_rows)


def row_batches(file: "pq.ParquetFile", names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    """Yields the rows of a Parquet file in batches of at most 10,000 rows.

    Args:
        file (`ParquetFile`): The open file.
        names (`Sequence[str]`): The columns to read.
    """
    # Row groups are read one by one, because `iter_batches` otherwise reads the whole file ahead.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=list(names))


def _tables(folder: RunFolder, number: int, task: Task, staging: Path) -> dict[str, Path]:
    from datasets import Value

    kind = kind_of(task)
    records = [record for i in range(number + 1) if (record := folder.metrics(i)) is not None]
    figures = {**_ROUND_FIELDS, **dict.fromkeys(kind.extra_figures, "float64")}
    pool = folder.round(number).read_demonstrations(task)
    tables = {
        "rounds": {key: ([record.get(key) for record in records], Value(type_)) for key, type_ in figures.items()},
        "demonstrations": {**kind.demonstration_table(pool), "round": ([number] * len(pool), Value("int32"))},
    }
    files = {}
    for name, columns in tables.items():
        files[f"{name}/train-00000-of-00001.parquet"] = staging / f"{name}.parquet"
        _write_table(staging / f"{name}.parquet", columns)
    write_json(staging / "metrics.json", records)
    return {**files, "metrics.json": staging / "metrics.json"}


def _write_table(path: Path, columns: Mapping[str, tuple[list[Any], Any]]) -> None:
    from datasets import Dataset, Features

    features = Features({name: feature for name, (_, feature) in columns.items()})
    Dataset.from_dict({name: values for name, (values, _) in columns.items()}, features=features).to_parquet(str(path))
