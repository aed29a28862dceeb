"""Trains a student on noisy multi-label data: plain binary cross-entropy, FreeALTrainer, and training on gold labels.

    python benchmarks/multi_label_student.py --data ../shared/data             # an hour on an idle core
    python benchmarks/multi_label_student.py --data ../shared/data --frozen    # only the head learns: minutes
    python benchmarks/multi_label_student.py --data ../shared/data --report    # the table of what has been run

The texts are questions (TREC). Their labels are made of the kind of answer (human, location, number, abbreviation) and
of what a pattern finds in the text (a superlative, a year, a quotation). A third of the questions has no label, and
three labels are rare. The noise is artificial:

    balanced30  30 % of the labels are missed, and as many are wrongly named, label by label
    missed40    40 % of the labels are missed, and 1 % of the other pairs are wrongly named
    named15     10 % of the labels are missed, and 15 % of the other pairs are wrongly named

Gold is only used for scores, on the training texts and on the test split, and for the method `gold`. A cell that is in
the results file is not run again.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset
from student import be_quiet
from student_methods import LEARNING_RATE, STUDENT
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.multi_label import multi_label_scores
from freeal_hf.training.samples import PairSamples
from freeal_hf.training.student import build_student
from freeal_hf.training.thresholds import decided, thresholds_of
from freeal_hf.training.trainer import FreeALTrainer

KINDS = ("human", "location", "number", "abbreviation")
PATTERNS = {
    "superlative": r"\b(?:most|best|first|last|largest|longest|\w+est)\b",
    "year": r"\b1[0-9]{3}s?\b|\b20\d\d\b",
    "quoted": "``|''",
}
LABELS = [*KINDS, *PATTERNS]
NOISE = ("balanced30", "missed40", "named15")
# What our trainer changes; `plain` and `gold` are transformers' Trainer.
METHODS: dict[str, dict[str, Any] | None] = {"plain": None, "gold": None, "ours": {}}
ABLATIONS: dict[str, dict[str, Any]] = {
    "not_calibrated": {"calibration_share": 0.0},
    "no_probe": {"start_with_probe": False},
    "no_mixup": {"mixup_alpha": 0.0},
    "hard_targets": {"soft_targets": False},
    "noisy_left_out": {"noisy_weight": 0.0},
    "token_dropout_view": {"second_view": "token_dropout"},
    "balance_half": {"class_balance": 0.5},
    "trust_80": {"label_trust": 0.8},
    "cross_entropy": {"objective": "cross_entropy"},
    "freeal": {"objective": "freeal"},
}


@dataclass(frozen=True)
class Cell:
    """One training: the noise, the method, its seed, its epochs and texts, and whether only the head learns."""

    noise: str
    method: str
    seed: int
    epochs: int
    rows: int
    is_frozen: bool


def gold_of(table: pd.DataFrame) -> np.ndarray:
    """The gold labels of questions, shape `[questions, labels]`."""
    kinds = [table["gold"] == kind for kind in KINDS]
    found = [table["text"].str.contains(pattern) for pattern in PATTERNS.values()]
    return np.stack([*kinds, *found], axis=1).astype(float)


def with_noise(gold: np.ndarray, noise: str, rng: np.random.Generator) -> np.ndarray:
    """Labels of an artificial annotator."""
    share = gold.mean(axis=0)
    missed, named = {
        "balanced30": (0.3, 0.3 * share / (1 - share)),
        "missed40": (0.4, 0.01),
        "named15": (0.1, 0.15),
    }[noise]
    flips = rng.random(gold.shape) < np.where(gold == 1, missed, named)
    return np.where(flips, 1 - gold, gold)


def run_cell(cell: Cell, data: Path) -> dict[str, float]:
    """Trains one student and scores it."""
    table, test = (pd.read_csv(data / "trec" / f"{part}.csv") for part in ("train", "test"))
    rng = np.random.default_rng(cell.seed)
    table = table.iloc[rng.permutation(len(table))[: cell.rows]].reset_index(drop=True)
    gold, gold_test = gold_of(table), gold_of(test)
    noisy = gold if cell.method == "gold" else with_noise(gold, cell.noise, rng)
    model, tokenizer, columns = student_of(cell, [*table["text"], *test["text"]])
    everything = Dataset.from_dict(columns)
    train = everything.select(range(len(table)))
    new = everything.select(range(len(table), len(everything)))
    start, kind = time.process_time(), PairSamples(LABELS)
    with tempfile.TemporaryDirectory() as folder:
        settings, labelled = arguments(cell, folder), train.add_column("labels", noisy.tolist())
        changes = {**METHODS, **ABLATIONS}[cell.method]
        trainer: Trainer
        if changes is None:
            rows = kind.evaluation_set(labelled, tokenizer, 128)
            trainer = Trainer(model, TrainingArguments(**settings), train_dataset=rows, processing_class=tokenizer)
        else:
            args = FreeALConfig(**{**settings, **changes})
            trainer = FreeALTrainer(model, args, train_dataset=labelled, processing_class=tokenizer)
        trainer.train()
        scores = {"seconds": time.process_time() - start}
        for name, dataset, truth in (("train", train, gold), ("test", new, gold_test)):
            rows = kind.evaluation_set(dataset, tokenizer, 128)
            probabilities = 1 / (1 + np.exp(-trainer.predict(rows).predictions))
            found = {"": decided(probabilities, thresholds_of(model.config)), "_at_half": probabilities > 0.5}
            for suffix, predictions in found.items():
                for score, value in multi_label_scores(predictions, truth).items():
                    scores[f"{name}_{score}{suffix}"] = value
    noise_scores = multi_label_scores(noisy == 1, gold)
    return {**scores, **{f"noisy_{name}": value for name, value in noise_scores.items()}}


def student_of(cell: Cell, texts: list[str]) -> tuple[Any, Any, dict[str, Any]]:
    """The student of a cell, its tokenizer, and the columns of the texts that it reads."""
    if not cell.is_frozen:
        model = build_student(STUDENT, LABELS, seed=cell.seed, kind=PairSamples)
        model.get_input_embeddings().weight.requires_grad_(False)
        return model, AutoTokenizer.from_pretrained(STUDENT), {"text": texts}
    # The only token of a text is its number, and the vector of this token is the embedding of the text.
    vectors = embedded(texts)
    transformers.set_seed(cell.seed)
    config = BertConfig(
        vocab_size=len(texts),
        hidden_size=vectors.shape[1],
        num_hidden_layers=0,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        problem_type=PairSamples.problem_type,
        pad_token_id=None,
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(vectors / vectors.std())
        model.bert.embeddings.position_embeddings.weight.zero_()
        model.bert.embeddings.token_type_embeddings.weight.zero_()
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    return model, None, {"input_ids": [[i] for i in range(len(texts))], "attention_mask": [[1]] * len(texts)}


@torch.no_grad()
def embedded(texts: list[str]) -> torch.Tensor:
    """The mean of the last hidden state of the encoder over the tokens of each text."""
    tokenizer, encoder = AutoTokenizer.from_pretrained(STUDENT), AutoModel.from_pretrained(STUDENT).eval()
    found = []
    for start in range(0, len(texts), 64):
        inputs = tokenizer(
            texts[start : start + 64], padding=True, truncation=True, max_length=128, return_tensors="pt"
        )
        mask = inputs["attention_mask"][..., None]
        found.append((encoder(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1))
    return torch.cat(found)


def arguments(cell: Cell, folder: str) -> dict[str, Any]:
    """Training arguments that all methods share."""
    return {
        "output_dir": folder,
        "num_train_epochs": cell.epochs,
        "per_device_train_batch_size": 64 if cell.is_frozen else 32,
        "per_device_eval_batch_size": 64,
        "learning_rate": 1e-3 if cell.is_frozen else LEARNING_RATE,
        "weight_decay": 0.01,
        "seed": cell.seed,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_strategy": "no",
    }


def main() -> None:
    """Run the cells that are missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/multi_label_student.jsonl"))
    parser.add_argument("--rows", type=int, default=1500, help="training texts")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--frozen", action="store_true", help="train only a head on frozen embeddings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--noise", nargs="+", default=NOISE)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help=f"also {', '.join(ABLATIONS)}")
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    lines = options.results.read_text().splitlines() if options.results.is_file() else []
    done = {Cell(**json.loads(line)["cell"]) for line in lines}
    be_quiet()
    for seed in [] if options.report else options.seeds:
        for noise in options.noise:
            for method in options.methods:
                used = "none" if method == "gold" else noise
                cell = Cell(used, method, seed, options.epochs, options.rows, options.frozen)
                if cell not in done:
                    done.add(cell)
                    lines.append(json.dumps({"cell": asdict(cell), "scores": run_cell(cell, options.data)}))
                    options.results.write_text("\n".join(lines) + "\n")
                    print(cell, flush=True)
    print(report(lines))


def report(lines: list[str]) -> str:
    """Means over seeds in percent, in Markdown."""
    records = [{**json.loads(line)["cell"], **json.loads(line)["scores"]} for line in lines]
    shown = [f"{part}_{score}" for part in ("train", "test") for score in ("micro_f1", "macro_f1", "exact_match")]
    shown += ["test_micro_f1_at_half", "test_macro_f1_at_half"]
    groups = pd.DataFrame(records).groupby(["noise", "rows", "epochs", "is_frozen", "method"], sort=False)
    table = 100 * groups[shown].mean()
    table["seeds"] = groups["seed"].nunique()
    head = ["noise", "rows", "epochs", "frozen", "method", *shown, "seeds"]
    rows = [
        f"| {' | '.join(map(str, key))} | {' | '.join(f'{value:.1f}' for value in row[:-1])} | {row[-1]:.0f} |"
        for key, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


if __name__ == "__main__":
    main()
