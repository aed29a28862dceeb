"""Final labels: what annotator and student say together, and how far to trust it without gold."""

import numpy as np

from freeal_hf.tasks import NO_LABEL


def annotator_probabilities(
    labels: np.ndarray, confidences: np.ndarray, student_probabilities: np.ndarray
) -> np.ndarray:
    """A distribution over labels for each annotator answer.

    An answer without a confidence is believed as often as the student agrees with that annotator's answers; what is
    left is spread over the other labels.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): Its confidence in them, NaN where it gives none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: Rows sum to one; uniform where there is no label.
    """
    n, num_labels = student_probabilities.shape
    labelled = labels != NO_LABEL
    agreement = np.mean(student_probabilities.argmax(axis=1)[labelled] == labels[labelled]) if labelled.any() else 0.0
    trust = np.where(np.isnan(confidences), agreement, confidences)
    trust = np.clip(trust, 1 / num_labels, 1 - 1e-3)
    probabilities = np.full((n, num_labels), 1 / num_labels)
    rows = np.flatnonzero(labelled)
    probabilities[rows] = ((1 - trust[rows]) / (num_labels - 1))[:, None]
    probabilities[rows, labels[rows]] = trust[rows]
    return probabilities


def fuse(
    labels: np.ndarray, confidences: np.ndarray, student_probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Final labels from the annotator's answers and the student's probabilities.

    Both are averaged, weighted by the odds that each is right on average by its own confidence, so that the surer of
    the two decides where they disagree. The student's probabilities already weigh the annotator's label, which it was
    trained on.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): Its confidence in them, NaN where it gives none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Final label ids of shape `(n,)` and their probabilities, the label confidence.
    """
    annotator = annotator_probabilities(labels, confidences, student_probabilities)
    weight = _odds(annotator) / (_odds(annotator) + _odds(student_probabilities))
    mean = weight * annotator + (1 - weight) * student_probabilities
    return mean.argmax(axis=1), mean.max(axis=1)


def _odds(probabilities: np.ndarray) -> float:
    confidence = float(np.clip(probabilities.max(axis=1).mean(), 0.01, 0.99))
    return confidence / (1 - confidence)
