"""Downloads a round from the Hub as the folder of a run, which can be used or continued on another machine."""

import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeal_hf.data.files import copy_into, explained_disk_errors, read_json, write_atomically, write_json
from freeal_hf.data.sentences import TOKENS
from freeal_hf.errors import HubError, RunError
from freeal_hf.hub.client import calling, connect
from freeal_hf.hub.files import STUDENT_FILES, row_batches
from freeal_hf.hub.push import HUB_STATE, MANIFEST, TRAINING_ARGUMENTS
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.results import publish
from freeal_hf.loop.rounds import Round
from freeal_hf.tasks import Demonstration

if TYPE_CHECKING:
    from datasets import Dataset

_DATASET_FILES = ("data/*", "demonstrations/*", "state/*", run_folder.CONFIG, run_folder.METRICS, MANIFEST)
_NOT_STUDENT = (MANIFEST, TRAINING_ARGUMENTS, ".cache")
_COLUMN = "column:annotator_label"


def pull_run(
    dataset_id: str, output_dir: str | Path, *, revision: str | None = None, token: str | None = None
) -> RunFolder:
    """Makes the folder of a run from the files that were pushed.

    Args:
        dataset_id (`str`): The dataset repository of the run.
        output_dir (`str` or `Path`): The folder. It must be empty or not exist.
        revision (`str`, *optional*): The tag of a round (`"round-1"`). The default is the newest round.
        token (`str`, *optional*): Access token. The default is the saved token of this machine.

    Returns:
        `RunFolder`: The folder, with all files of a finished run.

    Raises:
        HubError: If there is no such repository or round, it was not made by freeal-hf, or it cannot be reached.
        RunError: If the folder is not empty.

    Example:

        ```python
        folder = pull_run("ada/reviews", "runs/reviews", revision="round-1")
        load_result(folder.path).report()
        ```
    """
    path = Path(output_dir)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{str(output_dir)!r} is not empty; pull into a new folder (--output-dir).")
    with tempfile.TemporaryDirectory(prefix="freeal-hf-") as temporary, explained_disk_errors(path):
        data, student = Path(temporary) / "dataset", Path(temporary) / "model"
        manifest = _download(dataset_id, "dataset", revision or "main", data, token)
        _download(manifest["model_id"], "model", f"round-{manifest['round']}", student, token)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda partial: _lay_out(RunFolder(partial), data, student, manifest))
    return RunFolder(path)


def holds_run(output_dir: str | Path, dataset_id: str) -> bool:
    """Whether a folder already has the run of a dataset repository, so that no pull is needed.

    Args:
        output_dir (`str` or `Path`): The folder.
        dataset_id (`str`): The dataset repository.
    """
    state = Path(output_dir) / HUB_STATE
    return state.is_file() and read_json(state)["dataset_id"] == dataset_id


def input_of(folder: RunFolder) -> "Dataset":
    """Returns the texts of a pulled run in the form of `read_data`, for `FreeAL.run(..., resume=True)`.

    Args:
        folder (`RunFolder`): The folder that `pull_run` returned.
    """
    texts = read_labels(folder / run_folder.INPUT)
    if folder.config().annotators.annotator == _COLUMN:
        cell = kind_of(folder.task()).cell
        texts = texts.add_column(
            "annotator_label", list(map(cell, read_labels(folder / run_folder.LABELS)["annotator_label"]))
        )
    return texts


def test_of(folder: RunFolder) -> "Dataset | None":
    """Returns the test texts of a pulled run, with gold if it was pushed, or `None` if there are no test texts.

    Args:
        folder (`RunFolder`): The folder that `pull_run` returned.
    """
    numbers = [int(path.parent.name.removeprefix("round-")) for path in folder.path.glob("round-*/test.parquet")]
    if not numbers:
        return None
    rows = read_labels(folder.round(max(numbers)).test_labels_path)
    wanted = ("id", "text", TOKENS, "token_starts", "note", "gold")
    return rows.select_columns([name for name in wanted if name in rows.column_names])


def _download(repo_id: str, kind: str, revision: str, place: Path, token: str | None) -> dict[str, Any]:
    where = f"{'dataset' if kind == 'dataset' else kind} {repo_id!r} at {revision!r}"
    api = connect(token)
    wanted = _DATASET_FILES if kind == "dataset" else (*STUDENT_FILES, MANIFEST)
    calling(
        where,
        api.snapshot_download,
        repo_id,
        repo_type=kind,
        revision=revision,
        local_dir=place,
        allow_patterns=list(wanted),
    )
    if not (place / MANIFEST).is_file():
        raise HubError(f"The {where} was not made by freeal-hf: it has no {MANIFEST}. Load it with --data instead.")
    manifest: dict[str, Any] = read_json(place / MANIFEST)
    return manifest


def _lay_out(folder: RunFolder, data: Path, student: Path, manifest: Mapping[str, Any]) -> None:
    number = int(manifest["round"])
    config = RunFolder(data).config()
    task = RunFolder(data).task()
    records = read_json(data / run_folder.METRICS)
    for record in records[:-1]:
        folder.round(record["round"]).write_metrics(record)
    last = folder.round(number)
    last.path.mkdir(parents=True, exist_ok=True)
    state = Round(data / "state", number)
    for path in state.state_paths:
        write_atomically(last.path / path.name, partial(copy_into, path))
    write_atomically(folder / run_folder.INPUT, partial(copy_into, data / "state" / run_folder.INPUT))
    _join(data, "train", last.labels_path)
    if any((data / "data").glob("test-*.parquet")):
        _join(data, "test", last.test_labels_path)
    last.write_demonstrations(_pool(data), task)
    shutil.copytree(student, last.student_path, ignore=shutil.ignore_patterns(*_NOT_STUDENT))
    write_atomically(folder / run_folder.CONFIG, config.to_yaml)
    last.write_metrics(records[-1])
    publish(folder, task, number + 1)
    known = {f"{kind} {key}": digest for key, digest in manifest["rounds"].items() for kind in ("dataset", "model")}
    ids = {key: manifest[key] for key in ("run_id", "dataset_id", "model_id")}
    # Written last, because a folder with this file counts as pulled.
    write_json(folder / HUB_STATE, {**ids, "rounds": known})


def _join(data: Path, split: str, target: Path) -> None:
    """Writes the shards of a split to one file, in batches of rows."""
    import pyarrow.parquet as pq

    shards = sorted((data / "data").glob(f"{split}-*.parquet"))

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, pq.read_schema(shards[0])) as writer:
            for shard in shards:
                with pq.ParquetFile(shard) as file:
                    for batch in row_batches(file, file.schema_arrow.names):
                        writer.write_batch(batch)

    write_atomically(target, write)


def _pool(data: Path) -> list[Demonstration]:
    import pyarrow.parquet as pq

    rows = [
        row for path in sorted((data / "demonstrations").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    return [
        Demonstration(
            row["text"],
            row["label"],
            row["source"],
            row["id"],
            tuple((entity["text"], entity["type"]) for entity in row.get("entities", ())),
            tuple(row["labels"]) if "labels" in row else None,
        )
        for row in rows
    ]
