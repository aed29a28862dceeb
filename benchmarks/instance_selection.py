"""Compares strategies that choose texts to label: test accuracy of a student after 32, 64 and 128 labels.

    python benchmarks/instance_selection.py --data ../shared/data
    python benchmarks/instance_selection.py --data ../shared/data --fine-tune trec    # a fine-tuned student, slower

The script is not called select.py, because it would shadow the module `select` of the standard library.

In the first table the student is a logistic regression on the embeddings of all-MiniLM-L6-v2, so that all strategies
can be run with five seeds; dropout (for BALD) is applied to the embeddings. `--fine-tune` trains MiniLM itself
(`FreeALTrainer`, cross-entropy on all labels) on the texts that were chosen with the largest budget. The labels come
from gold. In `llm (stand-in)` the embedding annotator chooses in place of a language model, so it is not a result of
an LLM. Strategies that need a student, and those of small-text, start with the same 16 random texts, which count.
small-text (https://github.com/webis-de/small-text) gets the same embeddings, probabilities and labels. If it is not
installed (`pip install small-text`), its rows are left out, and the script says so.
"""

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import transformers
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

import freeal_hf
from freeal_hf import EmbeddingAnnotator, load_task, read_data
from freeal_hf.annotators.base import Annotation, AnnotationRequest, Choice, ChoiceRequest, TextChooser
from freeal_hf.embedded import EMBEDDED_MODEL
from freeal_hf.kinds.text_corpus import distinct_texts
from freeal_hf.select import diversity, uncertainty
from freeal_hf.select.llm import LLMSelection
from freeal_hf.select.pool import Pool, Strategy, select_instances
from freeal_hf.select.student import described_pool
from freeal_hf.tasks import NO_LABEL, TextClassification

BUDGETS = (32, 64, 128)
FIRST = 16
DROPOUT, PASSES = 0.1, 10
COLD = {
    "random": diversity.RandomSampling,
    "k-means": diversity.EmbeddingKMeans,
    "core-set": diversity.CoreSet,
    "discriminative": diversity.DiscriminativeActiveLearning,
}
WARM = {
    "least confidence": uncertainty.LeastConfidence,
    "margin": uncertainty.BreakingTies,
    "entropy": uncertainty.PredictionEntropy,
    "BALD": uncertainty.BALD,
    "contrastive": diversity.ContrastiveActiveLearning,
    "k-means, from 16": diversity.EmbeddingKMeans,
    "core-set, from 16": diversity.CoreSet,
}
PEERS = {
    "small-text BreakingTies": "BreakingTies",
    "small-text EmbeddingKMeans": "EmbeddingKMeans",
    "small-text GreedyCoreset": "GreedyCoreset",
}
STAND_IN = "llm (stand-in)"

Select = Callable[[Pool, int, int], list[int]]


class StandIn(TextChooser):
    """Chooses in place of a language model: the most confident texts of each label in turn."""

    def __init__(self, annotator: EmbeddingAnnotator) -> None:
        self.annotator = annotator

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        return await self.annotator.annotate(task, requests)

    async def choose(self, task: TextClassification, request: ChoiceRequest) -> Choice:
        answers = await self.annotate(task, [AnnotationRequest(text) for _, text in request.candidates])
        by_label: dict[int, list[tuple[float, int]]] = {}
        for (number, _), answer in zip(request.candidates, answers, strict=True):
            by_label.setdefault(answer.label, []).append((-(answer.confidence or 0.0), number))
        queues = [sorted(queue) for queue in by_label.values()]
        numbers: list[int] = []
        while len(numbers) < request.num_choices and any(queues):
            numbers += [queue.pop(0)[1] for queue in queues if queue]
        return Choice(tuple(numbers[: request.num_choices]))


