"""The rows of the dataset of a round, for tasks with entities."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.human_labels import HUMAN_NOTE
from freeal_hf.data.sentences import SPANS, TOKENS, spans_in_text, tag_names
from freeal_hf.data.spans import Span, spans_of, tags_of
from freeal_hf.kinds.entity_answers import EntityAnswers
from freeal_hf.kinds.entity_corpus import Sentences
from freeal_hf.kinds.rounds import Selection
from freeal_hf.labels.entities import fuse_entities, has_learnt, valid_tags
from freeal_hf.tasks import NO_LABEL, TokenClassification

if TYPE_CHECKING:
    from datasets import Dataset


def entity_rows(
    dataset: "Dataset",
    corpus: Sentences,
    answers: EntityAnswers,
    selection: Selection,
    clean: np.ndarray,
    task: TokenClassification,
    number: int,
) -> tuple["Dataset", bool]:
    """Makes the dataset of a round, with one row for each row of the input, in the same order.

    Args:
        dataset (`Dataset`): The input.
        corpus (`Sentences`): Its distinct sentences.
        answers (`EntityAnswers`): The annotators' answers.
        selection (`Selection`): The student's selection.
        clean (`np.ndarray` of shape `(n,)`): Whether each sentence has no noisy entity.
        task (`TokenClassification`): The task.
        number (`int`): The round.

    Returns:
        `tuple[Dataset, bool]`: The rows, and whether the student has learnt its labels.
    """
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Sequence as ListFeature

    tags, num_words = task.tags, corpus.num_words
    given = tag_ids(corpus.training_spans(answers.spans), num_words, task)
    final, confidence = fuse_entities(given, selection.is_clean, selection.probabilities, num_words, tags)
    student = valid_tags(selection.probabilities, num_words, tags)
    learnt = has_learnt(given, student, selection.is_clean, num_words, tags)
    if not learnt:  # the student is not used: answers are kept, and sentences without one have no tags
        final, confidence = given, np.full(len(given), np.nan)
    human = np.repeat(corpus.is_human, num_words)
    final, confidence = np.where(human, given, final), np.where(human, 1.0, confidence)
    sure = selection.probabilities[np.arange(len(student)), student]
    places = corpus.index_of_row
    starts, words = dataset["token_starts"][:], dataset[TOKENS][:]
    reasons = [HUMAN_NOTE if by_hand else why for by_hand, why in zip(corpus.is_human, answers.reasons, strict=True)]

    def spread(values: Sequence[Any], missing: Any = None) -> list[Any]:
        return [missing if i < 0 else values[i] for i in places]

    label = ListFeature(ClassLabel(names=tags))
    real = Value("float64")
    labels = spread(by_sentence(final, corpus), [])
    columns: dict[str, tuple[Any, Any]] = {
        "id": (list(dataset["id"]), Value("string")),
        "text": (list(dataset["text"]), Value("string")),
        TOKENS: (words, ListFeature(Value("string"))),
        "token_starts": (starts, ListFeature(Value("int32"))),
        "label": (labels, label),
        "label_confidence": (spread(_means(confidence, corpus)), real),
        SPANS: (
            [spans_in_text(spans_of(tag_names(ids, tags)), words[row], starts[row]) for row, ids in enumerate(labels)],
            [{"start": Value("int32"), "end": Value("int32"), "type": Value("string")}],
        ),
        "annotator_label": (
            spread(by_sentence(tag_ids(answers.spans, num_words, task), corpus), []),
            label,
        ),
        "annotator_confidence": ([None] * len(dataset), real),
        "student_label": (spread(by_sentence(student, corpus), []), label),
        "student_confidence": (spread(_means(sure, corpus)), real),
        "loss": (spread(_means(selection.losses, corpus)), real),
        "is_clean": (spread(clean.tolist(), False), Value("bool")),
        "round": ([number] * len(dataset), Value("int32")),
        "note": (
            [note or reason for note, reason in zip(dataset["note"], spread(reasons), strict=True)],
            Value("string"),
        ),
    }
    if "gold" in dataset.column_names:
        columns["gold"] = (dataset["gold"][:], label)
    features = Features({name: feature for name, (_, feature) in columns.items()})
    return Dataset.from_dict({name: values for name, (values, _) in columns.items()}, features=features), learnt


def tag_ids(spans: Sequence[Sequence[Span] | None], num_words: Sequence[int], task: TokenClassification) -> np.ndarray:
    """Returns the tags of all words as one array, -1 in sentences without an answer."""
    number = {tag: i for i, tag in enumerate(task.tags)}
    found: list[int] = []
    for some, length in zip(spans, num_words, strict=True):
        found += [NO_LABEL] * length if some is None else [number[tag] for tag in tags_of(some, length)]
    return np.array(found, dtype=int)


def by_sentence(values: np.ndarray, corpus: Sentences) -> list[list[Any]]:
    """Divides values of all words into those of each sentence."""
    return [part.tolist() for part in np.split(values, np.cumsum(corpus.num_words)[:-1])]


def _means(values: np.ndarray, corpus: Sentences) -> list[float | None]:
    means = [float(np.mean(part)) for part in np.split(values, np.cumsum(corpus.num_words)[:-1])]
    return [None if np.isnan(mean) else mean for mean in means]
