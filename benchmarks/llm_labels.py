"""Compares final labels and their estimated accuracy with gold, on recorded answers of LLMs, with and without people.

    make bench-llm_labels DATA=../shared/data
    make bench-llm_labels ARGS="--seeds 1 --human 0 100 --corpora stance headlines"

The sets are every recorded column of the corpora, unchanged and skewed (one class has 60 or 80 %), labels that were
flipped at random, and synthetic tasks with 100 labels and about 10 texts each. A logistic regression on frozen MiniLM
embeddings replaces the student. It predicts texts whose label it has not seen. Human labels are gold of texts that
were drawn at random. Otherwise gold is only used for scores. Accuracies are those of the texts without a human label.

"before" is the fusion of the commit BEFORE, which is loaded with `git show`. Embeddings, held-out predictions and the
results of the other methods are kept in --cache, and ours in --output. A run that was stopped continues. --finished
prints the tables of what is finished. After a change of freeal_hf, delete --output.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from labels import Recorded, percent, table

from freeal_hf.data.ties import likeliest
from freeal_hf.labels.audit import wilson
from freeal_hf.labels.fusion import FinalLabels, final_labels
from freeal_hf.labels.voting import agreed_labels, fuse_votes, majority
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities

# The last commit with the fusion of 83f8c80.
BEFORE = "650c200"
LLMS = ("raop", "headlines", "emotion", "stance", "mr", "babe")
FLIPPED = (*LLMS, "trec", "subj")
LIMIT = {"mr": 2000, "trec": 2000, "subj": 2000}
# Name, share of one class, stream of random numbers.
VARIANTS = (("as is", None, 5), ("60", 0.6, 62), ("80", 0.8, 82))
FLIPS = (0.2, 0.4)
WEAK = 0.7
# Constants are chosen on the LLMs of these corpora, and shown on those of the others.
FIRST_HALF = ("babe", "raop", "headlines")
MANY_LABELS, TEXTS_OF_EACH = 100, 10


@dataclass(frozen=True)
class Case:
    """Labels of one column for some texts, and a random order in which people label these."""

    corpus: str
    column: str
    variant: str
    seed: int
    labels: np.ndarray
    gold: np.ndarray
    embeddings: np.ndarray
    num_labels: int
    order: np.ndarray

    def human(self, count: int) -> np.ndarray:
        given = np.full(len(self.gold), NO_LABEL)
        given[self.order[:count]] = self.gold[self.order[:count]]
        return given


def skewed(gold: np.ndarray, share: float | None, rng: np.random.Generator, num_labels: int) -> np.ndarray:
    """Rows in random order in which one class, drawn at random, has the share; no row is there twice."""
    if share is None:
        return rng.permutation(len(gold))
    label = rng.integers(num_labels)
    inside, outside = np.flatnonzero(gold == label), np.flatnonzero(gold != label)
    others = round(len(inside) * (1 - share) / share)
    count = len(inside)
    if others > len(outside):
        others, count = len(outside), round(len(outside) * share / (1 - share))
    chosen = [rng.choice(inside, count, replace=False), rng.choice(outside, others, replace=False)]
    return rng.permutation(np.concatenate(chosen))


def many_labels(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Gold, embeddings and three annotators that take some labels for a similar one, and err at random."""
    rng = np.random.default_rng(seed)
    count = MANY_LABELS * TEXTS_OF_EACH
    gold = rng.choice(MANY_LABELS, count, p=rng.dirichlet(np.ones(MANY_LABELS)))
    centres = rng.normal(size=(MANY_LABELS, 384))
    embeddings = (centres[gold] + rng.normal(size=(count, 384)) * 1.8).astype(np.float32)
    columns = {}
    for name, (confused, often, at_random) in {
        "good": (0.2, 0.5, 0.08),
        "mid": (0.4, 0.6, 0.15),
        "bad": (0.6, 0.7, 0.2),
    }.items():
        similar = np.argsort(-(centres @ centres.T), axis=1)[:, 1:4]
        other = np.array([rng.choice(similar[label]) for label in range(MANY_LABELS)])
        is_confused = rng.random(MANY_LABELS) < confused
        labels = gold.copy()
        wrong = is_confused[gold] & (rng.random(count) < often)
        labels[wrong] = other[gold[wrong]]
        wrong = rng.random(count) < at_random
        labels[wrong] = rng.integers(0, MANY_LABELS, wrong.sum())
        columns[name] = labels
    return gold, embeddings, columns


