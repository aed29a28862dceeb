"""Agreement of two annotators, and the test whether a model may replace a person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freeal_hf.labels.audit import Interval, wilson

ADVANTAGE = 0.15
"""`epsilon` of the alt-test for trained people. The model may replace them if they are better by less than this."""

_FALSE_DISCOVERIES = 0.05
_FEWEST = 30  # for a t-test


def cohen_kappa(first: np.ndarray, second: np.ndarray) -> Interval | None:
    """Computes Cohen's kappa: the agreement beyond the agreement by chance.

    Source: Cohen (Educational and Psychological Measurement 20, 1960), equation 1. The bounds are those of Wilson's
    interval of the observed agreement, at the estimated agreement by chance.

    Args:
        first (`np.ndarray` of shape `(n,)`), second (`np.ndarray` of shape `(n,)`): Label ids; -1 (no label) counts as
            a further label.

    Returns:
        `Interval`, *optional*: `None` if there are no texts, or if both give all texts the same label.

    Example:

        >>> cohen_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])).value
        0.5
    """
    if len(first) == 0:
        return None
    _, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    shares = [np.bincount(half, minlength=codes.max() + 1) / len(first) for half in np.split(codes, 2)]
    chance, agreed = float(shares[0] @ shares[1]), float((first == second).mean())
    if chance == 1:
        return None
    return Interval(*((share - chance) / (1 - chance) for share in (agreed, *wilson(agreed, len(first)))))


def agreement(first: np.ndarray, second: np.ndarray) -> Interval:
    """Computes the share of texts to which two annotators give the same label, with Wilson's interval.

    Args:
        first (`np.ndarray` of shape `(n,)`), second (`np.ndarray` of shape `(n,)`): Label ids.
    """
    share = float((first == second).mean())
    return Interval(share, *wilson(share, len(first)))


@dataclass(frozen=True)
class AltTest:
    """The result of the alternative annotator test, whether a model may replace one of several people.

    Args:
        passed (`bool`): Whether `winning_rate` is at least one half, so that the model may replace a person.
        winning_rate (`float`): Share of the people for whom the test rejects that they are better by `epsilon`.
        advantage (`float`): Average probability that the model agrees with the others at least as well as a person.
        p_values (`tuple[float, ...]`): One for each person.
        epsilon (`float`): The allowance for the cost of a person.
        texts (`int`): The number of texts that all people labelled.
    """

    passed: bool
    winning_rate: float
    advantage: float
    p_values: tuple[float, ...]
    epsilon: float
    texts: int


def alt_test(model: np.ndarray, people: Sequence[np.ndarray], *, epsilon: float = ADVANTAGE) -> AltTest:
    """Tests whether a model may replace one of several people.

    Each person is left out once. For each text, the model, the left-out person or both win if they agree at least as
    well with the other people. The model wins against a person if a test rejects that the person is
    better by `epsilon` or more: 0.2 for experts, 0.15 for trained people, 0.1 for crowd workers. The test is a t-test
    (below 30 texts Wilcoxon's signed-rank test), corrected for several people by Benjamini and Yekutieli.

    Source: Calderon, Reichart and Dror, The Alternative Annotator Test for LLM-as-a-Judge (ACL 2025, arXiv
    2501.10970), section 3, with accuracy as alignment. The authors advise three people or more and 50 texts or more.
    With two people, according to the authors, the test only shows which of them the model is closer to.

    Args:
        model (`np.ndarray` of shape `(n,)`): Label ids of the model, -1 for none (it then agrees with no person).
        people (`Sequence[np.ndarray]`): At least two arrays of shape `(n,)`: label ids of each person.
        epsilon (`float`): The allowance for the cost of a person.

    Example:

        >>> truth = np.arange(100) % 2
        >>> alt_test(truth, [truth, np.where(np.arange(100) < 20, 1 - truth, truth)]).passed
        True
    """
    from scipy.stats import ttest_1samp, wilcoxon

    people_ = np.array(people)
    p_values, advantages = [], []
    for left_out, person in enumerate(people_):
        others = np.delete(people_, left_out, axis=0)
        by_model, by_person = (others == model).mean(axis=0), (others == person).mean(axis=0)
        model_wins, person_wins = by_model >= by_person, by_person >= by_model
        loss = person_wins.astype(float) - model_wins
        advantages.append(float(model_wins.mean()))
        if len(loss) < _FEWEST:
            p_values.append(float(wilcoxon(loss - epsilon, alternative="less").pvalue))
        elif np.ptp(loss) == 0:  # a t-test divides by the spread
            p_values.append(0.0 if loss[0] < epsilon else 1.0)
        else:
            p_values.append(float(ttest_1samp(loss, epsilon, alternative="less").pvalue))
    rate = float(_rejected(np.array(p_values)).mean())
    return AltTest(rate >= 0.5, rate, float(np.mean(advantages)), tuple(p_values), epsilon, len(model))


def _rejected(p_values: np.ndarray) -> np.ndarray:
    """Rejects hypotheses at a false discovery rate of 5 % (Benjamini and Yekutieli 2001, theorem 1.3)."""
    order, ranks = np.argsort(p_values), np.arange(1, len(p_values) + 1)
    passes = np.flatnonzero(p_values[order] <= ranks / (len(ranks) * (1 / ranks).sum()) * _FALSE_DISCOVERIES)
    found = np.zeros(len(p_values), dtype=bool)
    found[order[: passes[-1] + 1 if len(passes) else 0]] = True
    return found
