"""Adds an apostrophe to cells that a spreadsheet would execute, and removes it when they are read."""

import re
from collections.abc import Collection, Sequence

AUGMENTED_COLUMN = "augmented_text"
"""The column of second views."""

# The beginnings of a formula in a spreadsheet. Source: OWASP, CSV Injection.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last ones are full-width
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?%?", re.ASCII | re.IGNORECASE)


def harmless(cell: str) -> str:
    """Adds an apostrophe to a cell that a spreadsheet would execute as a formula.

    Numbers such as `-1` and `+3.5` are not changed. If a cell already begins with an apostrophe and such a character,
    it gets another apostrophe, so that `restored` returns the original of any cell.

    Args:
        cell (`str`): The cell.

    Returns:
        `str`: The cell to write.

    Example:

        >>> harmless("=1+1"), harmless("-1"), harmless("- a list")
        ("'=1+1", '-1', "'- a list")
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def restored(cell: str) -> str:
    """Removes the apostrophe that `harmless` added.

    Args:
        cell (`str`): The cell that was written.

    Returns:
        `str`: The original cell.

    Example:

        >>> restored("'=1+1"), restored("'tis")
        ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def is_labels_csv(names: Collection[str]) -> bool:
    """Returns whether columns are those of `labels.csv` of a run.

    Args:
        names (`Collection[str]`): The column names.

    Returns:
        `bool`: Whether the table is a `labels.csv`.

    Example:

        >>> is_labels_csv(["text", "label", "label_confidence"]), is_labels_csv(["text", "label"])
        (True, False)
    """
    return any(name.strip().endswith("label_confidence") for name in names)


def holds_harmless_cells(names: Sequence[str]) -> bool:
    """Returns whether columns are those of a CSV file of freeal-hf, whose cells `harmless` may have changed.

    Args:
        names (`Sequence[str]`): The column names.

    Returns:
        `bool`: Whether they are those of `labels.csv`, of second views (`augment`) or of predictions.
    """
    stripped = [name.strip() for name in names]
    is_predictions = stripped[:2] == ["id", "text"] and stripped[-1:] == ["note"]
    return is_labels_csv(stripped) or AUGMENTED_COLUMN in stripped or is_predictions
