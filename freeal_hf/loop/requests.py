"""Which texts a round asks its annotator about, and which demonstrations it shows with each of them."""

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from freeal_hf.annotators.base import AnnotationRequest, Annotator, GenerationRequest, TextGenerator
from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.samples import samples_for
from freeal_hf.annotators.sharing import cluster_queries
from freeal_hf.annotators.usability import CHECKED, ENOUGH, check_answers
from freeal_hf.config import LoopConfig
from freeal_hf.demonstrations import generate_demonstrations, generation_requests, nearest_demonstrations
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.loop.annotators import AnnotationContext
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.rounds import Round
from freeal_hf.tasks import Demonstration, Task


class Questions(Sequence[AnnotationRequest]):
    """What is asked about some texts of a corpus, each question made when it is needed.

    Args:
        corpus (`Corpus`): The texts.
        asked (`np.ndarray` of shape `(m,)`): Which of them.
        shown (`list[tuple[Demonstration, ...]]`): The demonstrations to show with each.
    """

    def __init__(self, corpus: Corpus, asked: np.ndarray, shown: list[tuple[Demonstration, ...]]) -> None:
        self.corpus, self.asked, self.shown = corpus, asked, shown

    def __len__(self) -> int:
        return len(self.asked)

    @overload
    def __getitem__(self, index: int) -> AnnotationRequest: ...
    @overload
    def __getitem__(self, index: slice) -> "Questions": ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Questions(self.corpus, self.asked[index], self.shown[index])
        i = int(self.asked[index])
        return AnnotationRequest(self.corpus.texts[i], self.shown[index], self.corpus.ids[i], self.corpus.words_of(i))


def questions(
    number: int, run: RunFolder, corpus: Corpus, known: Any, context: AnnotationContext, ledger: Ledger
) -> tuple[np.ndarray, Sequence[AnnotationRequest]]:
    """The texts that a round asks about, by index, and what it asks."""
    if number == 0:
        # In random order: the first answers, and those that a small budget buys, then stand for all.
        asked = np.random.default_rng(context.seed).permutation(np.flatnonzero(~corpus.is_human))
        first = _first_demonstrations(corpus, asked, context, ledger)
        run.round(0).write_generated(first, context.task)
        shown = [tuple(first)] * len(asked)
    else:
        previous = run.round(number - 1)
        selection = previous.read_selection()
        is_heard = (previous.read_metrics() or {}).get("student_has_learnt", True)
        asked = _asked_again(known, selection, corpus, context, is_heard=is_heard)
        if context.refine_annotators:
            losses = kind_of(context.task).losses(corpus, selection)
            asked = asked[np.argsort(-losses[asked], kind="stable")]
        if is_heard:
            shown = _retrieve(previous, corpus, selection, asked, context)
        else:  # neither its choice nor its embeddings are of any use
            shown = [tuple(_demonstrations_of_round_0(run, corpus, context))] * len(asked)
    return asked, Questions(corpus, asked, shown)


def foreseen(
    corpus: Corpus, task: Task, annotator: Annotator, loop: LoopConfig, *, seed: int
) -> Sequence[AnnotationRequest]:
    """The requests of round 0 as far as they can be known before the first call.

    Where the annotator writes the demonstrations, texts of the corpus stand for them, for the check of each text that
    it writes, and for the plain questions that are asked before it writes. `foreseen_writing` gives the calls that
    write.

    Args:
        corpus (`Corpus`): The texts.
        task (`Task`): What is labelled.
        annotator (`Annotator`): Who labels.
        loop (`LoopConfig`): How many demonstrations are written and shown, and how often each text is asked about.
        seed (`int`): Seed of the choice of the texts.
    """
    per_label = min(_shots_per_label(loop, task), loop.generated_per_label)
    writes = isinstance(annotator, TextGenerator) and per_label > 0
    labels = [label for label in task.shot_labels for _ in range(per_label if writes else 0)]
    chosen = np.random.default_rng(seed).choice(len(corpus.texts), size=len(labels))
    stand_in = kind_of(task).stand_in
    shots = tuple(stand_in(corpus, int(i), label) for i, label in zip(chosen, labels, strict=True))
    checked = CHECKED + len(task.shot_labels) * loop.generated_per_label if writes else 0
    count = len(corpus.texts)
    asked = np.concatenate([np.arange(min(checked, count)), np.arange(count)])
    plain = len(asked) - count
    requests = Questions(corpus, asked, [()] * plain + [shots] * count)
    return samples_for(annotator, task, requests, loop.samples, once=plain)


