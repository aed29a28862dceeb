"""The annotation requests of a round: the texts to annotate, and the demonstrations for each of them."""

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
    """The requests about some texts of a corpus. Each request is made when it is needed.

    Args:
        corpus (`Corpus`): The texts.
        asked (`np.ndarray` of shape `(m,)`): The indices of the texts to annotate.
        shown (`list[tuple[Demonstration, ...]]`): The demonstrations for each of these texts.
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
    """Returns the indices of the texts that a round annotates, and its requests."""
    if number == 0:
        # The order is random, so that the first answers, or those of a small budget, are a sample of all texts.
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
        else:  # the selection and the embeddings of such a student cannot be used
            shown = [tuple(_demonstrations_of_round_0(run, corpus, context))] * len(asked)
    return asked, Questions(corpus, asked, shown)


def foreseen(
    corpus: Corpus, task: Task, annotator: Annotator, loop: LoopConfig, *, seed: int
) -> Sequence[AnnotationRequest]:
    """Returns the requests of round 0 that are known before the first call.

    If the annotator writes the demonstrations, texts of the corpus replace them, the check of each written text, and
    the requests without demonstrations that are sent before. `foreseen_writing` returns the requests that write.

    Args:
        corpus (`Corpus`): The texts.
        task (`Task`): What is labelled.
        annotator (`Annotator`): The annotator.
        loop (`LoopConfig`): The numbers of demonstrations that are written and shown, and of samples for each text.
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
    """Returns the requests of round 0 that write demonstrations; none if the annotator cannot write them.

    Args:
        corpus (`Corpus`), task (`Task`), annotator (`Annotator`), loop (`LoopConfig`), seed (`int`): As in `foreseen`.
    """
    if not (isinstance(annotator, TextGenerator) and loop.shots and loop.generated_per_label):
        return []
    return generation_requests(task, corpus.texts, per_label=loop.generated_per_label, seed=seed)


def _first_demonstrations(
    corpus: Corpus, asked: np.ndarray, context: AnnotationContext, ledger: Ledger
) -> list[Demonstration]:
    """Returns the demonstrations of round 0: human labels and, if a label has too few, texts that the annotator
    writes."""
    # All texts share one list: a server's prefix cache can use it, and there are no embeddings of a student yet.
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
        # Writing texts needs most of the tokens, so a model with unusable answers is detected before.
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
    """Returns the demonstrations of round 0 and new human labels. A run pulled from the Hub has only the latter."""
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
    # A student that has not learnt its labels finds no noisy labels, so only texts without an answer are annotated.
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
    # New human labels are candidates immediately, and replace those of the pool.
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
