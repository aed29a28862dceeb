"""Several voters, no gold: a confusion matrix for each of them, a posterior for each text."""

from dataclasses import dataclass

import numpy as np

from freeal_hf.data.ties import TIE, likeliest
from freeal_hf.tasks import NO_LABEL

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-4
# Votes that a matrix is worth before any is seen: spread over a matrix whose diagonal is the voters' mean agreement.
_PRIOR_VOTES = 4.0


@dataclass(frozen=True)
class Vote:
    """What fusing the votes found, for `n` texts, `m` voters and `k` labels.

    Args:
        probabilities (`np.ndarray` of shape `(n, k)`): Posterior of each text's label.
        confusions (`np.ndarray` of shape `(m, k, k)`): Of each voter, how often it says each label (columns) for texts
            of each label (rows).
        prior (`np.ndarray` of shape `(k,)`): How common each label is.
    """

    probabilities: np.ndarray
    confusions: np.ndarray
    prior: np.ndarray


def agreed_labels(votes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The label that fused votes come to for each text.

    Of labels that are equally probable it is the one with the most votes, of these the one that the first voter in the
    order of the columns named.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        probabilities (`np.ndarray` of shape `(n, num_labels)`): What `fuse_votes` found.

    Returns:
        `np.ndarray` of shape `(n,)`: Label ids, -1 where nobody voted.
    """
    rows = np.arange(len(votes))
    is_best = probabilities >= probabilities.max(axis=1, keepdims=True) - TIE
    shares = np.where(is_best, majority(votes, probabilities.shape[1]), -1.0)
    is_best = shares >= shares.max(axis=1, keepdims=True) - TIE
    preferred = np.full(len(votes), NO_LABEL)
    for vote in votes.T[::-1]:
        preferred = np.where((vote != NO_LABEL) & is_best[rows, np.maximum(vote, 0)], vote, preferred)
    # The most probable labels may be tied and named by nobody; then the first answer stays.
    first = votes[rows, (votes != NO_LABEL).argmax(axis=1)]
    found = likeliest(probabilities, preferred)
    return np.where((votes != NO_LABEL).any(axis=1) & (found != NO_LABEL), found, first)


def majority(votes: np.ndarray, num_labels: int) -> np.ndarray:
    """Share of the votes that each label of each text got; uniform where there is none.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        num_labels (`int`): Number of labels.

    Returns:
        `np.ndarray` of shape `(n, num_labels)`: Rows sum to one.
    """
    counts = (votes[:, :, None] == np.arange(num_labels)).sum(axis=1).astype(float)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), 1 / num_labels)


def fuse_votes(votes: np.ndarray, num_labels: int, known: np.ndarray | None = None) -> Vote:
    """Fuses votes by how far each voter is right, which is estimated with them.

    Expectation maximisation from the majority vote. It presumes that voters err independently of each other given the
    label; where they share an error, no number of them shows it.

    Source: Dawid and Skene (Applied Statistics 28, 1979), with a weak prior on the matrices (MAP), so that a label
    that hardly occurs or a voter that hardly votes cannot take extreme values.

    Args:
        votes (`np.ndarray` of shape `(n, m)`): Label ids, -1 for none.
        num_labels (`int`): Number of labels.
        known (`np.ndarray` of shape `(n,)`, *optional*): Labels that are certain (people gave them), -1 for none.

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
    for _ in range(_MAX_ITERATIONS):
        prior = (posterior.sum(axis=0) + 1) / (len(votes) + num_labels)
        counts = np.einsum("nk,nml->mkl", posterior, said) + _PRIOR_VOTES * expected
        confusions = counts / counts.sum(axis=2, keepdims=True)
        log = np.log(prior) + np.einsum("nml,mkl->nk", said, np.log(np.maximum(confusions, 1e-12)))
        log -= log.max(axis=1, keepdims=True)
        updated = with_certain(np.exp(log) / np.exp(log).sum(axis=1, keepdims=True))
        change = np.abs(updated - posterior).max(initial=0)
        posterior = updated
        if change < _TOLERANCE:
            break
    return Vote(posterior, confusions, prior)
