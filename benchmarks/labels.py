"""Compares final labels and their estimated accuracy with gold, for recorded answers and finished runs.

    python benchmarks/labels.py --data ../shared/data                       # recorded answers of LLMs: minutes
    python benchmarks/labels.py --data ../shared/data --runs FOLDER [...]   # also the runs of benchmarks/loop.py

For recorded answers (babe: 13 LLMs; mr: GPT-3.5) no student is trained. Its stand-in is a logistic regression on
frozen MiniLM embeddings, which predicts texts whose label it has not seen. Gold is only used for scores.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.kinds.rounds import Selection, read_labels
from freeal_hf.labels.fusion import FinalLabels, final_labels, held_out_probabilities
from freeal_hf.labels.voting import fuse_votes, majority
from freeal_hf.tasks import NO_LABEL, load_task

WEAK, ASKED_AGAIN = 0.7, (0.25, 0.5)
CASCADES = ("gpt_4", "gpt_3_5", "flan_ul2", "llama_13b", "llama_7b")
WEAK_CASCADES = ("flan_t5_xl", "llama_13b", "mistral_7b")


class Recorded:
    """Recorded answers of a corpus, and embeddings of its texts.

    Args:
        folder: Folder with `train.csv` and `task.yaml`.
        files: CSV files of the same rows.
        cache: Folder where the embeddings are kept.
        limit: At most so many texts, drawn once.
    """

    def __init__(self, folder: Path, files: Sequence[str], cache: Path, limit: int | None = None) -> None:
        ids = load_task(folder / "task.yaml").label2id
        self.columns: dict[str, np.ndarray] = {}
        texts: list[str] = []
        for name in files:
            with (folder / name).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            texts = texts or [row["text"] for row in rows]
            for column in rows[0]:
                if column not in ("text", "back_translation"):
                    self.columns[column] = np.array([ids.get(row[column], NO_LABEL) for row in rows])
        if limit is not None and limit < len(texts):
            chosen = np.random.default_rng(0).permutation(len(texts))[:limit]
            texts = [texts[i] for i in chosen]
            self.columns = {name: values[chosen] for name, values in self.columns.items()}
        self.num_labels, self.gold = len(ids), self.columns.pop("gold")
        self.embeddings = embed(texts, cache / f"{folder.name}-{len(texts)}.npy")

    def accuracy(self, labels: np.ndarray, rows: np.ndarray | slice = slice(None)) -> float:
        """Share of right labels; none is wrong."""
        return float(np.mean(labels == self.gold[rows]))

    def fused(self, labels: np.ndarray, rows: np.ndarray | slice = slice(None)) -> tuple[FinalLabels, np.ndarray]:
        """Final labels of some rows, and what the stand-in for a student says of them."""
        embeddings = self.embeddings[rows]
        student = held_out_probabilities(embeddings, labels, self.num_labels)
        return final_labels(labels, np.full(len(labels), np.nan), student, embeddings), student.argmax(axis=1)


def embed(texts: Sequence[str], path: Path) -> np.ndarray:
    """Frozen embeddings of texts, kept in a file."""
    if path.is_file():
        return np.load(path)
    from sentence_transformers import SentenceTransformer

    found = np.asarray(SentenceTransformer(resolve_model(EMBEDDED_MODEL)).encode(list(texts), batch_size=64))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found


def percent(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a Markdown table."""
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def cells(name: str, annotator: float, student: float, final: float, found: FinalLabels) -> list[str]:
    """A row of the tables of estimates."""
    estimate = found.estimate
    shown = [percent(value) for value in (annotator, student, final)]
    if estimate is None:
        return [name, *shown, "unknown", "-", "-", "-"]
    inside = "yes" if estimate.low <= final <= estimate.high else "no"
    bounds = f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f}"
    return [name, *shown, percent(estimate.value), f"{100 * (estimate.value - final):+.1f}", bounds, inside]


ESTIMATES = ("labels", "annotator", "student", "final", "estimated", "error", "between", "holds gold")


def recorded_columns(corpora: dict[str, Recorded]) -> None:
    """Each LLM alone."""
    rows, errors = [], []
    for name, corpus in corpora.items():
        for column, labels in corpus.columns.items():
            if column.endswith("_8shot"):
                continue
            found, student = corpus.fused(labels)
            final = corpus.accuracy(found.labels)
            rows.append(cells(f"{name} {column}", corpus.accuracy(labels), corpus.accuracy(student), final, found))
            if found.estimate is not None:
                errors.append(found.estimate.value - final)
    table(ESTIMATES, rows)
    if errors:
        print(f"Mean absolute error of the estimate: {100 * np.mean(np.abs(errors)):.1f} points.\n")