def cases(data: Path, cache: Path, corpora: Sequence[str], seeds: int) -> Iterator[Case]:
    """All cases of the first seed, then those of the next one."""
    recorded = {
        name: Recorded(data / name, ("train.csv",), cache, limit=LIMIT.get(name)) for name in corpora if name != "many"
    }
    for seed, name in product(range(seeds), corpora):
        if name == "many":
            gold, embeddings, columns = many_labels(seed)
            num_labels, variants = MANY_LABELS, VARIANTS[:1]
        else:
            gold, embeddings, num_labels = recorded[name].gold, recorded[name].embeddings, recorded[name].num_labels
            columns, variants = recorded[name].columns if name in LLMS else {}, VARIANTS
        for variant, share, stream in variants:
            rng = np.random.default_rng([seed, stream])
            rows = skewed(gold, share, rng, num_labels)
            here = {column: labels[rows] for column, labels in columns.items()}
            for part in FLIPS if name in FLIPPED else ():
                is_flipped = rng.random(len(rows)) < part
                other = (gold[rows] + rng.integers(1, num_labels, len(rows))) % num_labels
                here[f"flip{100 * part:.0f}"] = np.where(is_flipped, other, gold[rows])
            order = rng.permutation(len(rows))
            for column, labels in here.items():
                yield Case(name, column, variant, seed, labels, gold[rows], embeddings[rows], num_labels, order)


def held_out_of(case: Case, taught: np.ndarray, count: int, cache: Path) -> np.ndarray:
    path = cache / "held_out" / case.corpus / f"{case.column}-{case.variant}-{case.seed}-{count}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = held_out_probabilities(case.embeddings, taught, case.num_labels, seed=case.seed)
        np.save(path, found.astype(np.float32))
    return np.load(path).astype(float)


def fusion_before() -> ModuleType:
    """The module as it was in the commit BEFORE, with what it imports as that is now: none of it has changed since."""
    source = subprocess.run(
        ["git", "show", f"{BEFORE}:freeal_hf/labels/fusion.py"], capture_output=True, text=True, check=True
    ).stdout
    module = ModuleType("fusion_before")
    sys.modules[module.__name__] = module
    exec(compile(source, f"{BEFORE}:fusion.py", "exec"), module.__dict__)
    return module


