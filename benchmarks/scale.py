"""Measures time and memory of selection, and of choosing and retrieving demonstrations, for up to millions of texts.

    python benchmarks/scale.py --quick    # up to 100k, seconds
    python benchmarks/scale.py            # up to 5 million losses and 1 million embeddings, minutes

Each measurement runs in its own process, to measure its peak memory, which includes the input.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from freeal_hf.demonstrations import choose_demonstrations, nearest_demonstrations
from freeal_hf.training.selection import SelectionRules, select_clean

DIMENSIONS = 384
SELECTION_CLASSES = 20
LABELS = 4


@dataclass(frozen=True)
class Aim:
    """Most seconds and memory (GB) that the largest size may take."""

    seconds: float
    gigabytes: float


AIMS = {"selection": Aim(10, 2), "medoids": Aim(90, 4), "retrieval": Aim(90, 4)}
SIZES = {
    "selection": [10_000, 100_000, 1_000_000, 5_000_000],
    "medoids": [10_000, 100_000, 1_000_000],
    "retrieval": [10_000, 100_000, 1_000_000],
}


def selection(count: int) -> Callable[[], object]:
    """Select among losses of 20 classes, a third of them of wrong labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, SELECTION_CLASSES, count)
    wrong = rng.random(count) < 1 / 3
    losses = np.where(wrong, rng.gamma(8, 0.4, count), rng.gamma(1, 0.3, count))
    probabilities = rng.random((count, SELECTION_CLASSES), dtype=np.float32)
    return lambda: select_clean(losses, labels, probabilities, SelectionRules())


def medoids(count: int) -> Callable[[], object]:
    """Cluster all embeddings of 4 labels into 100 clusters, one demonstration each."""
    rng = np.random.default_rng(0)
    embeddings = _clustered(rng, count)
    labels = rng.integers(0, LABELS, count)
    losses = rng.random(count)
    texts = [""] * count
    ids = [str(i) for i in range(count)]
    candidates = np.ones(count, dtype=bool)
    return lambda: choose_demonstrations(
        texts, ids, labels, losses, candidates, embeddings, num_labels=LABELS, pool_size=100, candidate_fraction=1.0
    )


def retrieval(count: int) -> Callable[[], object]:
    """Find the 10 nearest of 1,000 demonstrations for every text."""
    rng = np.random.default_rng(0)
    queries, pool = _clustered(rng, count), _clustered(rng, 1000)
    return lambda: nearest_demonstrations(queries, pool, np.zeros(1000, dtype=int), per_label=10)


def _clustered(rng: np.random.Generator, count: int) -> np.ndarray:
    """Embeddings around 50 centres, as a student leaves them."""
    centres = rng.standard_normal((50, DIMENSIONS), dtype=np.float32)
    points = rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
    points *= 0.5
    points += centres[rng.integers(0, 50, count)]
    return points


MEASURED: dict[str, Callable[[int], Callable[[], object]]] = {
    "selection": selection,
    "medoids": medoids,
    "retrieval": retrieval,
}


def measure(name: str, count: int) -> dict[str, float]:
    """Run one measurement in this process.

    Args:
        name: What to measure.
        count: Samples.

    Returns:
        `seconds` without making the input, and `gigabytes` of peak memory.
    """
    work = MEASURED[name](count)
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    """Measure every size and print a table with aims met or not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]))))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| what | samples | seconds | peak GB | aim |")
    print("|---|---|---|---|---|")
    for name, sizes in SIZES.items():
        for count in sizes:
            if options.quick and count > 100_000:
                continue
            command = [sys.executable, __file__, "--one", name, str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            verdict = ""
            if count == sizes[-1]:
                aim = AIMS[name]
                met = found["seconds"] < aim.seconds and found["gigabytes"] < aim.gigabytes
                verdict = f"{aim.seconds:.0f} s, {aim.gigabytes:.0f} GB: {'met' if met else 'not met'}"
            print(
                f"| {name} | {count:,} | {found['seconds']:.2f} | {found['gigabytes']:.2f} | {verdict} |", flush=True
            )


if __name__ == "__main__":
    main()
