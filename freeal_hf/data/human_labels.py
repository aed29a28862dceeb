"""Labels that people gave: always clean, never overwritten."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from freeal_hf.data.tables import Table

HUMAN_NOTE = "labelled by a person"
"""What the `note` of a row with a human label says."""

LABEL_COLUMN = "label"


@dataclass(frozen=True, kw_only=True)
class HumanAnswer:
    """What a person says of a text: the base class of what each kind of task has.

    Args:
        id (`str`, *optional*): Id of the row.
        text (`str`, *optional*): The text.
        origin (`str`): Where the answer is, for errors.
        may_be_new (`bool`): Whether the text may be one that is not in the data.
    """

    id: str | None = None
    text: str | None = None
    origin: str = field(default="", compare=False)
    may_be_new: bool = field(default=False, compare=False)

    @property
    def shown(self) -> str:
        """The text as errors show it."""
        return self.text or ""


@dataclass(frozen=True)
class HumanLabel(HumanAnswer):
    """A label that a person gave. A text beside an id must not be the text of another row.

    Args:
        label (`int`): Label id.
        probability (`float`, *optional*):
            The probability with which the text was drawn at random for the person to label; `None` if it was not.
    """

    label: int
    probability: float | None = field(default=None, kw_only=True)


class MarkedSpan(NamedTuple):
    """An entity that a person marked: where it starts and ends in characters (the end not included), and its text."""

    start: int
    end: int
    type: str
    text: str | None = None


@dataclass(frozen=True)
class HumanEntities(HumanAnswer):
    """The entities that a person marked in a sentence: all of them, as tags or as places in the text.

    Args:
        tags (`tuple[str, ...]`, *optional*): A BIO tag for each word.
        spans (`tuple[MarkedSpan, ...]`, *optional*): The places, where there are no tags.
        words (`tuple[str, ...]`, *optional*): The words of the sentence.
    """

    tags: tuple[str, ...] | None = None
    spans: tuple[MarkedSpan, ...] | None = None
    words: tuple[str, ...] | None = None

    @property
    def shown(self) -> str:
        """The text, or else the words, as errors show them."""
        return self.text if self.text is not None else " ".join(self.words or ())


@dataclass(frozen=True)
class HumanTable:
    """A table of human labels.

    Args:
        columns (`Table`): The columns that are read, by name.
        names (`Sequence[str]`): The names of all columns.
        text_columns (`Sequence[str]`): The columns of the text.
        origin (`str`): What to call the table in errors.
    """

    columns: Table
    names: Sequence[str]
    text_columns: Sequence[str]
    origin: str


def as_stored(label: HumanLabel | HumanEntities) -> dict[str, Any]:
    """What a run remembers of a human label, as values of JSON."""
    values = {name: value for name, value in asdict(label).items() if name not in ("origin", "may_be_new")}
    if values.get("probability", 0) is None:
        del values["probability"]
    return values


def from_stored(values: Mapping[str, Any]) -> HumanLabel | HumanEntities:
    """Reads what `as_stored` returned."""
    kept: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    kept["origin"] = "an earlier human label"
    return HumanLabel(**kept) if "label" in kept else HumanEntities(**kept)


def has_human_label(note: str | None) -> bool:
    """Whether the `note` of a row says that a person labelled it."""
    return note is not None and note.endswith(HUMAN_NOTE)


def quoted(names: Sequence[str]) -> str:
    """Names as errors show them."""
    return ", ".join(map(repr, names))
