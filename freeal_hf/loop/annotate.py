"""The annotation of a round: sends its requests to the annotators, and stores the answers on disk."""

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.driver import run
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.annotators.samples import combined, samples_for
from freeal_hf.annotators.usability import ENOUGH, FirstAnswers
from freeal_hf.annotators.work import annotation_work
from freeal_hf.data.files import remove
from freeal_hf.errors import BudgetExceeded
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.annotators import AnnotationContext, RunAnnotator
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.requests import CorpusRequests, round_requests
from freeal_hf.loop.rounds import Round
from freeal_hf.tasks import Task

logger = logging.getLogger(__name__)


def annotate(
    number: int, run: RunFolder, corpus: Corpus, context: AnnotationContext, known: Any = None
) -> tuple[Any, dict[str, Any]]:
    """Annotates the texts of a round, or reads the answers if they are complete.

    In round 0, up to 200 texts with a human label are annotated too, because their answers show the errors of the
    annotators. Later rounds annotate them again as often as similar texts. Their human labels stay final. The
    annotation is repeated if the budget was spent before it was complete, or if a person gave a label after the round
    began. Paid answers come from the run's cache.

    Args:
        number (`int`): The round.
        run (`RunFolder`): The run's folder.
        corpus (`Corpus`): The texts.
        context (`AnnotationContext`): The annotators and their settings.
        known (`Answers`, *optional*): The answers after the previous round; by default they are read.

    Returns:
        `tuple[Answers, dict]`: The answers after the round, and its costs.

    Raises:
        AnnotatorError: If the annotator fails, or its answers cannot be used. All received answers are kept.
        BudgetExceeded: If the budget is too small for a single label.
    """
    round_, kind = run.round(number), kind_of(context.task)
    if round_.is_annotated:
        answers, costs = round_.read_answers(kind)
        if not costs["budget_spent"] and round_.read_human_labels() == corpus.human_labels:
            return answers, costs
        round_.forget()
    refine_annotators = context.refine_annotators if number > 0 else ()
    annotators = refine_annotators or context.annotators
    ledgers = [Ledger(owner=f"round-{number}", price=entry.price) for entry in annotators]
    firsts = [FirstAnswers() for _ in annotators]
    start = time.monotonic()
    if known is None:
        known = run.round(number - 1).read_answers(kind)[0] if number else kind.no_answers(corpus)
    parts = _parts(known.extended_to(len(corpus.texts)), len(context.annotators) + len(context.refine_annotators))
    own_parts = parts[len(context.annotators) :] if refine_annotators else parts[: len(context.annotators)]
    budget_spent = False
    try:
        requests = round_requests(number, run, corpus, known, context, ledgers[0])
        if refine_annotators and not len(requests):
            logger.warning("Round %d: the refine annotator is not used: %s.", number, _why_none(run, number, context))
        voters = zip(annotators, ledgers, own_parts, firsts, strict=True)
        # A model is asked with all its instructions at once, so that they are in the same batch of a provider.
        for _, group in groupby(voters, key=lambda voter: _instructed(voter[0])):
            entries, own_ledgers, some_parts, own_firsts = zip(*group, strict=True)
            how: dict[str, Any] = {"in_order": bool(refine_annotators)}
            _ask(entries, requests, some_parts, own_ledgers[0], context, round_, own_firsts[0], **how)
    except BudgetExceeded as error:
        if not _has_answer(parts, corpus):
            found = "".join(f" {first}" for first in firsts if first.none_usable)
            raise BudgetExceeded(
                f"No text has a label yet. {error}{found} --estimate prints the cost of round 0."
            ) from error
        budget_spent = True
        for part in own_parts:
            part.explain_missing("the budget was spent")
    if not _has_answer(parts, corpus):
        raise firsts[0].error()
    for first in firsts if refine_annotators else ():
        if first.none_usable:
            logger.warning("Round %d: %s The labels of the previous round are kept.", number, first)
    answers = combine(parts, context, corpus.human_answers)
    spent = [ledger.cost for ledger in ledgers]
    costs = {
        "annotator_calls": sum(ledger.calls for ledger in ledgers),
        "prompt_tokens": sum(ledger.prompt_tokens for ledger in ledgers),
        "completion_tokens": sum(ledger.completion_tokens for ledger in ledgers),
        "cached_tokens": sum(ledger.cached_tokens for ledger in ledgers),
        "cost": None if None in spent else sum(filter(None, spent)),
        "seconds": time.monotonic() - start,
        "budget_spent": budget_spent,
        **({"has_prompt_cache": True} if any(entry.annotator.has_prompt_cache for entry in annotators) else {}),
        **answers.figures,
    }
    round_.write_answers(answers, costs, corpus.human_labels)
    _warn_of_missing(kind.found_labels(corpus, answers), context.task)
    return answers, costs


