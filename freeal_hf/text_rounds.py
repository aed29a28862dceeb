"""What a round does with texts and labels where it would do something else with sentences and entities."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf import round_files
from freeal_hf.configuration import LoopConfig
from freeal_hf.demonstrations import choose_demonstrations
from freeal_hf.inputs import class_label
from freeal_hf.labels import estimate_figures, final_labels
from freeal_hf.round_files import Answers, Corpus, Selection, distinct_texts
from freeal_hf.tasks import NO_LABEL, Demonstration, TextClassification

if TYPE_CHECKING:
    from datasets import Dataset

collect = distinct_texts
with_human_labels = round_files.with_human_labels
load_answers = Answers.load


def no_answers(corpus: Corpus) -> Answers:
    """Answers for texts that nobody has been asked about."""
    return Answers.none(len(corpus.texts))


def found_labels(corpus: Corpus, answers: Answers, task: TextClassification) -> np.ndarray:
    """Ids of the labels that the texts have got."""
    labels = corpus.training_labels(answers)
    return labels[labels != NO_LABEL]


def is_noisy(corpus: Corpus, answers: Answers, selection: Selection, task: TextClassification) -> np.ndarray:
    """Whether the label of a text is not clean, or missing; shape `(n,)`."""
    return ~selection.is_clean


def training_set(corpus: Corpus, answers: Answers, task: TextClassification) -> "Dataset":
    """What the student learns from: `id`, `text`, `label`, `is_trusted` and, where there is one, `augmented_text`."""
    from datasets import Dataset, Features, Value

    columns: dict[str, Any] = {
        "id": corpus.ids,
        "text": corpus.texts,
        "label": corpus.training_labels(answers),
        "is_trusted": corpus.is_human,
    }
    features: dict[str, Any] = {
        "id": Value("string"),
        "text": Value("string"),
        "label": class_label(task),
        "is_trusted": Value("bool"),
    }
    if corpus.augmented is not None:
        columns["augmented_text"], features["augmented_text"] = corpus.augmented, Value("string")
    return Dataset.from_dict(columns, features=Features(features))


def choose_pool(
    corpus: Corpus, answers: Answers, selection: Selection, task: TextClassification, loop: LoopConfig, seed: int
) -> list[Demonstration]:
    """Chooses demonstrations among the clean texts with whose label the student agrees."""
    labels = corpus.training_labels(answers)
    agrees = selection.probabilities.argmax(axis=1) == labels
    return choose_demonstrations(
        corpus.texts,
        corpus.ids,
        labels,
        selection.losses,
        selection.is_clean & agrees,
        selection.embeddings,
        num_labels=task.num_labels,
        is_human=corpus.is_human,
        pool_size=loop.pool_size,
        candidate_fraction=loop.candidate_fraction,
        seed=seed,
    )


def label_rows(
    dataset: "Dataset",
    corpus: Corpus,
    task: TextClassification,
    answers: Answers,
    selection: Selection,
    number: int,
    seed: int,
    votes: np.ndarray | None,
) -> tuple["Dataset", dict[str, Any]]:
    """The round's data set with its final labels, and what is estimated of them for the round's record."""
    final = final_labels(
        answers.labels,
        answers.confidences,
        selection.probabilities,
        selection.first_embeddings,
        votes=votes,
        human=corpus.human,
        seed=seed,
    )
    rows = round_files.label_rows(dataset, corpus, task, answers, selection, final.labels, final.confidences, number)
    return rows, estimate_figures(final, task)


def test_rows(test: "Dataset", student: Path, task: TextClassification, number: int) -> "Dataset":
    """The test split beside the round's data set, with the same columns: only the student has labelled it."""
    from freeal_hf.prediction import Classifier

    probabilities = Classifier(student).probabilities(distinct_texts(test).texts)
    return round_files.test_rows(test, task, probabilities, number)
