"""A log-linear pool of annotators and texts, whose weights are fitted to a few human labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from freeal_hf.tasks import NO_LABEL

FEWEST = 10
"""The smallest number of human labels for a fit."""

FOLDS = 20
_MOST_FITTED = 1000
# Prior means of the weights of annotators and of a student, and the strength of the penalty.
_ANNOTATOR, STUDENT, HELD = 1.0, 0.25, 10.0
HELD_BIAS = 2.0
# Strengths of the penalty on the weights of the features; fits are averaged by held-out likelihood.
_RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Pool:
    """The result of `fit_pool`.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The probability of each label for each text.
        held_out (`np.ndarray` of shape `(n, num_labels)`): The same from the predictions that the weights were fitted
            to, and, for the texts in `rows`, from a fit without their own human label.
        rows (`np.ndarray` of shape `(h,)`): The texts whose human labels were used.
    """

    probabilities: np.ndarray
    held_out: np.ndarray
    rows: np.ndarray


def folds_of(by_hand: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws the texts whose human labels a fit uses, at most 1,000, and their folds.

    Args:
        by_hand (`np.ndarray` of shape `(n,)`): Whether a text has a human label.
        seed (`int`): Seed of the draw.

    Returns:
        `tuple`: The sorted indices of `h` texts, and the fold of each, from 0 to `FOLDS - 1`.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(np.flatnonzero(by_hand))[:_MOST_FITTED])
    return rows, rng.permutation(len(rows)) % FOLDS


def compared_students(
    held_out: np.ndarray, untaught: np.ndarray | None, student: np.ndarray, by_hand: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the students that can be compared with human labels, as pairs of probabilities for a fit.

    Args:
        held_out (`np.ndarray` of shape `(n, num_labels)`): The predictions of a student that has not seen the labels.
        untaught (`np.ndarray` of shape `(n, num_labels)`, *optional*): Those of the last student that was not trained
            on the human label of the text; NaN if there is none.
        student (`np.ndarray` of shape `(n, num_labels)`): Those of the newest student.
        by_hand (`np.ndarray` of shape `(n,)`): Whether a text has a human label.

    Returns:
        `list[tuple]`: The predictions that weights are fitted to, and those that choose the labels. The newest student
        is only in the list if `untaught` has the predictions of at least `FEWEST` texts with a human label.
    """
    students = [(held_out, held_out)]
    if untaught is not None and np.isfinite(untaught[by_hand]).all(axis=1).sum() >= FEWEST:
        students.append((np.where(np.isfinite(untaught), untaught, held_out), student))
    return students


