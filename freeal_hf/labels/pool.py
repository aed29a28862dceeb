"""A log-linear pool of annotators and texts, whose weights are fitted to a few human labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from freeal_hf.tasks import NO_LABEL

FEWEST = 10
"""The smallest number of human labels for a fit."""

_FOLDS = 20
_MOST_FITTED = 1000
# Prior means of the weights of annotators and of the texts, and the strength of the penalty.
_ANNOTATOR, _TEXTS, _HELD = 1.0, 0.25, 10.0
_HELD_BIAS = 2.0
# Strengths of the penalty on the weights of the features; fits are averaged by held-out likelihood.
_RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Pool:
    """The result of `fit_pool`.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The probability of each label for each text.
        held_out (`np.ndarray` of shape `(n, num_labels)`): The same from the held-out predictions of a student, and,
            for the texts in `rows`, from a fit without their own human label.
        rows (`np.ndarray` of shape `(h,)`): The texts whose human labels were used.
    """

    probabilities: np.ndarray
    held_out: np.ndarray
    rows: np.ndarray


def fit_pool(
    human: np.ndarray,
    evidence: Sequence[Callable[[np.ndarray], np.ndarray]],
    held_out: np.ndarray,
    student: np.ndarray,
    features: np.ndarray,
    *,
    seed: int = 0,
) -> Pool:
    """Weights annotators and texts by their agreement with human labels.

    `log P(label | text) = w1 * annotators + w2 * texts + b[label] + features @ V[:, label]`, normalised: a log-linear
    pool with a correction that depends on the text. It is fitted to the human labels by penalised maximum likelihood,
    with a penalty on the distance of `w` from (1, 0.25) and of `b` and `V` from zero, so that a few labels change
    little. Fits with several penalties on `V` and with each evidence are averaged, weighted by the likelihood of human
    labels in folds that the fit has not seen. So text features that do not help get no weight.

    Source: log-linear opinion pools (Genest and Zidek, Statistical Science 1, 1986), section 2; stacking by held-out
    likelihood (Yao et al., Bayesian Analysis 13, 2018), pseudo-BMA.

    Args:
        human (`np.ndarray` of shape `(n,)`): Human labels, -1 for none; at least `FEWEST`.
        evidence (`Sequence[Callable]`):
            Functions that compute the log probabilities of the labels given the annotators' answers, of shape
            `(n, num_labels)`, from human labels (-1 for none). There are several if it is unknown which is best.
        held_out (`np.ndarray` of shape `(n, num_labels)`): Log probabilities of a student that has not seen the label.
        student (`np.ndarray` of shape `(n, num_labels)`): Log probabilities of the student that chooses the labels.
        features (`np.ndarray` of shape `(n, d)`): Features of the texts.
        seed (`int`): Seed of the folds.
    """
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(human != NO_LABEL)
    rows = np.sort(rng.permutation(rows)[:_MOST_FITTED])
    known = np.full_like(human, NO_LABEL)
    known[rows] = human[rows]
    fold = rng.permutation(len(rows)) % _FOLDS
    # Only directions in which the labelled texts differ can get a weight.
    features = features @ np.linalg.svd(features[rows], full_matrices=False)[2].T

    candidates, fits = [], []
    for evidence_of in evidence:
        annotators = evidence_of(known)
        unseen = annotators.copy()  # the evidence for each human-labelled text without its own label
        for number in range(_FOLDS):
            others = known.copy()
            others[rows[fold == number]] = NO_LABEL
            unseen[rows[fold == number]] = evidence_of(others)[rows[fold == number]]
        for ridge in _RIDGES:
            predicted = np.empty((len(rows), held_out.shape[1]))
            weights = _fit(known[rows], unseen[rows], held_out[rows], features[rows], ridge)
            for number in range(_FOLDS):
                inside, outside = rows[fold != number], rows[fold == number]
                without = _fit(known[inside], unseen[inside], held_out[inside], features[inside], ridge, weights)
                predicted[fold == number] = _pooled(without, unseen[outside], held_out[outside], features[outside])
            candidates.append((annotators, weights, predicted))
            fits.append(np.log(predicted[np.arange(len(rows)), known[rows]] + 1e-9).sum())
    shares = np.exp(np.array(fits) - max(fits))
    shares /= shares.sum()
    shares = np.where(shares < _NEGLIGIBLE, 0, shares) / shares[shares >= _NEGLIGIBLE].sum()

    probabilities, unseen_probabilities = np.zeros(student.shape), np.zeros(student.shape)
    for share, (annotators, weights, predicted) in zip(shares, candidates, strict=True):
        if share:
            without = _pooled(weights, annotators, held_out, features)
            without[rows] = predicted
            probabilities += share * _pooled(weights, annotators, student, features)
            unseen_probabilities += share * without
    return Pool(probabilities, unseen_probabilities, rows)


def _fit(
    labels: np.ndarray,
    annotators: np.ndarray,
    texts: np.ndarray,
    features: np.ndarray,
    ridge: float,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """Fits the weights to labels, from the `first` weights on."""
    num_labels, width = annotators.shape[1], features.shape[1]
    truth = np.eye(num_labels)[labels]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        log = _log_pooled(weights, annotators, texts, features)
        error = np.exp(log) - truth
        gradient = np.concatenate(
            [[(error * annotators).sum(), (error * texts).sum()], error.sum(axis=0), (features.T @ error).ravel()]
        )
        away = weights - prior
        return float(-(truth * log).sum() + held @ away**2), gradient + 2 * held * away

    prior = np.concatenate([[_ANNOTATOR, _TEXTS], np.zeros(num_labels * (1 + width))])
    held = np.concatenate([[_HELD, _HELD], np.full(num_labels, _HELD_BIAS), np.full(num_labels * width, ridge)])
    found: np.ndarray = minimize(
        loss,
        prior if first is None else first,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6},
    ).x
    return found


def _log_pooled(weights: np.ndarray, annotators: np.ndarray, texts: np.ndarray, features: np.ndarray) -> np.ndarray:
    num_labels = annotators.shape[1]
    by_feature = weights[2 + num_labels :].reshape(-1, num_labels)
    found: np.ndarray = log_softmax(
        weights[0] * annotators + weights[1] * texts + weights[2 : 2 + num_labels] + features @ by_feature, axis=1
    )
    return found


def _pooled(weights: np.ndarray, annotators: np.ndarray, texts: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Computes the probabilities that the weights give."""
    return np.exp(_log_pooled(weights, annotators, texts, features))
