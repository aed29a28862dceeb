"""Fuses the answers of several annotators without gold, with a confusion matrix for each annotator."""

from dataclasses import dataclass

import numpy as np

from freeal_hf.data.ties import TIE, likeliest
from freeal_hf.tasks import NO_LABEL
from freeal_hf.training.probe import held_out_probabilities

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-4
# The prior of a confusion matrix has the weight of this many votes. Its diagonal is the annotators' mean agreement.
_PRIOR_VOTES = 4.0
# Weights of annotators are computed after these steps and are then fixed, so that the steps converge.
_TEMPERED_AT = (3, 6, 9, 12)
_STANDARD_ERRORS = 3.0
_FEWEST_COMPARED = 20


@dataclass(frozen=True)
class Vote:
    """The result of `fuse_votes` for `n` texts, `m` annotators and `k` labels.

    Args:
        probabilities (`np.ndarray` of shape `(n, k)`): Posterior of each text's label.
        confusions (`np.ndarray` of shape `(m, k, k)`): How often each annotator gives each label (columns) to
            texts of each label (rows).
        prior (`np.ndarray` of shape `(k,)`): The share of each label.
        by_votes (`np.ndarray` of shape `(n, k)`):
            The posterior from the votes and the matrices alone, also where a label is known.
    """

    probabilities: np.ndarray
    confusions: np.ndarray
    prior: np.ndarray
    by_votes: np.ndarray


@dataclass(frozen=True)
class WorseAnnotator:
    """An annotator that human labels show to be worse than the best one.

    Args:
        annotator (`int`): The column of the annotator.
        accuracy (`float`): Its share of right answers on the texts that both annotators and a person have labelled.
        best (`int`): The column of the best annotator.
        best_accuracy (`float`): The share of right answers of the best annotator on these texts.
        compared (`int`): The number of these texts.
    """

    annotator: int
    accuracy: float
    best: int
    best_accuracy: float
    compared: int