def _why_none(run: RunFolder, number: int, context: AnnotationContext) -> str:
    """Returns why a round after the first annotates no text."""
    if context.loop.refine == "none":
        return "no text is annotated again (--refine none)"
    if not run.round(number - 1).student_has_learnt:
        return "the student has not learnt its labels and finds no noisy one, and every text has a label"
    return "no label is noisy, and every text has a label"


def _instructed(entry: RunAnnotator) -> int:
    """Returns a key that is the same for the instructions of a language model, and for no other annotators."""
    return id(entry.annotator if entry.annotator.reads_prompts else entry)


def _has_answer(parts: list[Any], corpus: Corpus) -> bool:
    return bool(corpus.is_human.any() or any(not part.is_missing.all() for part in parts))


def _ask(
    entries: Sequence[RunAnnotator],
    requests: CorpusRequests,
    parts: Sequence[Any],
    ledger: Ledger,
    context: AnnotationContext,
    round_: Round,
    first: FirstAnswers,
    *,
    in_order: bool,
) -> None:
    """Sends requests to an annotator, with each of its instructions, and takes the answers to each of them."""
    entry, number, total = entries[0], round_.number, len(requests)
    instructions = [one.instruction for one in entries]
    step = partial(context.callbacks.call, "on_annotation_progress", number)

    def ask(batch: CorpusRequests, start: int) -> None:
        some = samples_for(entry.annotator, context.task, batch, context.loop.samples, instructions)
        if context.engine is not None:
            context.engine(
                entry.annotator,
                context.task,
                some,
                cache=context.cache,
                ledger=ledger,
                budget=context.budget,
                folder=round_.shards_path,
                make_annotator=entry.make,
                progress=lambda done: step(start + done // some.num_answers, total),
            )
            remove(round_.shards_path)
        # The requests of an iterator are not reordered for the prefix cache.
        work = annotation_work(entry.annotator, context.task)
        results = run(
            work, iter(some) if in_order else some, cache=context.cache, ledger=ledger, budget=context.budget
        )
        step(start, total)
        labelled = combined(first.watched(results), some.num_samples, prompts_of(context.task).combined)
        bar = tqdm(
            labelled, total=len(batch) * len(parts), desc=f"round {number}: annotating", disable=context.disable_tqdm
        )
        with closing(results):
            for done, (place, answer) in enumerate(bar, start=1):
                position, voter = divmod(place, len(parts))
                parts[voter].take(int(batch.indices[position]), answer)
                context.callbacks.call("on_answer", number, batch[position], answer)
                step(start + done // len(parts), total)
                # Later rounds can begin with difficult texts, and have the labels of the previous round.
                if number == 0 and first.are_hopeless:
                    raise first.error()

    # The workers of a cluster send thousands of requests before an answer is checked, so a sample is annotated first.
    ahead = ENOUGH if context.engine is not None and number == 0 else total
    ask(requests[:ahead], 0)
    if requests[ahead:]:
        ask(requests[ahead:], ahead)


def _parts(answers: Any, count: int) -> list[Any]:
    """Returns the answers of each of `count` annotators. Answers of other annotators count as those of the first."""
    known = answers.parts
    if count == 1 and not known:
        return [answers]
    if len(known) != count:
        known = [replace(answers, parts=[])]
    return [*known, *(answers.empty() for _ in range(count - len(known)))]


def combine(parts: list[Any], context: AnnotationContext, human: Any) -> Any:
    """Combines the answers of several annotators. Each group is fused, and refine annotators take precedence.

    Args:
        parts (`list[Answers]`): The answers of each annotator, then of each refine annotator.
        context (`AnnotationContext`): The annotators of the run.
        human (`Corpus.human_answers`): The human labels.
    """
    if len(parts) == 1:
        return parts[0]
    kind, count = kind_of(context.task), len(context.annotators)
    whole = kind.fuse(parts[:count], human)
    if parts[count:]:
        whole = whole.refined_by(kind.fuse(parts[count:], human))
    whole.parts = parts
    return whole


def votes_of(answers: Any, context: AnnotationContext) -> np.ndarray | None:
    """Returns the answers of each annotator that the final labels use, see `TaskKind.votes`."""
    return kind_of(context.task).votes(answers, len(context.annotators))


def _warn_of_missing(labels: np.ndarray, task: Task) -> None:
    counts = np.bincount(labels, minlength=task.num_labels)
    missing = [name for name, count in zip(task.label_names, counts, strict=True) if count == 0]
    if missing:
        logger.warning(
            "The annotator gave no text the label %s, so the student cannot learn it. Describe it better or remove "
            "it.",
            ", ".join(map(repr, missing)),
        )
