"""What an audit of a run's labels is worth, with gold in the person's place.

    python benchmarks/audit.py --data ../shared/data            # minutes, and as long for the embeddings

Recorded answers of LLMs on babe, emotion, raop, stance, headlines and mr; a logistic regression on frozen MiniLM
embeddings stands in for the student. The final labels of each LLM are audited with many seeds: how often the intervals
of 95 % hold the truth, how far the estimates are off, and how wide the intervals are beside those of a simple random
sample of the same size (Wilson). The same is done with a part of each corpus in which one label has 60 or 80 % of the
texts.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from labels import Recorded, table

from freeal_hf.data.ties import likeliest
from freeal_hf.labels.agreement import cohen_kappa
from freeal_hf.labels.audit import (
    AuditSample,
    Interval,
    design_of,
    draw,
    label_shares,
    population_share,
    precisions,
    proxies_of,
    recalls,
    wilson,
)
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities

CORPORA = {"babe": None, "emotion": None, "raop": None, "stance": None, "headlines": None, "mr": 2000}
SKEWED = (None, 0.6, 0.8)


@dataclass(frozen=True)
class Labelled:
    """The final labels of one LLM on a corpus, as a finished run has them."""

    name: str
    num_labels: int
    gold: np.ndarray
    annotator: np.ndarray
    student: np.ndarray
    final: np.ndarray
    confidences: np.ndarray

    def part(self, share: float | None) -> "Labelled":
        """A part in which the label that is most frequent has this share; all texts without one."""
        common = np.bincount(self.gold).argmax()
        is_common, rng = self.gold == common, np.random.default_rng(0)
        kept = np.arange(len(self.gold))
        if share is not None and is_common.mean() < share:
            others = rng.permutation(np.flatnonzero(~is_common))[: round(is_common.sum() * (1 - share) / share)]
            kept = np.concatenate([np.flatnonzero(is_common), others])
        kept = kept[self.final[kept] != NO_LABEL]
        arrays = (getattr(self, name)[kept] for name in ("gold", "annotator", "student", "final", "confidences"))
        return Labelled(self.name, self.num_labels, *arrays)


def labelled(data: Path, cache: Path) -> Iterator[Labelled]:
    """Every recorded LLM of every corpus."""
    for folder, limit in CORPORA.items():
        corpus = Recorded(data / folder, ("train.csv",), cache, limit=limit)
        for column, labels in corpus.columns.items():
            found, _ = corpus.fused(labels)
            student = likeliest(held_out_probabilities(corpus.embeddings, labels, corpus.num_labels))
            arrays = (corpus.gold, labels, student, found.labels, found.confidences)
            yield Labelled(f"{folder} {column}", corpus.num_labels, *arrays)


class Tally:
    """How good many intervals of one kind are."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, bool, float]] = []

    def add(self, found: Interval | None, truth: float) -> None:
        if found is not None:
            inside = found.low - 1e-9 <= truth <= found.high + 1e-9
            self.rows.append((abs(found.value - truth), inside, found.high - found.low))

    def cells(self) -> list[str]:
        """Mean error, coverage, mean width, in per cent."""
        return [f"{100 * value:.1f}" for value in np.mean(np.array(self.rows, dtype=float), axis=0)]


def audits(part: Labelled, n: int, answered: int, seeds: int) -> dict[str, Tally]:
    """Audits of `n` texts, of which the first `answered` are answered."""
    gold, final, num_labels = part.gold, part.final, part.num_labels
    agrees, right = part.annotator == part.student, final == gold
    proxies = proxies_of(part.confidences, agrees)
    design = design_of(final, part.confidences, agrees, n)
    tallies = {name: Tally() for name in ("accuracy", "Wilson", "annotator", "shares", "precision", "recall", "kappa")}
    everyone = cohen_kappa(part.annotator, gold)
    for seed in range(seeds):
        rows = draw(design, seed=seed)[:answered]
        sample = AuditSample(rows, design.strata[rows], design.sizes, design.allocation)
        simple = np.random.default_rng(seed).choice(len(gold), answered, replace=False)
        share = float(right[simple].mean())
        tallies["accuracy"].add(population_share(sample, right[rows], proxies), right.mean())
        tallies["Wilson"].add(Interval(share, *wilson(share, answered)), right.mean())
        by_annotator = part.annotator == gold
        tallies["annotator"].add(population_share(sample, by_annotator[rows], proxies), by_annotator.mean())
        if everyone is not None:
            tallies["kappa"].add(cohen_kappa(part.annotator[rows], gold[rows]), everyone.value)
        shares = label_shares(sample, gold[rows], final, part.confidences, num_labels)
        precise = precisions(sample, right[rows], final, proxies, num_labels)
        found = recalls(sample, gold[rows], final, num_labels)
        for label in range(num_labels):
            given, true = final == label, gold == label
            tallies["shares"].add(shares[label], true.mean())
            if given.any():
                tallies["precision"].add(precise[label], right[given].mean())
            if true.any():
                tallies["recall"].add(found[label], right[true].mean())
    return tallies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/labels"), help="for embeddings")
    parser.add_argument("--seeds", type=int, default=200)
    options = parser.parse_args()
    everyone = list(labelled(options.data, options.cache))
    header = ("answers", "figure", "mean error", "interval holds the truth in", "width", "least on one set", "wider")
    for share in SKEWED:
        rows = []
        for n, answered in ((50, 50), (100, 100), (100, 60), (200, 200)):
            parts = [part for one in everyone if len((part := one.part(share)).gold) >= 2 * n]
            by_set = [audits(part, n, answered, options.seeds) for part in parts]
            widths = [
                [np.mean([row[2] for row in one[name].rows]) for name in ("accuracy", "Wilson")] for one in by_set
            ]
            wider = sum(ours > plain for ours, plain in widths)
            for name in by_set[0]:
                together = Tally()
                together.rows = [row for one in by_set for row in one[name].rows]
                least = min(np.mean([row[1] for row in one[name].rows]) for one in by_set if one[name].rows)
                note = f"{wider} of {len(parts)}" if name == "accuracy" else ""
                title = f"{answered} of {n}, {len(parts)} sets"
                rows.append([title, name, *together.cells(), f"{100 * least:.0f}", note])
        print("All texts." if share is None else f"One label has {share:.0%} of the texts.")
        table(header, rows)


if __name__ == "__main__":
    main()
