"""Learning rate, trust in the labels and calibration of a student, on answers of LLMs and on flipped labels.

    python benchmarks/student_recipe.py --data ../shared/data             # about 70 processor seconds for each cell
    python benchmarks/student_recipe.py --data ../shared/data --report    # the tables of what has been run

400 texts of the training file, or 65 % of a small corpus, are trained on, up to 300 others are held out, and up to 300
of the test file are tested on. Gold only scores. Each student is all-MiniLM-L6-v2 with bf16 autocast, frozen word
embeddings, no dropout of attention weights, texts of at most 64 tokens, batch 32, and as many epochs as the loop gives
it. A finished cell is a line of the results file and a file of predictions beside it, and is not run again.
"""

import argparse
import json
import math
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import ClassLabel, Dataset, Features, Value
from student import be_quiet
from student_methods import STUDENT, predict
from transformers import AutoTokenizer

from freeal_hf.labels.calibration import student_temperature
from freeal_hf.labels.fusion import final_labels
from freeal_hf.labels.metrics import calibration_error
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.objectives import Evidence, Objective, SoftTargets, objective_named
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.training.student import build_student
from freeal_hf.training.temperature import at_temperature
from freeal_hf.training.trainer import FreeALTrainer

CHOSEN_ON = ("babe:gpt_3_5", "emotion:flan_ul2", "raop:flan_t5_xxl", "trec:uniform40")
SHOWN_ON = ("stance:chatgpt", "headlines:flan_ul2", "mr:llm", "subj:class30")
TRAININGS = ("plain:1e-4", "ours:1e-4", "plain:3e-4", "plain:3e-5", "always_soft:1e-4")
ROWS, HELD_OUT, TEST = 400, 300, 300
LEAST_STEPS = 120
HUMAN_LABELS = (0, 50, 100)


class AlwaysSoft(SoftTargets):
    """The default recipe as if some labels were always wrong at random."""

    def targets(self, known: Evidence, args: FreeALConfig) -> tuple[torch.Tensor, torch.Tensor]:
        return super().targets(replace(known, slips=1.0), args)


@dataclass(frozen=True)
class Cell:
    """One training: which labels, which method, which learning rate, which seed."""

    labels: str
    method: str
    rate: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.labels.replace(':', '-')}-{self.method}-{self.rate:g}-{self.seed}"

    @property
    def objective(self) -> Objective:
        if self.method == "always_soft":
            return AlwaysSoft()
        return objective_named({"plain": "cross_entropy", "ours": "soft_targets"}[self.method])


@dataclass
class Texts:
    """The texts of a cell: the first `count` are trained on, and the next `held_out` are held out, before the test."""

    names: list[str]
    texts: list[str]
    noisy: np.ndarray
    gold: np.ndarray
    count: int
    held_out: int

    def dataset(self, rows: slice) -> Dataset:
        features = Features({"text": Value("string"), "label": ClassLabel(names=self.names)})
        columns = {"text": self.texts[rows], "label": self.noisy[rows].tolist()}
        return Dataset.from_dict(columns, features=features)


def load(data: Path, cell: Cell) -> Texts:
    """Reads a corpus; which texts are trained on, and the flips, depend on the seed alone."""
    corpus, noise = cell.labels.split(":")
    table = pd.read_csv(data / corpus / "train.csv")
    rng = np.random.default_rng(cell.seed)
    order = rng.permutation(len(table))
    count = min(ROWS, int(0.65 * len(table)))
    table = table.iloc[order[: count + HELD_OUT]]
    names = sorted(table["gold"].unique())
    gold = table["gold"].map(names.index).to_numpy()
    if noise.startswith(("uniform", "class")):
        share = int(noise.removeprefix("uniform").removeprefix("class")) / 100
        step = rng.integers(1, len(names), len(gold)) if noise.startswith("uniform") else 1
        noisy = np.where(rng.random(len(gold)) < share, (gold + step) % len(names), gold)
    else:
        numbers = {name: number for number, name in enumerate(names)}
        noisy = table[noise].map(numbers).fillna(-1).astype(int).to_numpy()
    texts, held_out = table["text"].tolist(), len(table) - count
    if (file := data / corpus / "test.csv").is_file():
        test = pd.read_csv(file)
        test = test.iloc[np.random.default_rng(1).permutation(len(test))[:TEST]]
        texts += test["text"].tolist()
        gold = np.concatenate([gold, test["gold"].map(names.index)])
        noisy = np.concatenate([noisy, np.full(len(test), -1)])
    return Texts(names, texts, noisy, gold, count, held_out)


def student_of(texts: Texts, seed: int) -> torch.nn.Module:
    """A student without dropout of attention weights, which takes a third of the time on a CPU."""
    model = build_student(STUDENT, texts.names, seed=seed)
    for module in model.modules():
        if hasattr(module, "dropout") and type(module).__name__.endswith("SelfAttention"):
            module.dropout.p = 0.0
    return model


