"""The files of a round as they go to the Hub: Parquet shards, state to go on from, student; no path, no token."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from freeal_hf.config import metadata_of
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
    """The files of a round's dataset repository, but for its cards, pictures and `config.yaml`.

    Args:
        folder (`RunFolder`): The run's folder.
        number (`int`): The round.
        task (`Task`): What is labelled.
        columns (`Sequence[str]`): People's own columns that may be pushed.
        staging (`Path`): Empty folder to write files to; shards are written one batch of rows at a time.

    Returns:
        `dict[str, Path]`: Path in the repository to local file.
    """
    kept = set(columns)
    files: dict[str, Path] = {}
    for split, path in split_files(folder, number).items():
        names = [name for name in _columns(path) if name != "gold" or "gold" in kept]
        files |= _shards(path, split, names, staging)
    files |= _tables(folder, number, task, staging)
    source = folder / run_folder.INPUT
    own = [name for name in _columns(source) if name in _INPUT_COLUMNS | kept]
    target = staging / "input.parquet"
    _copy_rows(source, own, [target])
    files["state/input.parquet"] = target
    return files | {f"state/{path.name}": path for path in folder.round(number).state_paths}


def split_files(folder: RunFolder, number: int) -> dict[str, Path]:
    """The labelled data of a round: split to local file."""
    place = folder.round(number)
    splits = {"train": place.labels_path, "test": place.test_labels_path}
    return {split: path for split, path in splits.items() if path.is_file()}


def own_columns(folder: RunFolder, number: int, asked: Sequence[str]) -> list[str]:
    """People's own columns that a push takes along.

    Args:
        folder (`RunFolder`): The run's folder.
        number (`int`): The round.
        asked (`Sequence[str]`): Columns as the user named them; the gold column by its own name counts as `gold`.
    """
    columns = [name for name in asked if name != "gold"]
    if not {"gold", read_config(folder).get("gold_column")} & set(asked):
        return columns
    # All splits of a dataset have the same columns.
    everywhere = all("gold" in _columns(path) for path in split_files(folder, number).values())
    return [*columns, "gold"] if everywhere else columns


def student_files(folder: RunFolder, number: int, staging: Path) -> dict[str, Path]:
    """The files of a round's student, weights as safetensors only, local paths taken out of its configuration.

    Args:
        folder (`RunFolder`): The run's folder.
        number (`int`): The round.
        staging (`Path`): Empty folder to write files to.

    Returns:
        `dict[str, Path]`: Path in the repository to local file.
    """
    student = folder.round(number).student_path
    files = {path.name: path for pattern in STUDENT_FILES for path in sorted(student.glob(pattern))}
    for name in ("config.json", "tokenizer_config.json"):
        if name in files:
            values = {key: value for key, value in read_json(files[name]).items() if not is_local(value)}
            files[name] = staging / name
            write_json(staging / name, values)
    return files


def public_config(folder: RunFolder, dataset_id: str, *, has_gold: bool) -> dict[str, Any]:
    """The run's configuration for strangers: the pushed dataset in place of local files, no path and no key.

    Args:
        folder (`RunFolder`): The run's folder.
        dataset_id (`str`): Where the texts are on the Hub.
        has_gold (`bool`): Whether gold labels are pushed with them.
    """
    config = read_config(folder)
    named = {
        key: value
        for key, value in config.items()
        if not (metadata_of(key).get("local") or metadata_of(key).get("private") or is_local(value))
    }
    public: dict[str, Any] = {
        **named,
        "data": dataset_id,
        "id_column": "id",
        **({"gold_column": "gold"} if has_gold else {}),
    }
    annotator = config.get("annotator")
    if isinstance(annotator, str):
        is_column = annotator.startswith("column:")
        several = " + ".join(_without_key(spec) for spec in annotator.split(" + "))
        public["annotator"] = "column:annotator_label" if is_column else several
    elif isinstance(annotator, Mapping):
        public["annotator"] = _plain(annotator)
    refiner = public.pop("refine_annotator", None)
    if isinstance(refiner, str) and not refiner.startswith("column:"):  # columns stay at home
        public["refine_annotator"] = _without_key(refiner)
    if "annotator_options" in config:
        public["annotator_options"] = _plain(config["annotator_options"])
    return public


def read_config(folder: RunFolder) -> dict[str, Any]:
    """The options in the run's `config.yaml`, by name."""
    return folder.config()


def is_local(value: Any) -> bool:
    """Whether a value names a place on this machine: a path, or what looks like a Hub id but is a folder here."""
    if not isinstance(value, str) or "\n" in value or len(value) > 4096:
        return False
    return Path(value).is_absolute() or value.startswith(("~", ".")) or ("/" in value and Path(value).exists())


def label_columns(path: Path, names: Sequence[str]) -> Any:
    """Some columns of a round's dataset as a `Dataset` of NumPy values: the texts need not be read for a count."""
    import pyarrow.parquet as pq
    from datasets import Dataset, Features

    present = [name for name in names if name in _columns(path)]
    features = Features.from_arrow_schema(pq.read_schema(path))
    table = pq.read_table(path, columns=present)
    schema = Features({name: features[name] for name in present}).arrow_schema
    return Dataset(table.replace_schema_metadata(schema.metadata)).with_format("numpy")


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in options.items() if not is_local(value)}
    return {key: _without_key(value) if isinstance(value, str) else value for key, value in found.items()}


def _without_key(spec: str) -> str:
    """A specification or address without user, password and query, which may hold a key."""
    kind, _, address = spec.partition("http")
    if not address:
        return kind
    parts = urlsplit(f"http{address}")
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return kind + urlunsplit((parts.scheme, host, parts.path, "", ""))


def _columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


def _shards(source: Path, split: str, names: Sequence[str], staging: Path) -> dict[str, Path]:
    count = max(1, math.ceil(source.stat().st_size / SHARD_BYTES))
    paths = [staging / f"{split}-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    _copy_rows(source, names, paths)
    return {f"data/{path.name}": path for path in paths}


def _copy_rows(source: Path, names: Sequence[str], targets: Sequence[Path]) -> None:
    """Copies columns of a Parquet file, a batch of rows at a time, into files of about equal length."""
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
                    _write(writer, batch.slice(0, left), schema)
                    left -= min(left, batch.num_rows)


def row_batches(file: "pq.ParquetFile", names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    """The rows of a Parquet file, some thousands at a time.

    Args:
        file (`ParquetFile`): The open file.
        names (`Sequence[str]`): Columns to read.
    """
    # One row group after the other: asked for all of them, `iter_batches` reads the whole file ahead.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=list(names))


def _write(writer: Any, batch: "pa.RecordBatch", schema: "pa.Schema") -> None:
    import pyarrow as pa

    writer.write_batch(pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema))


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
