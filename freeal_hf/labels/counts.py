"""What became of the rows of the input: how many were read and labelled, and why the others got no label."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.pacing import kind_of_reason
from freeal_hf.tasks import is_missing

if TYPE_CHECKING:
    from datasets import Dataset

FEW = 0.05
"""A share of the rows below this is few: more of them without a label, or of another label than the most frequent one,
are worth a warning."""

_REASONS_KEPT = 10  # an annotator of one's own may give each text another reason
_NO_REASON, _OTHER = "no reason given", "other reasons"


def count_rows(
    dataset: "Dataset", corpus: Any, answers: Any, labels: "Dataset", text_labels: np.ndarray | None
) -> dict[str, Any]:
    """The `counts` of a round's record in `metrics.json`.

    Args:
        dataset (`Dataset`): The input.
        corpus (`Corpus` or `Sentences`): The distinct texts that were collected from it.
        answers (`Answers`): The annotator's answers for these texts.
        labels (`Dataset`): The round's dataset.
        text_labels (`np.ndarray` of shape `(n,)`, *optional*):
            Label id of each text by the annotator or a person, -1 for none; `None` where a text has several labels.

    Returns:
        `dict`: Counts of rows, if not said otherwise:

        - `rows`: rows read; `texts`: distinct usable texts among them
        - `labelled`: rows with a label by the annotator or a person; `unlabelled`: all other rows, by reason
        - `labelled_by_student`: rows of `unlabelled` whose final label is by the student alone
        - `most_frequent_label`: the label that most rows of `labelled` have, with its number of `rows`; `None` for
          none and in an entity task
        - `human_labels`: `matched` texts of the input with a human label, and `new_texts` that human labels added
        - `dropped_entities`: entities of the annotator that do not occur in their sentence (0 for other tasks)
    """
    index = corpus.index_of_row
    num_texts = int(index.max(initial=-1)) + 1
    has_answer = corpus.is_human | ~answers.is_missing
    labelled = (index >= 0) & has_answer[index]
    unusable, unanswered = np.flatnonzero(index < 0), np.flatnonzero((index >= 0) & ~labelled)
    notes: Sequence[str | None] = dataset.select(unusable)["note"][:]
    found = [*notes, *(answers.reasons[i] for i in index[unanswered])]
    reasons = Counter(kind_of_reason(reason) if reason else _NO_REASON for reason in found)
    given = [] if text_labels is None else text_labels[index[labelled]]
    final = labels.select(unanswered)["label"][:]
    return {
        "rows": len(index),
        "texts": num_texts,
        "labelled": int(labelled.sum()),
        "unlabelled": _kept(reasons),
        "most_frequent_label": _most_frequent_label(given, labels),
        "labelled_by_student": sum(not is_missing(label) for label in final),
        "human_labels": {
            "matched": int(corpus.is_human[:num_texts].sum()),
            "new_texts": int(corpus.is_human[num_texts:].sum()),
        },
        "dropped_entities": int(answers.figures.get("dropped_entities", 0)),
    }


def describe_counts(counts: Mapping[str, Any]) -> str:
    """The counts in words, for terminal, report and cards: one sentence for each that is not 0."""
    unlabelled = sum(counts["unlabelled"].values())
    human = counts["human_labels"]
    said = [f"{counts['rows']:,} rows read, {counts['texts']:,} distinct texts, {counts['labelled']:,} rows labelled."]
    if unlabelled:
        said.append(f"{unlabelled:,} rows got no label: {_by_reason(counts['unlabelled'])}.")
    if counts["labelled_by_student"]:
        said.append(f"The student alone labelled {counts['labelled_by_student']:,} of these.")
    if human["matched"]:
        said.append(f"Human labels matched {human['matched']:,} texts.")
    if human["new_texts"]:
        said.append(f"{human['new_texts']:,} human labels are of texts that are not in the data.")
    if counts["dropped_entities"]:
        said.append(f"{counts['dropped_entities']:,} entities were dropped: they do not occur in their sentence.")
    return " ".join(said)


def loss_warning(counts: Mapping[str, Any]) -> str | None:
    """What to warn of: that more than `FEW` of the rows got no label; `None` otherwise."""
    unlabelled = sum(counts["unlabelled"].values())
    if unlabelled <= FEW * counts["rows"]:
        return None
    return (
        f"{unlabelled:,} of {counts['rows']:,} rows ({unlabelled / counts['rows']:.0%}) got no label from annotator "
        f"or person: {_by_reason(counts['unlabelled'])}. The column `note` of labels.csv says why, row by row."
    )


def skew_warning(counts: Mapping[str, Any]) -> str | None:
    """What to warn of: that all but `FEW` of the labelled rows have the same label; `None` otherwise."""
    most = counts["most_frequent_label"]
    if most is None or most["rows"] < (1 - FEW) * counts["labelled"]:
        return None
    return (
        f"{most['rows']:,} of {counts['labelled']:,} labelled rows ({most['rows'] / counts['labelled']:.0%}) have the "
        f"label {most['label']!r}. If the texts are not so alike, take another annotator or describe the labels "
        "better."
    )


def count_warnings(counts: Mapping[str, Any]) -> list[str]:
    """All that the counts of a round give reason to warn of."""
    return [warning for warning in (loss_warning(counts), skew_warning(counts)) if warning is not None]


def _most_frequent_label(given: Sequence[int] | np.ndarray, labels: "Dataset") -> dict[str, Any] | None:
    if not len(given):
        return None
    (label, rows), *_ = Counter(map(int, given)).most_common(1)
    return {"label": labels.features["label"].names[label], "rows": rows}


def _kept(reasons: Counter[str]) -> dict[str, int]:
    kept = dict(reasons.most_common(_REASONS_KEPT))
    rest = reasons.total() - sum(kept.values())
    return {**kept, _OTHER: kept.get(_OTHER, 0) + rest} if rest else kept


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} ({count:,})" for reason, count in counts.items())
