"""Prices of the tokens of models."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from huggingface_hub import constants
from huggingface_hub.utils import get_session

from freeal_hf.annotators.budget import Price
from freeal_hf.annotators.http_errors import HTTP_ERRORS
from freeal_hf.errors import InputError

if TYPE_CHECKING:
    from freeal_hf.annotators.base import Annotator

logger = logging.getLogger(__name__)

_LOOK_UP_SECONDS = 10.0
_UNREADABLE: tuple[type[Exception], ...] = (*HTTP_ERRORS, ValueError, KeyError, TypeError, AttributeError)


def load_prices(path: str | Path) -> dict[str, Price]:
    """Reads a price table: YAML or JSON with `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, per million tokens.

    A third price, `cached`, is that of input tokens which the server reads from its prompt cache.

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
        return {str(model): _price(entry) for model, entry in table.items()}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The price table {str(path)!r} cannot be read ({type(error).__name__}: {error}). Write one line for each "
            "model: `org/name: {prompt: 0.15, completion: 0.60}`, in dollars per million tokens."
        ) from error


def _price(entry: Mapping[str, str | float]) -> Price:
    cached = float(entry["cached"]) if "cached" in entry else None
    return Price(float(entry["prompt"]), float(entry["completion"]), cached)


def hub_price(model: str, provider: str | None = None) -> Price | None:
    """Looks up the price of a model of the Hugging Face inference providers in the list of their router.

    Args:
        model (`str`): Id of the model, also with a provider (`"org/name:provider"`).
        provider (`str`, *optional*): The provider. By default the router chooses one, and the result has the highest
            price of all of them, because a budget must not be exceeded.

    Returns:
        `Price` or `None`: The price; `None` if the router cannot be reached or has no price for the model.
    """
    model, _, suffix = model.partition(":")
    provider = suffix or provider
    try:
        address = constants.INFERENCE_PROXY_TEMPLATE.format(provider="v1/models")
        response = get_session().get(address, timeout=_LOOK_UP_SECONDS)
        response.raise_for_status()
        listed = [entry for entry in response.json()["data"] if entry["id"] == model]
        prices = [
            (float(offer["pricing"]["input"]), float(offer["pricing"]["output"]))
            for entry in listed
            for offer in entry["providers"]
            if offer.get("pricing") and (provider in (None, "auto") or offer["provider"] == provider)
        ]
    except _UNREADABLE as error:
        logger.info("The prices of the inference providers cannot be read (%s).", type(error).__name__)
        return None
    return Price(*map(max, zip(*prices, strict=True))) if prices else None


def price_of(annotator: "Annotator", table: Mapping[str, Price] | None = None) -> Price | None:
    """Returns the price of the tokens of an annotator.

    Args:
        annotator (`Annotator`): The annotator. Its price is zero if it is free, its attribute `price`, the price of
            its `name` in a table, or the price that its provider publishes.
        table (`Mapping[str, Price]`, *optional*): The prices of the user.

    Returns:
        `Price` or `None`: The price; `None` if it is not known.

    Example:

        >>> from freeal_hf.annotators.column import ColumnAnnotator
        >>> price_of(ColumnAnnotator({}, "guess"))
        Price(prompt=0.0, completion=0.0, cached=None)
    """
    if annotator.is_free:
        return Price(0.0, 0.0)
    return annotator.price or (table or {}).get(str(annotator.name)) or annotator.published_price()
