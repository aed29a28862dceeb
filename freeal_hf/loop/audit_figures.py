"""What an audit found, and how a round's record in `metrics.json` has it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from freeal_hf.labels.agreement import AltTest
from freeal_hf.labels.audit import Interval

MODEL_ESTIMATE = "model_estimate"
"""Where a record keeps the round's own estimate if an audit's is in its place."""

ESTIMATES = (
    "estimated_label_accuracy",
    "estimated_label_accuracy_range",
    "estimated_label_accuracy_by_label",
    "estimated_label_accuracy_source",
    "estimated_label_accuracy_basis",
)
"""The figures of a round's own estimate."""


@dataclass(frozen=True)
class LabelAudit:
    """What an audit found where the answers are labels; a list has an entry for each label.

    Args:
        annotator (`Interval`): Share of texts whose annotator label is right; a text without one counts as wrong.
        kappa (`Interval`, *optional*): Cohen's kappa of annotator and person.
        shares (`list[Interval]`): How many of the texts have the label in truth.
        precision (`list[Interval | None]`): How many of the texts with this final label have it in truth.
        recall (`list[Interval | None]`): How many of the texts that have it in truth have it as final label.
        confusion (`list[list[int]]`):
            Answered texts by what the annotator said (rows, the last one for nothing) and the person (columns).
    """

    annotator: Interval
    kappa: Interval | None
    shares: list[Interval]
    precision: list[Interval | None]
    recall: list[Interval | None]
    confusion: list[list[int]]


@dataclass(frozen=True)
class PeopleAudit:
    """What a second person's answers say.

    Args:
        texts (`int`): Texts that both people answered.
        agreement (`Interval`): Share of them on which they agree.
        kappa (`Interval`, *optional*): Their Cohen's kappa.
        alt_test (`AltTest`): Whether the annotator may replace one of them.
    """

    texts: int
    agreement: Interval
    kappa: Interval | None
    alt_test: AltTest


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Args:
        accuracy (`float`): Estimated share of texts whose final label is right; without bias once every answer is in.
        low (`float`), high (`float`): Its interval of 95 %.
        answered (`int`): Answers that are in.
        drawn (`int`): Texts that were drawn.
        labels (`LabelAudit`, *optional*): The rest, where the answers are labels.
        people (`PeopleAudit`, *optional*): What a second person's answers say, if there are any.
    """

    accuracy: float
    low: float
    high: float
    answered: int
    drawn: int
    labels: LabelAudit | None = None
    people: PeopleAudit | None = None


def audit_figures(result: AuditResult, names: Sequence[str]) -> dict[str, Any]:
    """What a round's record in `metrics.json` says of an audit.

    Args:
        result (`AuditResult`): What `score_audit` found.
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
    if (people := result.people) is not None:
        figures |= {
            "people_texts": people.texts,
            "people_agreement": asdict(people.agreement),
            "people_kappa": _as_dict(people.kappa),
            "alt_test": asdict(people.alt_test),
        }
    return figures


def estimates(result: AuditResult, names: Sequence[str]) -> dict[str, Any]:
    """What an audit puts in the place of a round's own estimate, by `ESTIMATES`.

    Args:
        result (`AuditResult`): What `score_audit` found, where the answers are labels.
        names (`Sequence[str]`): The names of the labels.
    """
    assert result.labels is not None
    by_label = map(_as_dict, result.labels.precision)
    basis = "labels that a person gave to a random sample of the texts (interval of 95 %)"
    figures = (result.accuracy, [result.low, result.high], dict(zip(names, by_label, strict=True)), "audit", basis)
    return dict(zip(ESTIMATES, figures, strict=True))


def _as_dict(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else asdict(found)