class Corpus:
    """A corpus with the embeddings of its texts, and the gold that answers when a strategy asks."""

    def __init__(self, folder: Path, pool_size: int, test_size: int) -> None:
        self.task = load_task(folder / "task.yaml")
        train = read_data(folder / "train.csv", self.task, gold_column="gold")
        train = train.shuffle(seed=0).select(range(min(pool_size, len(train))))
        found = distinct_texts(train)
        first_row = {index: row for row, index in reversed(list(enumerate(found.index_of_row)))}
        gold = train["gold"][:]
        test = read_data(folder / "test.csv", self.task, gold_column="gold")
        test = test.shuffle(seed=0).select(range(min(test_size, len(test))))
        self.texts, self.gold = found.texts, np.array([gold[first_row[i]] for i in range(len(found.texts))])
        self.test_texts, self.test_gold = test["text"][:], np.array(test["gold"][:])
        self.embeddings, self.test_embeddings = embed(self.texts), embed(self.test_texts)

    def described(self, labels: np.ndarray, seed: int, with_dropout: bool) -> tuple[Pool, float]:
        """The pool as the linear student sees it, and the student's accuracy on the test texts."""
        pool, labelled = Pool(self.texts, labels, self.embeddings), labels != NO_LABEL
        if len(np.unique(labels[labelled])) < 2:
            return pool, float(np.mean(self.test_gold == labels[labelled][0])) if labelled.any() else 0.0
        model = LogisticRegression(C=10, max_iter=1000).fit(self.embeddings[labelled], labels[labelled])
        pool = replace(pool, probabilities=model.predict_proba(self.embeddings))
        if with_dropout:
            kept = np.random.default_rng(seed).random((PASSES, *self.embeddings.shape), dtype=np.float32) >= DROPOUT
            passes = [model.predict_proba(self.embeddings * mask / (1 - DROPOUT)) for mask in kept]
            pool = replace(pool, dropout_probabilities=np.stack(passes))
        return pool, float(model.score(self.test_embeddings, self.test_gold))


@cache
def embedded_annotator() -> EmbeddingAnnotator:
    return EmbeddingAnnotator()


def embed(texts: Sequence[str]) -> np.ndarray:
    """Sentence embeddings of shape `(n, d)`, of length one."""
    from sentence_transformers import SentenceTransformer

    from freeal_hf.embedded import resolve_model

    encoder = SentenceTransformer(resolve_model(EMBEDDED_MODEL))
    return normalize(encoder.encode(list(texts), batch_size=64, show_progress_bar=False))


def ours(strategy: Strategy) -> Select:
    """A strategy of freeal-hf."""
    return lambda pool, budget, seed: [item.index for item in select_instances(strategy, pool, budget, seed=seed)]


def peer(name: str) -> Select:
    """A strategy of small-text, on the same embeddings and probabilities."""
    import small_text

    def select(pool: Pool, budget: int, seed: int) -> list[int]:
        assert pool.embeddings is not None
        np.random.seed(seed)
        free, labelled = pool.unlabelled, pool.labelled
        dataset = small_text.SklearnDataset(pool.embeddings, np.zeros(len(pool.texts), dtype=int))
        options = {"distance_metric": "cosine"} if name == "GreedyCoreset" else {}
        strategy = getattr(small_text, name)(**options)
        given: dict[str, Any] = {}
        if name != "BreakingTies":  # it wants them in the order of its own subset
            given["embeddings"] = pool.embeddings[np.concatenate([free, labelled])]

        class Student:
            def predict_proba(self, _: Any) -> np.ndarray:
                assert pool.probabilities is not None
                return pool.probabilities

        return strategy.query(Student(), dataset, free, labelled, pool.labels[labelled], n=budget, **given).tolist()

    return select


def strategies(task: TextClassification, with_peers: bool) -> dict[str, tuple[Select, bool]]:
    """What is compared, by name, each with whether it begins with texts drawn at random."""
    found = {name: (ours(kind()), False) for name, kind in COLD.items()}
    found[STAND_IN] = ours(LLMSelection(StandIn(embedded_annotator()), task)), False
    found |= {name: (ours(kind()), True) for name, kind in WARM.items()}
    if with_peers:
        found |= {name: (peer(kind), True) for name, kind in PEERS.items()}
    return found


