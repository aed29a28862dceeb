"""The distinct sentences of an entity task, and the entities that people marked in them."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from freeal_hf.annotators.prompts.labels import LONGEST_SHOT
from freeal_hf.data.arrow import StringColumn, table_of
from freeal_hf.data.human_labels import HumanEntities
from freeal_hf.data.joins import rows_of_texts
from freeal_hf.data.sentences import TOKENS, join_words, named_in, read_tags, split_words
from freeal_hf.data.spans import Span, spans_of, tags_of
from freeal_hf.data.spreadsheets import restored
from freeal_hf.data.texts import content_ids, is_usable
from freeal_hf.errors import InputError
from freeal_hf.kinds.corpus import Corpus, HumanRows, ids_of_labels, labelled_row, refuse_new_texts
from freeal_hf.tasks import NO_LABEL, Demonstration, TokenClassification, normal_form

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Sentences(Corpus):
    """The distinct usable sentences of a data set.

    `human` is the type that a sentence stands for as a demonstration, and one more than the last type's where a person
    found no entity.

    Args:
        words (`list[list[str]]`): The words of each sentence.
        starts (`list[list[int]]`): Where each word starts in the text, in characters.
        marked (`list[list[Span] | None]`): The entities that a person marked, `None` where nobody did.
    """

    words: list[list[str]] = field(default_factory=list)
    starts: list[list[int]] = field(default_factory=list)
    marked: list[list[Span] | None] = field(default_factory=list)

    def words_of(self, index: int) -> tuple[str, ...]:
        """The words of a sentence."""
        return tuple(self.words[index])

    @property
    def num_words(self) -> list[int]:
        """Words in each sentence."""
        return [len(words) for words in self.words]

    @property
    def is_short(self) -> np.ndarray:
        """Whether a sentence may be a demonstration, shape `(n,)`: cut, it would show fewer entities than it has."""
        return np.array([len(text) <= LONGEST_SHOT for text in self.texts], dtype=bool)

    def training_spans(self, spans: Sequence[list[Span] | None]) -> list[list[Span] | None]:
        """What the student learns from: a person's entities where there are any, else the annotator's.

        Args:
            spans (`Sequence[list[Span] | None]`): The annotator's entities, for all sentences or the first ones.
        """
        pairs = zip(self.marked, spans, strict=False)
        return [found if marked is None else marked for marked, found in pairs]

    def human_demonstrations(self) -> dict[int, Demonstration]:
        """What people marked, by index, to be shown to the annotator."""
        return {
            i: Demonstration(
                self.texts[i],
                int(self.human[i]) if marked else NO_LABEL,
                "human",
                self.ids[i],
                named_in(self.texts[i], marked, self.words[i], self.starts[i]),
            )
            for i, (marked, is_short) in enumerate(zip(self.marked, self.is_short, strict=True))
            if marked is not None and is_short
        }


class _Place(NamedTuple):
    """A sentence in which a person marked entities, as the person had it."""

    text: str
    words: Sequence[str]
    starts: Sequence[int]


def collect(dataset: "Dataset") -> Sentences:
    """Collects the distinct usable sentences of what `read_sentences` returned."""
    index: dict[tuple[str, ...], int] = {}
    first_rows: list[int] = []
    index_of_row = np.full(len(dataset), -1)
    for row, (words, note) in enumerate(zip(dataset[TOKENS], dataset["note"], strict=True)):
        if is_usable(note):
            if tuple(words) not in index:
                index[tuple(words)] = len(first_rows)
                first_rows.append(row)
            index_of_row[row] = index[tuple(words)]
    table, rows, starts = table_of(dataset), np.array(first_rows, dtype=int), list(dataset["token_starts"])
    return Sentences(
        ids=StringColumn(table["id"], rows),
        texts=StringColumn(table["text"], rows),
        augmented=None,
        index_of_row=index_of_row,
        human=np.full(len(first_rows), NO_LABEL),
        words=[list(words) for words in index],
        starts=[starts[row] for row in first_rows],
        marked=[None] * len(first_rows),
    )


def with_human_labels(
    corpus: Sentences,
    dataset: "Dataset",
    task: TokenClassification,
    given: Sequence[HumanEntities],
    known: Sequence[HumanEntities] = (),
) -> Sentences:
    """Enters the entities that people marked.

    Texts and words are compared in their normal form, and all sentences that have the same one are marked. A sentence
    that is not in the data is added at the end, if it may be new (an example from elsewhere): it trains the student
    and may be a demonstration, but no row of the output has it.

    Args:
        corpus (`Sentences`): What `collect` collected.
        dataset (`Dataset`): The data set that it was collected from.
        task (`TokenClassification`): Whose types they are.
        given (`Sequence[HumanEntities]`): What people marked.
        known (`Sequence[HumanEntities]`): What an earlier call left in `human_labels`; newer marks take its place.

    Raises:
        InputError: If an id is not in the data or its row has no words, if a sentence is not in the data and may not
            be new, if tags are not as many as words, not valid BIO or not the task's, if an entity lies outside of the
            text, in another one or cuts a word, or if two of `given` contradict each other.
    """
    items = [*known, *given]
    row_of = ids_of_labels(items, dataset)
    by_words: dict[tuple[str, ...], list[int]] = {}
    if items:
        for i, own_words in enumerate(corpus.words):
            by_words.setdefault(_word_forms(own_words), []).append(i)
    by_text = rows_of_texts((form for item in items for form in _text_forms(item)), corpus.texts)
    count = len(corpus.texts)
    added: list[tuple[HumanEntities, _Place]] = []
    is_new: list[HumanEntities] = []

    def places(item: HumanEntities, *, may_be_new: bool) -> list[tuple[int, _Place]]:
        if item.id is not None:
            row = labelled_row(item, corpus, dataset, row_of)
            return [
                (
                    int(corpus.index_of_row[row]),
                    _Place(dataset["text"][row], dataset[TOKENS][row], dataset["token_starts"][row]),
                )
            ]
        own = _place_of(item)
        found = by_words.get(_word_forms(own.words))
        # The data may have words of their own for this text.
        found = found or next((by_text[form] for form in map(normal_form, _text_forms(item)) if form in by_text), None)
        if found is None:
            if not may_be_new:
                is_new.append(item)
                return []
            found = by_words[_word_forms(own.words)] = [count + len(added)]
            added.append((item, own))
        return [(i, _known_place(corpus, i) if i < count else added[i - count][1]) for i in found]

    def marks(items: Sequence[HumanEntities], *, is_known: bool) -> tuple[dict[int, list[Span]], int]:
        found: dict[int, list[Span]] = {}
        origins: dict[int, str] = {}
        matched = 0
        for item in items:
            about = places(item, may_be_new=is_known or item.may_be_new)
            matched += any(i < count for i, _ in about)
            for i, where in about:
                _check_same(item, where)
                spans = _spans(item, where, task)
                if found.setdefault(i, spans) != spans:
                    raise InputError(
                        f"{origins[i]} and {item.origin} mark the same sentence differently; keep one of them."
                    )
                origins.setdefault(i, item.origin)
        return found, matched

    old, _ = marks(known, is_known=True)
    new, matched = marks(given, is_known=False)
    refuse_new_texts(is_new, len(given))
    found = old | new
    marked = [found.get(i) for i in range(count + len(added))]
    texts = [where.text for _, where in added]
    words = [*corpus.words, *(list(where.words) for _, where in added)]

    def remembered(i: int) -> HumanEntities:
        tags = tuple(tags_of(found[i], len(words[i])))
        if i < count:
            return HumanEntities(tags=tags, id=corpus.ids[i])
        item = added[i - count][0]
        return HumanEntities(tags=tags, text=item.text, words=item.words)

    return replace(
        corpus,
        ids=corpus.ids.followed_by(content_ids(texts)),
        texts=corpus.texts.followed_by(texts),
        words=words,
        starts=[*corpus.starts, *(list(where.starts) for _, where in added)],
        marked=marked,
        human=np.where([spans is None for spans in marked], NO_LABEL, rarest_types(marked, task)),
        human_labels=[remembered(i) for i in found],
        human_rows=HumanRows(matched, len(given) - matched),
    )


def rarest_types(spans: Sequence[Sequence[Span] | None], task: TokenClassification) -> np.ndarray:
    """The rarest of each sentence's types, one more than the last type where it has no entity; shape `(n,)`.

    Args:
        spans (`Sequence[Sequence[Span] | None]`): The entities of `n` sentences.
        task (`TokenClassification`): Whose types they are.
    """
    types = [[task.label2id[span.type] for span in some or ()] for some in spans]
    counts = np.bincount([i for some in types for i in some], minlength=task.num_labels)
    return np.array([min(some, key=lambda i: counts[i], default=task.num_labels) for some in types], dtype=int)


def _known_place(corpus: Sentences, index: int) -> _Place:
    return _Place(corpus.texts[index], corpus.words[index], corpus.starts[index])


def _place_of(item: HumanEntities) -> _Place:
    if item.words is not None:
        text, starts = join_words(item.words)
        return _Place(text, item.words, starts)
    words, starts = split_words(str(item.text))
    return _Place(str(item.text), words, starts)


def _word_forms(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(normal_form, words))


def _text_forms(item: HumanEntities) -> list[str]:
    """The text of a sentence as it was given, and as it was before it was written to a file for spreadsheets."""
    if item.id is not None or item.words is not None:
        return []
    return list(dict.fromkeys((str(item.text), restored(str(item.text)))))


def _check_same(item: HumanEntities, where: _Place) -> None:
    """Refuses marks whose words, or the text in which their places count, are not those of the data."""
    if item.words is not None and _word_forms(item.words) != _word_forms(where.words):
        raise InputError(
            f"{item.origin}: its words {list(item.words)} are not those of the data, {list(where.words)}. Leave "
            "`tokens` out, or give them as they are there."
        )
    if item.spans is not None and item.text is not None:
        forms = normal_form(item.text), normal_form(restored(item.text))
        if normal_form(where.text) not in forms:
            raise InputError(
                f"{item.origin}: its text {item.text!r} is not that of the data, {where.text!r}; places are counted "
                "in it."
            )


def _counted_text(item: HumanEntities, where: _Place) -> str:
    """The text in which a person counted places; only blanks and the Unicode form may differ from the data's."""
    if item.text is None:
        return where.text
    return item.text if normal_form(item.text) == normal_form(where.text) else restored(item.text)


def _num_solid(text: str) -> int:
    """Number of characters that are not blank."""
    return len("".join(unicodedata.normalize("NFC", text).split()))


def _spans(item: HumanEntities, where: _Place, task: TokenClassification) -> list[Span]:
    if item.tags is not None:
        ids = read_tags(item.tags, len(where.words), task, item.origin)
        return spans_of([task.tags[i] for i in ids])
    assert item.spans is not None  # it has either
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
            raise InputError(f"{shown} is of the type {place.type!r}, which the task does not have; it has {names}.")
        if place.text is not None and normal_form(place.text) != normal_form(named):
            raise InputError(f"{shown} should be {place.text!r}; count `start` and `end` in characters of the text.")
        start, end = position(counted, place.start), position(counted, place.end)
        if start not in first or end not in last or not 0 <= place.start < place.end <= len(counted):
            raise InputError(
                f"{shown} does not begin and end with a word of the sentence; its words are {list(where.words)}."
            )
        found.append(Span(first[start], last[end] + 1, place.type))
    found.sort()
    for before, after in pairwise(found):
        if after.start < before.end:
            raise InputError(f"{item.origin}: the entities {before} and {after} (by words) overlap; keep one of them.")
    return found
