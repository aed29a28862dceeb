"""Generates, chooses and retrieves demonstrations."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.preprocessing import normalize

from freeal_hf.annotators.base import GenerationRequest
from freeal_hf.annotators.driver import in_order, run
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.annotators.work import annotation_work, generation_work
from freeal_hf.tasks import Demonstration, Task

if TYPE_CHECKING:
    from freeal_hf.annotators.base import TextGenerator
    from freeal_hf.annotators.budget import Budget, Ledger
    from freeal_hf.annotators.cache import AnswerCache

logger = logging.getLogger(__name__)

_STYLE_EXAMPLES = 5
_TEXTS_PER_REQUEST = 5
_CLUSTERED = 10_000  # up to this number, all samples are clustered
_SAMPLES_PER_CENTRE = 256  # the standard error of a centre is then 1/16 of the spread of its cluster
_SEARCHED_EXACTLY = 20_000  # demonstrations of a label; see benchmarks/README.md
_CHUNK = 4096


def generate_demonstrations(
    task: Task,
    annotator: "TextGenerator",
    texts: Sequence[str],
    *,
    per_label: int,
    seed: int = 0,
    cache: "AnswerCache | None" = None,
    ledger: "Ledger | None" = None,
    budget: "Budget | None" = None,
) -> list[Demonstration]:
    """Generates the demonstrations of round 0 with the annotator.

    A text is kept if it is new, not a copy of a text of the corpus, and the annotator gives it the label for which it
    was written. In an entity task texts are written with their entities, for each type and without entities. Entities
    that are not in the text are dropped. The text is kept if it has the type for which it was written, and the
    annotator finds the same entities in it.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.2, label-conditional generation.

    Args:
        task (`Task`): The task.
        annotator (`TextGenerator`): The annotator.
        texts (`Sequence[str]`): The unlabelled corpus. A few texts are examples of the style.
        per_label (`int`): The number of texts to write for each label.
        seed (`int`, *optional*, defaults to 0): The random seed of the choice of examples.
        cache (`AnswerCache`, *optional*): The cache of paid answers.
        ledger (`Ledger`, *optional*): The ledger that counts calls, tokens and cost.
        budget (`Budget`, *optional*): The limits of tokens and cost.

    Returns:
        `list[Demonstration]`: At most `per_label` demonstrations for each of `task.shot_labels`.
    """
    requests = generation_requests(task, texts, per_label=per_label, seed=seed)
    written = in_order(run(generation_work(annotator, task), requests, cache=cache, ledger=ledger, budget=budget))

    own = {_normalised(text) for generation in written for text in generation.texts}
    seen = {"", *own.intersection(map(_normalised, texts))}
    candidates: list[Demonstration] = []
    for request, generation in zip(requests, written, strict=True):
        count = len(generation.texts)
        named, labels = generation.entities or [()] * count, generation.labels or [None] * count
        for text, entities, some in zip(generation.texts, named, labels, strict=True):
            if _normalised(text) not in seen:
                seen.add(_normalised(text))
                shot = Demonstration(text.strip(), request.label, "generated", entities=entities, labels=some)
                candidates.append(shot)
    ask = partial(run, annotation_work(annotator, task), cache=cache, ledger=ledger, budget=budget)
    return prompts_of(task).confirmed(candidates, ask)


def generation_requests(task: Task, texts: Sequence[str], *, per_label: int, seed: int = 0) -> list[GenerationRequest]:
    """Makes the requests for the demonstrations of round 0.

    Args:
        task (`Task`), texts (`Sequence[str]`), per_label (`int`), seed (`int`): As in `generate_demonstrations`.

    Returns:
        `list[GenerationRequest]`: The requests.
    """
    rng = np.random.default_rng(seed)
    requests = []
    for label in task.shot_labels:
        for start in range(0, per_label, _TEXTS_PER_REQUEST):
            chosen = rng.choice(len(texts), size=min(_STYLE_EXAMPLES, len(texts)), replace=False)
            examples = tuple(texts[i] for i in sorted(chosen))
            size = min(_TEXTS_PER_REQUEST, per_label - start)
            requests.append(GenerationRequest(label=label, examples=examples, num_texts=size, seed=seed + start))
    return requests


def choose_demonstrations(
    texts: Sequence[str],
    ids: Sequence[str],
    labels: np.ndarray,
    losses: np.ndarray,
    is_candidate: np.ndarray,
    embeddings: np.ndarray,
    *,
    num_labels: int,
    is_human: np.ndarray | None = None,
    pool_size: int = 100,
    candidate_fraction: float = 0.2,
    seed: int = 0,
) -> list[Demonstration]:
    """Chooses the demonstration pool from the clean samples.

    For each label, the candidates with the smallest losses (a share of `candidate_fraction`) are clustered by k-means
    on the embeddings of the student. The sample nearest to each centre becomes a demonstration. If there are more than
    10,000 candidates, the centres are computed from a random sample with 256 candidates for each centre, and the
    nearest sample is searched among all candidates.

    Source: FreeAL (Xiao et al., EMNLP 2023), section 3.3.

    Args:
        texts (`Sequence[str]`), ids (`Sequence[str]`): The `n` samples.
        labels (`np.ndarray` of shape `[n]`): The label ids; -1 means none.
        losses (`np.ndarray` of shape `[n]`): The losses of the student for `labels`.
        is_candidate (`np.ndarray` of shape `[n]`): Whether the sample is clean and the student agrees with its label.
        embeddings (`np.ndarray` of shape `[n, hidden size]`): The embeddings of the student.
        num_labels (`int`): The number of labels.
        is_human (`np.ndarray` of shape `[n]`, *optional*): Whether a person gave the label. Such samples are always
            candidates.
        pool_size (`int`, *optional*, defaults to 100): The size of the pool, divided equally among the labels.
        candidate_fraction (`float`, *optional*, defaults to 0.2): The share of the candidates of each label that can
            be chosen.
        seed (`int`, *optional*, defaults to 0): The random seed of the clustering.

    Returns:
        `list[Demonstration]`: The demonstrations, ordered by label. A label with few candidates has few or none.

    Example:

        >>> pool = choose_demonstrations(
        ...     ["a plum", "a fig", "a saw"],
        ...     ["1", "2", "3"],
        ...     np.array([0, 0, 1]),
        ...     np.array([0.1, 0.2, 0.1]),
        ...     np.array([True, True, True]),
        ...     np.eye(3),
        ...     num_labels=2,
        ...     pool_size=2,
        ... )
        >>> [(shot.text, shot.label) for shot in pool]
        [('a plum', 0), ('a saw', 1)]
    """
    per_label = max(1, pool_size // num_labels)
    sure = np.zeros(len(labels), dtype=bool) if is_human is None else is_human
    pool = []
    for label in range(num_labels):
        members = np.flatnonzero((is_candidate | sure) & (labels == label))
        if len(members) == 0:
            continue
        members = members[np.lexsort((losses[members], ~sure[members]))]
        keep = max(per_label, round(candidate_fraction * len(members)), int(sure[members].sum()))
        for i in _medoids(members[:keep], embeddings, per_label, seed):
            source = "human" if sure[i] else "selected"
            pool.append(Demonstration(texts[i], label, source=source, id=ids[i]))
    return pool


def _medoids(members: np.ndarray, embeddings: np.ndarray, k: int, seed: int) -> list[int]:
    """Returns the member nearest to each of `k` centres. For many members, the centres are computed from a sample."""
    if len(members) <= k:
        return sorted(members.tolist())
    sample, most = members, max(_CLUSTERED, _SAMPLES_PER_CENTRE * k)
    if len(members) > most:
        sample = np.sort(np.random.default_rng(seed).choice(members, most, replace=False))
    centres = KMeans(n_clusters=k, n_init=1, random_state=seed).fit(_unit(embeddings[sample])).cluster_centers_
    medoids, smallest = np.full(k, -1), np.full(k, np.inf)
    for start in range(0, len(members), _CHUNK):
        rows = members[start : start + _CHUNK]
        nearest, distances = pairwise_distances_argmin_min(_unit(embeddings[rows]), centres)
        for centre in np.unique(nearest):
            own = np.flatnonzero(nearest == centre)
            best = own[np.argmin(distances[own])]
            if distances[best] < smallest[centre]:
                medoids[centre], smallest[centre] = rows[best], distances[best]
    return sorted(medoids[medoids >= 0].tolist())


def nearest_demonstrations(
    queries: np.ndarray, pool: np.ndarray, pool_labels: np.ndarray, *, per_label: int
) -> list[list[int]]:
    """Retrieves the nearest demonstrations of each label for each text, by cosine similarity.

    The search is exact. For labels with more than 20,000 demonstrations an approximate index is used (HNSW of usearch,
    if it is installed), which found 99 % of the true ten nearest of 20,000 in half of the time.

    Args:
        queries (`np.ndarray` of shape `[n, hidden size]`): The embeddings of the texts.
        pool (`np.ndarray` of shape `[m, hidden size]`): The embeddings of the demonstrations.
        pool_labels (`np.ndarray` of shape `[m]`): The labels of the demonstrations.
        per_label (`int`): The maximum number of demonstrations of each label.

    Returns:
        `list[list[int]]`: The indices of the demonstrations of each text in the pool, with the nearest last.

    Example:

        >>> pool, labels = np.eye(3, dtype=np.float32), np.array([0, 0, 1])
        >>> nearest_demonstrations(pool[:1], pool, labels, per_label=1)
        [[2, 0]]
    """
    if len(pool) == 0:
        return [[] for _ in range(len(queries))]
    by_label = [np.flatnonzero(pool_labels == label) for label in np.unique(pool_labels)]
    searches = [_search(_unit(pool[members])) for members in by_label]
    found: list[list[int]] = []
    for start in range(0, len(queries), _CHUNK):
        some = _unit(queries[start : start + _CHUNK])
        nearest = [search(some, min(per_label, len(m))) for search, m in zip(searches, by_label, strict=True)]
        chosen = np.concatenate([m[rows] for m, (rows, _) in zip(by_label, nearest, strict=True)], axis=1)
        similarity = np.concatenate([values for _, values in nearest], axis=1)
        order = np.argsort(similarity, axis=1, kind="stable")
        found.extend(np.take_along_axis(chosen, order, axis=1).tolist())
    return found


def _search(pool: np.ndarray) -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    """Returns a function that finds the nearest `k` rows of a pool and their similarities, with an index if needed."""
    import torch

    if len(pool) > _SEARCHED_EXACTLY:
        if find_spec("usearch") is not None:
            from usearch.index import Index

            index = Index(ndim=pool.shape[1], metric="ip", dtype="f16")
            index.add(np.arange(len(pool)), pool)

            def approximate(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
                matches = index.search(queries, k)
                return matches.keys.astype(int), 1 - matches.distances

            return approximate
        logger.info(
            "%d demonstrations are searched without an index. To make it faster, pip install usearch.", len(pool)
        )
    columns = torch.from_numpy(pool).T

    def exact(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        top = (torch.from_numpy(queries) @ columns).topk(k, dim=1)  # ten times faster than partial sort in NumPy
        return top.indices.numpy(), top.values.numpy()

    return exact


def _unit(embeddings: np.ndarray) -> np.ndarray:
    return normalize(np.asarray(embeddings, dtype=np.float32))


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())
