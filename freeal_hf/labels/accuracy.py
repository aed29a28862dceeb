"""Estimates the accuracy of final labels without gold: from human labels, or from agreement with a student."""

from dataclasses import dataclass

import numpy as np

from freeal_hf.labels.audit import Interval, powered_share, proxies_of, with_certain
from freeal_hf.tasks import NO_LABEL

# The smallest agreement beyond chance for a range without human labels, and the distance of its bounds from the
# agreement.
_STRONG, _BELOW, _ABOVE = 0.8, 0.2, 0.05
_NO_LIMIT = 10**9

RESTS_ON_PEOPLE = (
    "human labels of a random sample of the texts. Each of them is compared with a final label that was made without "
    "it (95 % interval)"
)
RESTS_ON_AGREEMENT = (
    "no human labels. A student that had not seen the labels agrees with almost all of them. The lower bound allows "
    "for errors that the student learnt from the annotator"
)
UNKNOWN_ALONE = (
    "there are no human labels of a random sample. Agreement with the student does not show the accuracy, because a "
    "student also learns the errors of the annotator. `freeal-hf audit` measures it"
)
UNKNOWN_SAMPLE = "the human labels may not be a random sample. `freeal-hf audit` draws one"
UNKNOWN_ANSWERS = "the answers of the annotator look independent of the texts"

SOURCES = {RESTS_ON_PEOPLE: "audit", RESTS_ON_AGREEMENT: "agreement"}


@dataclass(frozen=True)
class Checked:
    """Texts of a random sample with human labels, and held-out predictions of all texts.

    Predictions for all texts are held out, not only those for the sample: a student is more confident of the labels
    that it was trained on, so that its confidences in the other texts would raise the estimate.

    Args:
        rows (`np.ndarray` of shape `(h,)`): The texts of the sample.
        weights (`np.ndarray` of shape `(h,)`): Their inverse inclusion probabilities.
        predicted (`np.ndarray` of shape `(n,)`): The label of each text, without its human label.
        confidences (`np.ndarray` of shape `(n,)`): The probabilities of these labels.
    """

    rows: np.ndarray
    weights: np.ndarray
    predicted: np.ndarray
    confidences: np.ndarray


def by_people(
    checked: Checked,
    known: np.ndarray,
    guesses: np.ndarray,
    final: np.ndarray,
    counted: np.ndarray,
    label: int | None,
) -> Interval | None:
    """Estimates the accuracy of all final labels, or of one label; `None` if none of them was checked.

    Args:
        checked (`Checked`): The texts that were checked.
        known (`np.ndarray` of shape `(n,)`): Human labels, -1 for none.
        guesses (`np.ndarray` of shape `(n,)`): The held-out predictions.
        final (`np.ndarray` of shape `(n,)`): The final labels.
        counted (`np.ndarray` of shape `(n,)`): Whether a text has a final label that is not human.
        label (`int`, *optional*): The label; `None` for all.
    """
    predicted, confidences, agrees = checked.predicted, checked.confidences, guesses == checked.predicted
    about = np.full(len(checked.rows), True) if label is None else predicted[checked.rows] == label
    here, certain = counted.copy(), known != NO_LABEL
    if label is not None:
        here, certain = here & (final == label), certain & (final == label)
    if not about.any() or not here.any():
        return None
    rows = checked.rows[about]
    found = powered_share(
        predicted[rows] == known[rows],
        checked.weights[about],
        proxies_of(confidences[rows], agrees[rows]),
        proxies_of(confidences[here], agrees[here]).mean(axis=0),
        _NO_LIMIT,
    )
    # The other texts are also a sample of a larger population.
    wider = np.sqrt(1 + len(rows) / here.sum())
    found = Interval(
        found.value,
        max(0.0, found.value - wider * (found.value - found.low)),
        min(1.0, found.value + wider * (found.high - found.value)),
    )
    return with_certain(found, int(here.sum()), int(certain.sum()))


def by_agreement(final: np.ndarray, guesses: np.ndarray, open_: float) -> Interval | None:
    """Estimates a range from the agreement with a held-out student; `None` if the agreement is not strong."""
    agreed = float((final == guesses).mean())
    size = max(final.max(), guesses.max()) + 1
    shares = [np.bincount(some[some != NO_LABEL], minlength=size) / len(some) for some in (final, guesses)]
    chance = float(shares[0] @ shares[1])
    if chance == 1 or (agreed - chance) / (1 - chance) < _STRONG:
        return None
    low, high = max(0.0, agreed - _BELOW), min(1.0, agreed + _ABOVE)
    return Interval(*(1 - open_ + open_ * value for value in (agreed, low, high)))
