"""Compares the cost of a loop run of two checkouts of this repository: CPU seconds and memory of the whole process.

    git worktree add --detach /tmp/before 83f8c80
    python benchmarks/loop_cost.py --data ../shared/data --before /tmp/before --after . --runs 5

Both label the same texts of trec with labels from a column, of which 20 % are flipped, in two rounds. The student is a
BERT with two small layers and random weights, so that the loop and not the student takes most of the time. The runs
of both take turns, so that changes of the machine's speed affect both. The same Python runs both. With `--profile` one
more run of each prints the functions that take most of the time.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ARGUMENTS = (
    *("--text-columns", "text", "--annotator", "column:llm", "--gold-column", "gold", "--num-rounds", "2"),
    *("--num-train-epochs", "2", "--warm-up-epochs", "1", "--min-train-steps", "0", "--max-length", "32"),
    *("--disable-tqdm", "true", "--report-to", "none", "--use-cpu", "true"),
)
"""Options that both versions have. Defaults that have changed since are given."""


def write_texts(folder: Path, output: Path, count: int) -> None:
    """Writes texts with gold and with flipped labels."""
    table = pd.read_csv(folder / "train.csv").sample(count, random_state=0)
    rng, names = np.random.default_rng(0), sorted(table["gold"].unique())
    flipped = rng.choice(names, len(table))
    table["llm"] = np.where(rng.random(len(table)) < 0.2, flipped, table["gold"])
    table[["text", "gold", "llm"]].to_csv(output, index=False)


def save_student(data: Path, folder: Path) -> None:
    """Saves a small student that knows the words of the texts."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

    words = {word for text in pd.read_csv(data)["text"] for word in re.findall(r"\w+|[^\w\s]+", text)}
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(words)]
    backend = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    set_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(names), max_position_embeddings=64, **sizes)).save_pretrained(folder)


def run(checkout: Path, words: list[str], profile: Path | None = None) -> tuple[float, float]:
    """Runs the command in a checkout, and returns its CPU seconds (user and system) and its peak memory in MB."""
    start = ["-m", "freeal_hf"] if profile is None else ["-m", "cProfile", "-o", str(profile), "-m", "freeal_hf"]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, *start, *words],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"The run in {checkout} failed:\n{errors.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Prints a table with one row for each checkout, and the ratio of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--before", type=Path, required=True, help="checkout of the version before")
    parser.add_argument("--after", type=Path, required=True, help="checkout of the version after")
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--more", nargs="*", default=[], help="further options of freeal-hf run, as A=B for --A B")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    checkouts = {"before": options.before.resolve(), "after": options.after.resolve()}
    more = [word for pair in options.more for word in (f"--{pair.partition('=')[0]}", pair.partition("=")[2])]
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "texts.csv"
        write_texts(options.data / "trec", data, options.texts)
        student = Path(temporary) / "student"
        save_student(data, student)
        task = (options.data / "trec" / "task.yaml").resolve()

        def words(name: str, number: int) -> list[str]:
            output = Path(temporary) / f"{name}-{number}"
            files = ("--data", data, "--task", task, "--student", student, "--output-dir", output)
            return ["run", *map(str, files), *ARGUMENTS, *more]

        for name, checkout in checkouts.items():
            run(checkout, words(name, -1))  # compiles and fills the caches of the disk
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
        for number in range(options.runs):
            for name, checkout in checkouts.items():
                measured[name].append(run(checkout, words(name, number)))
        print("| version | CPU seconds, median (lowest to highest) | peak MB, median |\n|---|---|---|")
        for name, found in measured.items():
            seconds, memory = zip(*found, strict=True)
            spread = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
            print(f"| {name} | {spread} | {statistics.median(memory):.0f} |")
        ratios = [after[0] / before[0] for before, after in zip(measured["before"], measured["after"], strict=True)]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"\nCPU seconds, after divided by before: {spread}")
        if options.profile:
            import pstats

            for name, checkout in checkouts.items():
                path = Path(temporary) / f"{name}.prof"
                run(checkout, words(name, options.runs), path)
                print(f"\n{name}")
                pstats.Stats(str(path)).sort_stats("cumulative").print_stats("freeal_hf", 60)


if __name__ == "__main__":
    main()
