"""Counts the labelled and unlabelled rows of the input."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.pacing import kind_of_reason
from freeal_hf.kinds.answers import Answers
from freeal_hf.kinds.base import TaskKind
from freeal_hf.kinds.corpus import Corpus

if TYPE_CHECKING:
    from datasets import Dataset

_REASONS_KEPT = 10  # a user's own annotator may give each text another reason
_NO_REASON, _OTHER = "no reason given", "other reasons"


def count_rows(
    kind: TaskKind[Any, Any, Any], dataset: "Dataset", corpus: Corpus, answers: Answers, labels: "Dataset"
) -> dict[str, Any]:
    """Returns the `counts` of a round's record in `metrics.json`.

    Args:
        kind (`TaskKind`): The kind of the task.
        dataset (`Dataset`): The input.
        corpus (`Corpus`): The distinct texts that were collected from it.
        answers (`Answers`): The annotator's answers for these texts.
        labels (`Dataset`): The round's dataset.

    Returns:
        `dict`: Counts, of rows unless another unit is named:

        - `rows`: rows read; `texts`: distinct usable texts among them
        - `labelled`: rows with a label by the annotator or a person; `unlabelled`: all other rows, by reason
        - `labelled_by_student`: rows of `unlabelled` whose final label is by the student alone
        - `most_frequent_label`: the label that most rows of `labelled` have, with its number of `rows`; `None` for
          none, and if texts can have several labels
        - `human_labels`: `matched` texts of the input with a human label, and `new_texts` that human labels added
        - `dropped_entities`: entities of the annotator that are not in one piece in their sentence, overlap a longer
          entity, or have another type (0 for other tasks)
    """
    index, num_texts = corpus.index_of_row, corpus.num_texts
    has_answer = corpus.is_human | ~answers.is_missing
    labelled = (index >= 0) & has_answer[index]
    unusable, unanswered = np.flatnonzero(index < 0), np.flatnonzero((index >= 0) & ~labelled)
    notes: Sequence[str | None] = dataset.select(unusable)["note"][:]
    found = [*notes, *(answers.reasons[i] for i in index[unanswered])]
    reasons = Counter(kind_of_reason(reason) if reason else _NO_REASON for reason in found)
    text_labels = kind.text_labels(corpus, answers)
    given = [] if text_labels is None else text_labels[index[labelled]]
    final = labels.select(unanswered)["label"][:]
    return {
        "rows": len(index),
        "texts": num_texts,
        "labelled": int(labelled.sum()),
        "unlabelled": _kept(reasons),
        "most_frequent_label": _most_frequent_label(given, kind.classes),
        "labelled_by_student": sum(not kind.is_missing(label) for label in final),
        "human_labels": {
            "matched": int(corpus.is_human[:num_texts].sum()),
            "new_texts": int(corpus.is_human[num_texts:].sum()),
        },
        "dropped_entities": int(answers.figures.get("dropped_entities", 0)),
    }


def _most_frequent_label(given: Sequence[int] | np.ndarray, names: Sequence[str]) -> dict[str, Any] | None:
    if not len(given):
        return None
    (label, rows), *_ = Counter(map(int, given)).most_common(1)
    return {"label": names[label], "rows": rows}


def _kept(reasons: Counter[str]) -> dict[str, int]:
    kept = dict(reasons.most_common(_REASONS_KEPT))
    rest = reasons.total() - sum(kept.values())
    return {**kept, _OTHER: kept.get(_OTHER, 0) + rest} if rest else kept
