"""The answers of annotators: what all kinds of task share."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freeal_hf.annotators.base import Annotation

if TYPE_CHECKING:
    from typing_extensions import Self


class Answers(ABC):
    """The current answers of one annotator, or of several fused, for each distinct text.

    Each kind of task has a dataclass of its own with these attributes and those of its answers.

    Attributes:
        reasons (`list[str | None]`): Why a text has no answer.
        human_labels (`list[HumanLabel]` or `list[HumanEntities]`):
            What people had labelled when the annotator was asked.
        parts (`list[Answers]`): The answers of each annotator if there are several.
    """

    reasons: list[str | None]
    human_labels: list[Any]
    parts: list[Any]

    @classmethod
    @abstractmethod
    def none(cls, count: int) -> "Self":
        """Answers for `count` texts that no annotator was asked about."""

    @abstractmethod
    def extended_to(self, count: int) -> "Self":
        """The same answers for more texts; the new texts have no answer."""

    @abstractmethod
    def take(self, index: int, answer: Annotation) -> None:
        """Enters an answer. An answer without a label does not replace one of an earlier round."""

    @abstractmethod
    def refined_by(self, other: "Self") -> "Self":
        """The same answers, replaced by those of another annotator wherever that has one."""

    @property
    @abstractmethod
    def is_missing(self) -> np.ndarray:
        """Whether a text has no answer, shape `(n,)`."""

    @property
    def figures(self) -> dict[str, Any]:
        """Figures of the answers for the record of a round, beside their costs."""
        return {}

    def explain_missing(self, reason: str) -> None:
        """Gives this reason to every missing answer that has none yet."""
        for index in np.flatnonzero(self.is_missing):
            self.reasons[index] = self.reasons[index] or reason

    def save(self, path: Path, costs: Mapping[str, Any]) -> None:
        """Writes the answers and what they cost."""
        path.write_text(json.dumps({"costs": dict(costs), **self._values()}), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> tuple["Self", dict[str, Any]]:
        """Reads what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls._from_values(values), values["costs"]

    @abstractmethod
    def _values(self) -> dict[str, Any]:
        """The answers as values of JSON, their parts included."""

    @classmethod
    @abstractmethod
    def _from_values(cls, values: Mapping[str, Any]) -> "Self":
        """Reads what `_values` returned."""
