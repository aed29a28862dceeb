"""The most probable label of each row. No label is chosen because of its position."""

import numpy as np

from freeal_hf.tasks import NO_LABEL

TIE = 1e-6
"""Probabilities that differ by less are equal: the order in which numbers are added changes their last digits."""


def likeliest(probabilities: np.ndarray, preferred: np.ndarray | None = None) -> np.ndarray:
    """The most probable label of each row. No label is chosen because of its position.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_labels)`): Probabilities, or shares of votes.
        preferred (`np.ndarray` of shape `(n,)`, *optional*):
            The label to take where it is one of several that are most probable, -1 for none.

    Returns:
        `np.ndarray` of shape `(n,)`: Label ids; -1 where several labels are most probable and none of them is
        preferred, or where a probability is NaN.
    """
    values = np.asarray(probabilities, dtype=float)
    is_best = values >= values.max(axis=1, keepdims=True) - TIE  # nowhere in a row with NaN
    found = np.where(is_best.sum(axis=1) == 1, is_best.argmax(axis=1), NO_LABEL)
    if preferred is None:
        return found
    is_tied = (preferred != NO_LABEL) & is_best[np.arange(len(values)), np.maximum(preferred, 0)]
    return np.where(is_tied, preferred, found)
