"""Final labels and their estimated accuracy against gold, on recorded answers of LLMs, with and without human labels.

    pip install cleanlab==2.9.0 crowd-kit==1.4.2       # in an environment of the benchmark's own, beside freeal-hf
    python benchmarks/llm_labels.py --data ../shared/data --output runs/bench/llm_labels.json

Every recorded column of the corpora, as it is and skewed (one class makes 60 or 80 %), labels that were flipped at
random, and synthetic tasks with 100 labels and about 10 texts each. A logistic regression on frozen MiniLM embeddings,
asked for texts whose label it has not seen, stands in for the student. Human labels are gold of texts that were drawn
at random; gold otherwise only scores. Accuracies are of the texts without a human label. "today" is the fusion of the
commit BEFORE, loaded with `git show`. Embeddings and held-out predictions are kept in --cache, and finished cells in
--output: a run that was stopped goes on.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from labels import Recorded, table

from freeal_hf.data.ties import likeliest
from freeal_hf.labels.audit import wilson
from freeal_hf.labels.fusion import FinalLabels, final_labels
from freeal_hf.labels.voting import majority
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities

BEFORE = "650c200"
LLMS = ("babe", "emotion", "raop", "stance", "headlines", "mr")
FLIPPED = (*LLMS, "trec", "subj")
LIMIT = {"mr": 2000, "trec": 2000, "subj": 2000}
# Name, share of one class, stream of random numbers.
VARIANTS = (("as is", None, 5), ("60", 0.6, 62), ("80", 0.8, 82))
FLIPS = (0.2, 0.4)
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
    for name in corpora:
        recorded = None
        if name != "many":
            recorded = Recorded(data / name, ("train.csv",), cache, limit=LIMIT.get(name))
        for seed in range(seeds):
            if recorded is None:
                gold, embeddings, columns = many_labels(seed)
                num_labels = MANY_LABELS
            else:
                gold, embeddings, num_labels = recorded.gold, recorded.embeddings, recorded.num_labels
                columns = recorded.columns if name in LLMS else {}
            for variant, share, stream in VARIANTS:
                if variant != "as is" and name == "many":
                    continue
                rng = np.random.default_rng([seed, stream])
                rows = skewed(gold, share, rng, num_labels)
                here = {column: labels[rows] for column, labels in columns.items()}
                if name in FLIPPED:
                    for part in FLIPS:
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
    issues = find_label_issues(given, probabilities / probabilities.sum(axis=1, keepdims=True))
    found[answered] = np.where(issues, found[answered], labels[answered])
    return found


def judged(found: FinalLabels, right: np.ndarray, is_open: np.ndarray) -> dict[str, float] | None:
    """What the estimate says of the texts without a human label, and the truth."""
    if found.estimate is None:
        return None
    share = is_open.mean()
    value, low, high = (
        1 - (1 - bound) / share for bound in (found.estimate.value, found.estimate.low, found.estimate.high)
    )
    return {"value": value, "low": low, "high": high, "truth": float(right[is_open].mean())}


def one_annotator(case: Case, count: int, before: ModuleType, cache: Path) -> dict[str, Any]:
    """Accuracies of all methods on a case, and what ours says of its own."""
    human, none = case.human(count), np.full(len(case.gold), np.nan)
    is_open = human == NO_LABEL
    held_out = held_out_of(case, np.where(is_open, case.labels, human), count, cache)
    before.held_out_probabilities = lambda *given, **options: held_out
    given = (case.labels, none, held_out, case.embeddings)
    inclusion = np.where(is_open, np.nan, count / len(case.gold)) if count else None
    ours = final_labels(*given, human=human, inclusion=inclusion, held_out=held_out, seed=case.seed)
    today = before.final_labels(*given, human=human, seed=case.seed)
    shares = (np.bincount(case.gold, minlength=case.num_labels) + 1) / (len(case.gold) + case.num_labels)
    with_shares = final_labels(*given, human=human, held_out=held_out, class_shares=shares, seed=case.seed)
    labels = {
        "annotator": case.labels,
        "student": likeliest(held_out),
        "cleanlab": by_cleanlab(case.labels, held_out),
        "today": today.labels,
        "ours": ours.labels,
        "ours, shares known": with_shares.labels,
    }
    return {
        "accuracy": {name: float((found == case.gold)[is_open].mean()) for name, found in labels.items()},
        "estimate": judged(ours, ours.labels == case.gold, is_open),
        "estimate_today": judged(today, today.labels == case.gold, is_open),
    }


def several_annotators(
    corpus: str, recorded: Recorded, names: Sequence[str], seed: int, count: int, before: ModuleType
) -> dict[str, Any]:
    """The same for all annotators of a corpus."""
    import pandas as pd
    from cleanlab.multiannotator import get_label_quality_multiannotator
    from crowdkit.aggregation import DawidSkene

    votes = np.column_stack([recorded.columns[name] for name in names])
    gold, num_labels, n = recorded.gold, recorded.num_labels, len(votes)
    order = np.random.default_rng([seed, 5]).permutation(n)
    human = np.full(n, NO_LABEL)
    human[order[:count]] = gold[order[:count]]
    is_open = human == NO_LABEL
    rows, annotators = np.nonzero(votes != NO_LABEL)
    answers = pd.DataFrame({"task": rows, "worker": annotators, "label": votes[rows, annotators]})
    people = pd.Series(human[~is_open], index=np.flatnonzero(~is_open)) if count else None
    by_crowdkit = DawidSkene(n_iter=100).fit_predict(answers, true_labels=people).reindex(range(n)).to_numpy()
    before_labels = before.fuse_votes(votes, num_labels, human).probabilities.argmax(axis=1)
    taught = np.where(is_open, before_labels, human)
    held_out = held_out_probabilities(recorded.embeddings, taught, num_labels, seed=seed)
    before.held_out_probabilities = lambda *given, **options: held_out
    given = (before_labels, np.full(n, np.nan), held_out, recorded.embeddings)
    inclusion = np.where(is_open, np.nan, count / n) if count else None
    ours = final_labels(*given, votes=votes, human=human, inclusion=inclusion, held_out=held_out, seed=seed)
    table_ = np.where(votes == NO_LABEL, np.nan, votes.astype(float))
    if count:
        table_ = np.column_stack([table_, np.where(is_open, np.nan, human)])
    consensus = get_label_quality_multiannotator(table_, held_out + 1e-9, verbose=False)["label_quality"]
    labels = {
        "best single": max(votes.T, key=lambda vote: float((vote == gold)[is_open].mean())),
        "majority": majority(votes, num_labels).argmax(axis=1),
        "Dawid-Skene (crowd-kit)": by_crowdkit,
        "CROWDLAB": consensus["consensus_label"].to_numpy(),
        "today": before.final_labels(*given, votes=votes, human=human, seed=seed).labels,
        "ours": ours.labels,
    }
    return {
        "accuracy": {name: float((found == gold)[is_open].mean()) for name, found in labels.items()},
        "worse": [names[annotator.annotator] for annotator in ours.worse],
        "estimate": judged(ours, ours.labels == gold, is_open),
    }


def kept(done: dict[str, Any], output: Path, key: str, make: Callable[[], dict[str, Any]]) -> None:
    """Fills a cell that is not there, and notes it."""
    if key not in done:
        done[key] = make()
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **done[key]}) + "\n")


# ---- Tables ----

METHODS = ("annotator", "student", "cleanlab", "today", "ours", "ours, shares known")


def kind_of(corpus: str, column: str) -> str:
    if corpus == "many":
        return "100 labels, synthetic"
    if column.startswith("flip"):
        return "flipped at random"
    return "LLM"


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def tables(done: dict[str, Any]) -> None:
    cells: dict[tuple[int, str], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    votes: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for key, cell in done.items():
        corpus, column, variant, _, count = key.split("|")
        if corpus.startswith("several "):
            votes[corpus.removeprefix("several "), int(count)].append(cell)
        else:
            cells[int(count), kind_of(corpus, column)][f"{corpus}|{column}|{variant}"].append(cell)
    rows, honest = [], []
    for (count, kind), by_set in sorted(cells.items()):
        sets = [
            {name: np.mean([cell["accuracy"][name] for cell in of_set]) for name in METHODS}
            for of_set in by_set.values()
        ]
        gains = np.array([found["ours"] - found["annotator"] for found in sets])
        single = [
            cell["accuracy"]["ours"] - cell["accuracy"]["annotator"] for some in by_set.values() for cell in some
        ]
        means = [percent(np.mean([found[name] for found in sets])) for name in METHODS]
        worst = [f"{100 * min(gains):+.1f}", f"{100 * min(single):+.1f}", percent(np.mean(gains < -0.005))]
        rows.append([str(count), kind, str(len(sets)), *means, *worst])
        for name in ("estimate_today", "estimate"):
            all_of = [cell[name] for some in by_set.values() for cell in some]
            honest.append(
                [str(count), kind, "today" if name == "estimate_today" else "ours", *of_estimates(all_of, count)]
            )
    table(
        ("human labels", "labels", "sets", *METHODS, "worst set", "worst cell", "% of sets > 0.5 below annotator"),
        rows,
    )
    table(
        (
            "human labels",
            "labels",
            "whose",
            "unknown",
            "mean error",
            "mean absolute",
            "range holds",
            "median width",
            "Wilson",
        ),
        honest,
    )
    if votes:
        names = list(next(iter(votes.values()))[0]["accuracy"])
        rows = []
        for (group, count), some in sorted(votes.items()):
            shown = [percent(np.mean([cell["accuracy"][name] for cell in some])) for name in names]
            rows.append(
                [group, str(count), *shown, ", ".join(sorted(set.intersection(*(set(c["worse"]) for c in some))))]
            )
        table(("annotators", "human labels", *names, "dropped with every seed"), rows)


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
        percent(np.mean(np.abs(value - truth))),
        f"{100 * np.mean((low <= truth + 1e-9) & (truth <= high + 1e-9)):.1f} %",
        percent(float(np.median(high - low))),
        percent(float(np.median(plain))) if count else "-",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="*", default=["many", *FLIPPED], help="folders of --data; many: synthetic")
    parser.add_argument("--human", type=int, nargs="*", default=[0, 100, 50, 200], help="numbers of human labels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/labels"))
    parser.add_argument("--output", type=Path, default=Path("runs/bench/llm_labels.jsonl"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    before, done = fusion_before(), {}
    if options.output.is_file():
        lines = map(json.loads, options.output.read_text(encoding="utf-8").splitlines())
        done = {line.pop("key"): line for line in lines}
    for name in [name for name in options.corpora if name in LLMS and name != "mr"]:
        recorded = Recorded(options.data / name, ("train.csv",), options.cache)
        columns = list(recorded.columns)
        weak = [column for column in columns if recorded.accuracy(recorded.columns[column]) < 0.7]
        groups = {f"{name}, all {len(columns)}": columns}
        if name == "babe":
            groups[f"{name}, the {len(weak)} under 70 %"] = weak
        for group, chosen in groups.items():
            for count in options.human:
                for seed in range(options.seeds):
                    kept(
                        done,
                        options.output,
                        f"several {group}|all|as is|{seed}|{count}",
                        partial(several_annotators, name, recorded, chosen, seed, count, before),
                    )
    for case in cases(options.data, options.cache, options.corpora, options.seeds):
        for count in options.human:
            if 2 * count <= len(case.gold):
                key = f"{case.corpus}|{case.column}|{case.variant}|{case.seed}|{count}"
                kept(done, options.output, key, partial(one_annotator, case, count, before, options.cache))
    tables(done)


if __name__ == "__main__":
    main()
