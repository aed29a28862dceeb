"""Whether a student's confidence on new texts is right, with and without its calibration, and what that costs.

    python benchmarks/student_calibration.py --data ../shared/data             # about an hour on an idle core
    python benchmarks/student_calibration.py --data ../shared/data --report    # the table of what has been run

The cells are those of `student.py`: real answers of LLMs and labels that were flipped at random. Gold scores on the
test split and nothing else. A cell that stands in the results file is not run again.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from student import be_quiet
from student_methods import Cell, run_cell

LABELS = (
    "trec:uniform40",
    "mr:llm",
    "babe:gpt_4",
    "subj:class30",
    "babe:gpt_3_5",
    "trec:uniform20",
    "babe:flan_t5_xl",
)
METHODS = ("not_calibrated", "ours", "calibrated_on_20")


def main() -> None:
    """Run the cells that are missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/student_calibration.jsonl"))
    parser.add_argument("--rows", type=int, default=600, help="training rows")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--labels", nargs="+", default=LABELS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    lines = options.results.read_text().splitlines() if options.results.is_file() else []
    done = {Cell(**json.loads(line)["cell"]) for line in lines}
    be_quiet()
    for seed in [] if options.report else options.seeds:
        for labels in options.labels:
            for method in options.methods:
                cell = Cell(labels, method, options.epochs, seed, options.rows)
                if cell not in done:
                    lines.append(json.dumps({"cell": asdict(cell), "outcome": asdict(run_cell(cell, options.data))}))
                    options.results.write_text("\n".join(lines) + "\n")
                    print(cell, flush=True)
    print(report(lines))


def report(lines: list[str]) -> str:
    """Means over seeds in percent, in Markdown."""
    records = [{**json.loads(line)["cell"], **json.loads(line)["outcome"]} for line in lines]
    shown = ["test_accuracy", "test_confidence", "calibration_error"]
    table = 100 * pd.DataFrame(records).groupby(["labels", "rows", "method"], sort=False)[shown].mean()
    rows = [
        f"| {' | '.join(map(str, key))} | {' | '.join(f'{value:.1f}' for value in row)} |"
        for key, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join(
        ["| labels | texts | method | right on test | mean confidence | calibration error |", "|---" * 6 + "|", *rows]
    )


if __name__ == "__main__":
    main()
