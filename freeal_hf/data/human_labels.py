"""Human labels. They are always clean and never overwritten."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from freeal_hf.data.columns import Table

HUMAN_NOTE = "labelled by a person"
"""The `note` of a row with a human label."""

LABEL_COLUMN = "label"


@dataclass(frozen=True, kw_only=True)
class HumanAnswer:
    """Base class of the answers of a person about a text.

    Args:
        id (`str`, *optional*): Id of the row.
        text (`str`, *optional*): The text.
        origin (`str`): The place of the answer, for errors.
        may_be_new (`bool`): Whether the text can be missing from the data.
    """

    id: str | None = None
    text: str | None = None
    origin: str = field(default="", compare=False)
    may_be_new: bool = field(default=False, compare=False)

    @property
    def shown(self) -> str:
        """The text for error messages."""
        return self.text or ""


@dataclass(frozen=True)
class HumanLabel(HumanAnswer):
    """A label that a person gave. If both id and text are given, they must belong to the same row.

    Args:
        label (`int` or `tuple[int, ...]`): Label id. In a task with any number of labels, the ids of all labels.
        probability (`float`, *optional*):
            The probability with which the text was drawn at random for the person; `None` if it was not drawn.

    Example:

        >>> HumanLabel(label=1, text="a rusty saw").shown
        'a rusty saw'
    """

    label: Any
    probability: float | None = field(default=None, kw_only=True)


class MarkedSpan(NamedTuple):
    """An entity that a person marked, with its start and end (exclusive) in characters, its type and its text.

    Example:

        >>> MarkedSpan(0, 3, "person", "Ada").type
        'person'
    """

    start: int
    end: int
    type: str
    text: str | None = None


@dataclass(frozen=True)
class HumanEntities(HumanAnswer):
    """All entities that a person marked in a sentence, as tags or as spans of characters.

    Args:
        tags (`tuple[str, ...]`, *optional*): A BIO tag for each word.
        spans (`tuple[MarkedSpan, ...]`, *optional*): The spans, if there are no tags.
        words (`tuple[str, ...]`, *optional*): The words of the sentence.

    Example:

        >>> HumanEntities(tags=("B-person", "O"), words=("Ada", "wrote")).shown
        'Ada wrote'
    """

    tags: tuple[str, ...] | None = None
    spans: tuple[MarkedSpan, ...] | None = None
    words: tuple[str, ...] | None = None

    @property
    def shown(self) -> str:
        """The text, or the words if there is no text, for error messages."""
        return self.text if self.text is not None else " ".join(self.words or ())


@dataclass(frozen=True)
class HumanTable:
    """A table of human labels.

    Args:
        columns (`Table`): The columns to read, by name.
        names (`Sequence[str]`): The names of all columns.
        text_columns (`Sequence[str]`): The columns of the text.
        origin (`str`): The name of the table in errors.
    """

    columns: Table
    names: Sequence[str]
    text_columns: Sequence[str]
    origin: str


def as_stored(label: HumanLabel | HumanEntities) -> dict[str, Any]:
    """Returns the values of a human label that a run stores, in a form that JSON can represent.

    Example:

        >>> as_stored(HumanLabel(label=1, text="a plum"))
        {'id': None, 'text': 'a plum', 'label': 1}
    """
    values = {name: value for name, value in asdict(label).items() if name not in ("origin", "may_be_new")}
    if values.get("probability", 0) is None:
        del values["probability"]
    return values


def from_stored(values: Mapping[str, Any]) -> HumanLabel | HumanEntities:
    """Makes a human label from the values that `as_stored` returned.

    Example:

        >>> from_stored({"id": None, "text": "a plum", "label": 1}) == HumanLabel(label=1, text="a plum")
        True
    """
    kept: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    kept["origin"] = "an earlier human label"
    return HumanLabel(**kept) if "label" in kept else HumanEntities(**kept)


def has_human_label(note: str | None) -> bool:
    """Whether the `note` of a row says that a person labelled it.

    Example:

        >>> has_human_label("labelled by a person"), has_human_label(None)
        (True, False)
    """
    return note is not None and note.endswith(HUMAN_NOTE)


def quoted(names: Sequence[str]) -> str:
    """Returns names for error messages.

    Example:

        >>> quoted(["id", "text"])
        "'id', 'text'"
    """
    return ", ".join(map(repr, names))
