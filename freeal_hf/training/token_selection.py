"""Small-loss selection for words with BIO tags: by entity type, from words to entities to sentences (NumPy only).

What an annotator misses makes O noisy, and O is nine words out of ten: a student that fits these labels learns to
miss, too. Words are therefore selected by the type of their tag, O apart, and what the student guesses is set right
for how sure it is of each type.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freeal_hf.data.spans import spans_of
from freeal_hf.tasks import OUTSIDE
from freeal_hf.training.selection import BoolArray, FloatArray, IntArray, SelectionRules, select_clean


@dataclass(frozen=True)
class Words:
    """How the words of a training set belong together.

    Args:
        num_words: Words in each sentence, shape `[sentences]`.
        types: The number of each tag's type, shape `[tags]`: `B-X` and `I-X` have the same.
        entities: The number of the entity that each word belongs to by its label, shape `[words]`; -1 outside.
    """

    num_words: IntArray
    types: IntArray
    entities: IntArray


def group_words(labels: IntArray, num_words: IntArray, tags: Sequence[str]) -> Words:
    """Finds the types of the tags and the entities of the labels.

    Args:
        labels: Tag ids of all words in a row, shape `[words]`; -1 = none.
        num_words: Words in each sentence, shape `[sentences]`.
        tags: Tag names by id.
    """
    types = list(dict.fromkeys(tag.partition("-")[2] or tag for tag in tags))
    numbers = np.full(len(labels), -1)
    count, start = 0, 0
    for length in num_words:
        for span in spans_of([tags[i] if i >= 0 else OUTSIDE for i in labels[start : start + length]]):
            numbers[start + span.start : start + span.end] = count
            count += 1
        start += length
    return Words(num_words, np.array([types.index(tag.partition("-")[2] or tag) for tag in tags]), numbers)


def select_clean_words(
    losses: FloatArray,
    labels: IntArray,
    probabilities: FloatArray,
    words: Words,
    rules: SelectionRules,
) -> tuple[FloatArray, BoolArray]:
    """Split labelled words into clean and noisy, type by type; an entity is as clean as its least credible word.

    Args:
        losses: Loss of each word under its noisy tag, shape `[words]`; ignored where there is none.
        labels: Noisy tags, shape `[words]`; -1 = none.
        probabilities: The student's tag probabilities, shape `[words, tags]`.
        words: What `group_words` gives.
        rules: When a word counts as clean.

    Returns:
        The posterior of being clean, shape `[words]` (0 where there is no tag), and the clean mask, shape `[words]`.
    """
    types, entities = words.types, words.entities
    by_type = np.where(labels >= 0, types[labels], -1)
    posterior, is_clean = select_clean(losses, by_type, _sum_by_type(probabilities, types), rules)
    inside = entities >= 0
    if inside.any():
        lowest = np.ones(entities.max() + 1)
        np.minimum.at(lowest, entities[inside], posterior[inside])
        posterior[inside] = lowest[entities[inside]]
        all_clean = np.ones(entities.max() + 1, dtype=bool)
        np.logical_and.at(all_clean, entities[inside], is_clean[inside])
        is_clean[inside] = all_clean[entities[inside]]
    return posterior, is_clean


def corrected_guesses(
    probabilities: FloatArray, labels: IntArray, posterior: FloatArray, words: Words, power: float
) -> FloatArray:
    """The student's guesses, set right for how sure it is of words that bear each type for good reason.

    A student that learnt from labels of which half the entities are missed gives a true entity a probability of about
    one half, and O wins. The probability of each type is therefore measured against its self-confidence: the mean
    probability of a type over the words with that label, weighted by their posterior of being clean.

    Source: confident learning (Northcutt et al., JAIR 2021), section 3.1, whose thresholds for each class these are.

    Args:
        probabilities: The student's tag probabilities, shape `[words, tags]`.
        labels: Noisy tags, shape `[words]`; -1 = none.
        posterior: Probability that each label is clean, shape `[words]`.
        words: What `group_words` gives.
        power: 0 leaves the guesses as they are, 1 divides them by the self-confidence.

    Returns:
        Rows that sum to 1, shape `[words, tags]`.
    """
    types = words.types
    by_type = _sum_by_type(probabilities, types)
    confidence = np.ones(by_type.shape[1])
    for number in range(by_type.shape[1]):
        weights = np.where((labels >= 0) & (types[labels] == number), posterior, 0.0)
        if weights.sum() > 0:
            confidence[number] = (weights * by_type[:, number]).sum() / weights.sum()
    guesses = probabilities / confidence[types] ** power
    return guesses / guesses.sum(axis=1, keepdims=True)


def _sum_by_type(probabilities: FloatArray, types: IntArray) -> FloatArray:
    return np.stack([probabilities[:, types == number].sum(axis=1) for number in range(types.max() + 1)], axis=1)
