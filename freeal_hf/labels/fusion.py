"""Final labels: what annotator, student and people say together, and how far to trust it without gold."""

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

# Taken for the share of an annotator's right answers while nothing is known, and the weight of the texts beside them.
_USUAL, _TEXTS = 0.85, 0.25
# Answers of people that the usual share is worth.
_USUAL_WORTH = 10.0
# From this agreement on, beyond chance, there is a range without a person, and how far it goes beyond the agreement.
_STRONG, _BELOW, _ABOVE = 0.75, 0.2, 0.05
# Weight of votes among the features of the pool; a text's embedding has the length 1.
_VOTE_FEATURE = 0.3
_NO_LIMIT = 10**9
_SAME = 0.02  # mean total variation between predictions of the same classifier
# Added before a logarithm is taken; of fused votes, which are far too sure.
_TINY, _LEAST_VOTED = 1e-12, 1e-4

RESTS_ON_PEOPLE = (
    "labels that people gave to a random sample of the texts; each counts for final labels that were made without it "
    "(interval of 95 %)"
)
RESTS_ON_AGREEMENT = (
    "no person: a student that had not seen the labels agrees with nearly all of them. Errors that the student learnt "
    "from the annotator are not seen, which the lower bound allows for"
)
UNKNOWN_ALONE = (
    "no person checked a random sample, and agreement with the student does not show how many answers are right: a "
    "student learns the annotator's errors, too. `freeal-hf audit` measures it"
)
UNKNOWN_SAMPLE = "the labels that people gave are not known to be of a random sample. `freeal-hf audit` draws one"
UNKNOWN_ANSWERS = (
    "the annotator's answers cannot be predicted from the texts better than from the shares of the labels, so that "
    "nothing shows that it read them"
)

_SOURCES = {RESTS_ON_PEOPLE: "audit", RESTS_ON_AGREEMENT: "agreement"}


@dataclass(frozen=True)
class Estimate:
    """An accuracy that was estimated without gold.

    Args:
        value (`float`): The estimate.
        low (`float`), high (`float`): The range; `FinalLabels.basis` says what it rests on.
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
            The label confidence. If there is an estimate, their mean is its value. If there is none, they only say
            which labels are surer than others. NaN where there is no label, and everywhere if the annotator's answers
            do not depend on the texts as far as can be seen (`depends_on_text`).
        estimate (`Estimate`, *optional*): How many of the labels are right; `None` where that is unknown.
        by_label (`list[Estimate | None]`): The same for the texts of each final label, `None` where it is unknown.
        student_has_learnt (`bool`): Whether the student was used; see `has_learnt`.
        basis (`str`): What the estimate rests on, or why there is none.
        most_right (`float`, *optional*):
            How many labels can be right at most if the shares of the true labels are those that the user knows; of
            equally frequent labels if the user knows none. A warning, no estimate. `None` without any label.
        shares_are_given (`bool`): Whether the user knows the shares.
        worse (`list[WorseAnnotator]`): The annotators that human labels show to be worse than the best one.
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
    """Fuses annotator, student and people, and estimates how far to trust the result.

    With ten human labels or more, annotators and texts are weighed by how well they agree with these (`fit_pool`).

    Without them, a student that was taught an answer and disputes it is weighed by the annotator's confusion matrix,
    which confident learning finds, or by the annotator's confidences where these claim less than a probe agrees with.
    Where `held_out` are the predictions of cross-fitted students, or the student is the probe itself, an answer stays
    unless they show that the annotator makes slips (`without_slips`). Of several annotators, votes and held-out
    student are fused by a confusion matrix each (`fuse_votes`), twice, because the student learns from better labels
    the second time.

    A student that has not learnt what it was taught (`has_learnt`) is not used: every answer stays, of several
    annotators the fused one, and a text without an answer gets the held-out prediction. Where labels are equally
    probable the annotator's stays; without an answer there is then no label. None is chosen because of its position.

    Shares of the labels that the user knows move the labels towards them, less so for a label with few texts.

    The estimate rests on human labels of a random sample: each is compared with the label that the same method gives
    the text without it. Without such labels there is one only if a student that has not seen the labels agrees with
    nearly all of them; else the accuracy is unknown. The confidences are at the temperature that makes their mean the
    estimate.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none; of several their fused labels.
        confidences (`np.ndarray` of shape `(n,)`):
            Its confidence in them, NaN where it gives none. They are never taken at face value; see `calibrated`.
        student_probabilities (`np.ndarray` of shape `(n, num_labels)`): The student's probabilities.
        embeddings (`np.ndarray` of shape `(n, d)`): Embeddings that no label has shaped.
        votes (`np.ndarray` of shape `(n, m)`, *optional*): What each of several annotators said, -1 for none.
        human (`np.ndarray` of shape `(n,)`, *optional*): Labels that people gave, -1 for none: final, and certain.
        inclusion (`np.ndarray` of shape `(n,)`, *optional*):
            The probability with which each text was drawn for a person to label, NaN where it was not drawn at random.
            Those of a simple random sample are all the same.
        held_out (`np.ndarray` of shape `(n, num_labels)`, *optional*):
            Predictions of a student that has not seen the label of the text; by default those of a probe.
        class_shares (`np.ndarray` of shape `(num_labels,)`, *optional*): Known shares of the true labels.
        sources (`np.ndarray` of shape `(n,)`, *optional*):
            Number of the annotator that gave each answer; confidences of different ones are not comparable.
        seed (`int`): Seed of the folds.
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
    )


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


