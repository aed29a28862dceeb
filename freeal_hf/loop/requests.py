"""The annotation requests of a round: the texts to annotate, and the demonstrations for each of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from freeal_hf.annotators.base import AnnotationRequest, TextGenerator
from freeal_hf.annotators.budget import Ledger
from freeal_hf.annotators.sharing import cluster_queries
from freeal_hf.annotators.usability import ENOUGH, check_answers
from freeal_hf.config import LoopConfig
from freeal_hf.demonstrations import generate_demonstrations, nearest_demonstrations
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.kinds.rounds import Selection
from freeal_hf.loop.annotators import AnnotationContext
from freeal_hf.loop.folder import RunFolder
from freeal_hf.loop.rounds import Round
from freeal_hf.tasks import Demonstration, Task

# The most texts with a human label that are annotated: more of them cost more and show little more.
_MOST_COMPARED = 200
# With lists for 5 texts a prompt cache serves four fifths of the tokens (benchmarks/README.md, "Prompts").
_TEXTS_PER_LIST = 5


@dataclass(frozen=True, eq=False)
class CorpusRequests(Sequence[AnnotationRequest]):
    """The requests for some texts of a corpus. Each request is made when it is needed.

    Args:
        corpus (`Corpus`): The texts.
        indices (`np.ndarray` of shape `(m,)`): The indices of the texts to annotate.
        shots (`list[tuple[Demonstration, ...]]`): The demonstrations for each of these texts.
    """

    corpus: Corpus
    indices: np.ndarray
    shots: list[tuple[Demonstration, ...]]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> AnnotationRequest: ...
    @overload
    def __getitem__(self, index: slice) -> "CorpusRequests": ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return CorpusRequests(self.corpus, self.indices[index], self.shots[index])
        i = int(self.indices[index])
        return AnnotationRequest(self.corpus.texts[i], self.shots[index], self.corpus.ids[i], self.corpus.words_of(i))


def round_requests(
    number: int, run: RunFolder, corpus: Corpus, known: Any, context: AnnotationContext, ledger: Ledger
) -> CorpusRequests:
    """Makes the requests of a round. In round 0, the annotator first generates the demonstrations.

    Args:
        number (`int`): The round.
        run (`RunFolder`): The run's folder.
        corpus (`Corpus`): The texts.
        known (`Answers`): The answers after the previous round.
        context (`AnnotationContext`): The annotators and their settings.
        ledger (`Ledger`): Counts the calls that generate demonstrations.

    Returns:
        `CorpusRequests`: The requests.
    """
    if number == 0:
        # The order is random, so that the first answers, or those of a small budget, are a sample of all texts.
        indices = np.random.default_rng(context.seed).permutation(_first_texts(corpus, context.seed))
        first = _first_demonstrations(corpus, indices, context, ledger)
        run.round(0).write_generated(first, context.task)
        shared = tuple(first)
        own = {shot.id: tuple(other for other in first if other is not shot) for shot in first if shot.id is not None}
        return CorpusRequests(corpus, indices, [own.get(corpus.ids[i], shared) for i in indices.tolist()])
    previous = run.round(number - 1)
    selection, has_learnt = previous.read_selection(), previous.student_has_learnt
    indices = _texts_to_refine(known, selection, corpus, context, has_learnt=has_learnt)
    if context.refine_annotators:
        losses = kind_of(context.task).losses(corpus, selection)
        indices = indices[np.argsort(-losses[indices], kind="stable")]
    if has_learnt:
        shots = _retrieve(previous, corpus, selection, indices, context)
    else:  # the selection and the embeddings of such a student cannot be used
        given = [*corpus.human_demonstrations().values(), *run.round(0).read_generated(context.task)]
        shots = [tuple(_first_of_each_label(dict.fromkeys(given), context))] * len(indices)
    return CorpusRequests(corpus, indices, shots)


def _first_texts(corpus: Corpus, seed: int) -> np.ndarray:
    """Returns the texts that round 0 annotates: those without a human label, and a sample of those with one.

    The answers for texts with a human label show the errors of the annotator. Texts that are only examples have none,
    because a person chose them.
    """
    compared = np.flatnonzero(corpus.is_human[: corpus.num_texts])
    if len(compared) > _MOST_COMPARED:
        compared = np.random.default_rng([seed, 1]).choice(compared, _MOST_COMPARED, replace=False)
    is_annotated = ~corpus.is_human
    is_annotated[compared] = True
    return np.flatnonzero(is_annotated)


def _first_demonstrations(
    corpus: Corpus, indices: np.ndarray, context: AnnotationContext, ledger: Ledger
) -> list[Demonstration]:
    """Returns the demonstrations of round 0: human labels and, if a label has too few, generated texts.

    All texts share them, because there are no embeddings of a student yet, and a server can cache the common prefix.
    """
    per_label, wanted = shots_per_label(context.loop, context.task), context.loop.generated_per_label
    order = np.random.default_rng(context.seed).permutation(len(corpus.texts)).tolist()
    given = corpus.human_demonstrations()
    shots = [given[i] for i in order if i in given]
    counts = Counter(shot.label for shot in shots)
    is_short = any(counts[label] < per_label for label in context.task.shot_labels)
    annotator = context.annotators[0].annotator
    if isinstance(annotator, TextGenerator) and wanted and is_short:
        # The generation needs most of the tokens, so a model with unusable answers is detected before.
        first = indices[:ENOUGH]
        plain = CorpusRequests(corpus, first, [()] * len(first))
        booked: dict[str, Any] = {"cache": context.cache, "ledger": ledger, "budget": context.budget}
        check_answers(annotator, context.task, plain, **booked)
        shots += generate_demonstrations(
            context.task, annotator, corpus.texts, per_label=wanted, seed=context.seed, **booked
        )
    return _first_of_each_label(shots, context)


def _first_of_each_label(shots: Iterable[Demonstration], context: AnnotationContext) -> list[Demonstration]:
    """Returns as many demonstrations of each label as a prompt has, ordered by label."""
    by_label: dict[int, list[Demonstration]] = {label: [] for label in context.task.shot_labels}
    for shot in shots:
        by_label[shot.label].append(shot)
    per_label = shots_per_label(context.loop, context.task)
    return [shot for same_label in by_label.values() for shot in same_label[:per_label]]


def _texts_to_refine(
    answers: Any, selection: Selection, corpus: Corpus, context: AnnotationContext, *, has_learnt: bool
) -> np.ndarray:
    if context.loop.refine == "none":
        return np.array([], dtype=int)
    # A student that has not learnt its labels finds no noisy labels, so only texts without an answer are annotated.
    wanted = answers.is_missing
    if has_learnt and context.loop.refine == "all":
        wanted = np.ones_like(wanted)
    elif has_learnt:
        wanted = kind_of(context.task).is_noisy(corpus, answers, selection)
    # Texts with a human label that round 0 annotated are treated as the others: they show the errors of the annotator.
    return np.flatnonzero(wanted & ~(corpus.is_human[: len(wanted)] & answers.is_missing))


def _retrieve(
    previous: Round, corpus: Corpus, selection: Selection, indices: np.ndarray, context: AnnotationContext
) -> list[tuple[Demonstration, ...]]:
    if context.loop.shots == 0:
        return [()] * len(indices)
    chosen = previous.read_demonstrations(context.task)
    position = corpus.index_of(str(shot.id) for shot in chosen)
    shots = {position[str(shot.id)]: shot for shot in chosen}
    # New human labels are candidates immediately, and replace those of the pool.
    shots |= {i: shot for i, shot in corpus.human_demonstrations().items() if i < len(selection.embeddings)}
    rows, pool = np.array(list(shots), dtype=int), list(shots.values())
    labels = np.array([shot.label for shot in pool], dtype=int)
    texts_per_list = context.loop.texts_per_list or (_TEXTS_PER_LIST if previous.uses_prompt_cache else 1)
    queries = cluster_queries(selection.embeddings[indices], texts_per_list, seed=context.seed)
    found = nearest_demonstrations(
        queries, selection.embeddings[rows], labels, per_label=shots_per_label(context.loop, context.task)
    )
    return [
        tuple(pool[j] for j in nearest if rows[j] != i)  # no text is its own demonstration
        for i, nearest in zip(indices, found, strict=True)
    ]


def shots_per_label(loop: LoopConfig, task: Task) -> int:
    return max(1, round(loop.shots / len(task.shot_labels))) if loop.shots else 0
