"""The result of an audit, and its metrics in a round's record in `metrics.json`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from freeal_hf.labels.agreement import AltTest
from freeal_hf.labels.audit import Interval
from freeal_hf.labels.entity_audit import EntityAudit

MODEL_ESTIMATE = "model_estimate"
"""The key under which a record keeps the round's own estimates if those of an audit replace them."""

ESTIMATES = (
    "estimated_label_accuracy",
    "estimated_label_accuracy_range",
    "estimated_label_accuracy_by_label",
    "estimated_label_accuracy_source",
    "estimated_label_accuracy_basis",
)
"""The keys of the estimates in the record of a round."""


@dataclass(frozen=True)
class LabelAudit:
    """The result of an audit whose answers are labels. Each list has an entry for each label.

    Args:
        annotator (`Interval`): Share of texts whose annotator label is right; a text without one counts as wrong.
        kappa (`Interval`, *optional*): Cohen's kappa of annotator and person.
        shares (`list[Interval]`): Share of the texts whose true label is this label.
        precision (`list[Interval | None]`): Share of the texts with this final label whose true label it is.
        recall (`list[Interval | None]`): Share of the texts with this true label whose final label it is.
        confusion (`list[list[int]]`):
            Counts of the answered texts, by annotator label (rows, the last one for none) and label of the person
            (columns).
    """

    annotator: Interval
    kappa: Interval | None
    shares: list[Interval]
    precision: list[Interval | None]
    recall: list[Interval | None]
    confusion: list[list[int]]


@dataclass(frozen=True)
class PeopleAudit:
    """The comparison with the answers of a second person.

    Args:
        texts (`int`): The number of texts that both people labelled.
        agreement (`Interval`): Share of these texts on which the people agree.
        kappa (`Interval`, *optional*): Cohen's kappa of the two people.
        alt_test (`AltTest`): Whether the annotator may replace one of the people.
    """

    texts: int
    agreement: Interval
    kappa: Interval | None
    alt_test: AltTest


@dataclass(frozen=True)
class AuditResult:
    """The result of an audit.

    Args:
        accuracy (`float`): Estimated share of texts whose final label is right; unbiased if all answers are given.
        low (`float`), high (`float`): Its interval of 95 %.
        answered (`int`): The number of answers.
        drawn (`int`): The number of texts that were drawn.
        labels (`LabelAudit`, *optional*): The other estimates, if the answers are labels.
        people (`PeopleAudit`, *optional*): The comparison with a second person, if there is one.
        entities (`EntityAudit`, *optional*): F1, precision and recall of entities, in an entity task.
    """

    accuracy: float
    low: float
    high: float
    answered: int
    drawn: int
    labels: LabelAudit | None = None
    people: PeopleAudit | None = None
    entities: EntityAudit | None = None


def audit_figures(result: AuditResult, names: Sequence[str]) -> dict[str, Any]:
    """Returns the metrics of an audit for a round's record in `metrics.json`.

    Args:
        result (`AuditResult`): The result of `score_audit`.
        names (`Sequence[str]`): The names of the labels.
    """
    figures: dict[str, Any] = {
        "audited_label_accuracy": result.accuracy,
        "audited_label_accuracy_range": [result.low, result.high],
        "audited_texts": result.answered,
    }
    if (found := result.labels) is not None:
        parts = zip(names, found.shares, found.precision, found.recall, strict=True)
        figures |= {
            "audited_annotator_accuracy": asdict(found.annotator),
            "audited_annotator_kappa": _as_dict(found.kappa),
            "audited_annotator_confusion": found.confusion,
            "audited_by_label": {
                name: {"share": asdict(share), "precision": _as_dict(precision), "recall": _as_dict(recall)}
                for name, share, precision, recall in parts
            },
        }
    if (entities := result.entities) is not None:
        figures["audited_entities"] = asdict(entities)
    if (people := result.people) is not None:
        figures |= {
            "people_texts": people.texts,
            "people_agreement": asdict(people.agreement),
            "people_kappa": _as_dict(people.kappa),
            "alt_test": asdict(people.alt_test),
        }
    return figures


def estimates(result: AuditResult, names: Sequence[str]) -> dict[str, Any]:
    """Returns the estimates of an audit that replace those of the round, with the keys `ESTIMATES`.

    Args:
        result (`AuditResult`): The result of `score_audit`, whose answers are labels.
        names (`Sequence[str]`): The names of the labels.
    """
    assert result.labels is not None
    by_label = map(_as_dict, result.labels.precision)
    basis = "labels that a person gave to a random sample of the texts (interval of 95 %)"
    figures = (result.accuracy, [result.low, result.high], dict(zip(names, by_label, strict=True)), "audit", basis)
    return dict(zip(ESTIMATES, figures, strict=True))


def _as_dict(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else asdict(found)