def fit_pool(
    human: np.ndarray,
    evidence: Sequence[Callable[[np.ndarray], np.ndarray]],
    students: Sequence[tuple[np.ndarray, np.ndarray]],
    features: np.ndarray,
    *,
    seed: int = 0,
) -> Pool:
    """Weights annotators and students by their agreement with human labels.

    `log P(label | text) = w * annotators + v . students + b[label] + features @ V[:, label]`, normalised: a log-linear
    pool with a correction that depends on the text. It is fitted to the human labels by penalised maximum likelihood,
    with a penalty on the distance of `w` from 1, of each `v` from 0.25 and of `b` and `V` from zero, so that a few
    labels change little. Fits with several penalties on `V` and with each evidence are averaged, weighted by the
    likelihood of human labels in folds that the fit has not seen. So text features that do not help get no weight.

    Source: log-linear opinion pools (Genest and Zidek, Statistical Science 1, 1986), section 2; stacking by held-out
    likelihood (Yao et al., Bayesian Analysis 13, 2018), pseudo-BMA.

    Args:
        human (`np.ndarray` of shape `(n,)`): Human labels, -1 for none; at least `FEWEST`.
        evidence (`Sequence[Callable]`):
            Functions that compute the log probabilities of the labels given the annotators' answers, of shape
            `(n, num_labels)`, from human labels (-1 for none). There are several if it is unknown which is best.
        students (`Sequence[tuple]`):
            Log probabilities of the labels, of shape `(n, num_labels)`, by each student: those that the weights are
            fitted to, by a student that has not seen the human labels, and those that choose the labels.
        features (`np.ndarray` of shape `(n, d)`): Features of the texts.
        seed (`int`): Seed of the folds.
    """
    rows, fold = folds_of(human != NO_LABEL, seed)
    known = np.full_like(human, NO_LABEL)
    known[rows] = human[rows]
    # Only directions in which the labelled texts differ can get a weight.
    features = features @ np.linalg.svd(features[rows], full_matrices=False)[2].T

    fitted, used = (np.stack([pair[i] for pair in students]) for i in (0, 1))
    candidates, fits = [], []
    for evidence_of in evidence:
        annotators = evidence_of(known)
        unseen = annotators.copy()  # the evidence for each human-labelled text without its own label
        for number in range(FOLDS):
            others = known.copy()
            others[rows[fold == number]] = NO_LABEL
            unseen[rows[fold == number]] = evidence_of(others)[rows[fold == number]]
        for ridge in _RIDGES:
            predicted = np.empty((len(rows), fitted.shape[2]))
            weights = _fit(known[rows], unseen[rows], fitted[:, rows], features[rows], ridge)
            for number in range(FOLDS):
                inside, outside = rows[fold != number], rows[fold == number]
                without = _fit(known[inside], unseen[inside], fitted[:, inside], features[inside], ridge, weights)
                predicted[fold == number] = _pooled(without, unseen[outside], fitted[:, outside], features[outside])
            candidates.append((annotators, weights, predicted))
            fits.append(np.log(predicted[np.arange(len(rows)), known[rows]] + 1e-9).sum())
    shares = np.exp(np.array(fits) - max(fits))
    shares /= shares.sum()
    shares = np.where(shares < _NEGLIGIBLE, 0, shares) / shares[shares >= _NEGLIGIBLE].sum()

    probabilities, unseen_probabilities = np.zeros(used.shape[1:]), np.zeros(used.shape[1:])
    for share, (annotators, weights, predicted) in zip(shares, candidates, strict=True):
        if share:
            without = _pooled(weights, annotators, fitted, features)
            without[rows] = predicted
            probabilities += share * _pooled(weights, annotators, used, features)
            unseen_probabilities += share * without
    return Pool(probabilities, unseen_probabilities, rows)


def _fit(
    labels: np.ndarray,
    annotators: np.ndarray,
    students: np.ndarray,
    features: np.ndarray,
    ridge: float,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """Fits the weights to labels, from the `first` weights on."""
    num_labels, width, count = annotators.shape[1], features.shape[1], len(students)
    truth = np.eye(num_labels)[labels]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        log = _log_pooled(weights, annotators, students, features)
        error = np.exp(log) - truth
        gradient = np.concatenate(
            [
                [(error * annotators).sum(), *(error * students).sum(axis=(1, 2))],
                error.sum(axis=0),
                (features.T @ error).ravel(),
            ]
        )
        away = weights - prior
        return float(-(truth * log).sum() + held @ away**2), gradient + 2 * held * away

    prior = np.concatenate([[_ANNOTATOR], np.full(count, STUDENT), np.zeros(num_labels * (1 + width))])
    held = np.concatenate(
        [np.full(1 + count, HELD), np.full(num_labels, HELD_BIAS), np.full(num_labels * width, ridge)]
    )
    found: np.ndarray = minimize(
        loss,
        prior if first is None else first,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6},
    ).x
    return found


def _log_pooled(weights: np.ndarray, annotators: np.ndarray, students: np.ndarray, features: np.ndarray) -> np.ndarray:
    num_labels, count = annotators.shape[1], 1 + len(students)
    by_feature = weights[count + num_labels :].reshape(-1, num_labels)
    by_student = np.tensordot(weights[1:count], students, axes=1)
    bias = weights[count : count + num_labels]
    found: np.ndarray = log_softmax(weights[0] * annotators + by_student + bias + features @ by_feature, axis=1)
    return found


def _pooled(weights: np.ndarray, annotators: np.ndarray, students: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Computes the probabilities that the weights give."""
    return np.exp(_log_pooled(weights, annotators, students, features))
