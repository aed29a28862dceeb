"""The distinct sentences of an entity task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from freeal_hf.annotators.prompts.labels import LONGEST_SHOT
from freeal_hf.data.arrow import StringColumn, table_of
from freeal_hf.data.sentences import TOKENS, named_in
from freeal_hf.data.spans import Span
from freeal_hf.data.texts import is_usable
from freeal_hf.kinds.corpus import Corpus
from freeal_hf.tasks import NO_LABEL, Demonstration, TokenClassification

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Sentences(Corpus):
    """The distinct usable sentences of a dataset.

    `human` is the type for which a sentence counts as a demonstration, or the number of types if a person found no
    entity.

    Args:
        words (`list[list[str]]`): The words of each sentence.
        starts (`list[list[int]]`): The position of each word in the text, in characters.
        marked (`list[list[Span] | None]`): The human entities, `None` if a sentence has no human label.
    """

    words: list[list[str]] = field(default_factory=list)
    starts: list[list[int]] = field(default_factory=list)
    marked: list[list[Span] | None] = field(default_factory=list)

    def words_of(self, index: int) -> tuple[str, ...]:
        """Returns the words of a sentence."""
        return tuple(self.words[index])

    @property
    def human_answers(self) -> list[list[Span] | None]:
        """The human entities of each sentence, `None` for none."""
        return self.marked

    @property
    def num_words(self) -> list[int]:
        """The number of words in each sentence."""
        return [len(words) for words in self.words]

    @property
    def is_short(self) -> np.ndarray:
        """Whether a sentence can be a demonstration, shape `[n]`. A truncated one would have fewer entities."""
        return np.array([len(text) <= LONGEST_SHOT for text in self.texts], dtype=bool)

    def training_spans(self, spans: Sequence[list[Span] | None]) -> list[list[Span] | None]:
        """Returns the training labels: human entities if there are any, otherwise those of the annotator.

        Args:
            spans (`Sequence[list[Span] | None]`): The annotator's entities, for all sentences or the first ones.
        """
        pairs = zip(self.marked, spans, strict=False)
        return [found if marked is None else marked for marked, found in pairs]

    def human_demonstrations(self) -> dict[int, Demonstration]:
        """Returns the sentences with human entities by index, as demonstrations for the annotator."""
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


def collect(dataset: "Dataset") -> Sentences:
    """Collects the distinct usable sentences of the dataset that `read_sentences` returned."""
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


def rarest_types(spans: Sequence[Sequence[Span] | None], task: TokenClassification) -> np.ndarray:
    """Returns the rarest type of each sentence, shape `[n]`; the number of types if it has no entity.

    Args:
        spans (`Sequence[Sequence[Span] | None]`): The entities of `n` sentences.
        task (`TokenClassification`): The task with the types.
    """
    types = [[task.label2id[span.type] for span in some or ()] for some in spans]
    counts = np.bincount([i for some in types for i in some], minlength=task.num_labels)
    return np.array([min(some, key=lambda i: counts[i], default=task.num_labels) for some in types], dtype=int)
