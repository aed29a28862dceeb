"""The strategy that asks a language model which texts a person should label first."""

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
"""What a prompt tells of earlier choices."""

_FRUITLESS_PROMPTS = 3


@dataclass(frozen=True)
class LLMSelection:
    """A language model is shown batches of texts with ids and picks the most informative and diverse.

    Source: ActiveLLM (Bayer and Reuter 2024, arXiv 2405.10808). Its best variant is the default: no advice, thinking
    first. Exact copies, also but for URLs and retweet marks, are shown once. An id that is none of the shown ones, or
    repeats, is dropped and another one asked for; what was chosen is not shown again as a candidate to choose.

    Args:
        annotator (`TextChooser`): Who chooses.
        task (`Task`): What the texts will be labelled for.
        guidelines (`str`, *optional*): What the person who labels is told.
        texts_per_prompt (`int`, *optional*, defaults to 100): New texts in one prompt.
        picks_per_prompt (`int`, *optional*, defaults to 32): Most texts to choose from one batch; a larger budget
            takes several batches.
        with_advice (`bool`, *optional*): Whether to say what makes a text worth labelling.
        with_explanation (`bool`, *optional*, defaults to `True`): Whether the model thinks on paper first.
        recap (`str`, *optional*, defaults to `"texts"`): What a later prompt tells of the texts chosen before:
            nothing, the `texts`, or their `ids` (then the earlier batches are shown again).
        max_attempts (`int`, *optional*, defaults to 3): How often one batch is asked for what is still missing.
        cache (`AnswerCache`, *optional*): Where every answer is written before it is used, and looked for first.
        ledger (`Ledger`, *optional*): Is filled with calls and tokens.
        spending (`Budget`, *optional*): Limits in dollars or tokens.

    Raises:
        InputError: If an option cannot be used.
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
        """See `Strategy`. May give fewer than `budget` where the model does not answer with usable ids.

        Raises:
            AnnotatorError: If the model cannot be asked.
            BudgetExceeded: If the next call might pass `spending`; every answer is kept.
            InputError: If the texts of one prompt do not fit into the model's context.
        """
        free = pool.unlabelled
        distinct = free[distinct_indices(pool.texts[i] for i in free)]
        queue = rng.permutation(distinct).tolist()
        earlier = [pool.texts[i] for i in pool.labelled]
        shown: list[int] = []
        chosen: list[int] = []
        fruitless = 0
        while len(chosen) < budget and fruitless < _FRUITLESS_PROMPTS:
            if not queue:  # all have been shown: what was passed over gets another chance
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
        """Asks for `wanted` texts of a batch until there are enough, or attempts are used up."""
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
                    f"{len(candidates)} texts do not fit into the model's context; show fewer in one prompt "
                    f"(--texts-per-prompt, now {self.texts_per_prompt}) or recap less (--recap none)."
                )
            allowed = set(candidates).difference(known)
            usable = [number for number in dict.fromkeys(choice.numbers) if number in allowed]
            if len(usable) < len(choice.numbers):
                logger.info("%d ids were unknown, repeated or taken.", len(choice.numbers) - len(usable))
            picks += usable[: wanted - len(picks)]
            if len(picks) == wanted:
                break
        return picks
