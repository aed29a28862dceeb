"""Runs the complete loop with the embedding annotator, and compares round-0 annotations, final labels and student.

    python benchmarks/loop.py --data ../shared/data            # trec, subj, mr; 2 rounds; 3 seeds
    python benchmarks/loop.py --data ../shared/data --quick    # a smoke run: one seed, 1,000 texts of each

Each folder in --data has `train.csv` and `test.csv` with `text,gold`, and a `task.yaml`. Gold is only used for scores.
The runs are stored in --runs. If the script is started again, it continues.
"""

import argparse
import platform
from pathlib import Path

import datasets
import numpy as np
import torch
import transformers

import freeal_hf
from freeal_hf import EmbeddingAnnotator, FreeAL, FreeALConfig, LoopConfig, load_task, read_data
from freeal_hf.labels.metrics import accuracy
from freeal_hf.prediction.classifier import Classifier

COLUMNS = {
    "annotation": "round-0 annotations",
    "last_annotation": "last annotations",
    "student": "student",
    "label": "final labels",
    "gain": "gain",
    "estimate": "estimated",
    "test": "student, test",
    "seconds": "seconds",
}


def run_cell(folder: Path, output: Path, seed: int, rounds: int, limit: int | None) -> dict[str, float]:
    """One run of the loop on one dataset with one seed."""
    task = load_task(folder / "task.yaml")
    train = read_data(folder / "train.csv", task, gold_column="gold")
    test = read_data(folder / "test.csv", task, gold_column="gold")
    if limit is not None and limit < len(train):
        train = train.shuffle(seed=0).select(range(limit))
    args = FreeALConfig(
        output_dir=str(output), seed=seed, bf16=True, use_cpu=True, freeze_embeddings=True, disable_tqdm=True
    )
    result = FreeAL(task, EmbeddingAnnotator(), args=args, loop=LoopConfig(num_rounds=rounds)).run(train)
    predictions = Classifier(result.student).probabilities(test["text"]).argmax(axis=1)
    first, last = result.rounds[0], result.rounds[-1]
    return {
        "texts": len(train),
        "annotation": first["annotator_accuracy"],
        "last_annotation": last["annotator_accuracy"],
        "student": last["student_accuracy"],
        "label": last["label_accuracy"],
        "gain": last["label_accuracy"] - first["annotator_accuracy"],
        "estimate": last["estimated_label_accuracy"],
        "test": accuracy(predictions, np.asarray(test["gold"])) or 0.0,
        "seconds": sum(record["seconds"] for record in result.rounds),
    }


def table(cells: dict[str, list[dict[str, float]]]) -> str:
    """Mean and standard deviation over seeds, a row for each dataset."""
    lines = ["| data | texts | seeds | " + " | ".join(COLUMNS.values()) + " |", "|---" * (3 + len(COLUMNS)) + "|"]
    for name, rows in cells.items():
        shown = []
        for key in COLUMNS:
            values = np.array([row[key] for row in rows])
            factor, digits = (1, 0) if key == "seconds" else (100, 1)
            spread = f" ± {factor * values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
            shown.append(f"{factor * values.mean():.{digits}f}{spread}")
        lines.append(f"| {name} | {rows[0]['texts']} | {len(rows)} | " + " | ".join(shown) + " |")
    gains = [row["gain"] for rows in cells.values() for row in rows]
    lines.append(f"\nMean gain over all runs: {100 * np.mean(gains):.1f} points.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="trec,subj,mr")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=int, help="at most so many training texts, drawn once")
    parser.add_argument("--runs", type=Path, default=Path("benchmarks/results/loop"))
    parser.add_argument("--quick", action="store_true", help="one seed, 1,000 texts of each")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.limit = "0", 1000
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    cells: dict[str, list[dict[str, float]]] = {}
    for seed in map(int, options.seeds.split(",")):
        for name in options.sets.split(","):
            output = options.runs / f"{name}-{options.limit or 'all'}-{seed}"
            scores = run_cell(options.data / name, output, seed, options.rounds, options.limit)
            cells.setdefault(name, []).append(scores)
            print(name, seed, {key: round(value, 4) for key, value in scores.items()}, flush=True)
    print(
        f"\nfreeal-hf {freeal_hf.__version__}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads, bf16 autocast, frozen word embeddings\n"
    )
    print(table(cells))


if __name__ == "__main__":
    main()
