"""Results of a task that finds entities, without looks: texts with their entities, how many there are, how good."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from freeal_hf.sentences import SPANS, TOKENS, spans_in_text, tag_names
from freeal_hf.spans import spans_of
from freeal_hf.tasks import NO_LABEL

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

ALL, DIFFERENT = "All texts", "Annotator and student differ"
PAGE = 5
"""Texts that are shown at once."""

NO_ENTITY = "no entity"
"""Stands on the map for the label of a text in which nothing was found."""

_WHOSE = {"annotator": "annotator", "student": "student", "label": "final"}


def as_frame(labels: "Dataset") -> "pd.DataFrame":
    """The rows of `labels.parquet` as the page shows them.

    Returns:
        `DataFrame`: `id`, `text`, `spans`, `annotator_spans` (places in the text), `annotator_label`,
        `student_label` (entities as they are written), `label` (the type of most entities), `label_confidence`,
        `is_clean`, `differs`, `note`.
    """
    tags = labels.features["label"].feature.names
    frame = labels.select_columns(["id", "text", SPANS, "label_confidence", "is_clean"]).to_pandas()
    frame[SPANS] = labels[SPANS][:]
    frame["note"] = [note or "" for note in labels["note"]]
    words, starts = labels[TOKENS][:], labels["token_starts"][:]
    for whose in ("annotator", "student"):
        found = [
            spans_in_text(spans_of(tag_names(ids, tags)), *place)
            for ids, *place in zip(labels[f"{whose}_label"], words, starts, strict=True)
        ]
        frame[f"{whose}_spans"] = found
        frame[f"{whose}_label"] = [written(text, spans) for text, spans in zip(frame["text"], found, strict=True)]
    both = zip(labels["annotator_label"], frame["annotator_spans"], frame["student_spans"], strict=True)
    frame["differs"] = [NO_LABEL not in ids and annotator != student for ids, annotator, student in both]
    frame["label"] = [_main_type(spans) for spans in frame[SPANS]]
    return frame


def highlighted(text: str, spans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A text with its entities, as `gr.HighlightedText` takes it."""
    entities = [{"entity": span["type"], "start": span["start"], "end": span["end"]} for span in spans]
    return {"text": text, "entities": entities}


def written(text: str, spans: Sequence[Mapping[str, Any]]) -> str:
    """Entities as they stand in a text, each with its type."""
    return "; ".join(f"{span['type']}: {text[span['start'] : span['end']]}" for span in spans) or "nothing"


def count_types(labels: "pd.DataFrame") -> Counter[str]:
    """How many final entities there are of each type."""
    return Counter(span["type"] for spans in labels[SPANS] for span in spans)


def page_of(labels: "pd.DataFrame", which: str, number: float) -> tuple["pd.DataFrame", int, int]:
    """Some texts, those where annotator and student differ with the least sure first.

    Args:
        labels (`DataFrame`): What `as_frame` gave.
        which (`str`): `ALL` or `DIFFERENT`.
        number (`float`): The page, from 1; one that is not there stands for the nearest that is.

    Returns:
        The rows, the number of the page, and how many pages there are.
    """
    if which == DIFFERENT:
        labels = labels[labels["differs"]].sort_values("label_confidence", kind="stable")
    pages = max(1, math.ceil(len(labels) / PAGE))
    number = min(max(1, int(number or 1)), pages)
    return labels.iloc[(number - 1) * PAGE : number * PAGE], number, pages


def scores(rounds: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Round, whose entities, precision, recall and F1 of each, where there is gold."""
    return [
        [str(record["round"]), said, *(f"{record[f'{whose}_{name}']:.1%}" for name in ("precision", "recall", "f1"))]
        for record in rounds
        for whose, said in _WHOSE.items()
        if record["label_f1"] is not None
    ]


def scores_by_type(record: Mapping[str, Any]) -> list[list[str]]:
    """F1 of each type, by annotator, student and final entities, where there is gold."""
    by_type = [record[f"{whose}_f1_by_type"] or {} for whose in _WHOSE]
    return [
        [name, *("–" if found[name] is None else f"{found[name]:.1%}" for found in by_type)] for name in by_type[0]
    ]


SCORES = ["round", "entities", "precision", "recall", "F1"]
SCORES_BY_TYPE = ["type", *(f"F1 of {said}" for said in ("annotator", "student", "final entities"))]


def _main_type(spans: Sequence[Mapping[str, Any]]) -> str:
    found = Counter(span["type"] for span in spans)
    return found.most_common(1)[0][0] if found else NO_ENTITY
