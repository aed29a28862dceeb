"""Fuses the labels of annotator, student and people into final labels, and estimates their accuracy without gold."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.preprocessing import normalize

from freeal_hf.data.ties import TIE, likeliest
from freeal_hf.labels.audit import Interval, powered_share, proxies_of, with_certain
from freeal_hf.labels.class_shares import most_right, shares_bias
from freeal_hf.labels.doubts import depends_on_text
from freeal_hf.labels.pool import FEWEST, Pool, fit_pool
from freeal_hf.labels.slips import smoothed_log, without_slips
from freeal_hf.labels.trust import WORTH, calibrated
from freeal_hf.labels.voting import WorseAnnotator, agreed_labels, fuse_votes, worse_annotators
from freeal_hf.tasks import NO_LABEL, TextClassification
from freeal_hf.training.probe import held_out_probabilities

# The assumed share of an annotator's right answers without human labels, and the weight of the texts.
_USUAL, _TEXTS = 0.85, 0.25
# The weight of the assumed share, in human labels.
_USUAL_WORTH = 10.0
# The smallest agreement beyond chance for a range without human labels, and the distance of its bounds from the
# agreement.
_STRONG, _BELOW, _ABOVE = 0.75, 0.2, 0.05
# The weight of votes in the features of the pool. A text's embedding has the length 1.
_VOTE_FEATURE = 0.3
_NO_LIMIT = 10**9
_SAME = 0.02  # mean total variation between predictions of the same classifier
# Added before a logarithm is taken. The second is for fused votes, which are overconfident.
_TINY, _LEAST_VOTED = 1e-12, 1e-4

RESTS_ON_PEOPLE = (
    "human labels of a random sample of the texts. Each of them is compared with a final label that was made without "
    "it (95 % interval)"
)
RESTS_ON_AGREEMENT = (
    "no human labels. A student that had not seen the labels agrees with almost all of them. The lower bound allows "
    "for errors that the student learnt from the annotator"
)
UNKNOWN_ALONE = (
    "there are no human labels of a random sample. Agreement with the student does not show the accuracy, because a "
    "student also learns the errors of the annotator. `freeal-hf audit` measures it"
)
UNKNOWN_SAMPLE = "the human labels may not be a random sample. `freeal-hf audit` draws one"
UNKNOWN_ANSWERS = "the answers of the annotator look independent of the texts"

_SOURCES = {RESTS_ON_PEOPLE: "audit", RESTS_ON_AGREEMENT: "agreement"}


@dataclass(frozen=True)
class Estimate:
    """An accuracy that was estimated without gold.

    Args:
        value (`float`): The estimate.
        low (`float`), high (`float`): The range. `FinalLabels.basis` describes its basis.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class FinalLabels:
    """The final labels of `n` texts.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids; -1 if no label is more probable than the others.
        confidences (`np.ndarray` of shape `(n,)`):
            The label confidences. If there is an estimate, their mean is its value. If there is none, they only order
            the labels. NaN if there is no label, and for all texts if no dependence of the annotator's answers on the
            texts is found (`depends_on_text`).
        estimate (`Estimate`, *optional*): The accuracy of the labels; `None` if it is unknown.
        by_label (`list[Estimate | None]`): The accuracy of each final label; `None` if it is unknown.
        student_has_learnt (`bool`): Whether the student was used; see `has_learnt`.
        basis (`str`): The basis of the estimate, or the reason why there is none.
        most_right (`float`, *optional*):
            The largest possible share of right labels, given the shares of the true labels that the user knows, or
            equal shares if the user knows none. It is a warning and not an estimate. `None` if there are no labels.
        shares_are_given (`bool`): Whether the user knows the shares.
        worse (`list[WorseAnnotator]`): The annotators that are worse than the best one on human labels.
        pool (`Pool`, *optional*): The fit to the human labels, if there are enough.
    """

    labels: np.ndarray
    confidences: np.ndarray
    estimate: Estimate | None
    by_label: list[Estimate | None]
    student_has_learnt: bool
    basis: str
    most_right: float | None
    shares_are_given: bool = False
    worse: list[WorseAnnotator] = field(default_factory=list)
    pool: Pool | None = None


