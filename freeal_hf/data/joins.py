"""Finds rows by text or id, and columns by name, also if a person or a spreadsheet has changed their form."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from freeal_hf.task_labels import normal_form

_CONTENT_ID = re.compile(r"t?([0-9a-f]{16}(?:-\d+)?)")
_INTEGER = re.compile(r"([+-]?)0*(\d+)(?:[.,]0*)?", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]?\d+", re.ASCII | re.IGNORECASE)
_MOST_DIGITS = 15  # a spreadsheet keeps this number of digits


def names_column(name: str, names: Collection[str]) -> bool:
    """Returns whether a table has a column with a name, or with the same normal form of it.

    Args:
        name (`str`): The name.
        names (`Collection[str]`): The names of the columns of the table.

    Returns:
        `bool`: Whether there is such a column.

    Example:

        >>> names_column("text", ["id", " text"])
        True
    """
    return normal_form(name) in map(normal_form, names)


def former_id(sample: str) -> str | None:
    """Returns the form that an id had before ids that are made from texts began with a letter.

    Args:
        sample (`str`): An id.

    Returns:
        `str` or `None`: The former id; `None` if the id is not made from a text.

    Example:

        >>> former_id("t0123456789abcdef"), former_id("row-1")
        ('0123456789abcdef', None)
    """
    found = _CONTENT_ID.fullmatch(sample)
    return found and found[1]


def rows_of_ids(wanted: Collection[str], ids: Iterable[str]) -> dict[str, int]:
    """Finds the rows with given ids.

    An id is searched as it is, then in its normal form, then in the form of former versions, and then by its value if
    it is a whole number, because a spreadsheet changes `007` to `7` and a data frame changes `7` to `7.0`.

    Args:
        wanted (`Collection[str]`): The ids to find.
        ids (`Iterable[str]`): The ids of all rows. It is iterated several times.

    Returns:
        `dict[str, int]`: The row number by wanted id. Ids that match no row or several rows are left out.

    Example:

        >>> rows_of_ids(["7", " b "], ["007", "b"])
        {' b ': 1, '7': 0}
    """
    wanted = set(wanted)
    found = {sample: row for row, sample in enumerate(ids) if sample in wanted} if wanted else {}
    forms: tuple[Callable[[str], str | None], ...] = (normal_form, former_id, _integer)
    for form in forms:
        by_form: dict[str, list[str]] = {}
        for one in wanted - found.keys():
            if (key := form(one)) is not None:
                by_form.setdefault(key, []).append(one)
        if not by_form:
            continue
        rows: dict[str, list[int]] = {}
        for row, sample in enumerate(ids):
            if (key := form(sample)) is not None and key in by_form:
                rows.setdefault(key, []).append(row)
        found |= {one: places[0] for key, places in rows.items() if len(places) == 1 for one in by_form[key]}
    return found


def rows_of_texts(wanted: Iterable[str], texts: Iterable[str]) -> dict[str, list[int]]:
    """Finds texts among others. Texts with the same normal form are the same.

    Args:
        wanted (`Iterable[str]`): The texts to find.
        texts (`Iterable[str]`): The texts of all rows.

    Returns:
        `dict[str, list[int]]`: The row numbers by normal form, for the texts that were found.

    Example:

        >>> list(rows_of_texts(["a  text"], ["another", "a text"]).values())
        [[1]]
    """
    keys = set(map(normal_form, wanted))
    found: dict[str, list[int]] = {}
    if keys:
        for place, text in enumerate(texts):
            if (key := normal_form(text)) in keys:
                found.setdefault(key, []).append(place)
    return found


def explain_unknown_id(sample: str, ids: Iterable[str]) -> str:
    """Explains why no row has an id, and what to do.

    Args:
        sample (`str`): The id.
        ids (`Iterable[str]`): The ids of all rows.

    Returns:
        `str`: The explanation, for an error message.

    Example:

        >>> explain_unknown_id("1.23E+15", ["1234567890123456"])[:84]
        "A spreadsheet has converted the id to a number and rounded it (perhaps '123456789012"
    """
    plain = sample.strip()
    digits = plain.lstrip("+-")
    if _SCIENTIFIC.fullmatch(plain):
        cause = "A spreadsheet has converted the id to a number and rounded it"
        rounded = plain.replace(",", ".").upper()
        size = len(rounded.partition("E")[0].partition(".")[2])
        numbers = ((one, _integer(former_id(one) or one)) for one in ids)
        wanted = f"{float(rounded):.{size}E}"
        alike = [one for one, number in numbers if number and f"{float(number):.{size}E}" == wanted]
    elif digits.isdecimal() and len(digits) > _MOST_DIGITS and not digits[_MOST_DIGITS:].strip("0"):
        cause = f"A spreadsheet has converted the id to a number and kept {_MOST_DIGITS} of its digits"
        alike = [one for one in ids if len(one) == len(plain) and one.startswith(plain[: -len(digits) + _MOST_DIGITS])]
    else:
        return (
            "Use the ids of labels.csv (with --id-column, the ids of your data), or give the texts without a column "
            "'id'. Spreadsheets change ids that look like numbers or dates."
        )
    meant = f" (perhaps {' or '.join(map(repr, alike[:3]))})" if alike else ""
    return (
        f"{cause}{meant}. Format the column 'id' as text before you paste the ids, or give the texts without a "
        "column 'id'."
    )


def shown(values: Sequence[str], most: int = 3, length: int = 60) -> str:
    """Formats some values for a message.

    Args:
        values (`Sequence[str]`): The values.
        most (`int`, *optional*, defaults to 3): The maximum number of values to show.
        length (`int`, *optional*, defaults to 60): The maximum number of characters to show of a value.

    Returns:
        `str`: The text.

    Example:

        >>> shown(["a", "b", "c", "d"])
        "'a', 'b', 'c'"
    """
    return ", ".join(repr(one if len(one) <= length else one[:length] + "...") for one in values[:most])


def _integer(sample: str) -> str | None:
    found = _INTEGER.fullmatch(sample.strip())
    return found and f"{'-' if found[1] == '-' else ''}{found[2]}"