def run_cell(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Trains one student and stores its predictions for all texts."""
    texts = load(data, cell)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as output:
        args = FreeALConfig(
            output_dir=output,
            num_train_epochs=max(6, math.ceil(LEAST_STEPS / math.ceil(texts.count / 32))),
            learning_rate=cell.rate,
            seed=cell.seed,
            freeze_embeddings=True,
            max_length=64,
            bf16=True,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = FreeALTrainer(
            student_of(texts, cell.seed),
            args,
            train_dataset=texts.dataset(slice(texts.count)),
            processing_class=AutoTokenizer.from_pretrained(STUDENT),
            objective=cell.objective,
        )
        embeddings = trainer.first_embeddings()
        probe = held_out_probabilities(embeddings, texts.noisy[: texts.count], len(texts.names), seed=cell.seed)
        trainer.train()
        others = predict(trainer, texts.dataset(slice(texts.count, None)))
        others = torch.from_numpy(others).float().softmax(-1).numpy()
    student = np.concatenate([trainer.selection.probabilities, others])
    arrays = {"noisy": texts.noisy, "gold": texts.gold, "student": student, "probe": probe}
    np.savez_compressed(folder / f"{cell.name}.npz", **arrays)
    sizes = {"count": texts.count, "held_out": texts.held_out, "slips": trainer.targets.slips}
    return {**asdict(cell), **sizes, "seconds": round(time.process_time() - start, 1)}


def scores(line: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The scores of one cell in percent: accuracies, and calibration errors on held-out and test texts."""
    cell = Cell(line["labels"], line["method"], line["rate"], line["seed"])
    with np.load(folder / f"{cell.name}.npz") as arrays:
        noisy, gold, student, probe = (arrays[name] for name in ("noisy", "gold", "student", "probe"))
    train, end = slice(line["count"]), line["count"] + line["held_out"]
    right = student.argmax(axis=1) == gold
    found = {
        "labels": line["labels"],
        "method": line["method"],
        "rate": f"{line['rate']:g}",
        "annotator": (noisy == gold)[train].mean(),
        "held-out": right[line["count"] : end].mean(),
        "test": right[end:].mean() if len(right) > end else np.nan,
        "training": right[train].mean(),
        "not calibrated": expected_error(student[line["count"] :], right[line["count"] :]),
    }
    for number in HUMAN_LABELS:
        errors = []
        for seed in range(3 if number else 1):
            temperature = temperature_with(noisy[train], gold[train], student[train], probe, number, seed)
            errors.append(
                expected_error(at_temperature(student[line["count"] :], temperature), right[line["count"] :])
            )
        found[f"{number} human labels"] = np.mean(errors)
    return {name: 100 * value if isinstance(value, float) else value for name, value in found.items()}


def temperature_with(
    noisy: np.ndarray, gold: np.ndarray, student: np.ndarray, probe: np.ndarray, number: int, seed: int
) -> float:
    """The temperature after an audit of so many texts. Gold labels are the answers of the person."""
    count = len(noisy)
    human, weights = np.full(count, -1), np.zeros(count)
    drawn = np.random.default_rng(seed).permutation(count)[:number]
    human[drawn], weights[drawn] = gold[drawn], 1.0
    embeddings, no_confidences = np.ones((count, 1)), np.full(count, np.nan)
    final = final_labels(noisy, no_confidences, student, embeddings, human=human, held_out=probe)
    return student_temperature(student, final.believed, human, weights) if final.student_has_learnt else 1.0


def expected_error(probabilities: np.ndarray, is_right: np.ndarray) -> float:
    return calibration_error(probabilities.max(axis=1), is_right) or 0.0


def report(lines: list[dict[str, Any]], folder: Path) -> str:
    """A table with one row for each cell, and the means of each method and rate on each half."""
    table = pd.DataFrame([scores(line, folder) for line in lines])
    table = table.sort_values(["labels", "method", "rate"])
    half = table["labels"].isin(SHOWN_ON).map({True: "shown", False: "chosen"})
    means = table.groupby([half.rename("half"), "method", "rate"]).mean(numeric_only=True).round(1)
    counts = table.groupby([half.rename("half"), "method", "rate"]).size().rename("cells")
    return f"{markdown(table.round(1))}\n\n{markdown(means.join(counts).reset_index())}"


def markdown(table: pd.DataFrame) -> str:
    rows = [table.columns.tolist(), ["---"] * table.shape[1], *table.map(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Run the cells that are missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/student_recipe.jsonl"))
    parser.add_argument("--labels", nargs="+", default=(*CHOSEN_ON, *SHOWN_ON))
    parser.add_argument("--trainings", nargs="+", help="method:rate", default=TRAININGS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only print the tables")
    options = parser.parse_args()
    folder = options.results.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(x) for x in options.results.read_text().splitlines()] if options.results.is_file() else []
    done = {Cell(x["labels"], x["method"], x["rate"], x["seed"]) for x in lines}
    trainings = [(part.split(":")[0], float(part.split(":")[1])) for part in options.trainings]
    todo = [Cell(name, *how, seed) for seed in options.seeds for how in trainings for name in options.labels]
    todo = [] if options.report else [cell for cell in todo if cell not in done]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn, initializer=be_quiet) as pool:
        for finished in as_completed([pool.submit(run_cell, cell, options.data, folder) for cell in todo]):
            with options.results.open("a") as file:
                file.write(json.dumps(finished.result()) + "\n")
            lines.append(finished.result())
    print(report(lines, folder))


if __name__ == "__main__":
    main()
