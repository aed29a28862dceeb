"""The summary of a run for the terminal, and its HTML report."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.data.files import write_atomically
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.registry import kind_of
from freeal_hf.labels.counts import count_warnings, describe_counts
from freeal_hf.reporting import figures as pictures_of
from freeal_hf.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from matplotlib.figure import Figure

UNKNOWN = "unknown"
"""Shown if there is no estimate."""

_DISPUTED_SHOWN = 25
_ESTIMATE = "estimated_label_accuracy"
_WIDTH = 80  # columns of a terminal
_COLUMNS = {
    "round": ("round", "number of the round"),
    "annotator_micro_f1": ("annotator micro F1", "of the annotator, by gold"),
    "student_micro_f1": ("student micro F1", "of the student, by gold"),
    "label_micro_f1": ("final micro F1", "of the final labels, by gold"),
    "label_macro_f1": ("final macro F1", "mean over the labels, by gold"),
    "label_exact_match": ("exactly right", "texts with all labels right, by gold"),
    "annotator_f1": ("annotator F1", "entities of the annotator, by gold"),
    "student_f1": ("student F1", "entities of the student, by gold"),
    "label_f1": ("final F1", "final entities, by gold"),
    "label_precision": ("precision", "right ones among those given"),
    "label_recall": ("recall", "given ones among the right ones"),
    "annotator_accuracy": ("annotator", "right labels, by gold"),
    "student_accuracy": ("student", "right labels, by gold"),
    "label_accuracy": ("final label", "right labels, by gold"),
    _ESTIMATE: ("estimated", "right final labels, without gold"),
    "audited_label_accuracy": ("audited", "right final labels, by a person"),
    "clean_fraction": ("clean share", "labels that are selected as clean"),
    "clean_accuracy": ("clean right", "right labels among these, by gold"),
    "annotator_calls": ("calls", "calls of the annotator"),
    "tokens": ("tokens", "tokens of the annotator"),
    "cached": ("prompt cache", "input tokens that the server knew"),
    "cost": ("cost", "cost of the annotator"),
    "seconds": ("seconds", "time of the round"),
}
"""The figures of a round that are shown: name and explanation."""


def summary_rows(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the table of the rounds as text.

    Columns without any value are left out. The column of the estimated accuracy is always there.

    Args:
        records (`Sequence[Mapping[str, Any]]`): The metrics of each round.

    Returns:
        `list[list[str]]`: The header and a row for each round.
    """
    names, _, *rounds = zip(*_figures(records), strict=True)
    return [list(names), *map(list, rounds)]


