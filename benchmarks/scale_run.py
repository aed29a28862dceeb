"""Measures the processor time and the memory of a whole run by the number of texts.

    python benchmarks/scale_run.py --sizes 10000 100000            # minutes
    python benchmarks/scale_run.py --sizes 10000 100000 1000000    # 1,000,000 texts take most of an hour on one core

`freeal-hf run` labels made-up texts of 8 to 24 words with labels from a column, of which 20 % are flipped, in one
round with one epoch. The student is a BERT with two small layers and random weights, so that the loop and not the
student takes most of the time and memory. One thread.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from loop_cost import run, save_student

LABELS = ("cause", "person", "place", "number")
WORDS = 2_000


def write_texts(path: Path, count: int) -> None:
    """Writes different texts. A tenth of the words of a text depends on its label."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(WORDS)])
    labels = rng.integers(0, len(LABELS), count)
    lengths = rng.integers(8, 25, count)
    texts = []
    for number in range(count):
        chosen = rng.integers(0, WORDS, lengths[number])
        chosen[rng.random(len(chosen)) < 0.1] = labels[number]
        texts.append(f"{' '.join(words[chosen])} {number}")
    given = np.where(rng.random(count) < 0.2, rng.integers(0, len(LABELS), count), labels)
    names = np.array(LABELS)
    pd.DataFrame({"text": texts, "gold": names[labels], "llm": names[given]}).to_csv(path, index=False)


def main() -> None:
    """Prints a table with one row for each number of texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1], help="the version to measure")
    options = parser.parse_args()
    print("| texts | processor seconds | ms for a text | peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count in options.sizes:
            data = folder / f"{count}.csv"
            write_texts(data, count)
            if not (folder / "student").exists():
                save_student(data, folder / "student")
            files = [
                "--data",
                str(data),
                "--student",
                str(folder / "student"),
                "--output-dir",
                str(folder / f"{count}"),
            ]
            what = ["--text-columns", "text", "--labels", ",".join(LABELS), "--annotator", "column:llm"]
            how = ["--num-rounds", "1", "--num-train-epochs", "1", "--warm-up-epochs", "1", "--max-length", "32"]
            rest = ["--gold-column", "gold", "--disable-tqdm", "true", "--report-to", "none", "--use-cpu", "true"]
            seconds, memory = run(options.checkout.resolve(), ["run", *files, *what, *how, *rest])
            print(f"| {count:,} | {seconds:.0f} | {1000 * seconds / count:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