def by_cleanlab(labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The labels, with those that cleanlab takes for issues replaced by the held-out prediction."""
    from cleanlab.filter import find_label_issues

    answered, found = np.flatnonzero(labels != NO_LABEL), held_out.argmax(axis=1)
    present, given = np.unique(labels[answered], return_inverse=True)
    if len(present) < 2:
        return labels
    probabilities = held_out[answered][:, present] + 1e-9
    issues = find_label_issues(given, probabilities / probabilities.sum(axis=1, keepdims=True), n_jobs=1)
    found[answered] = np.where(issues, found[answered], labels[answered])
    return found


def judged(found: FinalLabels, gold: np.ndarray) -> dict[str, float] | None:
    """The estimate of all final labels, with the human ones, and the truth."""
    if found.estimate is None:
        return None
    return {**asdict(found.estimate), "truth": float(np.mean(found.labels == gold))}


def others(case: Case, count: int, before: ModuleType, cache: Path) -> dict[str, Any]:
    """Accuracies of the annotator, the student and the methods of others on a case."""
    human = case.human(count)
    is_open = human == NO_LABEL
    held_out = held_out_of(case, np.where(is_open, case.labels, human), count, cache)
    before.held_out_probabilities = lambda *given, **options: held_out
    nothing = np.full(len(case.gold), np.nan)
    former = before.final_labels(case.labels, nothing, held_out, case.embeddings, human=human, seed=case.seed)
    labels = {
        "annotator": case.labels,
        "student": likeliest(held_out),
        "cleanlab": by_cleanlab(np.where(is_open, case.labels, human), held_out),
        "before": former.labels,
    }
    return {
        "accuracy": accuracies(labels, case.gold, is_open),
        "estimate": judged(former, case.gold),
    }


def ours(case: Case, count: int, cache: Path) -> dict[str, Any]:
    """The same for our final labels, also with known shares of the labels."""
    human, nothing = case.human(count), np.full(len(case.gold), np.nan)
    is_open = human == NO_LABEL
    held_out = held_out_of(case, np.where(is_open, case.labels, human), count, cache)
    given = (case.labels, nothing, held_out, case.embeddings)
    inclusion = np.where(is_open, np.nan, count / len(case.gold)) if count else None
    found = final_labels(*given, human=human, inclusion=inclusion, held_out=held_out, seed=case.seed)
    labels = {"ours": found.labels}
    if not count:
        shares = (np.bincount(case.gold, minlength=case.num_labels) + 1) / (len(case.gold) + case.num_labels)
        labels["ours, shares known"] = final_labels(
            *given, held_out=held_out, class_shares=shares, seed=case.seed
        ).labels
    return {
        "accuracy": accuracies(labels, case.gold, is_open),
        "estimate": judged(found, case.gold),
    }


def accuracies(labels: dict[str, np.ndarray], gold: np.ndarray, is_open: np.ndarray) -> dict[str, float]:
    return {name: float((found == gold)[is_open].mean()) for name, found in labels.items()}


@dataclass(frozen=True)
class Votes:
    """Labels of several columns for the texts of a corpus."""

    corpus: str
    group: str
    names: Sequence[str]
    recorded: Recorded
    seed: int

    @property
    def votes(self) -> np.ndarray:
        return np.column_stack([self.recorded.columns[name] for name in self.names])

    def human(self, count: int) -> np.ndarray:
        gold = self.recorded.gold
        order = np.random.default_rng([self.seed, 5]).permutation(len(gold))
        return np.where(np.isin(np.arange(len(gold)), order[:count]), gold, NO_LABEL)

    def taught(self, count: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
        """The fused labels, and held-out predictions of a student that was trained on them."""
        human, size = self.human(count), self.recorded.num_labels
        fused = agreed_labels(self.votes, fuse_votes(self.votes, size, human).probabilities)
        case = Case(
            self.corpus,
            f"{len(self.names)} LLMs",
            "as is",
            self.seed,
            fused,
            self.recorded.gold,
            self.recorded.embeddings,
            size,
            np.arange(0),
        )
        return fused, held_out_of(case, np.where(human == NO_LABEL, fused, human), count, cache)


def groups(data: Path, cache: Path, corpora: Sequence[str], seeds: int) -> Iterator[Votes]:
    for name in corpora:
        if name not in LLMS or name == "mr":
            continue
        recorded = Recorded(data / name, ("train.csv",), cache)
        columns = list(recorded.columns)
        chosen = {f"{name}, all {len(columns)}": columns}
        if name == "babe":
            weak = [column for column in columns if recorded.accuracy(recorded.columns[column]) < WEAK]
            chosen[f"{name}, the {len(weak)} under {100 * WEAK:.0f} %"] = weak
        for group, names in chosen.items():
            for seed in range(seeds):
                yield Votes(name, group, names, recorded, seed)


def others_of_several(case: Votes, count: int, before: ModuleType, cache: Path) -> dict[str, Any]:
    """Accuracies of the methods of others for several annotators."""
    import pandas as pd
    from cleanlab.multiannotator import get_label_quality_multiannotator
    from crowdkit.aggregation import DawidSkene

    votes, human, gold, size = case.votes, case.human(count), case.recorded.gold, case.recorded.num_labels
    n, is_open = len(votes), human == NO_LABEL
    rows, annotators = np.nonzero(votes != NO_LABEL)
    answers = pd.DataFrame({"task": rows, "worker": annotators, "label": votes[rows, annotators]})
    people = pd.Series(human[~is_open], index=np.flatnonzero(~is_open)) if count else None
    by_crowdkit = DawidSkene(n_iter=100).fit_predict(answers, true_labels=people).reindex(range(n)).to_numpy()
    fused, held_out = case.taught(count, cache)
    before.held_out_probabilities = lambda *given, **options: held_out
    given = np.where(votes == NO_LABEL, np.nan, votes.astype(float))
    if count:
        given = np.column_stack([given, np.where(is_open, np.nan, human)])
    consensus = get_label_quality_multiannotator(given, held_out + 1e-9, verbose=False)["label_quality"]
    former = before.final_labels(
        fused, np.full(n, np.nan), held_out, case.recorded.embeddings, votes=votes, human=human, seed=case.seed
    )
    labels = {
        "best single": max(votes.T, key=lambda vote: float((vote == gold)[is_open].mean())),
        "majority": majority(votes, size).argmax(axis=1),
        "Dawid-Skene (crowd-kit)": by_crowdkit,
        "CROWDLAB": consensus["consensus_label"].to_numpy(),
        "before": former.labels,
    }
    return {"accuracy": accuracies(labels, gold, is_open)}


def ours_of_several(case: Votes, count: int, cache: Path) -> dict[str, Any]:
    """The same for our final labels."""
    votes, human, gold = case.votes, case.human(count), case.recorded.gold
    is_open = human == NO_LABEL
    fused, held_out = case.taught(count, cache)
    found = final_labels(
        fused,
        np.full(len(gold), np.nan),
        held_out,
        case.recorded.embeddings,
        votes=votes,
        human=human,
        inclusion=np.where(is_open, np.nan, count / len(gold)) if count else None,
        held_out=held_out,
        seed=case.seed,
    )
    return {
        "accuracy": accuracies({"ours": found.labels}, gold, is_open),
        "worse": [case.names[worse.annotator] for worse in found.worse],
        "estimate": judged(found, gold),
    }


class Kept:
    """Cells in a file of JSON lines, which are computed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self.cells = {line.pop("key"): line for line in map(json.loads, lines)}

    def get(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self.cells:
            self.cells[key] = make()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **self.cells[key]}) + "\n")
        return self.cells[key]


