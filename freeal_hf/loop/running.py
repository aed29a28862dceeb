"""Runs the incomplete rounds of a run in order."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.loop.annotate import annotate, combine, votes_of
from freeal_hf.loop.annotators import AnnotationContext
from freeal_hf.loop.audit_figures import ESTIMATES, MODEL_ESTIMATE
from freeal_hf.loop.audit_labels import keep_audited_labels
from freeal_hf.loop.audit_stop import stops_for_audit
from freeal_hf.loop.conclusion import conclude
from freeal_hf.loop.distributed import Processes
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.preparation import RunData, known_human_labels
from freeal_hf.loop.stopping import StoppingRule
from freeal_hf.loop.training import StudentTraining

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rounds:
    """The rounds of a run.

    Args:
        folder (`RunFolder`): The run's folder, locked for this run.
        data (`RunData`): The data.
        corpus (`Corpus`): The texts with all human labels.
        context (`AnnotationContext`): The annotators and their settings.
        training (`StudentTraining`): The training of each student.
        processes (`Processes`): The processes that train.
        converged (`StoppingRule`): The rule that ends the loop before all rounds are complete.
    """

    folder: RunFolder
    data: RunData
    corpus: Corpus
    context: AnnotationContext
    training: StudentTraining
    processes: Processes
    converged: StoppingRule

    def run(self) -> bool:
        """Runs the rounds until all are complete, the loop has converged, or the budget is spent.

        Returns:
            `bool`: Whether the run stopped for an audit instead.
        """
        loop, budget = self.context.loop, self.context.budget
        records: list[dict[str, Any]] = []
        known: Any = None  # the answers after the previous round, if this process ran it
        for number in range(loop.num_rounds):
            record = self.folder.metrics(number)
            if record is None or record["budget_spent"]:
                logger.info("round %d of %d", number, loop.num_rounds)
                record, known = self._run_round(number, known)
                self.context.callbacks.call("on_round_end", record)
            else:
                known = None
                if number + 1 == loop.num_rounds and self._has_new_human_labels(number):
                    record = self._conclude_again(number, record)
                    self.context.callbacks.call("on_round_end", record)
                budget.spent_tokens += record["prompt_tokens"] + record["completion_tokens"]
                budget.spent_cost += record["cost"] or 0.0
            if record["budget_spent"]:
                logger.warning(
                    "The budget is spent, so the run ends with round %d. To continue it, start it again with a larger "
                    "budget.",
                    number,
                )
                break
            if stops_for_audit(self.folder, self.context.task, loop, number, self.context.seed):
                return True
            records.append(record)
            are_used = self.corpus.human_labels == known_human_labels(self.folder, loop.num_rounds)
            if number + 1 < loop.num_rounds and are_used and (reason := self.converged(records)):
                logger.info("The loop has converged: %s.", reason)
                break
        if self.context.refine_annotators and number == 0 and record is not None:
            logger.warning("The refine annotator was never used: %s.", self._why_one_round(record))
        return False

    def _run_round(self, number: int, known: Any) -> tuple[dict[str, Any], Any]:
        """Runs a round.

        Args:
            number (`int`): The round.
            known (`Answers`, *optional*): The answers after the previous round; by default they are read.

        Returns:
            `tuple[dict, Answers]`: The round's record, and the answers after it.
        """
        round_, context = self.folder.round(number), self.context
        round_.path.mkdir(parents=True, exist_ok=True)
        answers, costs = annotate(number, self.folder, self.corpus, context, known)
        start = time.monotonic()
        selection = self.training.train(round_, self.corpus, answers, self.processes, context.callbacks)
        figures = self._conclude(number, answers, selection)
        costs["seconds"] = round(costs["seconds"] + time.monotonic() - start, 1)
        record = {"round": number, **figures, **costs}
        round_.write_metrics(record)
        return record, answers

    def _has_new_human_labels(self, number: int) -> bool:
        """Returns whether human labels have changed since the labels of a complete round were made."""
        return self.corpus.human_labels != self.folder.round(number).read_human_labels()

    def _conclude_again(self, number: int, record: Mapping[str, Any]) -> dict[str, Any]:
        """Makes the labels of a complete round again, with human labels that were given later.

        They also weigh several annotators anew. The student is not trained again.

        Args:
            number (`int`): The round.
            record (`Mapping[str, Any]`): Its record.

        Returns:
            `dict[str, Any]`: Its new record.
        """
        logger.info("The labels of round %d are made again with the answers of the audit.", number)
        round_ = self.folder.round(number)
        keep_audited_labels(self.folder)
        kind = kind_of(self.context.task)
        answers, selection = round_.read_answers(kind)[0], round_.read_selection()
        if answers.parts:
            before, answers = answers, combine(answers.parts, self.context, self.corpus.human_answers)
            selection = kind.selection_for(self.corpus, answers, before, selection)
        figures = self._conclude(number, answers, selection)
        kept = {name: value for name, value in record.items() if name not in (MODEL_ESTIMATE, *ESTIMATES)}
        round_.write_metrics({**kept, **figures})
        # This is written last, so that a run that is killed before repeats all of it.
        round_.write_human_labels(self.corpus.human_labels)
        return {**kept, **figures}

    def _conclude(self, number: int, answers: Any, selection: Selection) -> dict[str, Any]:
        return conclude(
            self.folder.round(number),
            [self.folder.round(earlier) for earlier in range(number)],
            self.data,
            self.corpus,
            answers,
            votes_of(answers, self.context),
            selection,
            kind=kind_of(self.context.task),
            loop=self.context.loop,
            seed=self.context.seed,
        )

    def _why_one_round(self, record: Mapping[str, Any]) -> str:
        loop = self.context.loop
        if loop.num_rounds == 1:
            return "it labels texts from the second round on, and the run has one round (--num-rounds 1)"
        if record["budget_spent"]:
            return "the budget was spent in the first round"
        return "the loop converged after the first round"
