"""Fuses the labels of annotator, student and people into final labels, and estimates their accuracy without gold."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.special import softmax

from freeal_hf.data.ties import likeliest
from freeal_hf.labels.accuracy import (
    RESTS_ON_AGREEMENT,
    RESTS_ON_PEOPLE,
    SOURCES,
    UNKNOWN_ALONE,
    UNKNOWN_ANSWERS,
    UNKNOWN_SAMPLE,
    Checked,
    by_agreement,
    by_people,
)
from freeal_hf.labels.audit import Interval
from freeal_hf.labels.class_shares import most_right, shares_bias
from freeal_hf.labels.doubts import depends_on_text
from freeal_hf.labels.evidence import by_answer, by_votes, features_of, reliability, spread
from freeal_hf.labels.pool import FEWEST, Pool, compared_students, fit_pool
from freeal_hf.labels.slips import at_usual_reliability, cautious, without_slips
from freeal_hf.labels.trust import calibrated
from freeal_hf.labels.voting import WorseAnnotator, fuse_votes, fuse_with_probe, worse_annotators
from freeal_hf.tasks import NO_LABEL, TextClassification
from freeal_hf.training.probe import held_out_probabilities
from freeal_hf.training.slips import admitted_slips, smoothed_log
from freeal_hf.training.temperature import at_temperature, temperature_of_mean

_TINY = 1e-12  # added before a logarithm is taken


@dataclass(frozen=True)
class FinalLabels:
    """The final labels of `n` texts.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids; -1 if no label is more probable than the others.
        confidences (`np.ndarray` of shape `(n,)`):
            The label confidences. If there is an estimate, their mean is its value. If there is none, they only order
            the labels. NaN if there is no label, and for all texts if no dependence of the annotator's answers on the
            texts is found (`depends_on_text`).
        estimate (`Interval`, *optional*): The accuracy of the labels; `None` if it is unknown.
        by_label (`list[Interval | None]`): The accuracy of each final label; `None` if it is unknown.
        believed (`np.ndarray` of shape `(n, num_labels)`):
            The probabilities of the true labels, from human labels if there are enough, and otherwise from the
            annotators' answers at a usual reliability.
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
    estimate: Interval | None
    by_label: list[Interval | None]
    believed: np.ndarray
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
    allowed: np.ndarray | None = None,
    untaught: np.ndarray | None = None,
    pool: Pool | None = None,
    seed: int = 0,
) -> FinalLabels:
    """Fuses the labels of annotator, student and people, and estimates the accuracy of the final labels.

    With ten human labels or more, annotators and held-out predictions are weighted by their agreement with them
    (`fit_pool`). The student has seen the answers and repeats errors, which held-out predictions do not show. It is
    weighted too if `untaught` shows how far an earlier student that was trained on answers alone agrees with people.

    With fewer, an answer is kept unless held-out predictions show that the annotator makes slips (`without_slips`), or
    its own confidences say so (`admitted_slips`). The student, which has seen the labels, then decides which answers
    are slips. If there are several annotators, votes and held-out predictions are fused with a confusion matrix for
    each (`fuse_with_probe`).

    A student that has not learnt its training labels (`has_learnt`) is not used. With fewer than ten human labels, all
    answers (or the fused ones of several annotators) are kept,
    and a text without an answer gets the held-out prediction. If labels are equally probable, the annotator's is kept;
    without an answer there is no label. No label is chosen because of its position.

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
        allowed (`np.ndarray` of shape `(n, num_labels)`, *optional*):
            The labels that each text can have: the candidates of a text without an answer. By default all.
        untaught (`np.ndarray` of shape `(n, num_labels)`, *optional*):
            Probabilities of the last student that was not trained on the human label of the text; NaN if there is
            none. See `untaught_probabilities`.
        pool (`Pool`, *optional*): A fit to the human labels, by default that of `fit_pool`.
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
        unseen = unseen if held_out is None else _where_known(held_out, unseen)
    student_probabilities, unseen = (_restricted(some, allowed) for some in (student_probabilities, unseen))
    guesses = likeliest(unseen)
    learnt = has_learnt(taught, student_probabilities, unseen)
    count = int((taught != NO_LABEL).sum())
    texts = smoothed_log(unseen, count)
    seen = smoothed_log(_where_known(student_probabilities, unseen), count)
    depends = not both.any() or depends_on_text(labels[both], unseen[both])
    trust = calibrated(labels, confidences, guesses, known, np.zeros(n, dtype=int) if sources is None else sources)

    if pool is None and (~open_).sum() >= FEWEST:
        evidence = [by_answer(labels, trust, num_labels)] if votes is None else by_votes(votes, guesses, num_labels)
        features = features_of(embeddings, votes, num_labels)
        before = None if untaught is None or not learnt else _restricted(untaught, allowed)
        compared = compared_students(unseen, before, _where_known(student_probabilities, unseen), ~open_)
        students = [(smoothed_log(fitted, count), smoothed_log(used, count)) for fitted, used in compared]
        pool = fit_pool(known, evidence, students, features, seed=seed)
    if pool is not None:
        fused = believed = pool.probabilities
    elif not learnt:
        share = reliability(trust)
        if votes is not None:
            share = fuse_votes(votes, num_labels, known).probabilities[np.arange(n), labels]
        fused = believed = np.where(labelled[:, None], spread(labels, share, num_labels), unseen)
    elif votes is not None:
        fused = fuse_with_probe(votes, guesses, known, embeddings, num_labels, seed)
        believed = at_usual_reliability(fused, trust)
    else:
        meant = spread(labels, np.ones(n), num_labels)
        if depends:
            answers = np.where(open_, labels, NO_LABEL)
            least = admitted_slips(labels[both], confidences[both], guesses[both])
            meant = without_slips(answers, texts, seen, trust, least)
        believed = at_usual_reliability(np.where(labelled[:, None], meant, softmax(seen, axis=1)), trust)
        fused = cautious(believed, seen)
    bias = np.zeros(num_labels)
    if class_shares is not None and (learnt or pool is not None):
        bias = shares_bias(np.log(fused + _TINY), class_shares)
        fused = _moved(fused, bias)
    final = likeliest(fused, preferred=labels)
    final = np.where(final == NO_LABEL, labels, final)
    counted = open_ & (final != NO_LABEL)
    confidence = fused[np.arange(n), final]
    final = np.where(open_, final, known)

    estimate: Interval | None = None
    by_label: list[Interval | None] = [None] * num_labels
    basis = UNKNOWN_SAMPLE if pool is not None else UNKNOWN_ALONE
    sample = np.zeros(0, dtype=int) if pool is None or inclusion is None else _sampled(pool, inclusion, labelled)
    if pool is not None and inclusion is not None and len(sample) >= FEWEST:
        without, rows = _moved(pool.held_out, bias), pool.rows[sample]
        checked = Checked(rows, 1 / inclusion[rows], likeliest(without, preferred=labels), without.max(axis=1))
        estimate = by_people(checked, known, guesses, final, counted, None)
        by_label = [by_people(checked, known, guesses, final, counted, label) for label in range(num_labels)]
        basis = RESTS_ON_PEOPLE
    elif not depends and pool is None:
        confidence, basis = np.full(n, np.nan), UNKNOWN_ANSWERS
    elif pool is None and counted.any():
        estimate = by_agreement(final[counted], guesses[counted], float(counted.sum() / (counted | ~open_).sum()))
        basis = UNKNOWN_ALONE if estimate is None else RESTS_ON_AGREEMENT
    if estimate is not None and counted.any():
        target = 1 - (1 - estimate.value) * (counted | ~open_).sum() / counted.sum()
        confidence = at_temperature(fused, temperature_of_mean(fused[counted], target)).max(axis=1)
    return FinalLabels(
        labels=final,
        confidences=np.where(open_, np.where(counted, confidence, np.nan), 1.0),
        estimate=estimate,
        by_label=by_label,
        believed=believed,
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
        "estimated_label_accuracy_source": None if known is None else SOURCES[final.basis],
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


def _where_known(probabilities: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Replaces rows that are not numbers."""
    found: np.ndarray = np.where(np.isfinite(probabilities).all(axis=1, keepdims=True), probabilities, others)
    return found


