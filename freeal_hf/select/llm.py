"""The strategy in which a language model chooses the texts."""

import logging
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np

from freeal_hf.annotators.base import ChoiceRequest, TextChooser, check_annotator
from freeal_hf.annotators.budget import Budget, Ledger
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.work import choice_work
from freeal_hf.errors import InputError
from freeal_hf.select.pool import Pool, distinct_indices
from freeal_hf.tasks import Task

logger = logging.getLogger(__name__)

Recap = Literal["none", "texts", "ids"]
"""What a prompt contains about earlier choices."""

_FRUITLESS_PROMPTS = 3


@dataclass(frozen=True)
class LLMSelection:
    """Shows batches of texts to a language model, which chooses the most informative and diverse ones.

    Source: ActiveLLM (Bayer and Reuter 2024, arXiv 2405.10808). The defaults are its best variant: without advice,
    with an explanation before the answer. Copies of a text, also those that only differ in URLs and retweet marks, are
    shown once. Ids that are unknown or repeated are dropped, and the model is asked for others. Chosen texts cannot be
    chosen again.

    Args:
        annotator (`TextChooser`): The annotator that chooses.
        task (`Task`): The task for which the texts will be labelled.
        guidelines (`str`, *optional*): The annotation guidelines of the person who will label.
        texts_per_prompt (`int`, *optional*, defaults to 100): The number of new texts in a prompt.
        picks_per_prompt (`int`, *optional*, defaults to 32): The maximum number of texts to choose from a batch. A
            larger budget takes several batches.
        with_advice (`bool`, *optional*, defaults to `False`): Whether the prompt describes which texts are worth
            labelling.
        with_explanation (`bool`, *optional*, defaults to `True`): Whether the model explains its choice before it
            answers.
        recap (`str`, *optional*, defaults to `"texts"`): What a later prompt contains about the chosen texts: `none`,
            the `texts`, or their `ids` (the earlier batches are then shown again).
        max_attempts (`int`, *optional*, defaults to 3): The maximum number of prompts for a batch.
        cache (`AnswerCache`, *optional*): The cache in which answers are looked up, and written before they are used.
        ledger (`Ledger`, *optional*): The ledger that counts calls and tokens.
        spending (`Budget`, *optional*): The limits in dollars or tokens.

    Raises:
        InputError: If an argument has no valid value, or the annotator cannot choose texts.

    Example:

        ```python
        strategy = LLMSelection(InferenceEndpointsAnnotator("org/name"), task, picks_per_prompt=16)
        chosen = select_instances(strategy, pool, budget=50)
        ```
    """

    annotator: TextChooser
    task: Task
    guidelines: str = ""
    texts_per_prompt: int = 100
    picks_per_prompt: int = 32
    with_advice: bool = False
    with_explanation: bool = True
    recap: Recap = "texts"
    max_attempts: int = 3
    cache: AnswerCache | None = None
    ledger: Ledger = field(default_factory=Ledger)
    spending: Budget | None = None

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_annotator(self.annotator)
        if not isinstance(self.annotator, TextChooser):
            raise InputError(
                f"{type(self.annotator).__name__} cannot choose texts; use a language model (endpoint:, tgi:, local:)."
            )
        for name in ("texts_per_prompt", "picks_per_prompt", "max_attempts"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.recap not in get_args(Recap):
            raise InputError(f"recap is {self.recap!r}; choose {', '.join(get_args(Recap))}.")

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
        """See `Strategy`. Returns fewer than `budget` texts if the model does not answer with usable ids.

        Raises:
            AnnotatorError: If the model cannot be called.
            BudgetExceeded: If the next call could exceed `spending`. All answers are kept.
            InputError: If the texts of a prompt do not fit into the context of the model.
        """
        free = pool.unlabelled
        distinct = free[distinct_indices(pool.texts[i] for i in free)]
        queue = rng.permutation(distinct).tolist()
        earlier = [pool.texts[i] for i in pool.labelled]
        shown: list[int] = []
        chosen: list[int] = []
        fruitless = 0
        while len(chosen) < budget and fruitless < _FRUITLESS_PROMPTS:
            if not queue:  # all texts have been shown: show those again that were not chosen
                queue = [index for index in shown if index not in chosen]
                shown = []
            if not queue:
                break
            batch, queue = queue[: self.texts_per_prompt], queue[self.texts_per_prompt :]
            wanted = min(self.picks_per_prompt, budget - len(chosen), len(batch))
            picks = self._ask_batch(pool, batch, shown, chosen, earlier, wanted)
            fruitless = 0 if picks else fruitless + 1
            chosen += picks
            shown += batch
        return chosen

    def _ask_batch(
        self, pool: Pool, batch: list[int], shown: list[int], chosen: list[int], earlier: list[str], wanted: int
    ) -> list[int]:
        """Asks for texts of a batch until `wanted` are chosen or `max_attempts` is reached."""
        picks: list[int] = []
        for attempt in range(1, self.max_attempts + 1):
            known = chosen + picks
            by_id = self.recap == "ids"
            candidates = [*shown, *batch] if by_id else [index for index in batch if index not in picks]
            request = ChoiceRequest(
                candidates=tuple((index, pool.texts[index]) for index in candidates),
                num_choices=wanted - len(picks),
                guidelines=self.guidelines,
                with_advice=self.with_advice,
                with_explanation=self.with_explanation,
                chosen_texts=(*earlier, *(pool.texts[i] for i in known)) if self.recap == "texts" else (),
                chosen_numbers=tuple(index for index in known if index in candidates) if by_id else (),
                attempt=attempt,
            )
            work = choice_work(self.annotator, self.task)
            [(_, choice)] = run(work, [request], cache=self.cache, ledger=self.ledger, budget=self.spending)
            if choice.reason == "text too long":
                raise InputError(
                    f"{len(candidates)} texts do not fit into the context of the model; use fewer in a prompt "
                    f"(--texts-per-prompt, now {self.texts_per_prompt}), or --recap none."
                )
            allowed = set(candidates).difference(known)
            usable = [number for number in dict.fromkeys(choice.numbers) if number in allowed]
            if len(usable) < len(choice.numbers):
                logger.info("%d ids were unknown, repeated or already chosen.", len(choice.numbers) - len(usable))
            picks += usable[: wanted - len(picks)]
            if len(picks) == wanted:
                break
        return picks