def run(corpus: Corpus, name: str, select: Select, is_warm: bool, seed: int) -> tuple[list[float], np.ndarray]:
    """Test accuracies after each budget, and the labels that were asked for in the end."""
    labels = np.full(len(corpus.texts), NO_LABEL)
    if is_warm:
        first = np.random.default_rng(seed).choice(len(labels), FIRST, replace=False)
        labels[first] = corpus.gold[first]
    accuracies = []
    pool, _ = corpus.described(labels, seed, name == "BALD")
    for budget in BUDGETS:
        chosen = select(pool, budget - int((labels != NO_LABEL).sum()), seed)
        labels[chosen] = corpus.gold[chosen]
        pool, accuracy = corpus.described(labels, seed, name == "BALD")
        accuracies.append(accuracy)
    assert (labels != NO_LABEL).sum() == BUDGETS[-1]
    return accuracies, labels


def fine_tuned(corpus: Corpus, labels: np.ndarray, seed: int, epochs: float) -> float:
    """Test accuracy of MiniLM itself, trained on the labelled texts."""
    labelled = labels != NO_LABEL
    texts = [text for text, is_labelled in zip(corpus.texts, labelled, strict=True) if is_labelled]
    both = Pool([*texts, *corpus.test_texts], np.concatenate([labels[labelled], np.full(len(corpus.test_texts), -1)]))
    described = described_pool(
        both, uncertainty.PredictionEntropy(), corpus.task, student=EMBEDDED_MODEL, epochs=epochs, seed=seed
    )
    assert described.probabilities is not None
    return float(np.mean(described.probabilities[len(texts) :].argmax(axis=1) == corpus.test_gold))


def mean(values: Sequence[float]) -> str:
    """Mean and standard deviation, in per cent."""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="trec,subj,mr")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pool", type=int, default=2000, help="training texts to choose from, drawn once")
    parser.add_argument("--test", type=int, default=1000, help="at most so many test texts, drawn once")
    parser.add_argument("--fine-tune", default="", metavar="SETS", help="sets on which to fine-tune MiniLM")
    parser.add_argument("--epochs", type=float, default=10, help="of the fine-tuning")
    options = parser.parse_args()
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    try:
        small_text = version("small-text")
    except PackageNotFoundError:
        small_text = ""
        print("small-text is not installed: its rows are left out.\n")
    corpora = {name: Corpus(options.data / name, options.pool, options.test) for name in options.sets.split(",")}
    columns = [f"{name}, {budget}" for name in corpora for budget in BUDGETS]
    print("| strategy | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    names = list(strategies(next(iter(corpora.values())).task, bool(small_text)))
    final: dict[tuple[str, str], list[np.ndarray]] = {}
    for name in names:
        cells = []
        for data, corpus in corpora.items():
            select, is_warm = strategies(corpus.task, bool(small_text))[name]
            runs = [run(corpus, name, select, is_warm, seed) for seed in range(options.seeds)]
            cells += [mean([accuracies[i] for accuracies, _ in runs]) for i in range(len(BUDGETS))]
            final[name, data] = [labels for _, labels in runs]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    for data in filter(None, options.fine_tune.split(",")):
        print(f"\nMiniLM fine-tuned on {BUDGETS[-1]} labels of {data}, {options.epochs:g} epochs:\n")
        for name in names:
            scores = [
                fine_tuned(corpora[data], labels, seed, options.epochs)
                for seed, labels in enumerate(final[name, data])
            ]
            print(f"| {name} | {mean(scores)} |", flush=True)
    print(
        f"\nfreeal-hf {freeal_hf.__version__}, small-text {small_text or 'not installed'}, "
        f"pool of {options.pool} texts, at most {options.test} test texts, {options.seeds} seeds, {platform.machine()}"
    )


if __name__ == "__main__":
    main()