def _restricted(probabilities: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
    """Removes the labels that a text cannot have from its probabilities."""
    if allowed is None:
        return probabilities
    kept = (probabilities + _TINY) * allowed
    found: np.ndarray = np.where(allowed.all(axis=1, keepdims=True), probabilities, kept / kept.sum(1, keepdims=True))
    return found


def _bound(final: np.ndarray, num_labels: int, class_shares: np.ndarray | None) -> float | None:
    given = final[final != NO_LABEL]
    shares = np.full(num_labels, 1 / num_labels) if class_shares is None else class_shares
    return most_right(given, shares) if len(given) else None


def _sampled(pool: Pool, inclusion: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Returns the indices of the pool's texts that were drawn at random; none if the annotator was not asked for them.

    Without the annotator's answers, final labels of these texts are worse than those of the others.
    """
    drawn, others = ~np.isnan(inclusion[pool.rows]), np.ones(len(labelled), dtype=bool)
    others[pool.rows] = False
    asked = labelled[pool.rows[drawn]].sum() >= labelled[others].mean() * drawn.sum() / 2 if drawn.any() else False
    return np.flatnonzero(drawn & asked)


def _moved(probabilities: np.ndarray, bias: np.ndarray) -> np.ndarray:
    found: np.ndarray = softmax(np.log(probabilities + _TINY) + bias, axis=1)
    return found
