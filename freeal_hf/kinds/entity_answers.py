"""The answers of annotators in an entity task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.base import Annotation
from freeal_hf.annotators.pacing import with_answer
from freeal_hf.data.spans import Span, without_overlaps
from freeal_hf.kinds.answers import Answers
from freeal_hf.labels.entity_voting import Entities, fuse_entity_votes

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class EntityAnswers(Answers):
    """The current answers of one annotator, or of several fused, with an entry for each distinct sentence.

    Args:
        spans (`list[list[Span] | None]`): The entities, `None` if there is no answer.
        reasons (`list[str | None]`): The reasons of missing answers.
        dropped (`np.ndarray` of shape `(n,)`): The number of entities of each answer that are not in the sentence.
        parts (`list[EntityAnswers]`): The answers of each annotator if there are several.
    """

    spans: list[list[Span] | None]
    reasons: list[str | None]
    dropped: np.ndarray
    parts: list["EntityAnswers"] = field(default_factory=list)

    @classmethod
    def none(cls, count: int) -> "EntityAnswers":
        return cls([None] * count, [None] * count, np.zeros(count, dtype=int))

    def extended_to(self, count: int) -> "EntityAnswers":
        more = count - len(self.spans)
        return EntityAnswers(
            [*self.spans, *[None] * more],
            [*self.reasons, *[None] * more],
            np.concatenate([self.dropped, np.zeros(more, dtype=int)]),
            [part.extended_to(count) for part in self.parts],
        )

    def take(self, index: int, answer: Annotation) -> None:
        if answer.spans is not None:
            # A word can only have one tag, so the longest of overlapping entities is kept.
            kept = without_overlaps(sorted(answer.spans, key=lambda span: (span.start - span.end, span)))
            self.spans[index], self.reasons[index] = kept, None
            self.dropped[index] = answer.num_dropped + len(answer.spans) - len(kept)
        elif self.spans[index] is None:
            self.reasons[index] = with_answer(answer.reason, answer.answer)

    def refined_by(self, other: "EntityAnswers") -> "EntityAnswers":
        pairs = list(zip(self.spans, other.spans, strict=True))
        return EntityAnswers(
            [own if new is None else new for own, new in pairs],
            [why if new is None else None for (_, new), why in zip(pairs, self.reasons, strict=True)],
            np.where(other.is_missing, self.dropped, other.dropped),
        )

    def _columns(self) -> dict[str, "pa.Array"]:
        import pyarrow as pa

        span = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("type", pa.string())])
        return {
            "spans": pa.array(self.spans, pa.list_(span)),
            "reason": pa.array(self.reasons, pa.string()),
            "dropped": pa.array(self.dropped, pa.int64()),
        }

    @classmethod
    def _from_columns(cls, table: "pa.Table", suffix: str) -> "EntityAnswers":
        return cls(
            [found and [Span(**span) for span in found] for found in table[f"spans{suffix}"].to_pylist()],
            table[f"reason{suffix}"].to_pylist(),
            np.array(table[f"dropped{suffix}"], dtype=int),
        )

    @classmethod
    def _from_former(cls, values: Mapping[str, Any]) -> "EntityAnswers":
        return cls(
            [found and [Span(*span) for span in found] for found in values["spans"]],
            values["reasons"],
            np.array(values["dropped"], dtype=int),
        )

    @property
    def is_missing(self) -> np.ndarray:
        return np.array([spans is None for spans in self.spans], dtype=bool)

    @property
    def figures(self) -> dict[str, Any]:
        return {"dropped_entities": int(self.dropped.sum())}


def fuse(group: Sequence[EntityAnswers], marked: Entities = ()) -> EntityAnswers:
    """Fuses the answers of several annotators with `fuse_entity_votes`.

    Args:
        group (`Sequence[EntityAnswers]`): The answers of each annotator.
        marked (`Sequence[list[Span] | None]`, *optional*): The human entities of each sentence, `None` for none.
    """
    fused = fuse_entity_votes([part.spans for part in group], marked)
    reasons = [why if spans is None else None for spans, why in zip(fused, group[0].reasons, strict=True)]
    return EntityAnswers(fused, reasons, np.sum([part.dropped for part in group], axis=0))
