"""Finds rows by their text or id, and columns by their name, in what people and spreadsheets made of them."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from freeal_hf.tasks import normal_form

_CONTENT_ID = re.compile(r"t?([0-9a-f]{16}(?:-\d+)?)")
_INTEGER = re.compile(r"([+-]?)0*(\d+)(?:[.,]0*)?", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]?\d+", re.ASCII | re.IGNORECASE)
_MOST_DIGITS = 15  # that a spreadsheet keeps of a number


def names_column(name: str, names: Collection[str]) -> bool:
    """Whether a table has a column that a name means: one with the same normal form.

    Args:
        name (`str`): The name.
        names (`Collection[str]`): The columns of the table.
    """
    return normal_form(name) in map(normal_form, names)


def former_id(sample: str) -> str | None:
    """What freeal-hf made of a text before its ids began with a letter; `None` if the id is not made from a text.

    Args:
        sample (`str`): An id of either form.
    """
    found = _CONTENT_ID.fullmatch(sample)
    return found and found[1]


def rows_of_ids(wanted: Collection[str], ids: Iterable[str]) -> dict[str, int]:
    """Where the rows with some ids are.

    An id is found as it is, else in its normal form, else in the form that freeal-hf gave it formerly, else by its
    value if it is a whole number: a spreadsheet turns `007` into `7`, and data frames turn `7` into `7.0`.

    Args:
        wanted (`Collection[str]`): The ids, as somebody gave them.
        ids (`Iterable[str]`): The ids of all rows; it is gone through several times.

    Returns:
        `dict[str, int]`: Row by wanted id. An id that no row has, or that could be that of several rows, is left out.

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
    """Where some texts are; all that have the same normal form are the same for a person.

    Args:
        wanted (`Iterable[str]`): The texts, as somebody gave them.
        texts (`Iterable[str]`): The texts to look for them in.

    Returns:
        `dict[str, list[int]]`: Places by normal form, of those texts that are there.
    """
    keys = set(map(normal_form, wanted))
    found: dict[str, list[int]] = {}
    if keys:
        for place, text in enumerate(texts):
            if (key := normal_form(text)) in keys:
                found.setdefault(key, []).append(place)
    return found


def explain_unknown_id(sample: str, ids: Iterable[str]) -> str:
    """Why no row has an id, and what to do.

    Args:
        sample (`str`): The id that somebody gave.
        ids (`Iterable[str]`): The ids of all rows.
    """
    plain = sample.strip()
    digits = plain.lstrip("+-")
    if _SCIENTIFIC.fullmatch(plain):
        cause = "A spreadsheet has turned the id into a number and rounded it"
        rounded = plain.replace(",", ".").upper()
        size = len(rounded.partition("E")[0].partition(".")[2])
        numbers = ((one, _integer(former_id(one) or one)) for one in ids)
        wanted = f"{float(rounded):.{size}E}"
        alike = [one for one, number in numbers if number and f"{float(number):.{size}E}" == wanted]
    elif digits.isdecimal() and len(digits) > _MOST_DIGITS and not digits[_MOST_DIGITS:].strip("0"):
        cause = f"A spreadsheet has turned the id into a number and kept {_MOST_DIGITS} of its digits"
        alike = [one for one in ids if len(one) == len(plain) and one.startswith(plain[: -len(digits) + _MOST_DIGITS])]
    else:
        return (
            "Give ids as in labels.csv (those of your data, if --id-column names their column), or leave the column "
            "'id' out and give the texts. Spreadsheets change ids that look like numbers or dates."
        )
    meant = f" (perhaps {' or '.join(map(repr, alike[:3]))})" if alike else ""
    return (
        f"{cause}{meant}. Format the column 'id' as text before you paste the ids, or leave it out and give the texts."
    )


def shown(values: Sequence[str], most: int = 3, length: int = 60) -> str:
    """Some values for a message, each cut to a length.

    Args:
        values (`Sequence[str]`): The values.
        most (`int`, defaults to 3): How many to show.
        length (`int`, defaults to 60): Characters to show of each.
    """
    return ", ".join(repr(one if len(one) <= length else one[:length] + "...") for one in values[:most])


def _integer(sample: str) -> str | None:
    found = _INTEGER.fullmatch(sample.strip())
    return found and f"{'-' if found[1] == '-' else ''}{found[2]}"