def final_labels(
    labels: np.ndarray,
    confidences: np.ndarray,
    student_probabilities: np.ndarray,
    embeddings: np.ndarray,
    *,
    votes: np.ndarray | None = None,
    human: np.ndarray | None = None,
    inclusion: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
    class_shares: np.ndarray | None = None,
    sources: np.ndarray | None = None,
    seed: int = 0,
) -> FinalLabels:
    """Fuses the labels of annotator, student and people, and estimates the accuracy of the final labels.

    With ten human labels or more, annotators and texts are weighted by their agreement with them (`fit_pool`).

    With fewer, a student that disagrees with its training label is weighted by the annotator's confusion matrix, which
    is estimated by confident learning, or by the annotator's confidences if their mean is below the annotator's
    agreement with a probe. If `held_out` are the predictions of cross-fitted students, or if the student is the probe
    itself, an answer is kept unless they show that the annotator makes slips (`without_slips`). If there are several
    annotators, votes and held-out student are fused with a confusion matrix for each (`fuse_votes`). This is done
    twice, because the student learns from better labels the second time.

    A student that has not learnt its training labels (`has_learnt`) is not used. Then all answers (or the fused ones
    of several annotators) are kept, and a text without an answer gets the held-out prediction. If labels are equally
    probable, the annotator's is kept; without an answer there is no label. No label is chosen because of its position.

    Known shares of the labels move the labels towards these shares, and less so for a label with few texts.

    The estimate is based on human labels of a random sample: each is compared with the label that the same method
    gives to the text without it. Without such labels, there is an estimate only if a student that has not seen the
    labels agrees with nearly all of them; otherwise the accuracy is unknown. The temperature of the confidences is
    chosen so that their mean is the estimate.

    Args:
        labels (`np.ndarray` of shape `(n,)`):
            The annotator's label ids, or the fused ones of several annotators; -1 for none.
        confidences (`np.ndarray` of shape `(n,)`):
            Its confidences in these labels, NaN where there are none. They are calibrated before use; see
            `calibrated`.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings of a model that was not trained on the labels.
        votes (`np.ndarray` of shape `(n, m)`, *optional*): The labels of each of several annotators, -1 for none.
        human (`np.ndarray` of shape `(n,)`, *optional*): Human labels, which are final and certain; -1 for none.
        inclusion (`np.ndarray` of shape `(n,)`, *optional*):
            The probability with which each text was drawn for a person to label, NaN if it was not drawn at random.
            In a simple random sample, all are the same.
        held_out (`np.ndarray` of shape `(n, num_labels)`, *optional*):
            Predictions of a student that has not seen the label of the text; by default those of a probe.
        class_shares (`np.ndarray` of shape `(num_labels,)`, *optional*): Known shares of the true labels.
        sources (`np.ndarray` of shape `(n,)`, *optional*):
            The number of the annotator that gave each answer. Confidences of different annotators are not comparable.
        seed (`int`): Seed of the folds.

    Returns:
        `FinalLabels`: The final labels with their confidences and estimates.
    """
    n, num_labels = student_probabilities.shape
    known = np.full(n, NO_LABEL) if human is None else human
    open_, labelled = known == NO_LABEL, labels != NO_LABEL
    both, taught = labelled & open_, np.where(open_, labels, known)
    if held_out is not None and np.isfinite(held_out).all():
        unseen = held_out
    else:
        unseen = held_out_probabilities(embeddings, taught, num_labels, seed=seed)
        if held_out is not None:  # cross-fitted students have no numbers for some texts
            unseen = np.where(np.isfinite(held_out).all(axis=1, keepdims=True), held_out, unseen)
    guesses = likeliest(unseen)
    student = np.where(np.isfinite(student_probabilities).all(axis=1, keepdims=True), student_probabilities, unseen)
    learnt = has_learnt(taught, student_probabilities, unseen)
    count = int((taught != NO_LABEL).sum())
    texts = smoothed_log(unseen, count)
    views = texts if held_out is not None else _views(texts, student_probabilities, count)
    depends = not both.any() or depends_on_text(labels[both], unseen[both])
    trust = calibrated(labels, confidences, guesses, known, np.zeros(n, dtype=int) if sources is None else sources)

    pool: Pool | None = None
    if not learnt:
        share = _reliability(trust)
        if votes is not None:
            share = fuse_votes(votes, num_labels, known).probabilities[np.arange(n), labels]
        fused = np.where(labelled[:, None], _spread(labels, share, num_labels), unseen)
    elif (~open_).sum() >= FEWEST:
        evidence = [_by_answer(labels, trust, num_labels)] if votes is None else _by_votes(votes, num_labels)
        features = _features(embeddings, votes, num_labels)
        pool = fit_pool(known, evidence, texts, views, features, seed=seed)
        fused = pool.probabilities
    elif votes is not None:
        fused = _voted(votes, guesses, known, embeddings, num_labels, seed)
    elif held_out is None and depends and _is_another(student, unseen):
        modest = _modest(labels, confidences, student, guesses, both)
        fused = _resisted(labels, student, unseen) if modest is None else modest
    else:
        answers = np.where(open_, labels, NO_LABEL)
        meant = without_slips(answers, texts, views, trust) if depends else _spread(labels, np.ones(n), num_labels)
        fused = _cautious(np.where(labelled[:, None], meant, softmax(views, axis=1)), views, trust)
    bias = np.zeros(num_labels)
    if class_shares is not None and learnt:
        bias = shares_bias(np.log(fused + _TINY), class_shares)
        fused = _moved(fused, bias)
    final = likeliest(fused, preferred=labels)
    final = np.where(final == NO_LABEL, labels, final)
    counted = open_ & (final != NO_LABEL)
    confidence = fused[np.arange(n), final]
    final = np.where(open_, final, known)

    estimate: Estimate | None = None
    by_label: list[Estimate | None] = [None] * num_labels
    basis = UNKNOWN_SAMPLE if pool is not None else UNKNOWN_ALONE
    sample = np.zeros(0, dtype=int) if pool is None or inclusion is None else _sampled(pool, inclusion)
    if pool is not None and inclusion is not None and len(sample) >= FEWEST:
        checked = _Checked(
            rows=pool.rows[sample],
            predicted=likeliest(_moved(pool.held_out[sample], bias), preferred=labels[pool.rows[sample]]),
            confidences=_moved(pool.held_out[sample], bias).max(axis=1),
            weights=1 / inclusion[pool.rows[sample]],
        )
        estimate = _by_people(checked, known, guesses, final, confidence, counted, None)
        by_label = [
            _by_people(checked, known, guesses, final, confidence, counted, label) for label in range(num_labels)
        ]
        basis = RESTS_ON_PEOPLE
    elif not depends and pool is None:
        confidence, basis = np.full(n, np.nan), UNKNOWN_ANSWERS
    elif pool is None and counted.any():
        estimate = _by_agreement(final[counted], guesses[counted], float(counted.sum() / (counted | ~open_).sum()))
        basis = UNKNOWN_ALONE if estimate is None else RESTS_ON_AGREEMENT
    if estimate is not None and counted.any():
        target = 1 - (1 - estimate.value) * (counted | ~open_).sum() / counted.sum()
        confidence = _with_mean(fused, target, counted)
    return FinalLabels(
        labels=final,
        confidences=np.where(open_, np.where(counted, confidence, np.nan), 1.0),
        estimate=estimate,
        by_label=by_label,
        student_has_learnt=learnt,
        basis=basis,
        most_right=_bound(final, num_labels, class_shares),
        shares_are_given=class_shares is not None,
        worse=[] if votes is None else worse_annotators(votes, known),
        pool=pool,
    )


