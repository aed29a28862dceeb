"""Measures the intervals of an audit of entities: how often they contain the true F1, and how wide they are.

    python benchmarks/entity_audit.py --data ../shared/data

Gold is the person: each draw audits sentences, and in some rows single entities too. Labels: the fused tags of four
LLMs on climate_ner, the tags of GPT-3.5 on wikigold, and artificial annotators on bc5cdr. Nothing is trained; another
annotator stands in for the student, by whose agreement sentences and entities are sorted.
"""

import argparse
from pathlib import Path

import numpy as np
from entity_fusion import FAIR, GOOD, WEAK, Annotated, Spans, artificial, climate, read

from freeal_hf.data.spans import spans_of
from freeal_hf.labels.audit import AuditSample, Design, design_of, draw
from freeal_hf.labels.entity_audit import JudgedEntities, SentenceCounts, audit_entities
from freeal_hf.labels.entity_voting import fuse_entity_votes

SIZES = ((20, 0), (30, 0), (30, 60), (60, 0), (100, 100))


def corpora(data: Path) -> dict[str, tuple[Spans, Spans, Spans]]:
    """Gold, audited labels and labels of another annotator of each corpus."""
    four = climate(data)
    rows = read(data / "wikigold" / "train.jsonl")
    gold, said = ([spans_of(row[name]) for row in rows] for name in ("gold_tags", "llm_tags"))
    noisy: Annotated = artificial(data, "bc5cdr", (FAIR, WEAK, GOOD))
    return {
        "climate_ner": (four.gold, [spans or [] for spans in fuse_entity_votes(four.said)], four.said[0]),
        "wikigold": (gold, said, [spans[:1] for spans in said]),
        "bc5cdr, F1 68": (noisy.gold, noisy.said[0], noisy.said[2]),
        "bc5cdr, F1 30": (noisy.gold, noisy.said[1], noisy.said[0]),
    }


def sampled(design: Design, seed: int) -> tuple[np.ndarray, AuditSample]:
    """The rows of a draw that are all answered."""
    rows = draw(design, seed=seed)
    return rows, AuditSample(rows, design.strata[rows], design.sizes, design.allocation)


def row_of(name: str, gold: Spans, found: Spans, other: Spans, size: tuple[int, int], draws: int) -> str:
    """Measures one table row."""
    num_sentences, num_entities = size
    true = np.array(list(map(len, gold)))
    told = np.array(list(map(len, found)))
    right = np.array([len(set(a) & set(b)) for a, b in zip(found, gold, strict=True)])
    agrees = np.array([a == b for a, b in zip(found, other, strict=True)])
    entities = [(i, span) for i, spans in enumerate(found) for span in spans]
    is_right = np.array([span in gold[i] for i, span in entities])
    supported = np.array([span in other[i] for i, span in entities])
    sentence_design = design_of(np.minimum(told, 4), np.zeros(len(gold)), agrees, min(num_sentences, len(gold)))
    f1 = 2 * right.sum() / (told.sum() + true.sum())
    values, widths, inside = [], [], []
    for seed in range(draws):
        rows, sample = sampled(sentence_design, seed)
        judged = None
        if num_entities:
            ones = np.ones(len(entities))
            chosen, single = sampled(design_of(supported, ones, ones, num_entities), draws + seed)
            judged = JudgedEntities(single, is_right[chosen])
        counts = SentenceCounts(right[rows], told[rows], true[rows])
        estimate = audit_entities(sample, counts, int(told.sum()), judged).f1
        values.append(estimate.value)
        widths.append(estimate.high - estimate.low)
        inside.append(estimate.low <= f1 <= estimate.high)
    figures = (f1, np.mean(values), np.std(values), np.mean(widths), np.mean(inside))
    return f"| {name} | {num_sentences} | {num_entities} | {' | '.join(f'{100 * value:.1f}' for value in figures)} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=400)
    options = parser.parse_args()
    print("| labels | sentences | entities | true F1 | mean estimate | deviation | width | intervals with the truth |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (gold, found, other) in corpora(options.data).items():
        for size in SIZES:
            print(row_of(name, gold, found, other, size, options.draws), flush=True)


if __name__ == "__main__":
    main()
