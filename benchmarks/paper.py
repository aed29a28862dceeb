"""Compares freeal-hf with the published results (FreeAL, Xiao et al., EMNLP 2023) on the eight datasets of the paper.

    python benchmarks/paper.py --data ../shared/data --limit 1000
    python benchmarks/paper.py --data FOLDER --student roberta-base --annotator endpoint:MODEL   # as published

A dataset is a folder in --data with `task.yaml` and `train.csv`, `test.csv` (`text, gold`), or for entities
`train.jsonl`, `test.jsonl` (`tokens, gold_tags`). BC5CDR is run as in the paper, once for each of its types. Both
settings of the paper are scored: transductive (the student on its training texts) and inductive (the same student on
the test split). The labels are those of --annotator. By default they are the answers of the published run, if
`train.csv` has a column `llm` (round 0 only, because recorded answers cannot use demonstrations), or otherwise those
of the embedding annotator in two rounds, which is not a language model and weak for entities. A column
`back_translation` is used as second view. If a dataset cannot be run, the script prints the reason. Gold is only used
for scores. The runs are stored in --runs. If the script is started again, it continues.
"""

import argparse
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import torch
import transformers
import yaml

import freeal_hf
from freeal_hf import FreeAL, FreeALConfig, LoopConfig, TokenClassification, load_task
from freeal_hf.data.tables import read_tables
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import read_labels
from freeal_hf.loop.folder import RunFolder
from freeal_hf.tasks import Task


@dataclass(frozen=True)
class Published:
    """A dataset of the publication and what it reports for GPT-3.5-Turbo and RoBERTa-base on the test split.

    Figures that the publication has and this script has no source for are `None`.
    """

    name: str
    folder: str
    student: float | None = None
    supervised: float | None = None
    annotator: tuple[float, float] | None = None
    is_of_entities: bool = False
    only_type: str | None = None

    @property
    def suffix(self) -> str:
        """How the names of its files end."""
        return ".jsonl" if self.is_of_entities else ".csv"


PUBLISHED = (
    Published("SST-2", "sst2", student=94.66),
    Published("MR", "mr", student=90.20),
    Published("SUBJ", "subj"),
    Published("TREC", "trec"),
    Published("Medical Abstracts", "medical_abstracts"),
    Published("CoNLL-03", "conll03", 76.12, 88.11, (66.47, 70.80), is_of_entities=True),
    Published("BC5CDR chemical", "bc5cdr", 81.13, 87.26, (67.85, 80.77), is_of_entities=True, only_type="Chemical"),
    Published("BC5CDR disease", "bc5cdr", 58.90, 75.38, (29.60, 52.70), is_of_entities=True, only_type="Disease"),
)


def obstacle(item: Published, data: Path, sets: Sequence[str]) -> str | None:
    """Why a dataset is not run, `None` if it is."""
    folder = data / item.folder
    if sets and item.folder not in sets:
        return "it was not asked for (--sets)"
    if not folder.is_dir():
        return f"no folder {item.folder}/ under {data}, and no Hub is asked for it"
    names = (f"train{item.suffix}", f"test{item.suffix}", "task.yaml")
    missing = [name for name in names if not (folder / name).is_file()]
    return f"{folder} has no {missing[0]}" if missing else None


def task_of(item: Published, folder: Path) -> Task:
    """The task of a dataset, with the one type that is published alone."""
    task = load_task(folder / "task.yaml")
    if item.only_type is None:
        return task
    return TokenClassification({item.only_type: task.descriptions[item.only_type]}, task.description)


def sentences(path: Path, only_type: str | None) -> pd.DataFrame:
    """Sentences with the gold tags of one type, or of all."""
    rows = pd.DataFrame(next(read_tables(path)[0]))
    if only_type is not None:
        rows["gold_tags"] = [[tag if tag[2:] == only_type else "O" for tag in tags] for tags in rows["gold_tags"]]
    return rows