def estimate_figures(final: FinalLabels, task: TextClassification) -> dict[str, Any]:
    """Returns the metrics of final labels for a round's record in `metrics.json`."""
    by_label = {
        name: None if found is None else asdict(found)
        for name, found in zip(task.label_names, final.by_label, strict=True)
    }
    known = final.estimate
    return {
        "student_has_learnt": final.student_has_learnt,
        "estimated_label_accuracy": None if known is None else known.value,
        "estimated_label_accuracy_range": None if known is None else [known.low, known.high],
        "estimated_label_accuracy_source": None if known is None else _SOURCES[final.basis],
        "estimated_label_accuracy_basis": final.basis,
        "estimated_label_accuracy_by_label": by_label,
        "most_labels_right": final.most_right,
        "class_shares_given": final.shares_are_given,
        "worse_annotators": [
            {**asdict(worse), "annotator": worse.annotator + 1, "best": worse.best + 1} for worse in final.worse
        ],
    }


def has_learnt(labels: np.ndarray, student_probabilities: np.ndarray, held_out: np.ndarray) -> bool:
    """Returns whether a student has learnt its training labels. This check needs no gold.

    The student was trained on all labels, so it must agree with at least as many as a held-out probe, except for twice
    the sampling error. A student with too few training steps, too high a learning rate or a collapsed head fails. A
    student also fails if it gives only one label and the probe gives several, even if that label is very common, if it
    prefers no label, or if its probabilities are not numbers.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The training labels of the student, -1 for none.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        held_out (`np.ndarray` of shape `(n, num_labels)`): The result of `held_out_probabilities`.
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


@dataclass(frozen=True)
class _Checked:
    """Texts of a random sample with human labels, and the pool's predictions for each without its human label."""

    rows: np.ndarray
    predicted: np.ndarray
    confidences: np.ndarray
    weights: np.ndarray


