"""Calibrates a student by the labels that it was trained on and by human labels."""

import numpy as np

from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.temperature import temperature_of_mean

# The weight of the expected accuracy, in human labels.
_WORTH = 20.0
_LIMITS = (0.2, 5.0)


def student_temperature(student: np.ndarray, believed: np.ndarray, human: np.ndarray, weights: np.ndarray) -> float:
    """Returns the temperature at which a student is as confident, on average, as it is expected to be right.

    A student learns the errors of a language model, so its agreement with such labels, held out or not, says too much.
    Its expected accuracy is computed from the probabilities of the true labels. Human labels of a random sample that
    the student was not trained on correct it: with 20 of them, both count the same.

    Source: temperature scaling (Guo et al., ICML 2017), section 4.2, with the mean confidence instead of the
    likelihood.

    Args:
        student (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        believed (`np.ndarray` of shape `(n, num_labels)`): `FinalLabels.believed`.
        human (`np.ndarray` of shape `(n,)`): Human labels, -1 for none.
        weights (`np.ndarray` of shape `(n,)`):
            The weight of each human label that shows how right the student is: the inverse of the probability with
            which the text was drawn. 0 without a human label, and if the text was not drawn at random or the student
            was trained on its human label.

    Returns:
        `float`: A temperature between 0.2 and 5; 1 without texts and if a probability is not a number.

    Example:

        >>> import numpy as np
        >>> student, believed = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.7, 0.3], [0.3, 0.7]])
        >>> student_temperature(student, believed, human=np.full(2, -1), weights=np.zeros(2)) > 1
        True
    """
    open_ = human == NO_LABEL
    if not open_.any() or not np.isfinite(student).all():
        return 1.0
    guesses = student.argmax(axis=1)
    right = _WORTH * believed[np.arange(len(guesses)), guesses][open_].mean()
    count = int((weights > 0).sum())
    if count:
        right += count * np.average(guesses == human, weights=weights)
    temperature = temperature_of_mean(student[open_], float(right / (_WORTH + count)))
    return float(np.clip(temperature, *_LIMITS))
