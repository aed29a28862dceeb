"""What a strategy chooses from, and the rule that every strategy is held to: exactly the budget, nothing twice."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL

logger = logging.getLogger(__name__)

_URL = re.compile(r"https?://\S+|www\.\S+")
_RETWEET = re.compile(r"^(?:RT|rt)\s+(?:@\w+:?\s*)?")


@dataclass(frozen=True)
class Pool:
    """Texts to choose from, and what a student thinks of them.

    Args:
        texts (`list[str]`): The `n` distinct texts.
        labels (`np.ndarray` of shape `(n,)`): What people said so far; -1 where nobody was asked.
        embeddings (`np.ndarray` of shape `(n, d)`, *optional*): Sentence embeddings, the student's where there is one.
        probabilities (`np.ndarray` of shape `(n, k)`, *optional*): The student's probability of every label.
        dropout_probabilities (`np.ndarray` of shape `(passes, n, k)`, *optional*): The same with dropout switched on.
    """

    texts: list[str]
    labels: np.ndarray
    embeddings: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    dropout_probabilities: np.ndarray | None = None

    @property
    def labelled(self) -> np.ndarray:
        """Indices of the texts that have a label."""
        return np.flatnonzero(self.labels != NO_LABEL)

    @property
    def unlabelled(self) -> np.ndarray:
        """Indices of the texts that can be chosen."""
        return np.flatnonzero(self.labels == NO_LABEL)


class Strategy(Protocol):
    """A way to choose texts.

    `needs` names the fields of the pool that it reads beside texts and labels.
    """

    needs: ClassVar[tuple[str, ...]]

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Iterable[int]:
        """Indices of texts without a label, the most wanted first; best exactly `budget` of them."""
        ...


@dataclass(frozen=True)
class Selected:
    """A text that was chosen.

    Args:
        index (`int`): Its index in the pool.
        is_filler (`bool`): Whether it was drawn at random, to fill up what the strategy left open.
    """

    index: int
    is_filler: bool


def select_instances(strategy: Strategy, pool: Pool, budget: int, *, seed: int = 0) -> list[Selected]:
    """Chooses exactly `budget` texts that nobody has labelled.

    What a strategy returns is checked: an index that is none, is labelled or repeats is dropped. Should it choose too
    few (an LLM may), the rest is drawn at random, marked as such, and a warning says how many.

    Args:
        strategy (`Strategy`): How to choose.
        pool (`Pool`): What to choose from, with all that the strategy needs.
        budget (`int`): How many.
        seed (`int`, *optional*, defaults to 0): Seed of all that is drawn.

    Returns:
        `list[Selected]`: In the order of the choice.

    Raises:
        InputError: If the budget is below 1 or larger than the number of texts without a label.
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
    """Refuses a budget that cannot be met, before anything is trained or paid for.

    Raises:
        InputError: If the budget is below 1 or larger than the number of texts without a label.
    """
    free = len(pool.unlabelled)
    if budget < 1:
        raise InputError(f"The budget is {budget}; it must be at least 1.")
    if budget > free:
        raise InputError(
            f"The budget is {budget}, but there are only {free} different texts without a label; choose at most as "
            "many."
        )


def distinct_indices(texts: Iterable[str]) -> list[int]:
    """Indices of the texts that are no copy of an earlier one, but for case, white space, URLs and retweet marks.

    Source: the cleaning of ActiveLLM (Bayer and Reuter 2024, arXiv 2405.10808).
    """
    seen: set[str] = set()
    kept = []
    for index, text in enumerate(texts):
        clean = " ".join(_RETWEET.sub("", _URL.sub("", text)).casefold().split())
        if clean and clean not in seen:
            seen.add(clean)
            kept.append(index)
    return kept
