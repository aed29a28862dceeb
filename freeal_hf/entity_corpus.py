"""The distinct sentences of an entity task, and the entities that people marked in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from freeal_hf.annotation.prompts import LONGEST_SHOT
from freeal_hf.arrow_tables import StringColumn, table_of
from freeal_hf.errors import InputError
from freeal_hf.human_labels import HumanEntities
from freeal_hf.inputs import content_ids, is_usable
from freeal_hf.round_files import Corpus, labelled_row
from freeal_hf.sentences import TOKENS, join_words, named_in, read_tags, split_words
from freeal_hf.spans import Span, spans_of, tags_of
from freeal_hf.tasks import NO_LABEL, Demonstration, TokenClassification

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

    A sentence that is not in the data (an example from elsewhere) is added at the end: it trains the student and may
    be a demonstration, but no row of the output has it.

    Args:
        corpus (`Sentences`): What `collect` collected.
        dataset (`Dataset`): The data set that it was collected from.
        task (`TokenClassification`): Whose types they are.
        given (`Sequence[HumanEntities]`): What people marked.
        known (`Sequence[HumanEntities]`): What an earlier call left in `human_labels`; newer marks take its place.

    Raises:
        InputError: If an id is not in the data or its row has no words, if tags are not as many as words, not valid
            BIO or not the task's, if an entity lies outside of the text, in another one or cuts a word, or if two of
            `given` contradict each other.
    """
    row_of = {sample: row for row, sample in enumerate(dataset["id"])} if given or known else {}
    index_of = {tuple(words): i for i, words in enumerate(corpus.words)}
    by_text = {text: i for i, text in reversed(list(enumerate(corpus.texts)))}
    count = len(corpus.texts)
    added: list[tuple[HumanEntities, _Place]] = []

    def place(item: HumanEntities) -> tuple[int, _Place]:
        if item.id is not None:
            row = labelled_row(item, corpus, dataset, row_of)
            found = _Place(dataset["text"][row], dataset[TOKENS][row], dataset["token_starts"][row])
            _check_same(item, found)
            return int(corpus.index_of_row[row]), found
        found = _place_of(item)
        if tuple(found.words) not in index_of and found.text in by_text:
            i = by_text[found.text]  # the data have words of their own for this text
            found = _Place(found.text, corpus.words[i], corpus.starts[i])
            _check_same(item, found)
            return i, found
        i = index_of.setdefault(tuple(found.words), len(index_of))
        if i == count + len(added):
            added.append((item, found))
        return i, found

    def marks(items: Sequence[HumanEntities]) -> dict[int, list[Span]]:
        found: dict[int, list[Span]] = {}
        origins: dict[int, str] = {}
        for item in items:
            i, where = place(item)
            spans = _spans(item, where, task)
            if found.setdefault(i, spans) != spans:
                raise InputError(
                    f"{origins[i]} and {item.origin} mark the same sentence differently; keep one of them."
                )
            origins.setdefault(i, item.origin)
        return found

    found = marks(known) | marks(given)
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


def _place_of(item: HumanEntities) -> _Place:
    if item.words is not None:
        text, starts = join_words(item.words)
        return _Place(text, item.words, starts)
    words, starts = split_words(str(item.text))
    return _Place(str(item.text), words, starts)


def _check_same(item: HumanEntities, where: _Place) -> None:
    """Refuses marks whose words, or the text in which their places count, are not those of the data."""
    if item.words is not None and list(item.words) != list(where.words):
        raise InputError(
            f"{item.origin}: its words {list(item.words)} are not those of the data, {list(where.words)}. Leave "
            "`tokens` out, or give them as they are there."
        )
    if item.spans is not None and item.text is not None and item.text != where.text:
        raise InputError(
            f"{item.origin}: its text {item.text!r} is not that of the data, {where.text!r}; places are counted in it."
        )


def _spans(item: HumanEntities, where: _Place, task: TokenClassification) -> list[Span]:
    if item.tags is not None:
        ids = read_tags(item.tags, len(where.words), task, item.origin)
        return spans_of([task.tags[i] for i in ids])
    assert item.spans is not None  # it has either
    first = {start: i for i, start in enumerate(where.starts)}
    last = {start + len(word): i for i, (start, word) in enumerate(zip(where.starts, where.words, strict=True))}
    found: list[Span] = []
    for place in item.spans:
        shown = f"{item.origin}: the entity {where.text[place.start : place.end]!r} ({place.start} to {place.end})"
        if place.type not in task.label2id:
            names = ", ".join(map(repr, task.label_names))
            raise InputError(f"{shown} is of the type {place.type!r}, which the task does not have; it has {names}.")
        if place.text is not None and place.text != where.text[place.start : place.end]:
            raise InputError(f"{shown} should be {place.text!r}; count `start` and `end` in characters of the text.")
        if place.start not in first or place.end not in last or place.end <= place.start:
            raise InputError(
                f"{shown} does not begin and end with a word of the sentence; its words are {list(where.words)}."
            )
        found.append(Span(first[place.start], last[place.end] + 1, place.type))
    found.sort()
    for before, after in pairwise(found):
        if after.start < before.end:
            raise InputError(f"{item.origin}: the entities {before} and {after} (by words) overlap; keep one of them.")
    return found