def agreed_labels(votes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the fused label of each text.

    Among equally probable labels, the label with the most votes is taken. If these are tied too, the label of the
    first annotator in the order of the columns is taken.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): The probabilities of `fuse_votes`.

    Returns:
        `np.ndarray` of shape `(n,)`: Label ids, -1 if no annotator labelled the text.
    """
    rows = np.arange(len(votes))
    is_best = probabilities >= probabilities.max(axis=1, keepdims=True) - TIE
    shares = np.where(is_best, majority(votes, probabilities.shape[1]), -1.0)
    is_best = shares >= shares.max(axis=1, keepdims=True) - TIE
    preferred = np.full(len(votes), NO_LABEL)
    for vote in votes.T[::-1]:
        preferred = np.where((vote != NO_LABEL) & is_best[rows, np.maximum(vote, 0)], vote, preferred)
    # The most probable labels may be tied and given by no annotator; then the first answer is kept.
    first = votes[rows, (votes != NO_LABEL).argmax(axis=1)]
    found = likeliest(probabilities, preferred)
    return np.where((votes != NO_LABEL).any(axis=1) & (found != NO_LABEL), found, first)


def majority(votes: np.ndarray, num_labels: int) -> np.ndarray:
    """Computes the share of the votes of each label of each text; uniform if a text has no vote.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        num_labels (`int`): Number of labels.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: Rows sum to one.
    """
    counts = (votes[:, :, None] == np.arange(num_labels)).sum(axis=1).astype(float)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), 1 / num_labels)


def worse_annotators(votes: np.ndarray, known: np.ndarray) -> list[WorseAnnotator]:
    """Finds annotators that are worse than the best one on human labels, by more than three standard errors.

    Errors of language models are correlated, so that many weak models can outvote a good one. Each annotator is
    compared with the best one on the texts that both of them and a person have labelled, at least 20.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        known (`np.ndarray` of shape `(n,)`): Human labels, -1 for none.
    """
    checked = (votes != NO_LABEL) & (known != NO_LABEL)[:, None]
    right = votes == known[:, None]
    counts = checked.sum(axis=0)
    if votes.shape[1] < 2 or counts.max() < _FEWEST_COMPARED:
        return []
    shares = np.where(counts >= _FEWEST_COMPARED, (checked & right).sum(axis=0) / np.maximum(counts, 1), -1.0)
    best = int(shares.argmax())
    found = []
    for annotator in range(votes.shape[1]):
        both = checked[:, annotator] & checked[:, best]
        if annotator == best or both.sum() < _FEWEST_COMPARED:
            continue
        gain = right[both, best].astype(float) - right[both, annotator]
        if gain.mean() > _STANDARD_ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)):
            own, other = (float(right[both, i].mean()) for i in (annotator, best))
            found.append(WorseAnnotator(annotator, own, best, other, len(gain)))
    return found


def fuse_votes(votes: np.ndarray, num_labels: int, known: np.ndarray | None = None, *, tempered: bool = False) -> Vote:
    """Fuses votes with a confusion matrix for each annotator, which is estimated from the votes.

    Expectation maximisation starts from the majority vote. The model assumes that annotators err independently of each
    other given the label. An error that all of them share cannot be seen in the votes. If `tempered` is set, an
    annotator whose errors are correlated with those of others counts for less: its weight is one over the sum of its
    positive residual correlations, with itself and with the others. In the benchmark this helps where there are human
    labels and harms where there are none.

    Source: Dawid and Skene (Applied Statistics 28, 1979), with a weak prior on the matrices (MAP), so that a label
    that hardly occurs or an annotator that hardly votes cannot take extreme values.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        num_labels (`int`): Number of labels.
        known (`np.ndarray` of shape `(n,)`, *optional*): Human labels, which are certain; -1 for none.
        tempered (`bool`, *optional*, defaults to `False`): Whether annotators that err alike count for less.

    Returns:
        `Vote`: Posteriors, matrices, prior.
    """
    certain = np.full(len(votes), NO_LABEL) if known is None else known
    fixed = np.eye(num_labels)[np.maximum(certain, 0)]
    said = (votes[:, :, None] == np.arange(num_labels)).astype(float)

    def with_certain(probabilities: np.ndarray) -> np.ndarray:
        return np.where((certain != NO_LABEL)[:, None], fixed, probabilities)

    posterior = with_certain(majority(votes, num_labels))
    agreement = float(np.einsum("nk,nmk->", posterior, said) / max(said.sum(), 1))
    spread = (1 - agreement) / max(num_labels - 1, 1)
    expected = np.full((num_labels, num_labels), spread) + np.eye(num_labels) * (agreement - spread)
    weights = np.ones(votes.shape[1])
    for step in range(_MAX_ITERATIONS):
        prior = (posterior.sum(axis=0) + 1) / (len(votes) + num_labels)
        counts = np.einsum("nk,nml->mkl", posterior, said) + _PRIOR_VOTES * expected
        confusions = counts / counts.sum(axis=2, keepdims=True)
        if tempered and step in _TEMPERED_AT:
            weights = _independence(said, votes != NO_LABEL, posterior, confusions)
        by_label = np.log(np.maximum(confusions, 1e-12)) * weights[:, None, None]
        log = np.log(prior) + np.einsum("nml,mkl->nk", said, by_label)
        log -= log.max(axis=1, keepdims=True)
        by_votes = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
        updated = with_certain(by_votes)
        change = np.abs(updated - posterior).max(initial=0)
        posterior = updated
        if change < _TOLERANCE and not (tempered and step < max(_TEMPERED_AT)):
            break
    return Vote(posterior, confusions, prior, by_votes)


def _independence(said: np.ndarray, voted: np.ndarray, posterior: np.ndarray, confusions: np.ndarray) -> np.ndarray:
    """Computes one over the sum of each annotator's positive residual correlations."""
    beyond = (said - np.einsum("nk,mkl->nml", posterior, confusions)) * voted[:, :, None]
    products = np.einsum("nal,nbl->ab", beyond, beyond)
    norms = np.sqrt(np.maximum(products.diagonal(), 1e-12))
    correlations = np.clip(products / np.outer(norms, norms), 0, 1)
    np.fill_diagonal(correlations, 1)
    found: np.ndarray = 1 / correlations.sum(axis=1)
    return found


def fused_answers(votes: np.ndarray, human: np.ndarray, num_labels: int) -> np.ndarray:
    """Fuses the answers of several annotators, each weighted by its estimated confusion matrix. Annotators that are
    worse than the best one on human labels are not used.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        human (`np.ndarray` of shape `(n,)`): Human labels, -1 for none.
        num_labels (`int`): Number of labels.

    Returns:
        `np.ndarray` of shape `(n,)`: Label ids, -1 if no annotator labelled the text.
    """
    heard = votes.copy()
    heard[:, [annotator.annotator for annotator in worse_annotators(votes, human)]] = NO_LABEL
    labels = agreed_labels(heard, fuse_votes(heard, num_labels, human).probabilities)
    # A text that only worse annotators have answered keeps an answer.
    return np.where(labels == NO_LABEL, agreed_labels(votes, majority(votes, num_labels)), labels)


def fuse_with_probe(
    votes: np.ndarray, guesses: np.ndarray, known: np.ndarray, embeddings: np.ndarray, num_labels: int, seed: int
) -> np.ndarray:
    """Fuses votes and held-out student with a confusion matrix for each, twice: the second probe learns the result."""
    fused = fuse_votes(np.column_stack([votes, guesses]), num_labels, known).probabilities
    answered = (votes != NO_LABEL).any(axis=1)
    better = np.where(answered, likeliest(fused, preferred=agreed_labels(votes, fused)), NO_LABEL)
    better = np.where(known == NO_LABEL, better, known)
    again = likeliest(held_out_probabilities(embeddings, better, num_labels, seed=seed))
    return fuse_votes(np.column_stack([votes, again]), num_labels, known).probabilities
