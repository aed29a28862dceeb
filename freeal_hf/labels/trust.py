"""Calibrates an annotator's own confidences."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from freeal_hf.tasks import NO_LABEL

# The total weight of the texts that only the held-out student checks, in texts with a human label.
WORTH = 20.0
_FEWEST = 20
_CLIPPED = 0.01


def calibrated(
    labels: np.ndarray, confidences: np.ndarray, guesses: np.ndarray, human: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Computes how much the confidence in an answer raises its log odds of being right over the average answer.

    For each annotator, a logistic regression predicts whether an answer is right from the log odds of its confidence.
    An answer counts as right if it equals the human label or, without one, the label of the held-out student. Only
    differences between texts matter: a constant confidence has no effect. A confidence that is lower for better
    answers is not used.

    Source: Platt scaling (Platt, Advances in Large Margin Classifiers, 1999).

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): Its confidence in them, NaN where it gives none.
        guesses (`np.ndarray` of shape `(n,)`): Predictions of a student that has not seen the label, -1 for none.
        human (`np.ndarray` of shape `(n,)`): Human labels, -1 for none.
        sources (`np.ndarray` of shape `(n,)`): Number of the annotator that gave each answer.

    Returns:
        `np.ndarray` of shape `(n,)`: The log odds; zero where there is no confidence.
    """
    found = np.zeros(len(labels))
    has = ~np.isnan(confidences) & (labels != NO_LABEL)
    by_hand = human != NO_LABEL
    right = np.where(by_hand, human, guesses) == labels
    for source in np.unique(sources[has]):
        rows = np.flatnonzero(has & (sources == source))
        said = logit(np.clip(confidences[rows], _CLIPPED, 1 - _CLIPPED))
        said = said - said.mean()
        if len(rows) < _FEWEST or np.ptp(said) == 0 or len(np.unique(right[rows])) == 1:
            continue
        judged = by_hand[rows]
        weights = np.where(judged, 1.0, min(1.0, WORTH / max(1, (~judged).sum())) if judged.any() else 1.0)
        slope = LogisticRegression().fit(said[:, None], right[rows], weights).coef_[0, 0]
        found[rows] = max(0.0, float(slope)) * said
    return found
