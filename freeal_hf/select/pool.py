"""The pool of texts, the protocol of strategies, and `select_instances`, which checks what a strategy chooses."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from freeal_hf.data.counting import counted
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL

logger = logging.getLogger(__name__)

_URL = re.compile(r"https?://\S+|www\.\S+")
_RETWEET = re.compile(r"^(?:RT|rt)\s+(?:@\w+:?\s*)?")


@dataclass(frozen=True)
class Pool:
    """The texts to choose from, with the embeddings and predictions of a student.

    Args:
        texts (`list[str]`): The `n` distinct texts.
        labels (`np.ndarray` of shape `[n]` or `[n, labels]`): The human labels; -1 means none. If a text can have any
            number of labels, there is a column for each, with 1 or 0.
        embeddings (`np.ndarray` of shape `[n, hidden size]`, *optional*): The embeddings of the texts, by the student
            or by the encoder.
        probabilities (`np.ndarray` of shape `[n, ..., classes]`, *optional*): The probability that the student gives
            each class. If a text can have any number of labels, the shape is `[n, labels, 2]`, and the classes are
            that a label does not apply and that it does.
        dropout_probabilities (`np.ndarray` of shape `[passes, n, ..., classes]`, *optional*): The same for several
            forward passes with dropout.

    Example:

        >>> Pool(["a", "b", "c"], labels=np.array([0, -1, -1])).unlabelled
        array([1, 2])
    """

    texts: list[str]
    labels: np.ndarray
    embeddings: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    dropout_probabilities: np.ndarray | None = None

    @property
    def is_labelled(self) -> np.ndarray:
        """Whether each text has a label, shape `[n]`."""
        return (self.labels != NO_LABEL).reshape(len(self.texts), -1).any(axis=1)

    @property
    def labelled(self) -> np.ndarray:
        """The indices of the texts with a label."""
        return np.flatnonzero(self.is_labelled)

    @property
    def unlabelled(self) -> np.ndarray:
        """The indices of the texts without a label, which can be chosen."""
        return np.flatnonzero(~self.is_labelled)


class Strategy(Protocol):
    """A strategy that chooses texts.

    Attributes:
        needs (`tuple[str, ...]`): The fields of the pool that it reads in addition to texts and labels.

    Example:

        >>> class Longest:
        ...     needs = ()
        ...
        ...     def select(self, pool, budget, rng):
        ...         return sorted(pool.unlabelled, key=lambda i: -len(pool.texts[i]))[:budget]
        >>> pool = Pool(["short", "a long text"], np.array([-1, -1]))
        >>> [text.index for text in select_instances(Longest(), pool, budget=1)]
        [1]
    """

    needs: ClassVar[tuple[str, ...]]

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Iterable[int]:
        """Chooses texts without a label.

        Args:
            pool (`Pool`): The texts to choose from.
            budget (`int`): The number of texts to choose.
            rng (`np.random.Generator`): The random generator to use.

        Returns:
            `Iterable[int]`: The indices of the chosen texts, in order of importance; `budget` of them if possible.
        """
        ...


@dataclass(frozen=True)
class Selected:
    """A chosen text.

    Args:
        index (`int`): Its index in the pool.
        is_filler (`bool`): Whether it was drawn at random because the strategy chose too few texts.

    Example:

        >>> Selected(index=3, is_filler=False).index
        3
    """

    index: int
    is_filler: bool


def select_instances(strategy: Strategy, pool: Pool, budget: int, *, seed: int = 0) -> list[Selected]:
    """Chooses exactly `budget` texts without a label.

    Indices that are invalid, repeated or belong to labelled texts are dropped. If the strategy chooses too few texts
    (an LLM may), the others are drawn at random and marked, and a warning is logged.

    Args:
        strategy (`Strategy`): The strategy.
        pool (`Pool`): The texts to choose from, with all fields that the strategy needs.
        budget (`int`): The number of texts to choose.
        seed (`int`, *optional*, defaults to 0): The random seed.

    Returns:
        `list[Selected]`: The chosen texts, in the order of the choice.

    Raises:
        InputError: If the budget is below 1 or larger than the number of texts without a label.

    Example:

        >>> from freeal_hf.select.diversity import RandomSampling
        >>> pool = Pool(["a", "b", "c"], labels=np.array([0, -1, -1]))
        >>> sorted(text.index for text in select_instances(RandomSampling(), pool, budget=2))
        [1, 2]
    """
    check_budget(pool, budget)
    free = pool.unlabelled
    rng = np.random.default_rng(seed)
    allowed = set(free.tolist())
    chosen = [index for index in dict.fromkeys(map(int, strategy.select(pool, budget, rng))) if index in allowed]
    chosen = chosen[:budget]
    rest = np.setdiff1d(free, chosen)
    filler = rng.choice(rest, size=budget - len(chosen), replace=False).tolist()
    if filler:
        logger.warning("The strategy chose %d of %d texts; %d were drawn at random.", len(chosen), budget, len(filler))
    return [*(Selected(index, False) for index in chosen), *(Selected(index, True) for index in filler)]


def check_budget(pool: Pool, budget: int) -> None:
    """Checks that there are enough texts for a budget, before anything is trained or paid for.

    Args:
        pool (`Pool`): The texts to choose from.
        budget (`int`): The number of texts to choose.

    Raises:
        InputError: If the budget is below 1 or larger than the number of texts without a label.

    Example:

        >>> check_budget(Pool(["a", "b", "c"], labels=np.array([0, -1, -1])), budget=2)
    """
    free = len(pool.unlabelled)
    if budget < 1:
        raise InputError(f"The budget is {budget}; it must be at least 1.")
    if budget > free:
        raise InputError(
            f"The budget is {budget}, but the data only has {counted(free, 'different text')} without a label; give "
            f"a budget of at most {free}."
        )


def distinct_indices(texts: Iterable[str]) -> list[int]:
    """Returns the indices of the texts that are not copies of an earlier one.

    Texts that only differ in case, white space, URLs and retweet marks are copies. Source: the cleaning of ActiveLLM
    (Bayer and Reuter 2024, arXiv 2405.10808).

    Args:
        texts (`Iterable[str]`): The texts.

    Returns:
        `list[int]`: The indices, in the order of the texts.

    Example:

        >>> distinct_indices(["RT @ann: Great news", "great  NEWS https://t.co/x", "Other news"])
        [0, 2]
    """
    seen: set[str] = set()
    kept = []
    for index, text in enumerate(texts):
        clean = " ".join(_RETWEET.sub("", _URL.sub("", text)).casefold().split())
        if clean and clean not in seen:
            seen.add(clean)
            kept.append(index)
    return kept
