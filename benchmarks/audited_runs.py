"""Whole runs with a person: round 0 without human labels, an audit of 100 texts, and round 1 with the answers.

    make bench-audited_runs DATA=../shared/data
    python benchmarks/audited_runs.py --data ../shared/data --quick    # one column, 200 texts

The annotators are recorded LLMs and labels that are flipped at random. The student is the default one, trained on the
CPU. `LoopConfig(audit=100)` stops a run after its first round. The script answers with gold as a perfect person, and
the run continues. Accuracies of both rounds are those of the texts that were not audited; the estimates are of all
texts. Runs are kept in --runs. If the script is started again, it continues.
"""

import argparse
import csv
import platform
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers

import freeal_hf
from freeal_hf import FreeAL, FreeALConfig, LoopConfig, load_task, read_data
from freeal_hf.annotators.column import ColumnAnnotator
from freeal_hf.loop.folder import AUDIT_CSV, RunFolder

SETS = (
    ("stance", "chatgpt"),
    ("emotion", "chatgpt"),
    ("headlines", "chatgpt"),
    ("raop", "chatgpt"),
    ("babe", "gpt_4"),
    ("babe", "llama_13b"),
    ("mr", "llm"),
    # the share of labels that are flipped at random
    ("trec", "0.4"),
    ("subj", "0.2"),
)
HEADER = (
    *("labels", "texts", "annotator", "student", "final", "estimated"),
    *("student, audit", "final, audit", "estimated, audit"),
)


def flipped(gold: list[int], share: float, names: list[str], seed: int) -> list[str]:
    """Gold, of which a share has another label at random."""
    rng = np.random.default_rng(seed)
    others = (np.array(gold) + rng.integers(1, len(names), len(gold))) % len(names)
    return [names[label] for label in np.where(rng.random(len(gold)) < share, others, gold)]


def fill_in(sheet: Path, gold: dict[str, str]) -> set[str]:
    """Answers the questions of an audit sheet, and returns the ids of its texts."""
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = gold[row["id"]]
    with sheet.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return {row["id"] for row in rows}


def run_cell(folder: Path, column: str, output: Path, seed: int, limit: int, audited: int) -> list[str]:
    """One run, as a row of the table."""
    task = load_task(folder / "task.yaml")
    is_flipped = column.startswith("0.")
    texts = read_data(folder / "train.csv", task, gold_column="gold", extra_columns=() if is_flipped else (column,))
    texts = texts.shuffle(seed=seed).select(range(min(limit, len(texts))))
    answers = flipped(texts["gold"][:], float(column), task.label_names, seed) if is_flipped else texts[column][:]
    annotator = ColumnAnnotator(dict(zip(texts["id"], answers, strict=True)), column)
    args = FreeALConfig(output_dir=str(output), seed=seed, use_cpu=True, disable_tqdm=True)
    # The answers of some models look random on 300 texts.
    settings = LoopConfig(num_rounds=2, audit=audited, allow_doubtful_answers=True)
    loop = FreeAL(task, annotator, args=args, loop=settings)
    result = loop.run(texts)
    sheet = output / AUDIT_CSV
    if result.audit_sheet is not None:
        gold = {key: task.label_names[label] for key, label in zip(texts["id"], texts["gold"], strict=True)}
        fill_in(sheet, gold)
        result = loop.run(texts)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        asked = {row["id"] for row in csv.DictReader(file)}
    shown = [f"{folder.name}, {column}", str(len(texts))]
    for record in result.rounds:
        labels = RunFolder(output).round(record["round"]).read_labels()
        is_open = ~np.isin(labels["id"], list(asked))
        correct = {
            name: np.mean((np.asarray(labels[name]) == np.asarray(labels["gold"]))[is_open])
            for name in ("annotator_label", "student_label", "label")
        }
        if record["round"] == 0:
            shown.append(percent(correct["annotator_label"]))
        shown += [percent(correct["student_label"]), percent(correct["label"]), estimated(record)]
    return shown


def estimated(record: dict[str, Any]) -> str:
    """The estimate of a round with its range, and the truth."""
    found = record["estimated_label_accuracy"]
    truth = f"true {percent(record['label_accuracy'])}"
    if found is None:
        return f"unknown ({truth})"
    low, high = record["estimated_label_accuracy_range"]
    return f"{percent(low)} to {percent(high)} ({truth})"


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sets", nargs="+", default=[name for name, _ in SETS], help="corpora")
    parser.add_argument("--limit", type=int, default=500, help="at most so many texts of each corpus")
    parser.add_argument("--audited", type=int, default=100, help="texts that a person labels")
    parser.add_argument("--runs", type=Path, default=Path("benchmarks/results/audited_runs"))
    parser.add_argument("--quick", action="store_true", help="one column, 200 texts")
    options = parser.parse_args()
    sets = SETS[:1] if options.quick else [each for each in SETS if each[0] in options.sets]
    limit = 200 if options.quick else options.limit
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    print(
        f"freeal-hf {freeal_hf.__version__}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads\n"
    )
    print("| " + " | ".join(HEADER) + " |\n" + "|---" * len(HEADER) + "|", flush=True)
    for seed in options.seeds:
        for name, column in sets:
            output = options.runs / f"{name}-{column}-{limit}-{options.audited}-{seed}"
            cells = run_cell(options.data / name, column, output, seed, limit, options.audited)
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
