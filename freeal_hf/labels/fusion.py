"""Final labels: what annotator, student and people say together, and how far to trust it without gold."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from freeal_hf.data.ties import TIE, likeliest
from freeal_hf.labels.doubts import depends_on_text
from freeal_hf.labels.voting import fuse_votes
from freeal_hf.tasks import NO_LABEL, TextClassification
from freeal_hf.training.probe import held_out_probabilities

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
        labels (`np.ndarray` of shape `(n,)`): Label ids; -1 where nothing says more for one label than for another.
        confidences (`np.ndarray` of shape `(n,)`):
            The label confidence. The mean over any texts is the estimated share of right labels among them. NaN where
            there is no label or no estimate.
        estimate (`Estimate`, *optional*):
            How many of the labels are right; `None` where the annotator's answers do not depend on the texts as far as
            can be seen (`depends_on_text`): nothing then says how good they are.
        by_label (`list[Estimate | None]`): The same for the texts of each final label, `None` where there are none.
        student_has_learnt (`bool`): Whether the student was used; see `has_learnt`.
    """

    labels: np.ndarray
    confidences: np.ndarray
    estimate: Estimate | None
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
    the answer. Of several annotators, votes and held-out student are fused by a matrix each (`fuse_votes`).

    A student that has not learnt what it was taught (`has_learnt`) is not used: every answer stays, of several
    annotators the fused one, and a text without an answer gets the held-out prediction. Where labels are equally
    probable the annotator's stays; without an answer there is then no label. None is chosen because of its position.

    The estimate is how often the annotator is right, by confidences or matrix, plus what each overruled answer gains
    under the fused probabilities; the confidences are these, at the temperature that makes their mean the estimate.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none; of several their fused labels.
        confidences (`np.ndarray` of shape `(n,)`): Its confidence in them, NaN where it gives none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings that no label has shaped.
        votes (`np.ndarray` of shape `(n, m)`, *optional*): What each of several annotators said, -1 for none.
        human (`np.ndarray` of shape `(n,)`, *optional*): Labels that people gave, -1 for none: final, and certain.
        seed (`int`): Seed of the folds.
    """
    n, num_labels = student_probabilities.shape
    rows = np.arange(n)
    known = np.full(n, NO_LABEL) if human is None else human
    open_, labelled = known == NO_LABEL, labels != NO_LABEL
    both, taught = labelled & open_, np.where(open_, labels, known)
    held_out = held_out_probabilities(embeddings, taught, num_labels, seed=seed)
    learnt = has_learnt(taught, student_probabilities, held_out)
    # A student that was not used, or gave no numbers for a text, is replaced by the held-out prediction.
    is_used = learnt & np.isfinite(student_probabilities).all(axis=1, keepdims=True)
    student = np.where(is_used, student_probabilities, held_out)

    reliability = answer_reliability(labels, confidences, held_out)
    says_own = ~np.isnan(confidences) & labelled
    # NaN stands for label -1: at the end.
    trust = np.where(says_own, confidences, np.append(reliability.diagonal(), np.nan)[labels])
    claimed = float(trust[both].mean()) if both.any() else 1 / num_labels
    if not learnt:
        share = trust if votes is None else fuse_votes(votes, num_labels, known).probabilities[rows, labels]
        fused = np.where(labelled[:, None], _spread(labels, share, num_labels), held_out)
    elif votes is not None:
        voters = np.column_stack([votes, likeliest(held_out)])
        fused = fuse_votes(voters, num_labels, known).probabilities
    elif says_own.any():
        understood = float((likeliest(held_out) == labels)[both].mean()) if both.any() else 1.0
        weight = np.where(labelled, _odds(claimed) / (_odds(claimed) + _odds(understood)), 0)[:, None]
        fused = weight * _spread(labels, trust, num_labels) + (1 - weight) * student
    else:
        joint = reliability * np.bincount(labels[labelled], minlength=num_labels)[:, None] + 1e-9
        likelihood = joint / joint.sum(axis=0)
        fused = student * np.where(labelled[:, None], likelihood[labels], 1)
        fused /= fused.sum(axis=1, keepdims=True)
    final = likeliest(fused, preferred=labels)
    final = np.where(final == NO_LABEL, labels, final)
    has_label = final != NO_LABEL

    # Without an answer, all that is known is what answers like the student's guess are worth.
    right = (student * reliability[:, final].T).sum(axis=1)
    gain = fused[rows, final] - fused[rows, labels]
    right = np.clip(np.where(labelled, trust + gain, right), 0, 1)
    agrees = likeliest(held_out) == final
    counted = open_ & has_label
    confidence = _with_mean(fused, float(right[counted].mean()), counted) if counted.any() else np.ones(n)
    if both.any() and not depends_on_text(labels[both], held_out[both]):
        has_label = np.zeros(n, dtype=bool)
    final = np.where(open_, final, known)
    confidence = np.where(open_, np.where(has_label, confidence, np.nan), 1.0)

    def estimate(chosen: np.ndarray) -> Estimate | None:
        if not chosen.any() or np.isnan(confidence[chosen]).any():
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

    by_label = [estimate(final == label) for label in range(num_labels)]
    return FinalLabels(final, confidence, estimate(final != NO_LABEL), by_label, learnt)


def estimate_figures(final: FinalLabels, task: TextClassification) -> dict[str, Any]:
    """What a round's record in `metrics.json` says of its final labels."""
    by_label = {
        name: None if found is None else asdict(found)
        for name, found in zip(task.label_names, final.by_label, strict=True)
    }
    known = final.estimate
    return {
        "student_has_learnt": final.student_has_learnt,
        "estimated_label_accuracy": None if known is None else known.value,
        "estimated_label_accuracy_range": None if known is None else [known.low, known.high],
        "estimated_label_accuracy_by_label": by_label,
    }


def has_learnt(labels: np.ndarray, student_probabilities: np.ndarray, held_out: np.ndarray) -> bool:
    """Whether a student knows what it was taught: no gold is needed to see that it does not.

    It has seen every label, and agrees with at least as many as a probe that has seen none of those it is asked for,
    but for twice the sampling error. Too few steps, a rate that is far too high, a head that collapsed all fail here.
    So does a student that gives one label only where the probe tells several apart, however common that label is, and
    one that prefers no label to the others, or gives no numbers.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The labels that the student was taught, -1 for none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's.
        held_out (`np.ndarray` of shape `(n, num_labels)`): What `held_out_probabilities` returned.
    """
    taught = labels != NO_LABEL
    labels = labels[taught]
    if len(labels) == 0:
        return False
    guesses, probed = likeliest(student_probabilities[taught]), likeliest(held_out[taught])
    if (guesses == NO_LABEL).all() or len(np.unique(guesses)) == 1 < len(np.unique(probed)):
        return False
    seen, unseen = (float((found == labels).mean()) for found in (guesses, probed))
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
        sure = rows >= np.array(usual) - TIE
        largest = np.where(sure, rows, -1.0).max(axis=1, keepdims=True)
        counted = sure & (rows >= largest - TIE)
        # A text that is as probable for several labels counts towards each of them in part.
        joint[said] += (counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)).sum(axis=0)
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
