"""Any number of labels per text: recorded answers of an LLM with and without people, and synthetic noise.

    python benchmarks/multi_label.py --data ../shared/data --output runs/bench/multi_label.json

`unfair_tos` (500 sentences, 8 labels, 90 % with none of them): the zero-shot answers of GPT-3.5 are refined by its
8-shot answers, with 0 and 100 human labels. Human labels are gold of texts that were drawn at random; gold otherwise
only scores. Scores are of the texts without a human label. The student that was trained on the human labels alone has
plain binary cross-entropy and a threshold of 0.5.

`trec`: questions with the type of their answer (`description` and `abbreviation` are none of the labels) and two
properties that can be read from the text: whether it names something, and whether it is long. A share of the labels is
missing and others are added at random. Plain binary cross-entropy is compared with the default training, and with
plain binary cross-entropy on gold. Scores are of the test split.

With --frozen, only the answers of `unfair_tos` are fused. A logistic regression on frozen MiniLM embeddings, which has
not seen the labels of a text, stands in for the student, and all answers are refined. It takes a minute on one core.

Finished cells are kept in --output, so that a run that was stopped continues.
"""

import argparse
import json
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, List, Value

from freeal_hf import FreeAL, FreeALConfig, FreeALTrainer, HumanLabel, LoopConfig, load_task
from freeal_hf.data.tables import open_table
from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.kinds.label_set_corpus import rows_of
from freeal_hf.kinds.registry import kind_of
from freeal_hf.labels.label_set_metrics import LabelSetScores
from freeal_hf.labels.label_sets import final_label_sets, student_sets
from freeal_hf.prediction.classifier import Classifier
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities

SEEDS = 3
HUMAN = (0, 100)
TEXTS, TESTED = 600, 300
MISSING, ADDED = 0.3, 0.08
TYPES = ("human", "location", "number", "entity")
SHOWN = ("micro_f1", "macro_f1", "exact_match")


