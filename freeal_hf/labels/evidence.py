"""Turns answers of annotators, votes and predictions of students into probabilities of the labels."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import expit, log_softmax, logit
from sklearn.preprocessing import normalize

from freeal_hf.labels.trust import WORTH
from freeal_hf.labels.voting import fuse_votes, worse_annotators
from freeal_hf.tasks import NO_LABEL

# The assumed share of an annotator's right answers, and its weight in human labels.
USUAL, _USUAL_WORTH = 0.85, 10.0
# The weight of votes in the features. A text's embedding has the length 1.
_VOTE_FEATURE = 0.3
# Added before a logarithm is taken, because fused votes are overconfident.
_LEAST_VOTED = 1e-4


def spread(labels: np.ndarray, trust: np.ndarray, num_labels: int) -> np.ndarray:
    """Returns distributions that give each label its trust and the others the rest; uniform if there is no label."""
    labelled = labels != NO_LABEL
    trust = np.clip(np.where(labelled, trust, 1 / num_labels), 1 / num_labels, 1 - 1e-3)
    found = np.repeat(((1 - trust) / (num_labels - 1))[:, None], num_labels, axis=1)
    found[labelled, labels[labelled]] = trust[labelled]
    return found


def reliability(trust: np.ndarray) -> np.ndarray:
    """Returns the probability that each answer is right, without human labels."""
    found: np.ndarray = expit(logit(USUAL) + trust)
    return found


def by_answer(labels: np.ndarray, trust: np.ndarray, num_labels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that computes the log probabilities of each label given the annotator's answer."""
    answered = labels != NO_LABEL

    def log_probabilities(known: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(answered & (known != NO_LABEL))
        right = (labels[rows] == known[rows]).sum() + USUAL * _USUAL_WORTH
        accuracy = right / (len(rows) + _USUAL_WORTH)
        counts = WORTH * spread(np.arange(num_labels), np.full(num_labels, accuracy), num_labels)
        np.add.at(counts, (labels[rows], known[rows]), 1)
        found = np.log(counts / counts.sum(axis=1, keepdims=True))[labels]
        found[np.arange(len(labels)), labels] += trust
        found = log_softmax(found, axis=1)
        found[~answered] = 0
        return found

    return log_probabilities


def by_votes(votes: np.ndarray, guesses: np.ndarray, num_labels: int) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Returns functions that compute the log probabilities of each label given the votes.

    The votes are those of all annotators, of all but the worse ones, and of all annotators and the held-out student.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        guesses (`np.ndarray` of shape `(n,)`): Predictions of a student that has not seen the label, -1 for none.
        num_labels (`int`): Number of labels.
    """

    def of(votes: np.ndarray, known: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.log(fuse_votes(votes, num_labels, known, tempered=True).by_votes + _LEAST_VOTED)
        return found

    def of_the_better(known: np.ndarray) -> np.ndarray:
        worse = [annotator.annotator for annotator in worse_annotators(votes, known)]
        return of(np.delete(votes, worse, axis=1), known)

    return [partial(of, votes), of_the_better, partial(of, np.column_stack([votes, guesses]))]


def features_of(embeddings: np.ndarray, votes: np.ndarray | None, num_labels: int) -> np.ndarray:
    """Returns the features of the texts: embeddings of length 1 and the votes, minus their means."""
    features = normalize(np.asarray(embeddings, dtype=np.float64))
    if votes is not None:
        said = (votes[:, :, None] == np.arange(num_labels)).reshape(len(votes), -1)
        features = np.hstack([features, _VOTE_FEATURE * said])
    found: np.ndarray = features - features.mean(axis=0)
    return found
