"""The estimate of what the first round of a run costs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from freeal_hf.annotators.base import AnnotationRequest, Annotator, GenerationRequest, TextGenerator
from freeal_hf.annotators.estimate import Estimate, estimate_annotation
from freeal_hf.annotators.samples import samples_for
from freeal_hf.annotators.usability import CHECKED
from freeal_hf.config import LoopConfig
from freeal_hf.demonstrations import generation_requests
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.kinds.registry import kind_of
from freeal_hf.loop.annotators import RunAnnotator
from freeal_hf.loop.requests import CorpusRequests, shots_per_label
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset


def estimate_first_round(
    entry: RunAnnotator, dataset: "Dataset", task: Task, loop: LoopConfig, seed: int, *, is_first: bool
) -> Estimate:
    """Estimates the cost of round 0, in which an annotator labels all texts once. No text is annotated.

    Args:
        entry (`RunAnnotator`): The annotator.
        dataset (`Dataset`): The data.
        task (`Task`): The task.
        loop (`LoopConfig`): The numbers of generated and shown demonstrations, and of samples for each text.
        seed (`int`): Seed of the choice of the texts.
        is_first (`bool`): Whether it is the first annotator of the run. The others generate no demonstrations.

    Returns:
        `Estimate`: Calls, tokens, dollars and time, each with an interval.
    """
    annotator, corpus = entry.annotator, kind_of(task).collect(dataset)
    requests = _requests(corpus, task, annotator, loop, seed)
    generation = _generation(corpus, task, annotator, loop, seed) if is_first else []
    estimate = estimate_annotation(annotator, task, requests, writing=generation, price=entry.price)
    return replace(estimate, texts=len(corpus.texts))


def _requests(
    corpus: Corpus, task: Task, annotator: Annotator, loop: LoopConfig, seed: int
) -> Sequence[AnnotationRequest]:
    """Returns the annotation requests.

    If the annotator generates demonstrations, their texts are not known yet. Texts of the corpus stand for them, for
    the requests that check each of them, and for the requests without demonstrations that are sent before.
    """
    per_label = min(shots_per_label(loop, task), loop.generated_per_label)
    generates = isinstance(annotator, TextGenerator) and per_label > 0
    labels = [label for label in task.shot_labels for _ in range(per_label if generates else 0)]
    chosen = np.random.default_rng(seed).choice(len(corpus.texts), size=len(labels))
    stand_in = kind_of(task).stand_in
    shots = tuple(stand_in(corpus, int(i), label) for i, label in zip(chosen, labels, strict=True))
    checked = CHECKED + len(task.shot_labels) * loop.generated_per_label if generates else 0
    count = len(corpus.texts)
    plain = min(checked, count)
    indices = np.concatenate([np.arange(plain), np.arange(count)])
    requests = CorpusRequests(corpus, indices, [()] * plain + [shots] * count)
    return samples_for(annotator, task, requests, loop.samples, ("", *task.instructions), once=plain)


def _generation(
    corpus: Corpus, task: Task, annotator: Annotator, loop: LoopConfig, seed: int
) -> list[GenerationRequest]:
    """Returns the requests that generate demonstrations; none if the annotator does not generate them."""
    if not (isinstance(annotator, TextGenerator) and loop.shots and loop.generated_per_label):
        return []
    return generation_requests(task, corpus.texts, per_label=loop.generated_per_label, seed=seed)
