"""Prodigy's JSON lines, and those of spaCy with the key `entities`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from freeal_hf.data.words import align_words
from freeal_hf.errors import InputError
from freeal_hf.exchange.json_files import read_json_lines, text_of, write_json_lines
from freeal_hf.exchange.marked import Marked, Place, marked


def read_prodigy(path: Path) -> tuple[list[Marked], int]:
    """Reads Prodigy's annotations.

    A task is labelled if its `answer` is `accept`, or if it has `spans` and no `answer`. Rejected and ignored tasks
    are not labelled.

    Args:
        path (`Path`): The file of JSON lines.

    Returns:
        `tuple[list[Marked], int]`: The texts, and the number of entities that overlap a longer one.

    Raises:
        InputError: If the file has another form.
    """
    found, num_dropped = [], 0
    for where, task in read_json_lines(path):
        answer, spans = task.get("answer"), task.get("spans")
        labelled = answer == "accept" or (answer is None and spans is not None)
        tokens = task.get("tokens")
        item, dropped = marked(
            text_of(task, where),
            [_place(span, where) for span in spans or ()] if labelled else None,
            where,
            words=None if tokens is None else [text_of(token, where) for token in tokens],
            id=None if task.get("id") is None else str(task["id"]),
        )
        found.append(item)
        num_dropped += dropped
    return found, num_dropped


def write_prodigy(path: Path, items: Iterable[Marked]) -> None:
    """Writes Prodigy tasks. Texts that a person has labelled have the answer `accept`."""
    write_json_lines(path, map(_task, items))


def read_spacy_lines(path: Path) -> tuple[list[Marked], int]:
    """Reads JSON lines with `text` and `entities`, a list of `[start, end, type]`; `null` or no key for a text that is
    not labelled.

    Args:
        path (`Path`): The file.

    Returns:
        `tuple[list[Marked], int]`: The texts, and the number of entities that overlap a longer one.

    Raises:
        InputError: If the file has another form.
    """
    found, num_dropped = [], 0
    for where, row in read_json_lines(path):
        entities = row.get("entities")
        item, dropped = marked(
            text_of(row, where),
            None if entities is None else [_triple(entity, where) for entity in entities],
            where,
            id=None if row.get("id") is None else str(row["id"]),
        )
        found.append(item)
        num_dropped += dropped
    return found, num_dropped


def write_spacy_lines(path: Path, items: Iterable[Marked]) -> None:
    """Writes JSON lines with `text` and `entities`."""
    write_json_lines(
        path,
        (
            {
                **({} if item.id is None else {"id": item.id}),
                "text": item.text,
                "entities": None if item.places is None else [[p.start, p.end, p.type] for p in item.places],
            }
            for item in items
        ),
    )


def _task(item: Marked) -> dict[str, Any]:
    words = item.own_words
    starts = align_words(words, item.text) or []
    ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
    tokens = [
        {"text": word, "start": start, "end": end, "id": i, "ws": item.text[end : end + 1] == " "}
        for i, (word, start, end) in enumerate(zip(words, starts, ends, strict=True))
    ]
    task: dict[str, Any] = {} if item.id is None else {"id": item.id}
    task |= {"text": item.text, "tokens": tokens}
    if item.places is not None:
        task["spans"] = [
            {
                "start": place.start,
                "end": place.end,
                "label": place.type,
                "token_start": starts.index(place.start),
                "token_end": ends.index(place.end),
            }
            for place in item.places
        ]
        if not item.is_model:
            task["answer"] = "accept"
    return task


def _place(span: Mapping[str, Any], where: str) -> Place:
    try:
        return Place(int(span["start"]), int(span["end"]), str(span["label"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {span!r} is not an entity with 'start', 'end' and 'label'.") from error


def _triple(entity: Any, where: str) -> Place:
    try:
        start, end, name = entity
        return Place(int(start), int(end), str(name))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {entity!r} is not an entity [start, end, type].") from error
