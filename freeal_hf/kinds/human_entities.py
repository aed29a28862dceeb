"""Reads the entities that people marked, and adds them to a corpus."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from freeal_hf.data.human_labels import LABEL_COLUMN, HumanEntities, HumanTable, MarkedSpan, quoted
from freeal_hf.data.joins import rows_of_texts
from freeal_hf.data.row_ids import content_ids
from freeal_hf.data.sentences import SPANS, TOKENS, read_list, read_tags
from freeal_hf.data.spans import Span, check_is_one_run, spans_of, tags_of
from freeal_hf.data.spreadsheets import restored
from freeal_hf.data.words import align_words, join_words, split_words
from freeal_hf.errors import InputError
from freeal_hf.kinds.corpus import match_answers, values_of
from freeal_hf.kinds.entity_corpus import Sentences, rarest_types
from freeal_hf.task_labels import normal_form
from freeal_hf.tasks import NO_LABEL, TokenClassification

if TYPE_CHECKING:
    from datasets import Dataset

# The first of each is the name in a run's own files.
TAG_COLUMNS, SPAN_COLUMNS = (LABEL_COLUMN, "tags"), (SPANS, "entities")


class _Place(NamedTuple):
    """A sentence in the form in which a person marked its entities."""

    text: str
    words: Sequence[str]
    starts: Sequence[int]


def read_human_entities(table: HumanTable) -> list[HumanEntities]:
    """Reads human entities, as BIO tags or as spans. Rows without them are left out.

    Args:
        table (`HumanTable`): The table of human entities.

    Raises:
        InputError: If a column is missing, a cell has another format, or entities have no text.
    """
    columns, names, text_columns, origin = table.columns, table.names, table.text_columns, table.origin
    given = [name for name in (*TAG_COLUMNS, *SPAN_COLUMNS) if name in columns]
    if len(given) != 1:
        raise InputError(
            f"{origin} needs one column of human entities, 'tags' (a BIO tag for each word) or 'spans' (start, "
            f"end and type of each entity), but has {quoted(given) or 'none'}. Its columns are {quoted(names)}."
        )
    known = [name for name in ("id", TOKENS, *text_columns) if name in columns]
    if not known:
        raise InputError(
            f"{origin} needs a column 'id', 'tokens' or {quoted(text_columns)} with the sentence of the entities; its "
            f"columns are {quoted(names)}."
        )
    found = []
    for row, value in enumerate(columns[given[0]]):
        where = f"{origin}, row {row + 1}"
        marked = read_list(value, f"{where}, column {given[0]!r}")
        if marked is None:
            continue
        cells = {name: columns[name][row] for name in known}
        words = read_list(cells.get(TOKENS), f"{where}, column {TOKENS!r}")
        text = next((str(cells[name]) for name in text_columns if cells.get(name)), None)
        sample = cells.get("id")
        if "id" in cells and sample in (None, ""):
            raise InputError(f"{where} has entities but no id. Fill in its id, or empty the entities.")
        if "id" not in cells and not words and not (text or "").strip():
            raise InputError(f"{where} has entities but no text. Fill in its text, or empty the entities.")
        if sample is None and words and text is not None:
            # Spans are positions in the text if it has these words, and otherwise in the words with blanks between.
            if align_words(words, text) is None:
                text = None
            elif split_words(text)[0] == words:  # found by its text, also if the data have other words of it
                words = None
        found.append(
            HumanEntities(
                tags=tuple(map(str, marked)) if given[0] in TAG_COLUMNS else None,
                spans=tuple(_marked_span(one, where) for one in marked) if given[0] in SPAN_COLUMNS else None,
                id=None if sample is None else str(sample),
                text=text,
                words=tuple(map(str, words)) if words else None,
                origin=where,
            )
        )
    return found


def _marked_span(value: Any, where: str) -> MarkedSpan:
    check_is_one_run(value, where)
    fields = value if isinstance(value, Mapping) else {}
    start, end, name = (fields.get(key) for key in ("start", "end", "type"))
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(name, str)):
        raise InputError(
            f"{where}: {value!r} is not an entity; write each entity as "
            '{"start": 0, "end": 7, "type": "..."}, with positions in characters and the end not included. '
            "`freeal-hf convert` reads the files of other tools."
        )
    return MarkedSpan(start, end, name, fields.get("text"))


def with_human_labels(
    corpus: Sentences,
    dataset: "Dataset",
    task: TokenClassification,
    given: Sequence[HumanEntities],
    known: Sequence[HumanEntities] = (),
) -> Sentences:
    """Adds human entities to a corpus, see `TaskKind.with_human_labels`.

    Raises:
        InputError: As there, and if the number of tags differs from the number of words, if tags are not valid BIO or
            not those of the task, or if an entity is outside of the text, belongs to another text or divides a word.
    """
    items = [*known, *given]
    by_words: dict[tuple[str, ...], list[int]] = {}
    if items:
        for i, own_words in enumerate(corpus.words):
            by_words.setdefault(_word_forms(own_words), []).append(i)
    by_text = rows_of_texts((form for item in items for form in _text_forms(item)), corpus.texts)

    def words_of(item: HumanEntities) -> tuple[str, ...]:
        return _word_forms(_place_of(item).words)

    def find(item: HumanEntities) -> list[int] | None:
        # The data may split this text into other words.
        forms = map(normal_form, _text_forms(item))
        return by_words.get(words_of(item)) or next((by_text[form] for form in forms if form in by_text), None)

    matches = match_answers(corpus, dataset, given, known, find=find, key=words_of)
    count, added = len(corpus.texts), list(map(_place_of, matches.added))

    def spans(item: HumanEntities, index: int) -> list[Span]:
        if item.id is not None:
            row = matches.row_of[item.id]
            where = _Place(dataset["text"][row], dataset[TOKENS][row], dataset["token_starts"][row])
        elif index < count:
            where = _Place(corpus.texts[index], corpus.words[index], corpus.starts[index])
        else:
            where = added[index - count]
        own = _own_place(item)
        _check_same(item, where, counts_in_text=own is None)
        return _spans(item, own or where, task)

    conflict = "mark the same sentence differently"
    old, new = (values_of(part, spans, conflict=conflict) for part in (matches.known, matches.given))
    found = old | new
    marked = [found.get(i) for i in range(count + len(added))]
    texts = [where.text for where in added]
    words = [*corpus.words, *(list(where.words) for where in added)]

    def remembered(i: int) -> HumanEntities:
        tags = tuple(tags_of(found[i], len(words[i])))
        if i < count:
            return HumanEntities(tags=tags, id=corpus.ids[i])
        item = matches.added[i - count]
        return HumanEntities(tags=tags, text=item.text, words=item.words)

    return replace(
        corpus,
        ids=corpus.ids.followed_by(content_ids(texts)),
        texts=corpus.texts.followed_by(texts),
        words=words,
        starts=[*corpus.starts, *(list(where.starts) for where in added)],
        marked=marked,
        human=np.where([spans is None for spans in marked], NO_LABEL, rarest_types(marked, task)),
        human_labels=[remembered(i) for i in found],
        human_rows=matches.rows,
    )


def _place_of(item: HumanEntities) -> _Place:
    if (own := _own_place(item)) is not None:
        return own
    if item.words is not None:
        text, starts = join_words(item.words)
        return _Place(text, item.words, starts)
    words, starts = split_words(str(item.text))
    return _Place(str(item.text), words, starts)


def _own_place(item: HumanEntities) -> _Place | None:
    """Returns the sentence as a person gave it; `None` without its text and the words of that text."""
    if item.text is None or item.words is None or (starts := align_words(item.words, item.text)) is None:
        return None
    return _Place(item.text, item.words, starts)


def _word_forms(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(normal_form, words))


def _text_forms(item: HumanEntities) -> list[str]:
    """Returns the text of a sentence as given, and without the apostrophe for spreadsheets."""
    if item.id is not None or item.words is not None:
        return []
    return list(dict.fromkeys((str(item.text), restored(str(item.text)))))


def _check_same(item: HumanEntities, where: _Place, *, counts_in_text: bool) -> None:
    """Refuses entities whose words or whose text differ from the data."""
    if item.words is not None and _word_forms(item.words) != _word_forms(where.words):
        raise InputError(
            f"{item.origin}: the words {list(item.words)} differ from those of the data, {list(where.words)}. Leave "
            "`tokens` out, or give the words of the data."
        )
    if item.spans is not None and item.text is not None and counts_in_text:
        forms = normal_form(item.text), normal_form(restored(item.text))
        if normal_form(where.text) not in forms:
            raise InputError(
                f"{item.origin}: the text {item.text!r} differs from that of the data, {where.text!r}. Give the text "
                "of the data, because `start` and `end` are positions in it."
            )


def _counted_text(item: HumanEntities, where: _Place) -> str:
    """Returns the text in which a person counted positions. Only blanks and the Unicode form may differ."""
    if item.text is None:
        return where.text
    return item.text if normal_form(item.text) == normal_form(where.text) else restored(item.text)


def _num_solid(text: str) -> int:
    """Returns the number of characters that are not blank."""
    return len("".join(unicodedata.normalize("NFC", text).split()))


def _spans(item: HumanEntities, where: _Place, task: TokenClassification) -> list[Span]:
    if item.tags is not None:
        ids = read_tags(item.tags, len(where.words), task, item.origin)
        return spans_of([task.tags[i] for i in ids])
    assert item.spans is not None  # it has tags or spans
    counted = _counted_text(item, where)

    def position(text: str, place: int) -> int:
        return place if counted == where.text else _num_solid(text[:place])

    first = {position(where.text, start): i for i, start in enumerate(where.starts)}
    ends = [start + len(word) for start, word in zip(where.starts, where.words, strict=True)]
    last = {position(where.text, end): i for i, end in enumerate(ends)}
    found: list[Span] = []
    for place in item.spans:
        named = counted[place.start : place.end]
        shown = f"{item.origin}: the entity {named!r} ({place.start} to {place.end})"
        if place.type not in task.label2id:
            names = ", ".join(map(repr, task.label_names))
            raise InputError(f"{shown} has the type {place.type!r}, but the types of the task are {names}.")
        if place.text is not None and normal_form(place.text) != normal_form(named):
            raise InputError(
                f"{shown} differs from its `text` {place.text!r}; give `start` and `end` in characters of the text."
            )
        start, end = position(counted, place.start), position(counted, place.end)
        if start not in first or end not in last or not 0 <= place.start < place.end <= len(counted):
            raise InputError(
                f"{shown} does not begin and end with a word of the sentence, whose words are {list(where.words)}."
            )
        found.append(Span(first[start], last[end] + 1, place.type))
    found.sort()
    for before, after in pairwise(found):
        if after.start < before.end:
            raise InputError(f"{item.origin}: the entities {before} and {after} (by words) overlap; keep one of them.")
    return found
