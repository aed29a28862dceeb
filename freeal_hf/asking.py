"""The annotator's half of a round: whom to ask for which texts, what to show with them, and the answers on disk."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from freeal_hf import run_folder
from freeal_hf.annotation.annotator import AnnotationRequest, Annotator, TextGenerator, run_annotation
from freeal_hf.annotation.cache import AnswerCache
from freeal_hf.annotation.ledger import Budget, Ledger, Price
from freeal_hf.annotation.sharing import cluster_queries
from freeal_hf.configuration import EngineConfig, LoopConfig
from freeal_hf.demonstrations import generate_demonstrations, nearest_demonstrations
from freeal_hf.errors import BudgetExceeded
from freeal_hf.kinds import kind_of
from freeal_hf.progress import ANNOTATING, Progress
from freeal_hf.round_files import Corpus, Selection, read_pool, write_pool
from freeal_hf.run_folder import RunFolder, remove, write_atomically
from freeal_hf.tasks import NO_LABEL, Demonstration, Task, TokenClassification

logger = logging.getLogger(__name__)

ANNOTATIONS, SELECTION, CHECKPOINTS = "annotations.json", "selection.npz", "training"
_GENERATED, _SHARDS = "generated.jsonl", "shards"


@dataclass(frozen=True)
class Voter:
    """One of those who are asked.

    Args:
        annotator (`Annotator`): Who labels.
        price (`Price`, *optional*): What its tokens cost.
        make (`Callable`): Makes the same annotator elsewhere.
    """

    annotator: Annotator
    price: Price | None
    make: Callable[[], Annotator]


@dataclass(frozen=True)
class Asking:
    """Whom a run asks and how, where paid answers are kept, what it may spend.

    Args:
        task (`Task`): What is labelled.
        loop (`LoopConfig`): How annotator and student take turns.
        voters (`tuple[Voter, ...]`): Who labels; the answers of several are fused.
        refiners (`tuple[Voter, ...]`): Who is asked again, in their place, in the rounds after the first.
        cache (`AnswerCache`): Where answers are kept.
        budget (`Budget`): What may be spent.
        seed (`int`): Seed of every choice.
        progress (`Progress`): Who is told how far it is.
        disable_tqdm (`bool`): Whether to show no progress bar.
        engine (`EngineConfig`): Where texts are annotated.
    """

    task: Task
    loop: LoopConfig
    voters: tuple[Voter, ...]
    refiners: tuple[Voter, ...]
    cache: AnswerCache
    budget: Budget
    seed: int
    progress: Progress
    disable_tqdm: bool
    engine: EngineConfig


def forget_unfinished(folder: Path, corpus: Corpus, task: Task) -> None:
    """Undoes a round that a spent budget cut short, or that began before a person gave a label.

    Its answers are in the cache.
    """
    path = folder / ANNOTATIONS
    if path.is_file():
        answers, costs = kind_of(task).load_answers(path)
        if costs["budget_spent"] or answers.human_labels != corpus.human_labels:
            for name in (run_folder.METRICS, SELECTION, ANNOTATIONS, CHECKPOINTS):
                remove(folder / name)


def annotate(number: int, run: RunFolder, corpus: Corpus, asking: Asking) -> tuple[Any, dict[str, Any]]:
    """The annotator's answers after a round's turn, and what they took; from disk if they are there.

    Texts that a person has labelled are never asked.

    Args:
        number (`int`): The round.
        run (`RunFolder`): The run's folder.
        corpus (`Corpus`): The texts.
        asking (`Asking`): Whom to ask and how.

    Raises:
        AnnotatorError: If the annotator cannot work; all answers received are kept.
        BudgetExceeded: If the budget did not suffice for a single label.
    """
    folder, kind = run.round(number), kind_of(asking.task)
    if (folder / ANNOTATIONS).is_file():
        return kind.load_answers(folder / ANNOTATIONS)
    refiners = asking.refiners if number > 0 else ()
    voters = refiners or asking.voters
    ledgers = [Ledger(owner=f"round-{number}", price=voter.price) for voter in voters]
    start = time.monotonic()
    if number == 0:
        answers = kind.no_answers(corpus)
        asked = np.flatnonzero(~corpus.is_human)
        first = _first_demonstrations(corpus, asking, ledgers[0])
        write_atomically(folder / _GENERATED, lambda path: write_pool(path, first, asking.task))
        shown: Iterable[tuple[Demonstration, ...]] = [tuple(first)] * len(asked)
    else:
        previous = run.round(number - 1)
        answers = kind.load_answers(previous / ANNOTATIONS)[0]
        selection = Selection.load(previous / SELECTION)
        record = run.metrics(number - 1) or {}
        asked = _asked_again(answers, selection, corpus, asking, is_heard=record.get("student_has_learnt", True))
        if refiners:
            asked = asked[np.argsort(-kind.losses(corpus, selection)[asked], kind="stable")]
        answers = answers.extended_to(len(corpus.texts))
        shown = _retrieve(previous, corpus, selection, asked, asking)
    requests = [
        AnnotationRequest(corpus.texts[i], demonstrations, corpus.ids[i], corpus.words_of(int(i)))
        for i, demonstrations in zip(asked, shown, strict=True)
    ]
    parts = _parts(answers, len(asking.voters) + len(asking.refiners))
    turn = parts[len(asking.voters) :] if refiners else parts[: len(asking.voters)]
    budget_spent = False
    try:
        for voter, ledger, part in zip(voters, ledgers, turn, strict=True):
            _ask(voter, requests, asked, part, ledger, asking, folder, in_order=bool(refiners))
    except BudgetExceeded:
        if not len(kind.found_labels(corpus, combine(parts, asking, corpus.human), asking.task)):
            raise
        budget_spent = True
        for part in turn:
            part.explain_missing("the budget was spent")
    answers = combine(parts, asking, corpus.human)
    answers.human_labels = corpus.human_labels
    spent = [ledger.cost for ledger in ledgers]
    costs = {
        "annotator_calls": sum(ledger.calls for ledger in ledgers),
        "prompt_tokens": sum(ledger.prompt_tokens for ledger in ledgers),
        "completion_tokens": sum(ledger.completion_tokens for ledger in ledgers),
        "cost": None if None in spent else sum(filter(None, spent)),
        "seconds": time.monotonic() - start,
        "budget_spent": budget_spent,
        **answers.figures,
    }
    write_atomically(folder / ANNOTATIONS, lambda path: answers.save(path, costs))
    _warn_of_missing(kind.found_labels(corpus, answers, asking.task), asking.task)
    return answers, costs


def _ask(
    voter: Voter,
    requests: list[AnnotationRequest],
    asked: np.ndarray,
    answers: Any,
    ledger: Ledger,
    asking: Asking,
    folder: Path,
    *,
    in_order: bool,
) -> None:
    number, total = int(folder.name.removeprefix("round-")), len(requests)
    if asking.engine.engine == "ray":
        from freeal_hf.ray_annotation import fill_cache

        fill_cache(
            voter.annotator,
            asking.task,
            requests,
            cache=asking.cache,
            ledger=ledger,
            budget=asking.budget,
            folder=folder / _SHARDS,
            config=asking.engine,
            make_annotator=voter.make,
            progress=lambda done: asking.progress.step(number, ANNOTATING, done, total),
        )
        remove(folder / _SHARDS)
    results = run_annotation(
        voter.annotator,
        asking.task,
        # An iterator is not put into another order, which a prefix cache would like better.
        iter(requests) if in_order else requests,
        cache=asking.cache,
        ledger=ledger,
        budget=asking.budget,
    )
    asking.progress.step(number, ANNOTATING, 0, total)
    bar = tqdm(results, total=total, desc=f"round {number}: annotating", disable=asking.disable_tqdm)
    for done, (position, answer) in enumerate(bar, start=1):
        answers.take(int(asked[position]), answer)
        asking.progress.step(number, ANNOTATING, done, total)


def _parts(answers: Any, count: int) -> list[Any]:
    """What each of `count` annotators has said so far; what other ones said counts as the first one's."""
    known = answers.parts
    if count == 1 and not known:
        return [answers]
    if len(known) != count:
        known = [replace(answers, human_labels=[], parts=[])]
    return [*known, *(answers.none(len(answers.reasons)) for _ in range(count - len(known)))]


