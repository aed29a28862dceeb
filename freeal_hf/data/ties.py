"""The most probable label of each row. No label is chosen because of its position."""

import numpy as np

from freeal_hf.tasks import NO_LABEL

TIE = 1e-6
"""Probabilities that differ by less are equal, because the order of a sum changes its last digits."""


def likeliest(probabilities: np.ndarray, preferred: np.ndarray | None = None) -> np.ndarray:
    """Returns the most probable label of each row. No label is chosen because of its position.

    Args:
        probabilities (`np.ndarray` of shape `[n, labels]`): The probabilities, or shares of votes.
        preferred (`np.ndarray` of shape `[n]`, *optional*): The label to take if it is one of several most probable
            ones; -1 for none.

    Returns:
        `np.ndarray` of shape `[n]`: The label ids; -1 if several labels are most probable and none of them is
        preferred, or if a probability is NaN.

    Example:

        >>> likeliest(np.array([[0.2, 0.8], [0.5, 0.5]])).tolist()
        [1, -1]
    """
    values = np.asarray(probabilities, dtype=float)
    is_best = values >= values.max(axis=1, keepdims=True) - TIE  # all false in a row with NaN
    found = np.where(is_best.sum(axis=1) == 1, is_best.argmax(axis=1), NO_LABEL)
    if preferred is None:
        return found
    is_tied = (preferred != NO_LABEL) & is_best[np.arange(len(values)), np.maximum(preferred, 0)]
    return np.where(is_tied, preferred, found)
