"""Results of an entity task without Gradio: texts with their entities, counts and scores."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.prompts.grounding import Mention, locate, mentions_of
from freeal_hf.data.sentences import SPANS, TOKENS, read_tags, spans_in_text, tag_names
from freeal_hf.data.spans import spans_of, tags_of
from freeal_hf.errors import InputError
from freeal_hf.tasks import NO_LABEL, TokenClassification

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

ALL, DIFFERENT = "All texts", "Texts on which the models differ"
PAGE = 5
"""The number of texts on a page."""

NO_ENTITY = "no entity"
"""The label of a text without entities on the map."""

_WHOSE = {"annotator": "language model", "student": "small model", "label": "result"}


def as_frame(labels: "Dataset", corrections: Mapping[str, Sequence[str]]) -> "pd.DataFrame":
    """Converts the rows of `labels.parquet` for the page.

    Args:
        labels (`Dataset`): The rows.
        corrections (`Mapping[str, Sequence[str]]`): The corrected tags by id of the text.

    Returns:
        `DataFrame`: A frame with `id`, `text`, `tokens`, `token_starts`, `spans` and `annotator_spans` (positions in
        the text), `label`, `annotator_label`, `student_label` and `correction` (entities as text), `final_tags` and
        `tags` (corrected or final), `main_type` (the most frequent type), `label_confidence`, `is_clean`, `differs`
        and `note`. A missing correction or note is empty.
    """
    frame = labels.select_columns(["id", "text", "label_confidence", "is_clean", "note"]).to_pandas()
    for column in (TOKENS, "token_starts", SPANS):
        frame[column] = labels[column][:]
    frame["note"] = frame["note"].fillna("")
    frame["label"] = _written(frame, frame[SPANS])
    for whose in ("annotator", "student"):
        frame[f"{whose}_spans"] = _places(frame, _tags(labels, f"{whose}_label"))
        frame[f"{whose}_label"] = _written(frame, frame[f"{whose}_spans"])
    both = zip(labels["annotator_label"], frame["annotator_spans"], frame["student_spans"], strict=True)
    frame["differs"] = [NO_LABEL not in ids and annotator != student for ids, annotator, student in both]
    frame["final_tags"] = _tags(labels, "label")
    final = zip(frame["id"], frame["final_tags"], strict=True)
    frame["tags"] = [corrections.get(sample, tags) for sample, tags in final]
    own = zip(frame["id"], _written(frame, _places(frame, frame["tags"])), strict=True)
    frame["correction"] = [said if sample in corrections else "" for sample, said in own]
    frame["main_type"] = [_main_type(spans) for spans in frame[SPANS]]
    return frame


def highlighted(text: str, spans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Converts a text with its entities for `gr.HighlightedText`."""
    entities = [{"entity": span["type"], "start": span["start"], "end": span["end"]} for span in spans]
    return {"text": text, "entities": entities}


def written(text: str, spans: Sequence[Mapping[str, Any]]) -> str:
    """Returns the words of entities in a text, each with its type."""
    return "; ".join(f"{span['type']}: {text[span['start'] : span['end']]}" for span in spans) or "nothing"


def as_lines(row: Any) -> str:
    """Converts the tags of a row of `as_frame` to text for editing, with an entity `type: words` on each line.

    If the words occur several times in the text, `type (2): words` means the second occurrence.
    """
    mentions = mentions_of(spans_of(row.tags), row.text, row.tokens, row.token_starts)
    return "\n".join(
        f"{_one_line(name)}{f' ({number})' if number else ''}: {_one_line(text)}" for text, name, number in mentions
    )


def read_answer(said: str, words: Sequence[str], types: Sequence[str]) -> list[str]:
    """Reads the right entities of a sentence: a JSON list of BIO tags, or lines in the form of `read_lines`.

    Args:
        said (`str`): The entities.
        words (`Sequence[str]`): The words of the sentence.
        types (`Sequence[str]`): The types of entities.

    Returns:
        `list[str]`: A BIO tag for each word.

    Raises:
        InputError: If the entities cannot be read.
    """
    if not said.startswith('["'):
        return read_lines(said, words, types)
    try:
        tags = json.loads(said)
    except json.JSONDecodeError as error:
        raise InputError("This is not a list of tags; write a JSON list with a tag for each word.") from error
    read_tags(tags, len(words), TokenClassification(types), "The list of tags")
    return list(tags)