# ---- Tables ----

METHODS = ("annotator", "student", "cleanlab", "before", "ours")
WITH_SHARES = "ours, shares known"
Cell = dict[str, Any]


def kind_of(corpus: str, column: str) -> str:
    if corpus == "many":
        return "100 labels, synthetic"
    if column.startswith("flip"):
        return "flipped at random"
    return f"LLMs, {'first' if corpus in FIRST_HALF else 'second'} half"


def accuracy_rows(cells: dict[tuple[int, str], dict[str, list[Cell]]]) -> list[list[str]]:
    """A row for each number of human labels and kind of label; the values are means over sets of means over seeds."""
    rows = []
    for (count, kind), by_set in sorted(cells.items()):
        means = {
            name: np.array([np.mean([cell["accuracy"][name] for cell in some]) for some in by_set.values()])
            for name in METHODS
        }
        gains = 100 * (means["ours"] - means["annotator"])
        behind = 100 * (means["ours"] - means["student"])
        rows.append([
            str(count), kind, str(len(by_set)), *(percent(means[name].mean()) for name in METHODS),
            f"{gains.mean():+.1f} ± {gains.std():.1f}", f"{gains.min():+.1f}", str((gains < -0.5).sum()),
            f"{behind.min():+.1f}", str((behind < -0.5).sum()),
        ])  # fmt: skip
    return rows


def estimate_rows(cells: dict[tuple[int, str], dict[str, list[Cell]]]) -> list[list[str]]:
    rows = []
    for (count, kind), by_set in sorted(cells.items()):
        for name, field in (("before", "estimate_before"), ("ours", "estimate")):
            found = [cell[field] for some in by_set.values() for cell in some]
            rows.append([str(count), kind, name, *of_estimates(found, count)])
    return rows


