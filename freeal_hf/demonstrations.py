"""The bridge between annotator and student: demonstrations are generated, chosen and retrieved."""

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
_CLUSTERED = 10_000  # samples that are clustered without a second thought
_SAMPLES_PER_CENTRE = 256  # so that a centre's standard error is a 16th of its cluster's spread
_SEARCHED_EXACTLY = 20_000  # demonstrations of a label; benchmarks/README.md says why
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
    """Lets the annotator write the demonstrations of round 0 (FreeAL, section 3.2: label-conditional generation).

    A text is kept if it is new, no copy of a corpus text, and the annotator itself gives it the label that it was
    written for. In an entity task it is written with its entities, for each type and for none at all; what does not
    stand in it is left out, and it is kept if it names what it was written for and the annotator, asked anew, finds
    the same entities.

    Args:
        task (`Task`): The task.
        annotator (`TextGenerator`): Who writes.
        texts (`Sequence[str]`): The unlabelled corpus; a few texts of it are shown for their style.
        per_label (`int`): How many texts to ask for per label.
        seed (`int`): Seed of the choice of style examples.
        cache (`AnswerCache`, *optional*): Cache of paid answers.
        ledger (`Ledger`, *optional*): Where calls, tokens and cost are booked.
        budget (`Budget`, *optional*): What may be spent.

    Returns:
        `list[Demonstration]`: At most `per_label` for each of `task.shot_labels`; a label may have none.
    """
    requests = generation_requests(task, texts, per_label=per_label, seed=seed)
    written = in_order(run(generation_work(annotator, task), requests, cache=cache, ledger=ledger, budget=budget))

    own = {_normalised(text) for generation in written for text in generation.texts}
    seen = {"", *own.intersection(map(_normalised, texts))}
    candidates: list[Demonstration] = []
    for request, generation in zip(requests, written, strict=True):
        for text, named in zip(generation.texts, generation.entities or [()] * len(generation.texts), strict=True):
            if _normalised(text) not in seen:
                seen.add(_normalised(text))
                candidates.append(Demonstration(text.strip(), request.label, source="generated", entities=named))
    ask = partial(run, annotation_work(annotator, task), cache=cache, ledger=ledger, budget=budget)
    return prompts_of(task).confirmed(candidates, ask)


def generation_requests(task: Task, texts: Sequence[str], *, per_label: int, seed: int = 0) -> list[GenerationRequest]:
    """What is asked of an annotator that writes the demonstrations of round 0.

    Args:
        task (`Task`), texts (`Sequence[str]`), per_label (`int`), seed (`int`): As in `generate_demonstrations`.
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
    """Chooses demonstrations among the clean samples (FreeAL, section 3.3).

    Per label the `candidate_fraction` of the candidates with the smallest loss is clustered by k-means on the
    student's embeddings, and the sample nearest to each centre enters the pool. Of more than 10,000 candidates the
    centres are those of a random sample with 256 for each; the nearest sample is sought among all.

    Args:
        texts (`Sequence[str]`), ids (`Sequence[str]`): The `n` samples.
        labels (`np.ndarray` of shape `(n,)`): Label ids, -1 for none.
        losses (`np.ndarray` of shape `(n,)`): The student's loss on `labels`.
        is_candidate (`np.ndarray` of shape `(n,)`): True where the sample is clean and the student agrees.
        embeddings (`np.ndarray` of shape `(n, d)`): The student's embeddings.
        num_labels (`int`): Number of labels.
        is_human (`np.ndarray` of shape `(n,)`, *optional*):
            True where a person gave the label: always a candidate, whatever loss and student say.
        pool_size (`int`): Size of the whole pool, divided equally among the labels.
        candidate_fraction (`float`): Fraction of each label's candidates that may be chosen.
        seed (`int`): Seed of the clustering.

    Returns:
        `list[Demonstration]`: Ordered by label. A label with few candidates has few demonstrations, or none.
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
    """The member nearest to each of `k` centres, which are those of a sample of the members where there are many."""
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
    """Retrieves for each text the nearest demonstrations of every label by cosine similarity.

    Exactly, or, of labels with more than 20,000 demonstrations, by an approximate index (HNSW of usearch, if it is
    installed), which found 99 % of the true ten nearest of 20,000 in half of the time.

    Args:
        queries (`np.ndarray` of shape `(n, d)`): Embeddings of the texts.
        pool (`np.ndarray` of shape `(m, d)`): Embeddings of the demonstrations.
        pool_labels (`np.ndarray` of shape `(m,)`): Their labels.
        per_label (`int`): Demonstrations per label (fewer where a label has fewer).

    Returns:
        `list[list[int]]`: For each text the indices of its demonstrations in the pool, the nearest last.
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
    """What finds the nearest `k` rows of a pool and their similarity: exactly, or by an index where there are many."""
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
        logger.info("%d demonstrations are searched one by one; an index is quicker: pip install usearch", len(pool))
    columns = torch.from_numpy(pool).T

    def exact(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        top = (torch.from_numpy(queries) @ columns).topk(k, dim=1)  # a tenth of the time of NumPy's partial sort
        return top.indices.numpy(), top.values.numpy()

    return exact


def _unit(embeddings: np.ndarray) -> np.ndarray:
    return normalize(np.asarray(embeddings, dtype=np.float32))


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())
