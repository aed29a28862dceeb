"""Compares the precisions of the student: bf16 autocast, with and without frozen word embeddings, and float32.

    make bench-student_precision DATA=../shared/data

all-MiniLM-L6-v2, 4 epochs, seeds 0 to 2: 500 texts of trec with 40 % of the labels flipped, and 250 texts of mr with
the labels of GPT-3.5. Gold only scores, on the test split (at most 500 texts). Seconds are processor seconds of the
training of a process with one thread, so the CPU should compute bf16 in hardware. A run that was stopped continues.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import ClassLabel, Dataset, disable_progress_bars

from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.trainer import FreeALTrainer

METHODS: dict[str, dict[str, Any]] = {
    "bf16, frozen": {"bf16": True, "freeze_embeddings": True},
    "bf16": {"bf16": True},
    "float32": {"bf16": False},
}
SETS = {"trec": 500, "mr": 250}


def load(data: Path, name: str) -> tuple[Dataset, Dataset]:
    """Training texts with noisy labels, and test texts with gold."""
    train = pd.read_csv(data / name / "train.csv").sample(SETS[name], random_state=0)
    test = pd.read_csv(data / name / "test.csv")
    test = test.sample(min(len(test), 500), random_state=0)
    names = sorted(train["gold"].unique())
    if name == "trec":
        rng = np.random.default_rng(0)
        train["llm"] = np.where(rng.random(len(train)) < 0.4, rng.choice(names, len(train)), train["gold"])

    def dataset(texts: pd.Series, labels: pd.Series) -> Dataset:
        numbers = [names.index(label) if label in names else -1 for label in labels]
        return Dataset.from_dict({"text": texts.tolist(), "label": numbers}).cast_column(
            "label", ClassLabel(names=names)
        )

    return dataset(train["text"], train["llm"]), dataset(test["text"], test["gold"])


def score(data: Path, name: str, method: str, seed: int) -> dict[str, float]:
    """Trains a student; returns its test accuracy in per cent and its processor seconds."""
    train, test = load(data, name)
    with tempfile.TemporaryDirectory() as folder:
        args = FreeALConfig(
            folder,
            num_train_epochs=4,
            seed=seed,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
            **METHODS[method],
        )
        trainer = FreeALTrainer(resolve_model(EMBEDDED_MODEL), args, train_dataset=train)
        start = time.process_time()
        trainer.train()
        seconds = time.process_time() - start
        found = trainer.predict(test)
    return {
        "accuracy": 100 * float((found.predictions.argmax(-1) == np.array(test["label"])).mean()),
        "seconds": seconds,
    }


def main() -> None:
    """Runs what is missing and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/student_precision.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    for name, seed, method in itertools.product(SETS, range(3), METHODS):
        cell = {"set": name, "method": method, "seed": seed}
        if not any(cell.items() <= row.items() for row in done):
            done.append({**cell, **score(options.data, name, method, seed)})
            with options.output.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    print("| data | student | test accuracy | seconds |\n|---|---|---|---|")
    for name, method in itertools.product(SETS, METHODS):
        rows = [row for row in done if (row["set"], row["method"]) == (name, method)]
        shown = [[row[what] for row in rows] for what in ("accuracy", "seconds")]
        cells = [f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}" for values in shown]
        print(f"| {name} | {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