def of_estimates(all_of: Sequence[dict[str, float] | None], count: int) -> list[str]:
    known = [found for found in all_of if found is not None]
    unknown = f"{100 * (1 - len(known) / len(all_of)):.0f} %"
    if not known:
        return [unknown, "-", "-", "-", "-", "-"]
    value, low, high, truth = (
        np.array([found[name] for found in known]) for name in ("value", "low", "high", "truth")
    )
    plain = [np.ptp(wilson(share, count)) for share in truth] if count else []
    return [
        unknown,
        f"{100 * np.mean(value - truth):+.1f}",
        percent(float(np.mean(np.abs(value - truth)))),
        f"{100 * np.mean((low <= truth + 1e-9) & (truth <= high + 1e-9)):.1f} %",
        percent(float(np.median(high - low))),
        percent(float(np.median(plain))) if count else "-",
    ]


def several_rows(several: dict[tuple[str, int], list[Cell]]) -> list[list[str]]:
    rows = []
    for (group, count), some in sorted(several.items()):
        shown = [percent(float(np.mean([cell["accuracy"][name] for cell in some]))) for name in some[0]["accuracy"]]
        dropped = sorted(set.intersection(*(set(cell["worse"]) for cell in some)))
        rows.append([group, str(count), *shown, ", ".join(dropped)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="*", default=[*FLIPPED, "many"], help="folders of --data; many: synthetic")
    parser.add_argument("--human", type=int, nargs="*", default=[0, 100, 50, 200], help="numbers of human labels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/labels"))
    parser.add_argument("--output", type=Path, default=Path("runs/bench/llm_labels.jsonl"))
    parser.add_argument(
        "--finished", action="store_true", help="compute nothing, print the tables of what is finished"
    )
    options = parser.parse_args()
    before, cache = fusion_before(), options.cache
    theirs, mine = Kept(cache / "llm_labels_others.jsonl"), Kept(options.output)
    cells: dict[tuple[int, str], dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    several: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    for count in options.human:
        for case in cases(options.data, cache, options.corpora, options.seeds):
            if 2 * count > len(case.gold):
                continue
            key = f"{case.corpus}|{case.column}|{case.variant}|{case.seed}|{count}"
            if options.finished and not (key in theirs.cells and key in mine.cells):
                continue
            other = theirs.get(key, partial(others, case, count, before, cache))
            own = mine.get(key, partial(ours, case, count, cache))
            cells[count, kind_of(case.corpus, case.column)][f"{case.corpus}|{case.column}|{case.variant}"].append(
                {**own, "accuracy": {**other["accuracy"], **own["accuracy"]}, "estimate_before": other["estimate"]}
            )
    for votes in groups(options.data, cache, options.corpora, options.seeds):
        for count in options.human:
            key = f"several {votes.group}|{votes.seed}|{count}"
            if options.finished and not (key in theirs.cells and key in mine.cells):
                continue
            other = theirs.get(key, partial(others_of_several, votes, count, before, cache))
            own = mine.get(key, partial(ours_of_several, votes, count, cache))
            several[votes.group, count].append({**own, "accuracy": {**other["accuracy"], **own["accuracy"]}})
    table(
        ("human labels", "labels", "sets", *METHODS, "gain", "worst set", "sets > 0.5 below the annotator",
         "worst against student", "sets > 0.5 below the student"),
        accuracy_rows(cells),
    )  # fmt: skip
    known = [cell for (count, _), by_set in cells.items() if not count for some in by_set.values() for cell in some]
    names = ("annotator", "ours", WITH_SHARES)
    shown = [percent(float(np.mean([cell["accuracy"][name] for cell in known]))) for name in names]
    table(("no human labels, all sets", *names), [[str(len(known)), *shown]])
    table(
        ("human labels", "labels", "whose", "unknown", "mean error", "mean absolute", "contains the truth",
         "median width", "Wilson"),
        estimate_rows(cells),
    )  # fmt: skip
    if several:
        names = list(next(iter(several.values()))[0]["accuracy"])
        table(("annotators", "human labels", *names, "dropped with every seed"), several_rows(several))


if __name__ == "__main__":
    main()
