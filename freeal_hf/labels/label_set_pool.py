"""Weights of annotators and texts for sets of labels, fitted to a few human labels of all labels together."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from freeal_hf.labels.evidence import USUAL
from freeal_hf.labels.pool import FOLDS, HELD, HELD_BIAS, STUDENT, Pool, folds_of
from freeal_hf.tasks import NO_LABEL

_CLIPPED = 1e-3
# The strength of the penalty on the weights of the annotators.
_HELD_ANNOTATOR = 1.0


def fit_label_pools(
    human: np.ndarray, votes: np.ndarray, students: Sequence[tuple[np.ndarray, np.ndarray]], *, seed: int = 0
) -> list[Pool]:
    """Weights annotators and students by their agreement with human labels, with the same weights for all labels.

    `logit P(label | text) = w . votes[label] + v . students[label] + b + c[label]`, fitted to the human labels by
    penalised maximum likelihood. The penalty is on the distance of each `w` from one over the number of annotators, of
    each `v` from 0.25 and of `c` from zero. The human labels of a rare label are too few to weight anything. Those of
    all labels together are enough.

    Source: log-linear opinion pools (Genest and Zidek, Statistical Science 1, 1986), section 2.

    Args:
        human (`np.ndarray` of shape `(n, num_labels)`): Human labels, 1 or 0; -1 in rows without.
        votes (`np.ndarray` of shape `(n, m, num_labels)`): The answers of the annotators: 1, 0, or -1 for none.
        students (`Sequence[tuple]`): The probabilities of the labels, of shape `(n, num_labels)`, by each student:
            those that the weights are fitted to, by a student that has not seen the human labels, and those that
            choose the labels.
        seed (`int`): Seed of the folds.

    Returns:
        `list[Pool]`: The fit for each label.
    """
    rows, fold = folds_of(human[:, 0] != NO_LABEL, seed)
    said = np.where(votes == NO_LABEL, 0, (2 * votes - 1) * logit(USUAL)).transpose(0, 2, 1)
    unseen, seen = (
        np.dstack([said, *(logit(np.clip(pair[i], _CLIPPED, 1 - _CLIPPED)) for pair in students)]) for i in (0, 1)
    )
    weights = _fit(human[rows], unseen[rows], len(students))
    without = _probabilities(weights, unseen)
    for number in range(FOLDS):
        inside, outside = rows[fold != number], rows[fold == number]
        without[outside] = _probabilities(_fit(human[inside], unseen[inside], len(students), weights), unseen[outside])
    found = _probabilities(weights, seen)
    return [
        Pool(np.column_stack([1 - yes, yes]), np.column_stack([1 - other, other]), rows)
        for yes, other in zip(found.T, without.T, strict=True)
    ]


def _fit(labels: np.ndarray, evidence: np.ndarray, students: int, first: np.ndarray | None = None) -> np.ndarray:
    """Fits the weights of the evidence, the bias and the biases of the labels, from the `first` weights on."""
    num_labels, annotators = evidence.shape[1], evidence.shape[2] - students
    prior = np.concatenate([np.full(annotators, 1 / annotators), np.full(students, STUDENT), np.zeros(1 + num_labels)])
    held = np.repeat([_HELD_ANNOTATOR, HELD, 0.0, HELD_BIAS], [annotators, students, 1, num_labels])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        log_odds = _log_odds(weights, evidence)
        error = expit(log_odds) - labels
        gradient = np.concatenate([np.einsum("nl,nlk->k", error, evidence), [error.sum()], error.sum(axis=0)])
        away = weights - prior
        likelihood = (labels * log_odds - np.logaddexp(0, log_odds)).sum()
        return float(held @ away**2 - likelihood), gradient + 2 * held * away

    found: np.ndarray = minimize(loss, prior if first is None else first, jac=True, method="L-BFGS-B").x
    return found


def _log_odds(weights: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    count = evidence.shape[2]
    found: np.ndarray = evidence @ weights[:count] + weights[count] + weights[count + 1 :]
    return found


def _probabilities(weights: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    found: np.ndarray = expit(_log_odds(weights, evidence))
    return found