def _by_people(
    checked: _Checked,
    known: np.ndarray,
    guesses: np.ndarray,
    final: np.ndarray,
    confidences: np.ndarray,
    counted: np.ndarray,
    label: int | None,
) -> Estimate | None:
    """Estimates the accuracy of all final labels, or of one label; `None` if none of them was checked."""
    about = np.full(len(checked.rows), True) if label is None else checked.predicted == label
    here, certain = counted.copy(), known != NO_LABEL
    if label is not None:
        here, certain = here & (final == label), certain & (final == label)
    if not about.any() or not here.any():
        return None
    rows = checked.rows[about]
    found = powered_share(
        checked.predicted[about] == known[rows],
        checked.weights[about],
        proxies_of(checked.confidences[about], guesses[rows] == checked.predicted[about]),
        proxies_of(confidences[here], guesses[here] == final[here]).mean(axis=0),
        _NO_LIMIT,
    )
    # The other texts are also a sample of a larger population.
    wider = np.sqrt(1 + len(rows) / here.sum())
    found = Interval(
        found.value,
        max(0.0, found.value - wider * (found.value - found.low)),
        min(1.0, found.value + wider * (found.high - found.value)),
    )
    found = with_certain(found, int(here.sum()), int(certain.sum()))
    return Estimate(found.value, found.low, found.high)


def _by_agreement(final: np.ndarray, guesses: np.ndarray, open_: float) -> Estimate | None:
    """Estimates a range from the agreement with a held-out student; `None` if the agreement is not strong."""
    agreed = float((final == guesses).mean())
    size = max(final.max(), guesses.max()) + 1
    shares = [np.bincount(some[some != NO_LABEL], minlength=size) / len(some) for some in (final, guesses)]
    chance = float(shares[0] @ shares[1])
    if chance == 1 or (agreed - chance) / (1 - chance) < _STRONG:
        return None
    low, high = max(0.0, agreed - _BELOW), min(1.0, agreed + _ABOVE)
    return Estimate(*(1 - open_ + open_ * value for value in (agreed, low, high)))


def _bound(final: np.ndarray, num_labels: int, class_shares: np.ndarray | None) -> float | None:
    given = final[final != NO_LABEL]
    shares = np.full(num_labels, 1 / num_labels) if class_shares is None else class_shares
    return most_right(given, shares) if len(given) else None


