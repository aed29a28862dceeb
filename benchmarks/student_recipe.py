"""Learning rate, an average of the weights and the calibration of a student, on answers of LLMs and flipped labels.

    python benchmarks/student_recipe.py --data ../shared/data             # 80 to 150 processor seconds for each cell
    python benchmarks/student_recipe.py --data ../shared/data --report    # the tables of what has been run

All texts come from the training files: 600 texts, or 65 % of a small corpus, are trained on, and up to 500 others are
held out. Gold only scores. Each student is all-MiniLM-L6-v2 with bf16 autocast, frozen word embeddings, no dropout of
attention weights, texts of at most 64 tokens, batch 32, and as many epochs as the loop gives it. A finished cell is a
line of the results file and a file of predictions beside it, and is not run again.
"""

import argparse
import json
import math
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import ClassLabel, Dataset, Features, Value
from student import be_quiet
from student_methods import STUDENT, predict
from transformers import AutoTokenizer, TrainerCallback

from freeal_hf.labels.metrics import calibration_error
from freeal_hf.training.calibration import at_temperature, fit_temperature
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.training.student import build_student
from freeal_hf.training.trainer import FreeALTrainer

LABELS = (
    "babe:gpt_3_5",
    "mr:llm",
    "trec:uniform40",
    "stance:chatgpt",
    "emotion:flan_ul2",
    "raop:flan_t5_xxl",
    "headlines:flan_ul2",
    "subj:class30",
    "babe:flan_t5_xl",
    "stance:flan_ul2",
    "emotion:chatgpt",
    "raop:chatgpt",
    "headlines:chatgpt",
)
TRAININGS = (("plain", 1e-4), ("ours", 1e-4), ("plain", 3e-5), ("ours", 3e-5), ("ours_head", 3e-5), ("plain", 3e-4))
ROWS, HELD_OUT = 600, 500
LEAST_STEPS = 120
METHODS: dict[str, dict[str, Any]] = {
    "plain": {"objective": "cross_entropy"},
    "ours": {"calibration_share": 0.0},
    "ours_head": {"calibration_share": 0.0},
}
HEAD_FACTOR = 30


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


@dataclass
class Texts:
    """The texts of a cell: the first `count` are trained on, the others are held out."""

    names: list[str]
    texts: list[str]
    noisy: np.ndarray
    gold: np.ndarray
    count: int

    def dataset(self, rows: np.ndarray) -> Dataset:
        features = Features({"text": Value("string"), "label": ClassLabel(names=self.names)})
        return Dataset.from_dict(
            {"text": [self.texts[i] for i in rows], "label": self.noisy[rows].tolist()}, features=features
        )


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
    elif noise == "gold":
        noisy = gold
    else:
        numbers = {name: number for number, name in enumerate(names)}
        noisy = table[noise].map(numbers).fillna(-1).astype(int).to_numpy()
    return Texts(names, table["text"].tolist(), noisy, gold, count)


class Average(TrainerCallback):
    """The average of the weights over the last half of the steps."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.mean = [torch.zeros_like(p) for p in self.parameters]
        self.counted = 0

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step > state.max_steps // 2:
            self.counted += 1
            torch._foreach_lerp_(self.mean, [p.detach() for p in self.parameters], 1 / self.counted)

    @torch.no_grad()
    def load(self) -> None:
        for parameter, value in zip(self.parameters, self.mean, strict=True):
            parameter.copy_(value)


def student_of(texts: Texts, seed: int) -> torch.nn.Module:
    """A student without dropout of attention weights, which takes a third of the time on a CPU."""
    model = build_student(STUDENT, texts.names, seed=seed)
    for module in model.modules():
        if hasattr(module, "dropout") and type(module).__name__.endswith("SelfAttention"):
            module.dropout.p = 0.0
    return model


def optimizer_of(model: torch.nn.Module, rate: float, head_rate: float) -> torch.optim.Optimizer:
    """AdamW with another learning rate for the head."""
    head = [p for n, p in model.named_parameters() if n.startswith("classifier")]
    encoder = [p for n, p in model.named_parameters() if not n.startswith("classifier") and "word_emb" not in n]
    return torch.optim.AdamW(
        [{"params": encoder, "lr": rate}, {"params": head, "lr": head_rate}], weight_decay=0.01, fused=True
    )


def run_cell(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Trains one student and stores its predictions."""
    texts = load(data, cell)
    train, held_out = np.split(np.arange(len(texts.texts)), [texts.count])
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
            **METHODS[cell.method],
        )
        model = student_of(texts, cell.seed)
        factor = HEAD_FACTOR if cell.method.endswith("_head") else 1
        trainer = FreeALTrainer(
            model,
            args,
            train_dataset=texts.dataset(train),
            processing_class=AutoTokenizer.from_pretrained(STUDENT),
            optimizers=(optimizer_of(model, cell.rate, factor * cell.rate), None),
        )
        average = Average(model)
        trainer.add_callback(average)
        probe = held_out_probabilities(
            trainer.first_embeddings(), texts.noisy[train], len(texts.names), seed=cell.seed
        )
        trainer.train()
        trained = time.process_time() - start
        found = trainer.selection
        arrays = {
            "noisy": texts.noisy,
            "gold": texts.gold,
            "count": np.array(texts.count),
            "probe": probe,
            "memory": trainer.targets.memory.average.numpy(),
            "posterior": found.posterior,
            "targets": trainer.targets.distributions.numpy(),
        }
        arrays["last"] = np.concatenate([found.probabilities, probabilities(trainer, texts.dataset(held_out))])
        average.load()
        arrays["half"] = probabilities(trainer, texts.dataset(held_out))
    np.savez_compressed(folder / f"{cell.name}.npz", **arrays)
    line = {**asdict(cell), "seconds": round(trained, 1)}
    known = held_out[texts.noisy[held_out] >= 0]
    for name in ("last", "half"):
        guesses = np.zeros(len(texts.gold), dtype=int)
        guesses[-len(arrays[name]) :] = arrays[name].argmax(-1)
        line[name] = float((guesses == texts.gold)[held_out].mean())
        line[f"{name}_noisy"] = float((guesses == texts.noisy)[known].mean())
    line["last_train"] = float((arrays["last"].argmax(-1) == texts.gold)[train].mean())
    line["memory_train"] = float((arrays["memory"].argmax(-1) == texts.gold[train]).mean())
    line["probe_train"] = float((probe.argmax(-1) == texts.gold[train]).mean())
    return line