def coverage_over_seeds(corpus: Recorded, seeds: int, size: int) -> None:
    """How often the bounds hold the truth on random parts of the corpus."""
    rows = []
    for column, labels in corpus.columns.items():
        if column.endswith("_8shot"):
            continue
        inside, errors = [], []
        for seed in range(seeds):
            part = np.random.default_rng(seed).permutation(len(labels))[:size]
            found, _ = corpus.fused(labels[part], part)
            truth = corpus.accuracy(found.labels, part)
            if found.estimate is None:
                continue
            inside.append(found.estimate.low <= truth <= found.estimate.high)
            errors.append(found.estimate.value - truth)
        mean = f"{100 * np.mean(errors):+.1f}" if errors else "-"
        rows.append([column, mean, f"{sum(inside)} of {len(inside)} that are known"])
    table((f"babe, {size} texts, {seeds} seeds", "mean error", "bounds hold gold"), rows)


def several(corpus: Recorded) -> None:
    """All LLMs of babe together."""
    names = [name for name in corpus.columns if not name.endswith("_8shot")]
    weak = [name for name in names if corpus.accuracy(corpus.columns[name]) < WEAK]
    rows = []
    for title, chosen in (("all 13", names), (f"the {len(weak)} under 70 %", weak)):
        votes = np.column_stack([corpus.columns[name] for name in chosen])
        by_matrix = fuse_votes(votes, corpus.num_labels).probabilities.argmax(axis=1)
        student = held_out_probabilities(corpus.embeddings, by_matrix, corpus.num_labels)
        nothing = np.full(len(votes), np.nan)
        found = final_labels(by_matrix, nothing, student, corpus.embeddings, votes=votes)
        shown = [
            max(corpus.accuracy(corpus.columns[name]) for name in chosen),
            corpus.accuracy(majority(votes, corpus.num_labels).argmax(axis=1)),
            corpus.accuracy(by_matrix),
            corpus.accuracy(found.labels),
        ]
        known = "unknown" if found.estimate is None else percent(found.estimate.value)
        rows.append([title, *map(percent, shown), known])
    table(("LLMs", "best single", "majority", "Dawid-Skene", "with the student (final)", "estimated"), rows)


def cascade(corpus: Recorded, first: str, second: str, share: float) -> list[str]:
    """Asks the most disputed texts again, of another annotator or with demonstrations."""
    before, after = corpus.columns[first], corpus.columns[second]
    doubt = held_out_probabilities(corpus.embeddings, before, corpus.num_labels)
    trust = np.where(before == NO_LABEL, 0, doubt[np.arange(len(before)), before])
    asked = np.zeros(len(before), dtype=bool)
    asked[np.argsort(trust, kind="stable")[: round(share * len(before))]] = True
    labels = np.where(asked & (after != NO_LABEL), after, before)
    found, _ = corpus.fused(labels)
    shown = (corpus.accuracy(values) for values in (before, after, labels, found.labels))
    return [f"{first}, then {second}", f"{100 * share:.0f} %", *map(percent, shown)]


def finished_runs(folders: Sequence[Path]) -> None:
    """Runs with real students."""
    rows = []
    for place in sorted(path.parent for folder in folders for path in folder.glob("**/round-*/metrics.json")):
        labels = read_labels(place / "labels.parquet").to_pandas().drop_duplicates("text")
        selection = Selection.load(place / "selection.npz")
        confidences = labels["annotator_confidence"].to_numpy(dtype=float)
        annotator = labels["annotator_label"].to_numpy()
        found = final_labels(annotator, confidences, selection.probabilities, selection.first_embeddings)
        gold = labels["gold"].to_numpy()
        right = [np.mean(values == gold) for values in (annotator, selection.probabilities.argmax(1), found.labels)]
        rows.append(cells(f"{place.parent.name} {place.name}", *right, found))
    table(ESTIMATES, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of finished runs with gold")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/labels"), help="for embeddings")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    babe = Recorded(options.data / "babe", ("train.csv", "train_8shot.csv"), options.cache)
    recorded_columns({"babe": babe, "mr": Recorded(options.data / "mr", ("train.csv",), options.cache, limit=2000)})
    coverage_over_seeds(babe, options.seeds, 1000)
    several(babe)
    pairs = [(name, f"{name}_8shot") for name in CASCADES] + [(name, "gpt_4") for name in WEAK_CASCADES]
    rows = [cascade(babe, *pair, share) for pair in pairs for share in ASKED_AGAIN]
    table(("annotators", "asked again", "first on all", "second on all", "cascade", "cascade, final"), rows)
    if options.runs:
        finished_runs(options.runs)


if __name__ == "__main__":
    main()
