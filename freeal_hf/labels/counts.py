"""Describes the counts of a round: rows read, rows labelled, and the reasons of rows without a label."""

from collections.abc import Mapping
from typing import Any

FEW = 0.05
"""A warning is logged if a larger share of the rows has no label, or if less than this share of the labelled rows has
another label than the most frequent one."""


def describe_counts(counts: Mapping[str, Any]) -> str:
    """Describes the counts in sentences, for terminal, report and cards. Counts of 0 are left out."""
    unlabelled = sum(counts["unlabelled"].values())
    human = counts["human_labels"]
    sentences = [
        f"{counts['rows']:,} rows read, {counts['texts']:,} distinct texts, {counts['labelled']:,} rows labelled."
    ]
    if unlabelled:
        sentences.append(f"{unlabelled:,} rows got no label: {_by_reason(counts['unlabelled'])}.")
    if counts["labelled_by_student"]:
        sentences.append(f"The student alone labelled {counts['labelled_by_student']:,} of these.")
    if human["matched"]:
        sentences.append(f"Human labels matched {human['matched']:,} texts.")
    if human["new_texts"]:
        sentences.append(f"{human['new_texts']:,} human labels are about texts that are not in the data.")
    if counts["dropped_entities"]:
        sentences.append(
            f"{counts['dropped_entities']:,} entities were dropped: their words do not follow each other in the "
            "sentence, they overlap a longer entity, or the task does not have their type."
        )
    return " ".join(sentences)


def loss_warning(counts: Mapping[str, Any]) -> str | None:
    """Returns a warning if more than `FEW` of the rows got no label, otherwise `None`."""
    unlabelled = sum(counts["unlabelled"].values())
    if unlabelled <= FEW * counts["rows"]:
        return None
    return (
        f"{unlabelled:,} of {counts['rows']:,} rows ({unlabelled / counts['rows']:.0%}) got no label from the "
        f"annotator or a person: {_by_reason(counts['unlabelled'])}. The column `note` of labels.csv has the reason "
        "for each row."
    )


def skew_warning(counts: Mapping[str, Any]) -> str | None:
    """Returns a warning if all but `FEW` of the labelled rows have the same label, otherwise `None`."""
    most = counts["most_frequent_label"]
    if most is None or most["rows"] < (1 - FEW) * counts["labelled"]:
        return None
    return (
        f"{most['rows']:,} of {counts['labelled']:,} labelled rows ({most['rows'] / counts['labelled']:.0%}) have the "
        f"label {most['label']!r}. If the texts are more diverse, use another annotator or describe the labels better."
    )


def count_warnings(counts: Mapping[str, Any]) -> list[str]:
    """Returns all warnings about the counts of a round."""
    return [warning for warning in (loss_warning(counts), skew_warning(counts)) if warning is not None]


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} ({count:,})" for reason, count in counts.items())
