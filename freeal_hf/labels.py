"""Final labels: what annotator, student and people say together, and how far to trust it without gold."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from freeal_hf.tasks import NO_LABEL, TextClassification
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.voting import fuse_votes

_Z = 1.96


@dataclass(frozen=True)
class Estimate:
    """An accuracy that was estimated without gold.

    Args:
        value (`float`): The estimate.
        low (`float`), high (`float`):
            What the views that it rests on say, the lowest and the highest, each with its sampling error (95 %). An
            error that annotator and student share lies in none of them, so that the truth can lie outside.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class FinalLabels:
    """The final labels of `n` texts.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids.
        confidences (`np.ndarray` of shape `(n,)`):
            The label confidence. The mean over any texts is the estimated share of right labels among them.
        estimate (`Estimate`): How many of the labels are right.
        by_label (`list[Estimate | None]`): The same for the texts of each final label, `None` where there are none.
        student_has_learnt (`bool`): Whether the student was heard; see `has_learnt`.
    """

    labels: np.ndarray
    confidences: np.ndarray
    estimate: Estimate
    by_label: list[Estimate | None]
    student_has_learnt: bool


def final_labels(
    labels: np.ndarray,
    confidences: np.ndarray,
    student_probabilities: np.ndarray,
    embeddings: np.ndarray,
    *,
    votes: np.ndarray | None = None,
    human: np.ndarray | None = None,
    seed: int = 0,
) -> FinalLabels:
    """Fuses annotator and student, and estimates how far to trust the result.

    An annotator that gives confidences is averaged with the student, weighted by the odds that each is right: its own
    mean confidence, and how often a student that has not seen a label predicts it. Any other is a voter with a
    confusion matrix, which confident learning finds: the student's probabilities are multiplied by its likelihood of
    the answer. Of several annotators, votes and held-out student are fused by a matrix each (`fuse_votes`). A student
    that has not learnt what it was taught (`has_learnt`) is not heard: an answer stands, and where there is none, the
    held-out prediction does.

    The estimate is how often the annotator is right, by confidences or matrix, plus what each overruled answer gains
    under the fused probabilities; the confidences are these, at the temperature that makes their mean the estimate.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): Its confidence in them, NaN where it gives none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings that no label has shaped.
        votes (`np.ndarray` of shape `(n, m)`, *optional*): What each of several annotators said, -1 for none.
        human (`np.ndarray` of shape `(n,)`, *optional*): Labels that people gave, -1 for none: final, and certain.
        seed (`int`): Seed of the folds.
    """
    n, num_labels = student_probabilities.shape
    known = np.full(n, NO_LABEL) if human is None else human
    open_, labelled = known == NO_LABEL, labels != NO_LABEL
    held_out = held_out_probabilities(embeddings, np.where(open_, labels, known), num_labels, seed=seed)
    reliability = answer_reliability(labels, confidences, held_out)
    says_own = ~np.isnan(confidences) & labelled
    # NaN stands for label -1: at the end.
    trust = np.where(says_own, confidences, np.append(reliability.diagonal(), np.nan)[labels])

    both = labelled & open_
    learnt = has_learnt(labels[both], student_probabilities[both], held_out[both])
    student_probabilities = student_probabilities if learnt else held_out
    claimed = float(trust[both].mean()) if both.any() else 1 / num_labels
    if votes is not None:
        voters = np.column_stack([votes, held_out.argmax(axis=1)])
        fused = fuse_votes(voters, num_labels, known).probabilities
    elif not learnt:
        fused = np.where(labelled[:, None], _spread(labels, trust, num_labels), held_out)
    elif says_own.any():
        understood = float((held_out.argmax(axis=1) == labels)[both].mean()) if both.any() else 1.0
        weight = np.where(labelled, _odds(claimed) / (_odds(claimed) + _odds(understood)), 0)[:, None]
        fused = weight * _spread(labels, trust, num_labels) + (1 - weight) * student_probabilities
    else:
        joint = reliability * np.bincount(labels[labelled], minlength=num_labels)[:, None] + 1e-9
        likelihood = joint / joint.sum(axis=0)
        fused = student_probabilities * np.where(labelled[:, None], likelihood[labels], 1)
        fused /= fused.sum(axis=1, keepdims=True)
    final = fused.argmax(axis=1)

    rows = np.arange(n)
    # Without an answer, all that is known is what answers like the student's guess are worth.
    right = (student_probabilities * reliability[:, final].T).sum(axis=1)
    gain = fused[rows, final] - fused[rows, np.maximum(labels, 0)]
    right = np.clip(np.where(labelled, trust + gain, right), 0, 1)
    agrees = held_out.argmax(axis=1) == final
    confidence = _with_mean(fused, float(right[open_].mean()), open_) if open_.any() else np.ones(n)
    final, confidence = np.where(open_, final, known), np.where(open_, confidence, 1.0)

    def estimate(chosen: np.ndarray) -> Estimate | None:
        if not chosen.any():
            return None
        value, here = float(confidence[chosen].mean()), chosen & open_
        if not here.any():
            return Estimate(value, value, value)
        views = np.array(
            [value_of[here].mean() for value_of in (confidence, np.where(labelled, trust, right), agrees)]
        )
        margin = _Z * np.sqrt(views * (1 - views) / here.sum())
        share = here.sum() / chosen.sum()
        low, high = max(0.0, (views - margin).min()), min(1.0, (views + margin).max())
        return Estimate(value, float(1 - share + share * low), float(1 - share + share * high))

    overall = estimate(np.ones(n, dtype=bool))
    assert overall is not None  # there is at least one text
    return FinalLabels(final, confidence, overall, [estimate(final == label) for label in range(num_labels)], learnt)


