"""Writes numbers together with their nouns in messages."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Writes a number and its noun in the singular or plural.

    Args:
        number (`int`): The number.
        noun (`str`): The noun in the singular.
        plural (`str`, *optional*): The noun in the plural. Defaults to the singular with an "s".

    Returns:
        `str`: The number, with commas between thousands, and the noun.

    Example:

        >>> counted(1, "text"), counted(1200, "text"), counted(0, "entity", "entities")
        ('1 text', '1,200 texts', '0 entities')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
