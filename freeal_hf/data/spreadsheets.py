"""Cells that a spreadsheet would execute are written with an apostrophe before them, and read without it."""

import re
from collections.abc import Collection, Sequence

AUGMENTED_COLUMN = "augmented_text"
"""Column of a second view of each text."""

# What a spreadsheet reads as the beginning of a formula. Source: OWASP, CSV Injection.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last ones are full-width
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?%?", re.ASCII | re.IGNORECASE)


def harmless(cell: str) -> str:
    """A cell as a spreadsheet may open it: an apostrophe keeps it from being executed as a formula.

    Numbers such as `-1` and `+3.5` stay as they are. A cell that begins with an apostrophe before such a character
    gets another one, so that `restored` gives back every cell.

    Args:
        cell (`str`): The cell.

    Example:

        >>> harmless("=1+1"), harmless("-1"), harmless("- a list")
        ("'=1+1", '-1', "'- a list")
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def restored(cell: str) -> str:
    """The cell that `harmless` was given.

    Args:
        cell (`str`): What it made of the cell.
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def is_labels_csv(names: Collection[str]) -> bool:
    """Whether columns are those of a run's own labels.

    Args:
        names (`Collection[str]`): The column names.
    """
    return any(name.strip().endswith("label_confidence") for name in names)


def holds_harmless_cells(names: Sequence[str]) -> bool:
    """Whether columns are those of a CSV file that was written here, whose cells `harmless` has changed.

    Args:
        names (`Sequence[str]`): The column names: those of `labels.csv`, of views (`augment`) or of predictions.
    """
    stripped = [name.strip() for name in names]
    is_predictions = stripped[:2] == ["id", "text"] and stripped[-1:] == ["note"]
    return is_labels_csv(stripped) or AUGMENTED_COLUMN in stripped or is_predictions