def estimate_figures(final: FinalLabels, task: TextClassification) -> dict[str, Any]:
    """What a round's record in `metrics.json` says of its final labels, beside `estimated_label_accuracy`."""
    by_label = {
        name: None if found is None else asdict(found)
        for name, found in zip(task.label_names, final.by_label, strict=True)
    }
    low, high = final.estimate.low, final.estimate.high
    return {
        "student_has_learnt": final.student_has_learnt,
        "estimated_label_accuracy_range": [low, high],
        "estimated_label_accuracy_by_label": by_label,
    }


def has_learnt(labels: np.ndarray, student_probabilities: np.ndarray, held_out: np.ndarray) -> bool:
    """Whether a student knows what it was taught: no gold is needed to see that it does not.

    It has seen every label, and agrees with at least as many as a probe that has seen none of those it is asked for,
    but for twice the sampling error. Too few steps, a rate that is far too high, a head that collapsed all fail here.
    So does a student that gives one label only where the probe tells several apart, however common that label is.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The labels that the student was taught; none below 0.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's.
        held_out (`np.ndarray` of shape `(n, num_labels)`): What `held_out_probabilities` returned.
    """
    if len(labels) == 0:
        return True
    guesses = student_probabilities.argmax(axis=1), held_out.argmax(axis=1)
    if len(np.unique(guesses[0])) == 1 < len(np.unique(guesses[1])):
        return False
    seen, unseen = (float((found == labels).mean()) for found in guesses)
    return bool(seen >= unseen - 2 * np.sqrt(unseen * (1 - unseen) / len(labels)))


def answer_reliability(labels: np.ndarray, confidences: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Of the texts that the annotator gives each label, how many have which label.

    From its own confidences where it gives any; otherwise from held-out predictions, counting a text towards the label
    that is at least as probable as is usual for that label.

    Source: the confident joint of confident learning (Northcutt et al., JAIR 2021), section 3.1.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        confidences (`np.ndarray` of shape `(n,)`): Its confidence in them, NaN where it gives none.
        held_out (`np.ndarray` of shape `(n, num_labels)`): Predictions of its labels by `held_out_probabilities`.

    Returns:
        `np.ndarray` of shape `(num_labels, num_labels)`: Rows are what the annotator said, and sum to one.
    """
    num_labels = held_out.shape[1]
    if (~np.isnan(confidences) & (labels != NO_LABEL)).any():
        means = [np.nanmean([1 / num_labels, *confidences[labels == label]]) for label in range(num_labels)]
        return _spread(np.arange(num_labels), np.array(means), num_labels)
    usual = [
        held_out[labels == label, label].mean() if (labels == label).any() else 1.0 for label in range(num_labels)
    ]
    joint = np.eye(num_labels)
    for said in range(num_labels):
        rows = held_out[labels == said]
        sure = rows >= np.array(usual)
        counted = np.where(sure, rows, -1).argmax(axis=1)[sure.any(axis=1)]
        joint[said] += np.bincount(counted, minlength=num_labels)
    return joint / joint.sum(axis=1, keepdims=True)


def _spread(labels: np.ndarray, trust: np.ndarray, num_labels: int) -> np.ndarray:
    """Distributions that give each label its trust and all others the rest; uniform where there is no label."""
    labelled = labels != NO_LABEL
    trust = np.clip(np.where(labelled, trust, 1 / num_labels), 1 / num_labels, 1 - 1e-3)
    found = np.repeat(((1 - trust) / (num_labels - 1))[:, None], num_labels, axis=1)
    found[labelled, labels[labelled]] = trust[labelled]
    return found


def _with_mean(probabilities: np.ndarray, target: float, counted: np.ndarray) -> np.ndarray:
    """The largest probability of each row, at the temperature at which their mean over `counted` rows is `target`."""
    log = np.log(np.clip(probabilities, 1e-6, None))
    log -= log.max(axis=1, keepdims=True)
    coldest, hottest = -6.0, 6.0  # of the logarithm of the temperature
    for _ in range(40):
        middle = (coldest + hottest) / 2
        largest = 1 / np.exp(log / np.exp(middle)).sum(axis=1)
        coldest, hottest = (middle, hottest) if largest[counted].mean() > target else (coldest, middle)
    return largest


def _odds(share: float) -> float:
    share = min(max(share, 0.01), 0.99)
    return share / (1 - share)