def scores(found: Any, gold: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    some = LabelSetScores().compute(predictions=found[rows].tolist(), references=gold[rows].tolist())
    return {name: some[name] for name in SHOWN}


def config(folder: str, seed: int, epochs: int, **more: Any) -> FreeALConfig:
    return FreeALConfig(
        output_dir=folder, seed=seed, num_train_epochs=epochs, use_cpu=True, freeze_embeddings=True, disable_tqdm=True,
        report_to="none", **more,
    )  # fmt: skip


def trained(texts: list[str], labels: np.ndarray, names: list[str], seed: int, epochs: int, **more: Any) -> Any:
    """A student on texts with labels, and its folder."""
    folder = tempfile.mkdtemp(prefix="freeal-bench-")
    features = Features({"text": Value("string"), "labels": List(Value("float32"))})
    data = Dataset.from_dict({"text": texts, "labels": labels.astype(float).tolist()}, features=features)
    args = config(folder, seed, epochs, save_strategy="no", **more)
    trainer = FreeALTrainer(resolve_model(EMBEDDED_MODEL), args, train_dataset=data, class_names=names)
    trainer.train()
    trainer.save_model(f"{folder}/student")
    classifier = Classifier(f"{folder}/student")
    shutil.rmtree(folder)
    return classifier


def unfair(folder: Path, seed: int, count: int, epochs: int) -> dict[str, Any]:
    """The zero-shot answers refined by the 8-shot answers, with `count` human labels."""
    task = load_task(folder / "task.yaml").with_label_map({"": "(none)"})
    kind = kind_of(task)
    columns = ["gpt_3_5", "gpt_3_5_8shot"]
    data = kind.read_rows(folder / "train.csv", gold_column="gold", extra_columns=columns)
    gold, ids = data["gold"][:], data["id"][:]
    order = np.random.default_rng(seed).permutation(len(data))
    drawn, rest = order[:count], np.sort(order[count:])
    human = [HumanLabel(tuple(gold[i]), id=ids[i], probability=count / len(data)) for i in drawn.tolist()]
    output = tempfile.mkdtemp(prefix="freeal-bench-")
    loop = LoopConfig(num_rounds=2, stop_on="never", allow_doubtful_answers=True)
    args = config(output, seed, epochs)
    run = FreeAL(task, f"column:{columns[0]}", args=args, loop=loop, refine_annotator=f"column:{columns[1]}")
    labels, record = run.run(data, human_labels=human).dataset, run.folder.metrics(1)
    shutil.rmtree(output)
    truth, num_labels = rows_of(gold, task.num_labels), task.num_labels
    answers = {name: [task.labels_of(cell) for cell in data[name]] for name in columns}
    found = {
        "zero-shot": rows_of(answers[columns[0]], num_labels),
        "8-shot": rows_of(answers[columns[1]], num_labels),
        "student": rows_of(labels["student_label"][:], num_labels),
        "final labels": rows_of(labels["label"][:], num_labels),
    }
    cell = {name: scores(one, truth, rest) for name, one in found.items()}
    cell["final labels, all texts"] = scores(found["final labels"], truth, np.arange(len(data)))
    if count:
        texts = data["text"][:]
        alone = trained(
            [texts[i] for i in drawn],
            truth[drawn],
            task.label_names,
            seed,
            epochs=4 * epochs,
            objective="cross_entropy",
        )
        plain = student_sets(alone.probabilities(texts), np.full(num_labels, 0.5))
        cell["the human labels alone"] = scores(plain, truth, rest)
        cell["the human labels alone, with its thresholds"] = scores(
            student_sets(alone.probabilities(texts), alone.thresholds), truth, rest
        )
        assert record is not None
        cell["estimated"] = {
            "micro_f1": record["estimated_label_micro_f1"],
            "macro_f1": record["estimated_label_macro_f1"],
            "exact_match": record["estimated_label_accuracy"],
        }
    return cell


def fused(folder: Path, seed: int, count: int, _: int) -> dict[str, Any]:
    """The same answers without a loop: a classifier on frozen embeddings stands in for the student."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    task = load_task(folder / "task.yaml").with_label_map({"": "(none)"})
    [table] = open_table(folder / "train.csv").read()
    num_labels = task.num_labels
    gold, zero, eight = (
        rows_of([task.labels_of(str(cell or "")) for cell in table[name]], num_labels)
        for name in ("gold", "gpt_3_5", "gpt_3_5_8shot")
    )
    encoder = SentenceTransformer(resolve_model(EMBEDDED_MODEL))
    embeddings = np.asarray(encoder.encode(list(table["text"]), show_progress_bar=False))
    order = np.random.default_rng(seed).permutation(len(gold))
    drawn, rest = order[:count], order[count:]
    human = np.full(gold.shape, NO_LABEL)
    human[drawn] = gold[drawn]
    inclusion = np.where(human[:, 0] == NO_LABEL, np.nan, count / len(gold)) if count else None

    def final(labels: np.ndarray, votes: np.ndarray | None) -> np.ndarray:
        taught = np.where(human == NO_LABEL, labels, human)
        student = np.column_stack(
            [held_out_probabilities(embeddings, taught[:, i], 2, seed=seed)[:, 1] for i in range(num_labels)]
        )
        known = human if count else None
        none = np.full(labels.shape, np.nan)
        return final_label_sets(
            labels, none, student, embeddings, votes=votes, human=known, inclusion=inclusion, seed=seed
        ).labels

    found = {
        "zero-shot": zero,
        "8-shot": eight,
        "final labels, zero-shot alone": final(zero, None),
        "final labels, 8-shot alone": final(eight, None),
        "final labels, both": final(eight, np.stack([zero, eight], axis=1)),
    }
    if count:
        alone = np.zeros(gold.shape)
        for i in range(num_labels):
            if 0 < gold[drawn, i].sum() < count:
                model = LogisticRegression(C=5, max_iter=500).fit(embeddings[drawn], gold[drawn, i])
                alone[:, i] = model.predict_proba(embeddings)[:, 1]
        found["the human labels alone"] = (alone > 0.5).astype(int)
    return {name: scores(one, gold, rest) for name, one in found.items()}


def composed(path: Path, limit: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Questions with the type of their answer, whether they name something, and whether they are long."""
    [table] = open_table(path).read(["text", "gold"])
    rows = np.random.default_rng(seed).permutation(len(table["text"]))[:limit]
    texts = [str(table["text"][i]) for i in rows]
    labels = [
        [
            *(table["gold"][i] == name for name in TYPES),
            any(word[:1].isupper() for word in text.split()[1:]),
            len(text.split()) > 11,
        ]
        for i, text in zip(rows, texts, strict=True)
    ]
    return texts, np.array(labels, dtype=int)


def noisy(folder: Path, seed: int, _: int, epochs: int) -> dict[str, Any]:
    """Plain training and the default training on noisy labels, and plain training on gold."""
    names = [*TYPES, "names something", "long"]
    texts, gold = composed(folder / "train.csv", TEXTS, seed)
    test, truth = composed(folder / "test.csv", TESTED, 0)
    rng = np.random.default_rng(seed)
    given = np.where(gold == 1, rng.random(gold.shape) >= MISSING, rng.random(gold.shape) < ADDED).astype(int)
    every, half = np.arange(len(test)), np.full(len(names), 0.5)
    cell: dict[str, Any] = {"noisy labels": scores(given, gold, np.arange(len(texts)))}
    for name, labels, more in (
        ("plain", given, {"objective": "cross_entropy"}),
        ("freeal", given, {}),
        ("gold", gold, {"objective": "cross_entropy"}),
    ):
        student = trained(texts, labels, names, seed, epochs, **more)
        probabilities = student.probabilities(test)
        cell[name] = scores(student_sets(probabilities, half), truth, every)
        cell[f"{name}, with its thresholds"] = scores(student_sets(probabilities, student.thresholds), truth, every)
    return cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/bench/multi_label.json"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--frozen", action="store_true")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = json.loads(options.output.read_text()) if options.output.exists() else {}
    cells: list[tuple[str, Callable[..., dict[str, Any]], Path, int]] = [
        *((f"unfair_tos, {count} human labels", unfair, options.data / "unfair_tos", count) for count in HUMAN[::-1]),
        ("trec, synthetic noise", noisy, options.data / "trec", 0),
    ]
    if options.frozen:
        cells = [
            (f"unfair_tos, {count} human labels, frozen", fused, options.data / "unfair_tos", count)
            for count in HUMAN[::-1]
        ]
    for seed in range(options.seeds):
        for name, run, folder, count in cells:
            if (key := f"{name}/{seed}") not in done:
                done[key] = run(folder, seed, count, options.epochs)
                options.output.write_text(json.dumps(done, indent=1))
    print(
        f"{platform.platform()}, torch {torch.__version__}, {options.epochs} epochs, means of {options.seeds} seeds\n"
    )
    for name, *_ in cells:
        rows = [done[f"{name}/{seed}"] for seed in range(options.seeds)]
        print(f"{name}\n| | {' | '.join(SHOWN)} |\n|---|{'---|' * len(SHOWN)}")
        for who in rows[0]:
            values = [[row[who][score] for row in rows if row[who][score] is not None] for score in SHOWN]
            cells_ = [f"{100 * np.mean(some):.1f} ± {100 * np.std(some):.1f}" if some else "-" for some in values]
            print(f"| {who} | {' | '.join(cells_)} |")
        print()


if __name__ == "__main__":
    main()