def run(item: Published, options: argparse.Namespace) -> dict[str, Any]:
    """One run: how it was labelled, and its accuracies or F1 scores."""
    folder = options.data / item.folder
    task = task_of(item, folder)
    recorded = False
    if item.is_of_entities:
        train, test = (
            kind_of(task).read_rows(sentences(folder / f"{name}.jsonl", item.only_type), gold_column="gold_tags")
            for name in ("train", "test")
        )
    else:
        columns = list(next(read_tables(folder / "train.csv")[0]))
        recorded = options.annotator is None and "llm" in columns
        train = kind_of(task).read_rows(
            folder / "train.csv",
            gold_column="gold",
            augmented_column="back_translation" if "back_translation" in columns else None,
            extra_columns=["llm"] if recorded else [],
        )
        test = kind_of(task).read_rows(folder / "test.csv", gold_column="gold")
    annotator = options.annotator or ("column:llm" if recorded else "embedding")
    if options.limit and options.limit < len(train):
        train = train.shuffle(seed=0).select(range(options.limit))
    name = item.folder if item.only_type is None else f"{item.folder}-{item.only_type.lower()}"
    output = options.runs / f"{name}-{options.limit or 'all'}-{options.seed}"
    args = FreeALConfig(output_dir=str(output), seed=options.seed, disable_tqdm=True, **options.training)
    loop = LoopConfig(num_rounds=1 if recorded else options.rounds)
    result = FreeAL(task, annotator, options.student, args, loop).run(train, test)
    last, figure = result.rounds[-1], "f1" if item.is_of_entities else "accuracy"
    on_test = kind_of(task).score(read_labels(RunFolder(output).round(last["round"]).test_labels_path))
    return {
        "texts": len(train),
        "labels": "GPT-3.5-Turbo, recorded" if recorded else annotator,
        "round 0": result.rounds[0][f"annotator_{figure}"],
        "final label": last[f"label_{figure}"],
        "transductive": last[f"student_{figure}"],
        "inductive": on_test[f"student_{figure}"],
    }


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=[], metavar="FOLDER", help="only these of the folders")
    parser.add_argument("--annotator", help="who labels, as on the command line of freeal-hf run")
    parser.add_argument("--student", default=EMBEDDED_MODEL)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="at most so many training texts, drawn once")
    parser.add_argument("--training", type=yaml.safe_load, default={}, help="fields of FreeALConfig, as YAML")
    parser.add_argument("--runs", type=Path, default=Path("benchmarks/results/paper"))
    options = parser.parse_args()
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    columns = ("texts", "labels", "round 0", "final label", "transductive", "inductive")
    lines = ["| data | " + " | ".join(columns) + " | published student, test | published LLM | supervised |"]
    lines.append("|---" * (len(columns) + 4) + "|")
    left_out = []
    for item in PUBLISHED:
        reason = obstacle(item, options.data, options.sets)
        cells = ["–"] * len(columns)
        if reason is None:
            found = run(item, options)
            cells = [percent(found[name]) if name not in ("texts", "labels") else str(found[name]) for name in columns]
        else:
            left_out.append(f"- {item.name} was not run: {reason}.")
        known = [
            "–" if item.student is None else f"{item.student:.2f}",
            "–" if item.annotator is None else f"{item.annotator[0]:.2f} → {item.annotator[1]:.2f}",
            "–" if item.supervised is None else f"{item.supervised:.2f}",
        ]
        lines.append(f"| {item.name} | " + " | ".join([*cells, *known]) + " |")
        print(lines[-1], flush=True)
    print("\n" + "\n".join(lines))
    print("\nAccuracy, for CoNLL-03 and BC5CDR entity F1, in per cent. Published: GPT-3.5-Turbo and RoBERTa-base.")
    print(
        f"Ours: student {options.student}, seed {options.seed}, freeal-hf {freeal_hf.__version__}, torch "
        f"{torch.__version__}, transformers {transformers.__version__}, {platform.machine()}."
    )
    print("`embedding` compares texts with the labels' descriptions: no language model, and no LLM's row.")
    print("\n".join(left_out) or "All eight were run.")


if __name__ == "__main__":
    main()
