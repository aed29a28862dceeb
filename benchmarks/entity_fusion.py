"""Measures the fusion of several annotators' entities: real tags of four LLMs, and artificial annotators.

    python benchmarks/entity_fusion.py --data ../shared/data

Each row is a mean over draws of the sentences that a person marks. Scores are entity F1 on the other sentences. The
column "best single" is the annotator with the highest F1 on these sentences, which nobody can know without gold.
Nothing is trained. `climate_ner` has the tags of four LLMs; the other corpora have annotators with artificial errors
(`ner.worsen`).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ner import PROFILES, Profile, worsen

from freeal_hf.data.spans import Span, spans_of
from freeal_hf.labels.entity_voting import f1_residuals, fuse_entity_votes, rank_annotators

SENTENCES = 300
GOOD = Profile(missed=0.10, boundary=0.05, type=0.03, spurious=0.10)
FAIR, WEAK = PROFILES["68"], PROFILES["30"]
ARTIFICIAL = {
    "three fair": (FAIR, FAIR, FAIR),
    "two fair, two weak": (FAIR, FAIR, WEAK, WEAK),
    "one fair, three weak": (FAIR, WEAK, WEAK, WEAK),
    "one good, two weak": (GOOD, WEAK, WEAK),
    "one fair, one weak": (FAIR, WEAK),
    "five weak": (WEAK,) * 5,
}

Spans = list[list[Span]]


@dataclass(frozen=True)
class Annotated:
    """The true entities of some sentences, and those of each annotator."""

    gold: Spans
    said: list[Spans]


def read(path: Path) -> list[dict[str, list[str]]]:
    """Reads a corpus of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def climate(data: Path) -> Annotated:
    """The tags of four LLMs."""
    rows = read(data / "climate_ner" / "train.jsonl")
    names = [name for name in rows[0] if name not in ("tokens", "gold_tags")]
    return Annotated(
        [spans_of(row["gold_tags"]) for row in rows], [[spans_of(row[name]) for row in rows] for name in names]
    )


def artificial(data: Path, corpus: str, profiles: Sequence[Profile]) -> Annotated:
    """Annotators with artificial errors that are independent of each other."""
    rows = read(data / corpus / "train.jsonl")[:SENTENCES]
    gold, words = [row["gold_tags"] for row in rows], [row["tokens"] for row in rows]
    types = sorted({tag[2:] for tags in gold for tag in tags} - {""})
    said = [worsen(gold, words, types, profile, seed) for seed, profile in enumerate(profiles)]
    return Annotated(list(map(spans_of, gold)), [list(map(spans_of, tags)) for tags in said])


def f1(found: Sequence[Sequence[Span] | None], gold: Spans, rows: Sequence[int]) -> float:
    """Entity F1 in percent on some sentences."""
    pairs = [(set(found[i] or ()), set(gold[i])) for i in rows]
    counts = np.array([(len(a & b), len(a), len(b)) for a, b in pairs])
    return 100 * f1_residuals(*counts.T)[0]


def row_of(name: str, annotated: Annotated, marked: int, draws: int) -> str:
    """Measures one table row."""
    gold, said = annotated.gold, annotated.said
    voted = fuse_entity_votes(said)
    half = [
        [span for span in set().union(*spans) if 2 * sum(span in one for one in spans) >= len(said)]
        for spans in zip(*said, strict=True)
    ]
    scores = []
    for seed in range(draws):
        drawn = set(np.random.default_rng(seed).choice(len(gold), marked, replace=False).tolist())
        rest = [i for i in range(len(gold)) if i not in drawn]
        audited = fuse_entity_votes(said, [spans if i in drawn else None for i, spans in enumerate(gold)])
        best = max(f1(one, gold, rest) for one in said)
        scores.append([best, f1(half, gold, rest), f1(voted, gold, rest), f1(audited, gold, rest)])
    means = np.mean(scores, axis=0)
    gains = np.array([line[3] - line[2] for line in scores])
    ranking = " ".join(f"{100 * value:.0f}" for value in rank_annotators(said))
    own = " ".join(f"{f1(one, gold, range(len(gold))):.0f}" for one in said)
    cells = [name, *(f"{mean:.1f}" for mean in means), f"{gains.min():+.1f}", ranking, own]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--marked", type=int, default=30, help="sentences that a person marks")
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    print(
        "| annotators | best single | half name it | fused | fused, marked | smallest gain | F1 with others | F1 |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    real = climate(options.data)
    sets = {"climate_ner, four LLMs": real}
    for pair in ((0, 1), (0, 3), (2, 3)):
        names = " and ".join(str(i + 1) for i in pair)
        sets[f"climate_ner, LLMs {names}"] = Annotated(real.gold, [real.said[i] for i in pair])
    rows = read(options.data / "wikigold" / "train.jsonl")
    weak = artificial(options.data, "wikigold", (WEAK, WEAK))
    llm = [spans_of(row["llm_tags"]) for row in rows[:SENTENCES]]
    sets["wikigold, GPT-3.5, two weak"] = Annotated(weak.gold, [llm, *weak.said])
    twin = np.random.default_rng(0)
    twins = [weak.said[0], [[span for span in spans if twin.random() < 0.8] for spans in weak.said[0]]]
    sets["wikigold, GPT-3.5, two weak with equal errors"] = Annotated(weak.gold, [llm, *twins])
    for corpus in ("wikigold", "bc5cdr"):
        sets |= {f"{corpus}, {name}": artificial(options.data, corpus, some) for name, some in ARTIFICIAL.items()}
    for name, annotated in sets.items():
        print(row_of(name, annotated, options.marked, options.draws), flush=True)


if __name__ == "__main__":
    main()
