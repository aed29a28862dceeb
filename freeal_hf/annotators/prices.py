"""Prices of the tokens of models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from freeal_hf.annotators.budget import Price
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.annotators.base import Annotator

PRICES_AS_OF = "2025-06"

_LIST = {
    "gpt-3.5-turbo": (0.50, 1.50),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "claude-3-5-haiku-latest": (0.80, 4.00),
    "claude-sonnet-4-0": (3.00, 15.00),
}

PRICES: Mapping[str, Price] = {model: Price(*dollars, as_of=PRICES_AS_OF) for model, dollars in _LIST.items()}
"""List prices of their vendors as of `PRICES_AS_OF`, not checked since, by the model's name in a request. Models of
the Hugging Face inference providers are not included, because each provider has its own price. A table of the user is
preferred."""


def load_prices(path: str | Path) -> dict[str, Price]:
    """Reads a price table: YAML or JSON with `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, per million tokens.

    Args:
        path (`str` or `Path`): The file.

    Returns:
        `dict[str, Price]`: The price by model.

    Raises:
        InputError: If the file is missing or has another form.

    Example:

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "prices.yaml")
        ...     _ = path.write_text("org/name: {prompt: 0.15, completion: 0.60}")
        ...     load_prices(path)["org/name"].prompt
        0.15
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"There is no price table {str(path)!r}; give a YAML file with `model: {{prompt, completion}}`."
        )
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {
            str(model): Price(float(price["prompt"]), float(price["completion"])) for model, price in table.items()
        }
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The price table {str(path)!r} cannot be read ({type(error).__name__}: {error}). Write one line for each "
            "model: `org/name: {prompt: 0.15, completion: 0.60}`, in dollars per million tokens."
        ) from error


def price_of(annotator: "Annotator", table: Mapping[str, Price] | None = None) -> Price | None:
    """Returns the price of the tokens of an annotator.

    Args:
        annotator (`Annotator`): The annotator. Its price is zero if it is free, its attribute `price`, or the price of
            its `name` in a table.
        table (`Mapping[str, Price]`, *optional*): The prices of the user, which are preferred to `PRICES`.

    Returns:
        `Price` or `None`: The price; `None` if it is not known.

    Example:

        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> price_of(ColumnAnnotator({}, "guess"))
        Price(prompt=0.0, completion=0.0, as_of=None)
    """
    if annotator.is_free:
        return Price(0.0, 0.0)
    return annotator.price or {**PRICES, **(table or {})}.get(str(annotator.name))
