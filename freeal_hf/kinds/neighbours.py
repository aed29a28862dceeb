"""Decides which texts with a human label are annotated again, as if they had none."""

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from freeal_hf.tasks import NO_LABEL


def noisy_without_people(
    is_noisy: np.ndarray, answers: np.ndarray, is_human: np.ndarray, embeddings: np.ndarray
) -> np.ndarray:
    """Returns which labels are noisy, where texts with a human label are treated as if they had none.

    The student learns the human label of a text, so its loss does not show whether the answer of the annotator would
    have been noisy. A text with a human label gets the value of the most similar text without one that has the same
    answer. So the annotator's answers for both kinds of text are equally often annotated again, and remain comparable.
    A text with a human label whose answer is missing is not noisy.

    Source: nearest-neighbour matching (Rubin, Biometrics 29, 1973).

    Args:
        is_noisy (`np.ndarray` of shape `(n,)`): Whether the label that the student learnt is noisy.
        answers (`np.ndarray` of shape `(n,)`): The annotator's answers, -1 for none.
        is_human (`np.ndarray` of shape `(n,)`): Whether a text has a human label.
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings of a model that was not trained on the labels.

    Example:

        >>> embeddings = np.array([[1, 0], [0, 1], [0.9, 0.1]])
        >>> noisy_without_people(np.array([True, False, False]), np.zeros(3), np.arange(3) == 2, embeddings).tolist()
        [True, False, True]
    """
    found = is_noisy & ~is_human
    for answer in np.unique(answers[is_human & (answers != NO_LABEL)]):
        rows = np.flatnonzero(is_human & (answers == answer))
        others = np.flatnonzero(~is_human & (answers == answer))
        if len(others):
            # Half precision is not enough for the distances.
            given = (embeddings[some].astype(np.float32) for some in (rows, others))
            found[rows] = is_noisy[others[pairwise_distances_argmin(*given, metric="cosine")]]
    return found