def probabilities(trainer: FreeALTrainer, dataset: Dataset) -> np.ndarray:
    return torch.from_numpy(predict(trainer, dataset)).float().softmax(-1).numpy()


def report(lines: list[dict[str, Any]], folder: Path) -> str:
    """Accuracy on held-out and on training texts, and the calibration error by how the temperature is found."""
    rows = [
        "| labels | method | rate | seed | held-out | half averaged | training texts | probe, held-out folds |",
        "|---" * 8 + "|",
    ]
    found = ["last", "half", "last_train", "probe_train"]
    for line in lines:
        scores = [f"{100 * line[name]:.1f}" for name in found]
        cell = [line["labels"], line["method"], f"{line['rate']:g}", str(line["seed"])]
        rows.append(f"| {' | '.join(cell + scores)} |")
    errors = {}
    for line in lines:
        cell = Cell(line["labels"], line["method"], line["rate"], line["seed"])
        with np.load(folder / f"{cell.name}.npz") as arrays:
            errors[cell.name] = calibration_errors(dict(arrays))
    table = pd.DataFrame(errors).T
    rows += ["", f"| cell | {' | '.join(table.columns)} |", "|---" * (len(table.columns) + 1) + "|"]
    rows += [f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |" for name, row in table.iterrows()]
    return "\n".join(rows)


def calibration_errors(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """The expected calibration error on held-out texts in percent, by what the temperature is fitted to.

    `tenth` are as many held-out noisy labels as a tenth of the training set, `all` are all of them. The others need no
    held-out label: `seen` fits it to the labels that the student was trained on, `probe` to the calibrated predictions
    of the probe, `average` to the calibrated average of the predictions in training.
    """
    count, noisy = int(arrays["count"]), arrays["noisy"]
    seen, held_out = np.split(arrays["last"].astype(float), [count])
    known = np.flatnonzero(noisy[:count] >= 0)
    labels, seen = noisy[known], seen[known]
    asked = np.flatnonzero(noisy[count:] >= 0)

    def fitted(chosen: np.ndarray) -> float:
        return fit_temperature(held_out[chosen], noisy[count:][chosen])

    def calibrated(name: str) -> np.ndarray:
        predictions = arrays[name][known].astype(float)
        return at_temperature(predictions, fit_temperature(predictions, labels))

    temperatures = {
        "none": 1.0,
        "tenth": fitted(asked[: count // 10]),
        "all": fitted(asked),
        "seen": fit_temperature(seen, labels),
        "probe": matched(calibrated("probe"), seen),
        "average": matched(calibrated("memory"), seen),
    }
    errors = {}
    for name, temperature in temperatures.items():
        scaled = at_temperature(held_out, temperature)
        is_right = scaled.argmax(-1) == arrays["gold"][count:]
        errors[name] = 100 * (calibration_error(scaled.max(-1), is_right) or 0.0)
    return errors


def matched(wanted: np.ndarray, predictions: np.ndarray) -> float:
    """The temperature at which predictions have the smallest cross-entropy with distributions."""
    grid = np.exp(np.linspace(-1.6, 1.6, 81))
    return min(grid, key=lambda t: -(wanted * np.log(np.clip(at_temperature(predictions, t), 1e-12, 1))).sum())


def main() -> None:
    """Run the cells that are missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/student_recipe.jsonl"))
    parser.add_argument("--labels", nargs="+", default=LABELS)
    parser.add_argument("--trainings", nargs="+", help="method:rate", default=[f"{m}:{r}" for m, r in TRAININGS])
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
