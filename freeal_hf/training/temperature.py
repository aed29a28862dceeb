"""Probabilities at a temperature. The module uses NumPy only."""

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-30  # the smallest probability of which a logarithm is taken
_LOG_RANGE = 6.0
_STEPS = 40


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.floating]:
    """Returns the probabilities of the same logits divided by a temperature.

    Args:
        probabilities (`NDArray` of shape `[n, classes]`): Rows sum to 1.
        temperature (`float`): The temperature, above 0.
    """
    scaled = np.exp(_logits(probabilities) / temperature)
    return (scaled / scaled.sum(axis=1, keepdims=True)).astype(probabilities.dtype)


def temperature_of_mean(probabilities: NDArray[np.floating], mean: float) -> float:
    """Returns the temperature at which the largest probabilities of the rows have a given mean.

    Args:
        probabilities (`NDArray` of shape `[n, classes]`): Rows sum to 1; at least one row.
        mean (`float`): The mean. If no temperature gives it, the result is the nearest limit of the search.

    Example:

        >>> temperature = temperature_of_mean(np.array([[0.9, 0.1], [0.4, 0.6]]), 0.95)
        >>> round(float(at_temperature(np.array([[0.9, 0.1], [0.4, 0.6]]), temperature).max(axis=1).mean()), 2)
        0.95
    """
    logits = _logits(probabilities)
    coldest, hottest = -_LOG_RANGE, _LOG_RANGE
    for _ in range(_STEPS):
        middle = (coldest + hottest) / 2
        largest = 1 / np.exp(logits / np.exp(middle)).sum(axis=1)
        coldest, hottest = (middle, hottest) if largest.mean() > mean else (coldest, middle)
    return float(np.exp(middle))


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns logits whose largest value is 0 in each row."""
    found: NDArray[np.float64] = np.log(np.clip(probabilities, _TINY, 1).astype(np.float64))
    return found - found.max(axis=1, keepdims=True)