def foreseen_writing(
    corpus: Corpus, task: Task, annotator: Annotator, loop: LoopConfig, *, seed: int
) -> list[GenerationRequest]:
    """The requests of round 0 that write demonstrations; none where the annotator cannot write.

    Args:
        corpus (`Corpus`), task (`Task`), annotator (`Annotator`), loop (`LoopConfig`), seed (`int`): As in `foreseen`.
    """
    if not (isinstance(annotator, TextGenerator) and loop.shots and loop.generated_per_label):
        return []
    return generation_requests(task, corpus.texts, per_label=loop.generated_per_label, seed=seed)


def _first_demonstrations(
    corpus: Corpus, asked: np.ndarray, context: AnnotationContext, ledger: Ledger
) -> list[Demonstration]:
    """What round 0 shows with every text: what people labelled and, for labels of which that is too little, texts that
    the annotator writes."""
    # One list for all texts: a server's prefix cache then serves it, and there is no student yet to retrieve by.
    per_label = _shots_per_label(context.loop, context.task)
    by_label: dict[int, list[Demonstration]] = {label: [] for label in context.task.shot_labels}
    order = np.random.default_rng(context.seed).permutation(len(corpus.texts))
    given = corpus.human_demonstrations()
    for i in order[corpus.is_human[order]]:
        if i in given:
            by_label[given[i].label].append(given[i])
    annotator, wanted = context.annotators[0].annotator, context.loop.generated_per_label if per_label else 0
    is_short = any(len(shots) < per_label for shots in by_label.values())
    if isinstance(annotator, TextGenerator) and wanted and is_short:
        # Written texts take most of the tokens. A model of no use is found out before.
        plain = Questions(corpus, asked[:ENOUGH], [()] * len(asked[:ENOUGH]))
        check_answers(annotator, context.task, plain, cache=context.cache, ledger=ledger, budget=context.budget)
        for shot in generate_demonstrations(
            context.task,
            annotator,
            corpus.texts,
            per_label=wanted,
            seed=context.seed,
            cache=context.cache,
            ledger=ledger,
            budget=context.budget,
        ):
            by_label[shot.label].append(shot)
    return [shot for shots in by_label.values() for shot in shots[:per_label]]


def _demonstrations_of_round_0(run: RunFolder, corpus: Corpus, context: AnnotationContext) -> list[Demonstration]:
    """What round 0 showed, with what people have labelled since; a run that was pulled from the Hub has the latter."""
    by_label: dict[int, list[Demonstration]] = {label: [] for label in context.task.shot_labels}
    for shot in [*corpus.human_demonstrations().values(), *run.round(0).read_generated(context.task)]:
        if shot not in by_label[shot.label]:
            by_label[shot.label].append(shot)
    return [shot for shots in by_label.values() for shot in shots[: _shots_per_label(context.loop, context.task)]]


def _asked_again(
    answers: Any, selection: Selection, corpus: Corpus, context: AnnotationContext, *, is_heard: bool
) -> np.ndarray:
    if context.loop.refine == "none":
        return np.array([], dtype=int)
    # A student that has learnt nothing doubts nothing: only what has no answer is left.
    wanted = answers.is_missing
    if is_heard and context.loop.refine == "all":
        wanted = np.ones_like(wanted)
    elif is_heard:
        wanted = kind_of(context.task).is_noisy(corpus, answers, selection)
    return np.flatnonzero(wanted & ~corpus.is_human[: len(wanted)])


def _retrieve(
    previous: Round, corpus: Corpus, selection: Selection, asked: np.ndarray, context: AnnotationContext
) -> list[tuple[Demonstration, ...]]:
    if context.loop.shots == 0:
        return [()] * len(asked)
    chosen = previous.read_demonstrations(context.task)
    position = corpus.index_of(str(shot.id) for shot in chosen)
    shots = {position[str(shot.id)]: shot for shot in chosen}
    # A person may have spoken since: their labels are candidates at once, and correct those of the pool.
    shots |= {i: shot for i, shot in corpus.human_demonstrations().items() if i < len(selection.embeddings)}
    rows, pool = np.array(list(shots), dtype=int), list(shots.values())
    labels = np.array([shot.label for shot in pool], dtype=int)
    queries = cluster_queries(selection.embeddings[asked], context.loop.texts_per_list, seed=context.seed)
    found = nearest_demonstrations(
        queries, selection.embeddings[rows], labels, per_label=_shots_per_label(context.loop, context.task)
    )
    return [
        tuple(pool[j] for j in nearest if rows[j] != i)  # no text is its own demonstration
        for i, nearest in zip(asked, found, strict=True)
    ]


def _shots_per_label(loop: LoopConfig, task: Task) -> int:
    return max(1, round(loop.shots / len(task.shot_labels))) if loop.shots else 0