def read_lines(said: str, words: Sequence[str], types: Sequence[str]) -> list[str]:
    """Reads edited lines in the form of `as_lines`. An empty text means that there is no entity.

    Args:
        said (`str`): The lines.
        words (`Sequence[str]`): The words of the sentence.
        types (`Sequence[str]`): The types of entities.

    Returns:
        `list[str]`: A BIO tag for each word.

    Raises:
        InputError: If a line has no type or no words, or its words are not in the sentence or ambiguous.
    """
    lines = filter(None, map(_one_line, said.splitlines()))
    return tags_of(locate([_mention(line, types) for line in lines], words), len(words))


def _mention(line: str, types: Sequence[str]) -> Mention:
    for name in sorted(types, key=len, reverse=True):
        pattern = rf"{re.escape(_one_line(name))} ?(?:\(([0-9]{{1,4}})\))? ?: ?(.+)"
        if found := re.fullmatch(pattern, line, re.IGNORECASE):
            number, text = found.groups()
            return Mention(text, name, int(number) if number else None)
    head, colon, text = line.partition(":")
    if colon and text:
        names = ", ".join(map(repr, types))
        raise InputError(f"{line!r}: {head.strip()!r} is not a type of the task; its types are {names}.")
    raise InputError(f"{line!r} is not an entity; write each entity on its own line as `type: words`.")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def count_types(labels: "pd.DataFrame") -> Counter[str]:
    """Counts the final entities of each type."""
    return Counter(span["type"] for spans in labels[SPANS] for span in spans)


def page_of(labels: "pd.DataFrame", number: float) -> tuple["pd.DataFrame", int, int]:
    """Returns the texts of a page.

    Args:
        labels (`DataFrame`): The rows of `as_frame`.
        number (`float`): The number of the page, from 1. If it does not exist, the nearest page is used.

    Returns:
        `tuple[DataFrame, int, int]`: The rows, the number of the page, and the number of pages.
    """
    pages = max(1, math.ceil(len(labels) / PAGE))
    number = min(max(1, int(number or 1)), pages)
    return labels.iloc[(number - 1) * PAGE : number * PAGE], number, pages


def scores(rounds: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns precision, recall and F1 of annotator, student and final entities in each round, if there is gold."""
    return [
        [
            str(record["round"] + 1),
            said,
            *(f"{record[f'{whose}_{name}']:.1%}" for name in ("precision", "recall", "f1")),
        ]
        for record in rounds
        for whose, said in _WHOSE.items()
        if record["label_f1"] is not None
    ]


def scores_by_type(record: Mapping[str, Any]) -> list[list[str]]:
    """Returns F1 of annotator, student and final entities for each type, if there is gold."""
    by_type = [record[f"{whose}_f1_by_type"] or {} for whose in _WHOSE]
    return [
        [name, *("–" if found[name] is None else f"{found[name]:.1%}" for found in by_type)] for name in by_type[0]
    ]


SCORES = ["round", "entities", "precision", "recall", "F1"]
SCORES_BY_TYPE = ["type", *(f"F1 of {said}" for said in _WHOSE.values())]


def _main_type(spans: Sequence[Mapping[str, Any]]) -> str:
    found = Counter(span["type"] for span in spans)
    return found.most_common(1)[0][0] if found else NO_ENTITY


def _tags(labels: "Dataset", column: str) -> list[list[str]]:
    names = labels.features[column].feature.names
    return [tag_names(ids, names) for ids in labels[column]]


def _places(frame: "pd.DataFrame", tags: Iterable[Sequence[str]]) -> list[list[dict[str, Any]]]:
    rows = zip(tags, frame[TOKENS], frame["token_starts"], strict=True)
    return [spans_in_text(spans_of(row), words, starts) for row, words, starts in rows]


def _written(frame: "pd.DataFrame", spans: Iterable[Sequence[Mapping[str, Any]]]) -> list[str]:
    return [written(text, found) for text, found in zip(frame["text"], spans, strict=True)]