def combine(parts: list[Any], asking: Asking, human: np.ndarray) -> Any:
    """What the answers of several annotators come to: those of one group fused, the refiners' before the others'.

    Args:
        parts (`list[Answers]` or `list[EntityAnswers]`): What each of the voters said, then each of the refiners.
        asking (`Asking`): Whom a run asks.
        human (`np.ndarray` of shape `(n,)`): Labels that people gave, -1 for none.
    """
    if len(parts) == 1:
        return parts[0]
    kind, count = kind_of(asking.task), len(asking.voters)
    whole = kind.fuse(parts[:count], asking.task, human)
    if parts[count:]:
        whole = whole.refined_by(kind.fuse(parts[count:], asking.task, human))
    whole.parts = parts
    return whole


def votes_of(answers: Any, asking: Asking) -> np.ndarray | None:
    """What each of several annotators said of each text, shape `(n, m)`; `None` where one alone is asked at a time, or
    for entities, which have no matrix."""
    count = len(asking.voters)
    if max(count, len(asking.refiners)) < 2 or isinstance(asking.task, TokenClassification):
        return None
    votes = np.column_stack([part.labels for part in answers.parts])
    refined = (votes[:, count:] != NO_LABEL).any(axis=1)
    votes[:, :count][refined] = NO_LABEL
    return votes


