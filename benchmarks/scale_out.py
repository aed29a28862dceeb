"""Measures annotation on a Ray cluster on this machine: requests per second, speed-up, and memory of the workers.

    python benchmarks/scale_out.py                    # 20,000 and 200,000 texts, 1 and 2 workers, 20 ms latency
    python benchmarks/scale_out.py --texts 2000 10000

The script starts `tests/servers/chat.py` in its own process. Server, workers, cluster and the process that distributes
the shards share the cores of this machine, so the speed-up depends on all of them.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import overload

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.registry import build_annotator
from freeal_hf.config import EngineConfig
from freeal_hf.ray.annotation import fill_cache
from freeal_hf.tasks import TextClassification

ROOT = Path(__file__).parents[1]
TASK = TextClassification(
    {"positive": "the reviewer liked the film", "negative": "the reviewer did not like it"},
    description="Sentiment of one sentence from a film review.",
)


class Reviews(Sequence[AnnotationRequest]):
    """Texts of the length of a review's sentence, made as they are read."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, i: int) -> AnnotationRequest: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[AnnotationRequest]: ...
    def __getitem__(self, i):  # type: ignore[no-untyped-def]
        if not 0 <= i < self.count:
            raise IndexError(i)
        return AnnotationRequest(f"Number {i}: a film that never finds its feet, but has its moments all the same.")


@contextmanager
def server(latency: float) -> Iterator[str]:
    """Starts the server in its own process."""
    command = [sys.executable, str(ROOT / "tests/servers/chat.py"), "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def peak_megabytes(process: Path) -> float:
    """Most memory that a process has had."""
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class WorkersMemory(threading.Thread):
    """Looks at the annotating workers' memory while they live."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, float] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    command = (process / "cmdline").read_bytes()
                    if command.startswith(b"ray::") and b"_AnnotationWorker" in command:
                        self.peaks[process.name] = peak_megabytes(process)
                except (OSError, StopIteration):
                    continue  # it has just ended


def measure(url: str, count: int, workers: int, shard_size: int, concurrency: int) -> tuple[float, float]:
    """Requests a second, from the first answer of the cluster to the last, and the peak memory of a worker in MB."""
    make = partial(build_annotator, f"endpoint:{url}", options={"concurrency": concurrency})
    config = EngineConfig("ray", ray_workers=workers, ray_shard_size=shard_size)
    ledger, marks = Ledger(owner="benchmark"), [(time.monotonic(), 0)]
    memory = WorkersMemory()
    memory.start()
    with tempfile.TemporaryDirectory() as folder, AnswerCache(Path(folder) / "cache.sqlite") as cache:
        fill_cache(
            make(),
            TASK,
            Reviews(count),
            cache=cache,
            ledger=ledger,
            budget=Budget(),
            folder=Path(folder) / "shards",
            config=config,
            make_annotator=make,
            progress=lambda done: marks.append((time.monotonic(), done)),
        )
        if len(cache) != count:
            raise SystemExit(f"only {len(cache)} of {count} texts were answered")
    memory.over.set()
    # From the first finished shards on, so that the start of the cluster, some seconds whatever the size, is left out.
    (started, first), (ended, last) = marks[1 + workers], marks[-1]
    return (last - first) / (ended - started), max(memory.peaks.values())


def main() -> None:
    """Measure every number of texts and workers, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--concurrency", type=int, default=64, help="of each worker")
    parser.add_argument("--shard-size", type=int, default=1000)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)  # workers import the package from here
    print(f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print(
        "| texts | workers | requests/s | over 1 worker | peak MB of a worker |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    with server(options.latency) as url:
        for count in options.texts:
            alone = None
            for workers in options.workers:
                rate, megabytes = measure(url, count, workers, options.shard_size, options.concurrency)
                alone = alone or rate
                print(f"| {count:,} | {workers} | {rate:.0f} | {rate / alone:.2f} | {megabytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