def explained_columns(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Returns name and explanation of each column of `summary_rows`.

    Args:
        records (`Sequence[Mapping[str, Any]]`): The metrics of each round.
    """
    return [(name, text) for name, text, *_ in _figures(records)]


def _figures(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns name, explanation and the value in each round of the figures that are shown."""
    rows = [
        {
            **record,
            "tokens": record["prompt_tokens"] + record["completion_tokens"],
            "cached": record.get("cached_tokens", 0) / max(1, record["prompt_tokens"]) or None,
        }
        for record in records
    ]
    return [
        [*words, *(_cell(key, _shown(key, row)) for row in rows)]
        for key, words in _COLUMNS.items()
        if key == _ESTIMATE or any(row.get(key) is not None for row in rows)
    ]


def summary_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Returns the table of the rounds for a terminal of 80 columns: a line for each figure, with its explanation.

    Rounds that do not fit beside each other follow in a table of their own.

    Args:
        records (`Sequence[Mapping[str, Any]]`): The metrics of each round.

    Returns:
        `str`: The lines of the table.

    Example:

        >>> print(summary_table([{"round": 0, "student_accuracy": 0.9, "prompt_tokens": 0, "completion_tokens": 0}]))
        round      number of the round                     0
        student    right labels, by gold              90.0 %
        estimated  right final labels, without gold  unknown
        tokens     tokens of the annotator                 0
    """
    figures = _figures(records)
    names, texts, *values = [max(map(len, column)) for column in zip(*figures, strict=True)]
    room = max(1, (_WIDTH - names - texts - 2) // (max(values) + 2))
    parts = []
    for first in range(0, len(values), room):
        shown = range(first, min(first + room, len(values)))
        parts.append(
            "\n".join(
                f"{name:{names}}  {text:{texts}}" + "".join(f"  {cells[i]:>{values[i]}}" for i in shown)
                for name, text, *cells in figures
            )
        )
    return "\n\n".join(parts)


def summary(records: Sequence[Mapping[str, Any]]) -> str:
    """Returns the text that a finished run prints: the table of its rounds, and the counts of rows of the last one.

    Args:
        records (`Sequence[Mapping[str, Any]]`): The metrics of each round.

    Returns:
        `str`: The text.
    """
    counts = records[-1].get("counts")  # missing in runs of earlier versions
    return summary_table(records) + (f"\n\n{describe_counts(counts)}" if counts else "")


def write_report(
    path: Path, labels: "Dataset", task: Task, records: Sequence[Mapping[str, Any]], *, draws: bool = True
) -> None:
    """Writes `report.html`. The page loads no other files, and texts are escaped.

    Args:
        path (`Path`): The file to write.
        labels (`Dataset`): The dataset of the last round.
        task (`Task`): The task.
        records (`Sequence[Mapping]`): The metrics of each finished round.
        draws (`bool`, *optional*, defaults to `True`): Whether to draw the figures.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(
        files("freeal_hf.reporting").joinpath("report_template.html").read_text(encoding="utf-8")
    )
    kind = kind_of(task)
    pictures: list[Figure] = []
    if draws:
        pictures = [
            pictures_of.quality_per_round(records, kind.measure),
            pictures_of.coverage(labels, kind),
            pictures_of.loss_histogram(labels),
            pictures_of.confusion(labels, kind),
        ]
    page = template.render(
        task=task,
        name=path.absolute().parent.name,
        rows=summary_rows(records),
        columns=explained_columns(records),
        last=records[-1],
        measure=kind.measure,
        score=records[-1].get(f"label_{kind.measure.key}"),
        right=kind.audit.right,
        num_texts=len(labels),
        losses=describe_counts(records[-1]["counts"]) if "counts" in records[-1] else "",
        warnings=count_warnings(records[-1]["counts"]) if "counts" in records[-1] else [],
        own={**records[-1], **records[-1].get("model_estimate", {})},
        counts=_label_counts(labels, kind, records[-1]),
        **_audit(labels, kind, records[-1]),
        entity_lines=_entity_lines(records[-1]),
        pictures=[pictures_of.as_svg(picture) for picture in pictures],
        disputed=_disputed(labels, kind),
    )
    write_atomically(path, lambda partial: partial.write_text(page, encoding="utf-8"))


def _label_counts(
    labels: "Dataset", kind: TaskKind[Any, Any, Any], record: Mapping[str, Any]
) -> list[tuple[str, str, int, str]]:
    estimates = record.get("estimated_label_accuracy_by_label") or {}
    counts = kind.label_counts(labels)
    is_known = record.get(_ESTIMATE) is not None
    return [
        (name, text, counts[name], _estimate(estimates.get(name)) if is_known else UNKNOWN)
        for name, text in kind.task.descriptions.items()
    ]


def _audit(labels: "Dataset", kind: TaskKind[Any, Any, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of an audit for the template, beside the accuracy; empty values without an audit."""
    by_label, counts = record.get("audited_by_label") or {}, kind.label_counts(labels)
    kappa = record.get("audited_annotator_kappa")
    return {
        "audited": [
            (name, text, counts[name], *(_estimate(by_label[name][part]) for part in ("share", "precision", "recall")))
            for name, text in kind.task.descriptions.items()
            if name in by_label
        ],
        "annotator_audited": _estimate(record.get("audited_annotator_accuracy")),
        "kappa": kappa and "{value:.2f} ({low:.2f} to {high:.2f})".format(**kappa),
        "people": _estimate(record.get("people_agreement")),
    }


def _entity_lines(record: Mapping[str, Any]) -> list[str]:
    """What the report says of audited entities, and of several annotators of entities."""
    lines = []
    if (found := record.get("audited_entities")) is not None:
        f1, precision, recall = (_estimate(found[name]) for name in ("f1", "precision", "recall"))
        lines.append(
            f"Audited entities: F1 {f1}, precision {precision}, recall {recall} (intervals of 95 %). A person marked "
            f"{found['sentences']:,} random sentences and judged {found['entities']:,} random entities."
        )
    if ranking := record.get("annotator_ranking"):
        ranked = ", ".join(f"annotator {one['annotator']} ({100 * one['f1_with_others']:.0f} %)" for one in ranking)
        lines.append(
            f"Ranking of the annotators by their F1 against the other ones: {ranked}. This is no accuracy: annotators "
            "that make the same errors rank high."
        )
    return lines


def _estimate(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "-"
    return "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * estimate[key] for key in ("value", "low", "high")))


def _disputed(labels: "Dataset", kind: TaskKind[Any, Any, Any]) -> list[dict[str, Any]]:
    """Returns the texts with the smallest confidence among those on which annotator and student differ."""
    annotator, student = labels["annotator_label"][:], labels["student_label"][:]
    confidence = np.array(labels["label_confidence"][:], dtype=float)
    pairs = zip(annotator, student, strict=True)
    differ = [a != s and not kind.is_missing(a) and not kind.is_missing(s) for a, s in pairs]
    rows = np.flatnonzero(differ)
    rows = rows[np.argsort(confidence[rows], kind="stable")][:_DISPUTED_SHOWN]
    return [
        {
            "text": row["text"],
            "annotator": kind.shown(row["annotator_label"], row),
            "student": kind.shown(row["student_label"], row),
            "label": kind.shown(row["label"], row),
            "confidence": UNKNOWN if row["label_confidence"] is None else f"{row['label_confidence']:.2f}",
        }
        for row in labels.select(rows.tolist())
    ]


def _shown(key: str, row: Mapping[str, Any]) -> Any:
    """Returns the value of a round, or the range of an estimate."""
    if key == _ESTIMATE and row.get(key) is not None and row.get(f"{key}_range"):
        return "{:.0f} to {:.0f} %".format(*(100 * bound for bound in row[f"{key}_range"]))
    return row.get(key)


def _cell(key: str, value: Any) -> str:
    if value is None:
        return UNKNOWN if key == _ESTIMATE else "-"
    if isinstance(value, str):
        return value
    if key in ("round", "annotator_calls", "tokens"):
        return f"{value:,}"
    if key == "seconds":
        return f"{value:,.0f}"
    return f"${value:,.2f}" if key == "cost" else f"{100 * value:.1f} %"
