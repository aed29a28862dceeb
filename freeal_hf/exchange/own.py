"""The tables of this package: the data of an entity task, and the files that a run writes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from freeal_hf.data.human_labels import has_human_label
from freeal_hf.data.sentences import SPANS, TOKENS, read_list
from freeal_hf.data.spans import check_is_one_run, spans_of
from freeal_hf.data.tables import open_table
from freeal_hf.data.words import align_words, join_words
from freeal_hf.errors import InputError
from freeal_hf.exchange.json_files import write_json_lines
from freeal_hf.exchange.marked import Marked, Place, from_tags, marked

_TAG_COLUMNS = ("tags", "gold_tags", "gold", "label")
_CONFIDENCE, _NOTE = "label_confidence", "note"


def read_own(path: Path) -> tuple[list[Marked], int]:
    """Reads a table with `text` or `tokens`, and `tags` (also `gold_tags`, `gold` or `label`) or `spans`.

    A sentence is not labelled if the cell is empty. In the files of a run, the labels of rows without the note of a
    person are those of a model.

    Args:
        path (`Path`): A table that `freeal-hf run` reads, such as JSON lines, or `labels.parquet` of a run.

    Returns:
        `tuple[list[Marked], int]`: The sentences, and the number of entities that overlap a longer one.

    Raises:
        InputError: If a column is missing, or a cell has another form.
    """
    opened = open_table(str(path))
    named = [name for name in (*_TAG_COLUMNS, SPANS) if name in opened.names]
    if not named or not {"text", TOKENS} & set(opened.names):
        raise InputError(
            f"{opened.origin} needs a column 'text' or 'tokens', and 'tags' or 'spans'; its columns are "
            f"{', '.join(map(repr, opened.names))}."
        )
    wanted = [name for name in ("id", "text", TOKENS, named[0], _CONFIDENCE, _NOTE) if name in opened.names]
    table = next(opened.read(wanted))
    columns = {name: list(table[name]) for name in wanted}
    found, num_dropped = [], 0
    for row in range(len(columns[wanted[0]])):
        where = f"{opened.origin}, row {row + 1}"
        item, dropped = _row({name: values[row] for name, values in columns.items()}, named[0], where)
        if item is not None:
            found.append(item)
            num_dropped += dropped
    return found, num_dropped


def write_own(path: Path, items: Iterable[Marked]) -> None:
    """Writes JSON lines with `id`, `text`, `tokens` and `tags`, which are `null` for a text that is not labelled."""
    write_json_lines(
        path,
        (
            {
                **({} if item.id is None else {"id": item.id}),
                "text": item.text,
                TOKENS: list(item.own_words),
                "tags": item.tags,
            }
            for item in items
        ),
    )


def _row(cells: dict[str, Any], column: str, where: str) -> tuple[Marked | None, int]:
    words = read_list(cells.get(TOKENS), f"{where}, {TOKENS!r}")
    text = cells.get("text")
    if not isinstance(text, str) and not words:
        return None, 0  # a row without a sentence
    if not isinstance(text, str) or (words and align_words(words, text) is None):
        text = join_words(words or [])[0]
    value = read_list(cells[column], f"{where}, {column!r}")
    about = {"id": None if cells.get("id") is None else str(cells["id"]), **_model(cells)}
    if value is None:
        return marked(text, None, where, words=words, **about)
    if column == SPANS:
        return marked(text, [_place(span, where) for span in value], where, words=words, **about)
    if words is None or len(value) != len(words):
        raise InputError(f"{where}: {len(value)} tags need as many words in {TOKENS!r}; it has {len(words or ())}.")
    places = from_tags(words, spans_of(list(map(str, value)))).places or ()
    _, starts = join_words(words)
    moved = align_words(words, text)
    assert moved is not None
    begin = dict(zip(starts, moved, strict=True))
    finish = {s + len(word): m + len(word) for s, m, word in zip(starts, moved, words, strict=True)}
    kept = [Place(begin[place.start], finish[place.end], place.type) for place in places]
    return marked(text, kept, where, words=words, **about)


def _model(cells: dict[str, Any]) -> dict[str, Any]:
    confidence = cells.get(_CONFIDENCE)
    if _CONFIDENCE not in cells or has_human_label(cells.get(_NOTE)):
        return {}
    return {"is_model": True, "confidence": None if confidence in (None, "") else float(confidence)}


def _place(span: Any, where: str) -> Place:
    check_is_one_run(span, where)
    try:
        return Place(int(span["start"]), int(span["end"]), str(span["type"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {span!r} is not an entity with 'start', 'end' and 'type'.") from error