def _sampled(pool: Pool, inclusion: np.ndarray) -> np.ndarray:
    """Returns the indices of the pool's texts that were drawn at random."""
    return np.flatnonzero(~np.isnan(inclusion[pool.rows]))


def _views(texts: np.ndarray, student_probabilities: np.ndarray, count: int) -> np.ndarray:
    """Averages the log probabilities of the held-out student and of the student, which has seen the label."""
    known = np.isfinite(student_probabilities).all(axis=1, keepdims=True)
    seen = smoothed_log(np.where(known, student_probabilities, 1.0), count)
    found: np.ndarray = np.where(known, (texts + seen) / 2, texts)
    return found


def _reliability(trust: np.ndarray) -> np.ndarray:
    """Returns the probability that each answer is right, without human labels."""
    found: np.ndarray = expit(logit(_USUAL) + trust)
    return found


def _cautious(meant: np.ndarray, views: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Combines the annotator's labels, at their assumed accuracy, with a small weight of the texts."""
    right = _reliability(trust)[:, None]
    found: np.ndarray = right * meant + (1 - right) * (1 - meant) / (meant.shape[1] - 1)
    found = softmax(np.log(found + _TINY) + _TEXTS * views, axis=1)
    return found


def _by_answer(labels: np.ndarray, trust: np.ndarray, num_labels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that computes the log probabilities of each label given the annotator's answer."""
    answered = labels != NO_LABEL

    def log_probabilities(known: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(answered & (known != NO_LABEL))
        right = (labels[rows] == known[rows]).sum() + _USUAL * _USUAL_WORTH
        accuracy = right / (len(rows) + _USUAL_WORTH)
        counts = WORTH * _spread(np.arange(num_labels), np.full(num_labels, accuracy), num_labels)
        np.add.at(counts, (labels[rows], known[rows]), 1)
        found = np.log(counts / counts.sum(axis=1, keepdims=True))[labels]
        found[np.arange(len(labels)), labels] += trust
        found = log_softmax(found, axis=1)
        found[~answered] = 0
        return found

    return log_probabilities


def _by_votes(votes: np.ndarray, num_labels: int) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Returns functions that compute the log probabilities of each label given the votes, of all annotators and
    without the worse ones."""

    def of_all(known: np.ndarray) -> np.ndarray:
        return np.log(fuse_votes(votes, num_labels, known, tempered=True).by_votes + _LEAST_VOTED)

    def of_the_better(known: np.ndarray) -> np.ndarray:
        kept = np.delete(votes, [annotator.annotator for annotator in worse_annotators(votes, known)], axis=1)
        return np.log(fuse_votes(kept, num_labels, known, tempered=True).by_votes + _LEAST_VOTED)

    return [of_all, of_the_better]


def _confident_joint(labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Estimates the counts of texts with each answer (rows) and each label (columns) from held-out predictions.

    A text counts for the label whose probability is at least the mean probability of that label.

    Source: the confident joint of confident learning (Northcutt et al., JAIR 2021), section 3.1.
    """
    num_labels = held_out.shape[1]
    usual = [
        held_out[labels == label, label].mean() if (labels == label).any() else 1.0 for label in range(num_labels)
    ]
    joint = np.eye(num_labels)
    for said in range(num_labels):
        rows = held_out[labels == said]
        sure = rows >= np.array(usual) - TIE
        largest = np.where(sure, rows, -1.0).max(axis=1, keepdims=True)
        counted = sure & (rows >= largest - TIE)
        # A text with several equally probable labels counts for each of them in part.
        joint[said] += (counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)).sum(axis=0)
    return (
        joint
        / joint.sum(axis=1, keepdims=True)
        * np.bincount(labels[labels != NO_LABEL], minlength=num_labels)[:, None]
    )


def _resisted(labels: np.ndarray, student: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Multiplies the student's probabilities with the likelihood of the answer given each label.

    The student's disagreement with a label that it was trained on is stronger evidence than a held-out prediction.
    """
    labelled = labels != NO_LABEL
    joint = _confident_joint(labels, held_out) + 1e-9
    likelihood = joint / joint.sum(axis=0)
    found: np.ndarray = student * np.where(labelled[:, None], likelihood[labels], 1)
    found = found / found.sum(axis=1, keepdims=True)
    return found


def _modest(
    labels: np.ndarray, confidences: np.ndarray, student: np.ndarray, guesses: np.ndarray, both: np.ndarray
) -> np.ndarray | None:
    """Averages annotator and student if the annotator's mean confidence is below its agreement with a probe.

    A higher mean confidence is not used. The weights are the odds of the mean confidence and of the agreement.
    """
    own = both & ~np.isnan(confidences)
    if not own.any():
        return None
    claimed, understood = float(confidences[own].mean()), float((guesses == labels)[both].mean())
    if claimed >= understood:
        return None
    odds = [min(max(share, 0.01), 0.99) / (1 - min(max(share, 0.01), 0.99)) for share in (claimed, understood)]
    weight = np.where(labels != NO_LABEL, odds[0] / sum(odds), 0)[:, None]
    trust = np.where(np.isnan(confidences), claimed, confidences)
    found: np.ndarray = weight * _spread(labels, trust, student.shape[1]) + (1 - weight) * student
    return found


def _is_another(student: np.ndarray, held_out: np.ndarray) -> bool:
    """Returns whether a student is another classifier than the held-out one."""
    return float(np.abs(student - held_out).sum(axis=1).mean()) / 2 > _SAME


def _voted(
    votes: np.ndarray, guesses: np.ndarray, known: np.ndarray, embeddings: np.ndarray, num_labels: int, seed: int
) -> np.ndarray:
    """Fuses votes and held-out student with a confusion matrix for each, twice: the second probe learns the result."""
    fused = fuse_votes(np.column_stack([votes, guesses]), num_labels, known).probabilities
    answered = (votes != NO_LABEL).any(axis=1)
    better = np.where(answered, likeliest(fused, preferred=agreed_labels(votes, fused)), NO_LABEL)
    better = np.where(known == NO_LABEL, better, known)
    again = likeliest(held_out_probabilities(embeddings, better, num_labels, seed=seed))
    return fuse_votes(np.column_stack([votes, again]), num_labels, known).probabilities


def _features(embeddings: np.ndarray, votes: np.ndarray | None, num_labels: int) -> np.ndarray:
    """Returns the features of the texts: embeddings of length 1 and the votes, minus their means."""
    features = normalize(np.asarray(embeddings, dtype=np.float64))
    if votes is not None:
        said = (votes[:, :, None] == np.arange(num_labels)).reshape(len(votes), -1)
        features = np.hstack([features, _VOTE_FEATURE * said])
    found: np.ndarray = features - features.mean(axis=0)
    return found


def _moved(probabilities: np.ndarray, bias: np.ndarray) -> np.ndarray:
    found: np.ndarray = softmax(np.log(probabilities + _TINY) + bias, axis=1)
    return found


def _spread(labels: np.ndarray, trust: np.ndarray, num_labels: int) -> np.ndarray:
    """Returns distributions that give each label its trust and the others the rest; uniform if there is no label."""
    labelled = labels != NO_LABEL
    trust = np.clip(np.where(labelled, trust, 1 / num_labels), 1 / num_labels, 1 - 1e-3)
    found = np.repeat(((1 - trust) / (num_labels - 1))[:, None], num_labels, axis=1)
    found[labelled, labels[labelled]] = trust[labelled]
    return found


def _with_mean(probabilities: np.ndarray, target: float, counted: np.ndarray) -> np.ndarray:
    """Returns the largest probability of each row, at the temperature at which the mean of `counted` is `target`."""
    log = np.log(np.clip(probabilities, 1e-6, None))
    log -= log.max(axis=1, keepdims=True)
    coldest, hottest = -6.0, 6.0  # of the logarithm of the temperature
    for _ in range(40):
        middle = (coldest + hottest) / 2
        largest = 1 / np.exp(log / np.exp(middle)).sum(axis=1)
        coldest, hottest = (middle, hottest) if largest[counted].mean() > target else (coldest, middle)
    return largest