def foreseen(
    corpus: Corpus, task: Task, annotator: Annotator, loop: LoopConfig, *, seed: int
) -> list[AnnotationRequest]:
    """The requests of round 0 as far as they can be known before the first call.

    Where the annotator writes the demonstrations, texts of the corpus stand for them, and for the check of each text
    that it writes; the few calls that write them are left out.

    Args:
        corpus (`Corpus`): The texts.
        task (`Task`): What is labelled.
        annotator (`Annotator`): Who labels.
        loop (`LoopConfig`): How many demonstrations are written and shown.
        seed (`int`): Seed of the choice of the texts.
    """
    per_label = min(_shots_per_label(loop, task), loop.generated_per_label)
    writes = isinstance(annotator, TextGenerator) and per_label > 0
    labels = [label for label in task.shot_labels for _ in range(per_label if writes else 0)]
    chosen = np.random.default_rng(seed).choice(len(corpus.texts), size=len(labels))
    # A word stands for the entity that a sentence is written for.
    named = [tuple((word, task.label_names[0]) for word in corpus.words_of(int(i))[:1]) for i in chosen]
    shots = tuple(
        Demonstration(corpus.texts[i], label, entities=entities if label != NO_LABEL else ())
        for i, label, entities in zip(chosen, labels, named, strict=True)
    )
    checked = len(task.shot_labels) * loop.generated_per_label if writes else 0
    asked = enumerate(zip(corpus.texts, corpus.ids, strict=True))
    return [AnnotationRequest(text, shots, sample, corpus.words_of(i)) for i, (text, sample) in asked] + [
        AnnotationRequest(text, words=corpus.words_of(i)) for i, text in enumerate(corpus.texts[:checked])
    ]


def _first_demonstrations(corpus: Corpus, asking: Asking, ledger: Ledger) -> list[Demonstration]:
    """What round 0 shows with every text: what people labelled and, for labels of which that is too little, texts that
    the annotator writes."""
    # One list for all texts: a server's prefix cache then serves it, and there is no student yet to retrieve by.
    per_label = _shots_per_label(asking.loop, asking.task)
    by_label: dict[int, list[Demonstration]] = {label: [] for label in asking.task.shot_labels}
    order = np.random.default_rng(asking.seed).permutation(len(corpus.texts))
    given = corpus.human_demonstrations()
    for i in order[corpus.is_human[order]]:
        if i in given:
            by_label[given[i].label].append(given[i])
    annotator, wanted = asking.voters[0].annotator, asking.loop.generated_per_label if per_label else 0
    if isinstance(annotator, TextGenerator) and wanted and any(len(shots) < per_label for shots in by_label.values()):
        for shot in generate_demonstrations(
            asking.task,
            annotator,
            corpus.texts,
            per_label=wanted,
            seed=asking.seed,
            cache=asking.cache,
            ledger=ledger,
            budget=asking.budget,
        ):
            by_label[shot.label].append(shot)
    return [shot for shots in by_label.values() for shot in shots[:per_label]]


def _asked_again(answers: Any, selection: Selection, corpus: Corpus, asking: Asking, *, is_heard: bool) -> np.ndarray:
    if asking.loop.refine == "none":
        return np.array([], dtype=int)
    # A student that has learnt nothing doubts nothing: only what has no answer is left.
    wanted = answers.is_missing
    if is_heard and asking.loop.refine == "all":
        wanted = np.ones_like(wanted)
    elif is_heard:
        wanted = kind_of(asking.task).is_noisy(corpus, answers, selection, asking.task)
    return np.flatnonzero(wanted & ~corpus.is_human[: len(wanted)])


def _retrieve(
    previous: Path, corpus: Corpus, selection: Selection, asked: np.ndarray, asking: Asking
) -> list[tuple[Demonstration, ...]]:
    if asking.loop.shots == 0:
        return [()] * len(asked)
    position = {sample: i for i, sample in enumerate(corpus.ids)}
    shots = {position[str(shot.id)]: shot for shot in read_pool(previous / run_folder.DEMONSTRATIONS, asking.task)}
    # A person may have spoken since: their labels are candidates at once, and correct those of the pool.
    shots |= {i: shot for i, shot in corpus.human_demonstrations().items() if i < len(selection.embeddings)}
    rows, pool = np.array(list(shots), dtype=int), list(shots.values())
    labels = np.array([shot.label for shot in pool], dtype=int)
    queries = cluster_queries(selection.embeddings[asked], asking.loop.texts_per_list, seed=asking.seed)
    found = nearest_demonstrations(
        queries, selection.embeddings[rows], labels, per_label=_shots_per_label(asking.loop, asking.task)
    )
    return [
        tuple(pool[j] for j in nearest if pool[j].id != corpus.ids[i]) for i, nearest in zip(asked, found, strict=True)
    ]


def _shots_per_label(loop: LoopConfig, task: Task) -> int:
    return max(1, round(loop.shots / len(task.shot_labels))) if loop.shots else 0


def _warn_of_missing(labels: np.ndarray, task: Task) -> None:
    counts = np.bincount(labels, minlength=task.num_labels)
    missing = [name for name, count in zip(task.label_names, counts, strict=True) if count == 0]
    if missing:
        logger.warning(
            "The annotator gave no text the label %s; the student cannot learn it. Describe it better or drop it.",
            ", ".join(map(repr, missing)),
        )
