"""Prediction by the workers of a Ray cluster, which label shards of the texts. The results are joined to one file."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from freeal_hf.config import EngineConfig
from freeal_hf.data.files import remove, write_atomically
from freeal_hf.data.texts import is_usable
from freeal_hf.kinds.registry import kind_of_student
from freeal_hf.prediction.predictor import PredictionOptions
from freeal_hf.ray.cluster import cluster, over_shards

_ROWS, _LABELLED = ".parquet", ".csv"


def write_predictions_on_ray(
    path: Path,
    model: str,
    options: PredictionOptions,
    header: Sequence[str],
    pieces: Iterable[Sequence[Any]],
    config: EngineConfig,
) -> tuple[int, int]:
    """Labels texts as `write_predictions` does, with the workers of a Ray cluster.

    The shards are in a folder next to the file until it is complete. If the prediction is started again with the same
    texts and the same model, it continues with the missing shards.

    Args:
        path (`Path`): The CSV file, on a disk that all nodes share.
        model (`str`): Folder or Hub id of the student.
        options (`PredictionOptions`): The options of the output.
        header (`Sequence[str]`): The names of the columns of the file.
        pieces (`Iterable[Sequence]`): The result of `Predictor.read`.
        config (`EngineConfig`): The cluster and the number of workers.

    Returns:
        `tuple[int, int]`: The number of labelled texts, and the number of rows.
    """
    folder = path.with_name(f".{path.name}.shards")
    folder.mkdir(parents=True, exist_ok=True)
    salt = json.dumps([_identity(model), list(header)])
    shards: list[Path] = []
    labelled = count = 0
    all_rows = chain.from_iterable(pieces)
    while rows := list(islice(all_rows, config.ray_shard_size)):
        shards.append(_write_shard(folder, len(shards), rows, salt))
        labelled, count = labelled + sum(is_usable(row.note) for row in rows), count + len(rows)
    missing = [shard for shard in shards if not shard.with_suffix(_LABELLED).exists()]
    if missing:
        workers = over_shards(missing, _PredictionWorker, config, model=model, options=options)
        with cluster(config), closing(workers):
            for row in workers:
                remove(Path(row["shard"]))

    def join(partial: Path) -> None:
        with partial.open("wb") as file:
            head = io.StringIO(newline="")
            csv.writer(head).writerow(header)
            file.write(head.getvalue().encode())
            for shard in shards:
                with shard.with_suffix(_LABELLED).open("rb") as part:
                    shutil.copyfileobj(part, file)

    write_atomically(path, join)
    remove(folder)
    return labelled, count


class _PredictionWorker:
    """Labels shards. Ray Data makes one instance in each worker process."""

    def __init__(self, model: str, options: PredictionOptions) -> None:
        self._predictor = kind_of_student(model).predictor(model, options)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import pyarrow.parquet as pq

        path = Path(row["shard"])
        rows = [self._predictor.row(**values) for values in pq.read_table(path).to_pylist()]

        def write(partial: Path) -> None:
            with partial.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(self._predictor.cells(rows))

        write_atomically(path.with_suffix(_LABELLED), write)
        return row


def _write_shard(folder: Path, number: int, rows: Sequence[Any], salt: str) -> Path:
    """Writes a shard if it is not labelled yet. Its name depends on the texts and on the student."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    digest = hashlib.sha256(salt.encode())
    for row in rows:
        digest.update(json.dumps(list(row)).encode())
    path = folder / f"{number:06d}-{digest.hexdigest()[:16]}{_ROWS}"
    if not path.with_suffix(_LABELLED).exists():
        table = pa.Table.from_pylist([row._asdict() for row in rows])
        write_atomically(path, lambda partial: pq.write_table(table, partial))
    return path


def _identity(model: str) -> list[Any]:
    """Returns a value that changes if the folder or Hub id is that of another student."""
    files = sorted(Path(model).iterdir()) if Path(model).is_dir() else []
    return [model, *([file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files)]