@dataclass(frozen=True)
class _Checked:
    """Texts of a random sample that people labelled, and what the pool says of each without its human label."""

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
    """Accuracy of all labels, or of those of one label, `None` if nobody checked one."""
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
    # The other texts are themselves a sample of what might have been drawn.
    wider = np.sqrt(1 + len(rows) / here.sum())
    found = Interval(
        found.value,
        max(0.0, found.value - wider * (found.value - found.low)),
        min(1.0, found.value + wider * (found.high - found.value)),
    )
    found = with_certain(found, int(here.sum()), int(certain.sum()))
    return Estimate(found.value, found.low, found.high)


def _by_agreement(final: np.ndarray, guesses: np.ndarray, open_: float) -> Estimate | None:
    """A range from the agreement of a student that has not seen the labels, `None` unless that is strong."""
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
    """Which of the pool's texts were drawn at random."""
    return np.flatnonzero(~np.isnan(inclusion[pool.rows]))


def _views(texts: np.ndarray, student_probabilities: np.ndarray, count: int) -> np.ndarray:
    """Mean of the logarithms of the held-out prediction and the student's, which has seen the label."""
    known = np.isfinite(student_probabilities).all(axis=1, keepdims=True)
    seen = smoothed_log(np.where(known, student_probabilities, 1.0), count)
    found: np.ndarray = np.where(known, (texts + seen) / 2, texts)
    return found


def _reliability(trust: np.ndarray) -> np.ndarray:
    """How probably each answer is right while nobody has checked any."""
    found: np.ndarray = expit(logit(_USUAL) + trust)
    return found


def _cautious(meant: np.ndarray, views: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """What the annotator meant, taken to be right as usual, and a little of what the texts say."""
    right = _reliability(trust)[:, None]
    found: np.ndarray = right * meant + (1 - right) * (1 - meant) / (meant.shape[1] - 1)
    found = softmax(np.log(found + _TINY) + _TEXTS * views, axis=1)
    return found


def _by_answer(labels: np.ndarray, trust: np.ndarray, num_labels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Log probabilities of each label given the annotator's answer: its accuracy, and counts for each answer."""
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
    """Log probabilities of each label given the votes: of all, and without those that are known to be worse."""

    def of_all(known: np.ndarray) -> np.ndarray:
        return np.log(fuse_votes(votes, num_labels, known, tempered=True).by_votes + _LEAST_VOTED)

    def of_the_better(known: np.ndarray) -> np.ndarray:
        kept = np.delete(votes, [annotator.annotator for annotator in worse_annotators(votes, known)], axis=1)
        return np.log(fuse_votes(kept, num_labels, known, tempered=True).by_votes + _LEAST_VOTED)

    return [of_all, of_the_better]


def _confident_joint(labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """How many texts have each answer (rows) and each label (columns), as far as held-out predictions show it.

    A text counts towards the label that is at least as probable as is usual for that label.

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
        # A text that is as probable for several labels counts towards each of them in part.
        joint[said] += (counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)).sum(axis=0)
    return (
        joint
        / joint.sum(axis=1, keepdims=True)
        * np.bincount(labels[labels != NO_LABEL], minlength=num_labels)[:, None]
    )


def _resisted(labels: np.ndarray, student: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The student's probabilities times how likely the answer is for each label.

    Where a student has been taught an answer and disputes it nonetheless, its word is worth more than a held-out
    prediction.
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
    """Annotator and student, averaged, if the annotator claims to be right less often than a probe agrees with it.

    A confidence is believed against the annotator's own interest only: one that claims more says nothing. The weights
    are the odds of the mean confidence and those of the agreement.
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
    """Whether a student is not the held-out classifier itself, which has seen none of the labels it is asked for."""
    return float(np.abs(student - held_out).sum(axis=1).mean()) / 2 > _SAME


def _voted(
    votes: np.ndarray, guesses: np.ndarray, known: np.ndarray, embeddings: np.ndarray, num_labels: int, seed: int
) -> np.ndarray:
    """Votes and held-out student by a matrix each, and again with a probe that has learnt the result."""
    fused = fuse_votes(np.column_stack([votes, guesses]), num_labels, known).probabilities
    answered = (votes != NO_LABEL).any(axis=1)
    better = np.where(answered, likeliest(fused, preferred=agreed_labels(votes, fused)), NO_LABEL)
    better = np.where(known == NO_LABEL, better, known)
    again = likeliest(held_out_probabilities(embeddings, better, num_labels, seed=seed))
    return fuse_votes(np.column_stack([votes, again]), num_labels, known).probabilities


def _features(embeddings: np.ndarray, votes: np.ndarray | None, num_labels: int) -> np.ndarray:
    """Features of the texts: embeddings of length 1, and the votes; about their means."""
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
