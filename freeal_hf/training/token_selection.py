"""Small-loss selection for words with BIO tags (NumPy only).

Entities that an annotator misses make the tag O noisy, and about nine of ten words have this tag. A student that
learns these labels also misses entities. Words are therefore selected separately for each entity type and for O, and
pseudo-labels are corrected for the confidence of the student in each type.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freeal_hf.data.spans import spans_of
from freeal_hf.tasks import OUTSIDE
from freeal_hf.training.selection import BoolArray, FloatArray, IntArray, SelectionRules, select_clean


@dataclass(frozen=True)
class Words:
    """The sentences, entity types and entities of the words of a training set.

    Args:
        num_words (`np.ndarray` of shape `[sentences]`): The number of words in each sentence.
        types (`np.ndarray` of shape `[tags]`): The number of the type of each tag; `B-X` and `I-X` have the same type.
        entities (`np.ndarray` of shape `[words]`): The number of the entity to which each word belongs by its label;
            -1 outside of entities.
    """

    num_words: IntArray
    types: IntArray
    entities: IntArray


def group_words(labels: IntArray, num_words: IntArray, tags: Sequence[str]) -> Words:
    """Finds the types of the tags and the entities of the labels.

    Args:
        labels (`np.ndarray` of shape `[words]`): The tag ids of all words; -1 means none.
        num_words (`np.ndarray` of shape `[sentences]`): The number of words in each sentence.
        tags (`Sequence[str]`): The tag names by id.

    Returns:
        `Words`: The types and entities.

    Example:

        >>> group_words(np.array([0, 1, 2, 1]), np.array([3, 1]), ["O", "B-X", "I-X"]).entities.tolist()
        [-1, 0, 0, 1]
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
    """Divides labelled words into clean and noisy ones, type by type. All words of an entity must be clean.

    Args:
        losses (`np.ndarray` of shape `[words]`): The loss of each word for its noisy tag; ignored without a tag.
        labels (`np.ndarray` of shape `[words]`): The noisy tags; -1 means none.
        probabilities (`np.ndarray` of shape `[words, tags]`): The tag probabilities of the student.
        words (`Words`): The types and entities, from `group_words`.
        rules (`SelectionRules`): The rules by which a word is clean.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: The posterior probability that each tag is clean (0 without a tag; the lowest
        one for all words of an entity), and the clean mask, both of shape `[words]`.
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
    """Corrects pseudo-labels for the confidence of the student in each entity type.

    If the annotator missed half of the entities, the student gives a true entity a probability of about one half, and
    often predicts O. The probability of each type is therefore divided by a power of its self-confidence: the mean
    probability of the type over the words with this label, weighted by the posterior that they are clean.

    Source: confident learning (Northcutt et al., JAIR 2021), section 3.1, which uses the self-confidence of a class as
    its threshold.

    Args:
        probabilities (`np.ndarray` of shape `[words, tags]`): The tag probabilities of the student.
        labels (`np.ndarray` of shape `[words]`): The noisy tags; -1 means none.
        posterior (`np.ndarray` of shape `[words]`): The probability that each label is clean.
        words (`Words`): The types and entities, from `group_words`.
        power (`float`): The power of the self-confidence; 0 changes nothing.

    Returns:
        `np.ndarray` of shape `[words, tags]`: The corrected probabilities; rows sum to 1.
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
