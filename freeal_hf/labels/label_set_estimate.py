"""The estimated quality of final sets of labels, from human labels of a random sample, and its description."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from freeal_hf.labels.accuracy import RESTS_ON_PEOPLE, UNKNOWN_ALONE, UNKNOWN_SAMPLE
from freeal_hf.labels.audit import Interval, wilson
from freeal_hf.labels.label_sets import FinalLabelSets, limited
from freeal_hf.labels.pool import FEWEST
from freeal_hf.tasks import NO_LABEL, MultiLabelClassification

_RESAMPLES = 1000
_TAILS = (2.5, 97.5)


@dataclass(frozen=True)
class Checked:
    """The texts of a random sample with human labels, and the sets that the same method gives them without these.

    Args:
        predicted (`np.ndarray` of shape `(h, num_labels)`): 1 for each label of these sets, 0 for the others.
        human (`np.ndarray` of shape `(h, num_labels)`): The same for the human labels.
        weights (`np.ndarray` of shape `(h,)`): Inverse inclusion probabilities; their sum is 1.
    """

    predicted: np.ndarray
    human: np.ndarray
    weights: np.ndarray


def checked_sets(
    final: FinalLabelSets, human: np.ndarray, inclusion: np.ndarray | None, max_labels: int | None
) -> Checked | None:
    """Returns the texts from which the quality can be estimated.

    Args:
        final (`FinalLabelSets`): The final sets.
        human (`np.ndarray` of shape `(n, num_labels)`): Human labels, -1 for none.
        inclusion (`np.ndarray` of shape `(n,)`, *optional*): The probability with which each text was drawn, NaN if it
            was not drawn at random.
        max_labels (`int`, *optional*): The maximum number of labels of a text.

    Returns:
        `Checked`, *optional*: `None` if fewer than ten of the texts were drawn at random, or if a label was not fitted
        to the human labels.
    """
    pools = [found.pool for found in final.by_label if found.pool is not None]
    if inclusion is None or not pools or len(pools) < len(final.by_label):
        return None
    rows = pools[0].rows
    drawn = ~np.isnan(inclusion[rows])
    if drawn.sum() < FEWEST:
        return None
    probabilities = np.column_stack([pool.held_out[rows[drawn], 1] for pool in pools])
    predicted = limited((probabilities > final.threshold).astype(int), probabilities, max_labels)
    weights = 1 / inclusion[rows[drawn]]
    return Checked(predicted, human[rows[drawn]], weights / weights.sum())


def label_set_figures(
    final: FinalLabelSets, human: np.ndarray, inclusion: np.ndarray | None, task: MultiLabelClassification
) -> dict[str, Any]:
    """Returns the metrics of final sets of labels for a round's record in `metrics.json`.

    Args:
        final (`FinalLabelSets`): The final sets.
        human (`np.ndarray` of shape `(n, num_labels)`): Human labels, -1 for none.
        inclusion (`np.ndarray` of shape `(n,)`, *optional*): As in `checked_sets`.
        task (`MultiLabelClassification`): The task.

    Returns:
        `dict`: The metrics of `estimate_figures`: `estimated_label_accuracy` is the share of texts with exactly the
        right labels, and `estimated_label_accuracy_by_label` has the precision of each label. Further
        `estimated_label_micro_f1` and `estimated_label_macro_f1` with their ranges, and
        `estimated_label_f1_by_label`.
    """
    checked = checked_sets(final, human, inclusion, task.max_labels)
    enough = any(found.pool is not None for found in final.by_label)
    figures: dict[str, Any] = {
        "student_has_learnt": final.student_has_learnt,
        "estimated_label_accuracy": None,
        "estimated_label_accuracy_range": None,
        "estimated_label_accuracy_source": None,
        "estimated_label_accuracy_basis": UNKNOWN_SAMPLE if enough else UNKNOWN_ALONE,
        "estimated_label_accuracy_by_label": dict.fromkeys(task.label_names),
        "most_labels_right": None,
        "class_shares_given": any(found.shares_are_given for found in final.by_label),
        "worse_annotators": _worse(final),
    }
    if checked is None:
        return figures
    certain = float((human[:, 0] != NO_LABEL).mean())
    exact = (checked.predicted == checked.human).all(axis=1)
    share, size = float(checked.weights @ exact), 1 / float((checked.weights**2).sum())
    low, high = ((1 - certain) * bound + certain for bound in wilson(share, size))
    figures |= {
        "estimated_label_accuracy": (1 - certain) * share + certain,
        "estimated_label_accuracy_range": [low, high],
        "estimated_label_accuracy_source": "audit",
        "estimated_label_accuracy_basis": RESTS_ON_PEOPLE,
    }
    right, named = checked.predicted & checked.human, checked.predicted
    relevant = checked.predicted | checked.human
    f1s = [_f1(_share(one, cases, checked.weights)) for one, cases in zip(right.T, relevant.T, strict=True)]
    micro = _f1(_share(right.sum(axis=1), relevant.sum(axis=1), checked.weights))
    for name, found in (("micro", micro), ("macro", _macro_f1(checked))):
        figures[f"estimated_label_{name}_f1"] = None if found is None else found.value
        figures[f"estimated_label_{name}_f1_range"] = None if found is None else [found.low, found.high]
    precisions = [_share(one, cases, checked.weights) for one, cases in zip(right.T, named.T, strict=True)]
    for key, found_by_label in (("f1_by_label", f1s), ("accuracy_by_label", precisions)):
        figures[f"estimated_label_{key}"] = {
            name: None if found is None else asdict(found)
            for name, found in zip(task.label_names, found_by_label, strict=True)
        }
    return figures


def _worse(final: FinalLabelSets) -> list[dict[str, Any]]:
    """Returns the annotators that are worse than the best one for at least one label, each with one such label."""
    found = {worse.annotator: worse for one in final.by_label for worse in one.worse}
    return [{**asdict(worse), "annotator": worse.annotator + 1, "best": worse.best + 1} for worse in found.values()]


def _share(hits: np.ndarray, cases: np.ndarray, weights: np.ndarray) -> Interval | None:
    """Returns the share of hits in cases of texts, with Wilson's interval of 95 %; `None` without a case.

    Cases of the same text count as independent. In simulations with correlated labels, 90 to 94 of 100 intervals of
    micro F1 contained the truth, as with the bootstrap over texts, and 95 to 97 of those of a label (73 to 95).
    """
    sizes = weights * cases
    if not sizes.any():
        return None
    share = min(1.0, float(weights @ hits / sizes.sum()))
    return Interval(share, *wilson(share, float(sizes.sum() ** 2 / (weights * sizes).sum())))


def _f1(jaccard: Interval | None) -> Interval | None:
    """Returns the F1 of given and true labels whose share of common ones among all of both (Jaccard index) is known.

    With the index J, F1 is 2J / (1 + J), which never falls. An interval of J is therefore also one of F1.
    """
    if jaccard is None:
        return None
    return Interval(*(2 * share / (1 + share) for share in (jaccard.value, jaccard.low, jaccard.high)))


def _macro_f1(checked: Checked) -> Interval | None:
    """Returns the mean F1 of the labels, with an interval of 95 % by the bootstrap over texts, which keeps the labels
    of a text together; `None` without a label. If all labels are right, this interval has no width."""
    value, resampled = _mean_f1(checked, np.arange(len(checked.weights))), []
    for rows in np.random.default_rng(0).integers(len(checked.weights), size=(_RESAMPLES, len(checked.weights))):
        resampled.append(_mean_f1(checked, rows))
    if not np.isfinite(value):
        return None
    low, high = np.nanpercentile(resampled, _TAILS)
    return Interval(value, float(low), float(high))


def _mean_f1(checked: Checked, rows: np.ndarray) -> float:
    predicted, human, weights = checked.predicted[rows], checked.human[rows], checked.weights[rows]
    right, all_of_them = weights @ (predicted & human), weights @ predicted + weights @ human
    return float(np.mean(2 * right[all_of_them > 0] / all_of_them[all_of_them > 0])) if all_of_them.any() else np.nan


def estimate_in_words(record: Mapping[str, Any]) -> str:
    """Describes the estimated quality of the labels of a round, for a card.

    Args:
        record (`Mapping`): The round's record.
    """
    if record["estimated_label_accuracy"] is None:
        return (
            f"The accuracy of the labels is **unknown**: {record['estimated_label_accuracy_basis']}. "
            "`label_confidence` only orders the texts."
        )
    low, high = record["estimated_label_accuracy_range"]
    said = (
        f"Estimated from human labels of random texts: **{100 * low:.1f} to {100 * high:.1f} %** of the texts have "
        f"exactly the right labels, about {100 * record['estimated_label_accuracy']:.1f} %."
    )
    if (f1 := record.get("estimated_label_micro_f1")) is not None:
        low, high = record["estimated_label_micro_f1_range"]
        said += (
            f" The micro F1 of the labels of texts without a human label is about {100 * f1:.0f} % "
            f"({100 * low:.0f} to {100 * high:.0f} %)."
        )
    return said
