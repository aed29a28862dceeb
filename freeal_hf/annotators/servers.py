"""Checks the settings of a server: its address, its key, and limits for the calls."""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from freeal_hf.annotators.http_errors import public_url
from freeal_hf.errors import AnnotatorError, InputError, RefusedError, RejectedError, TransientError

logger = logging.getLogger(__name__)

_NO_CHAT = re.compile(
    r"embed|rerank|\b(?:bge|gte|e5|minilm|clip|sdxl|flux)\b|whisper|\btts\b|speech|audio|dall-?e|diffusion|"
    r"moderation|guard|\bocr\b",
    re.IGNORECASE,
)
"""Names of models that are not made for chat. They are tried last."""

_MOST_TRIED = 8

_KEY_IN_QUERY = re.compile(r"(?:^|&)[^=]*(?:key|token|secret|password|sig)[^=]*=", re.IGNORECASE)
_NAME_OF_KEY = re.compile(r"(?:^|[_-])(?:token|api[_-]?key|key|secret|password|authorization)$", re.IGNORECASE)


def given_key(token: str | None, api_key_env: str | None) -> str | None:
    """Returns the key that the user gave, if any.

    Args:
        token (`str`, *optional*): The key itself.
        api_key_env (`str`, *optional*): Name of the environment variable that contains the key.

    Raises:
        AnnotatorError: If the environment variable is not set, or its value cannot be a key.
        InputError: If both are given.
    """
    if api_key_env is None:
        return token
    if token is not None:
        raise InputError("token and api_key_env are both given; leave one of them out.")
    key = os.environ.get(api_key_env, "").strip()
    if not key:
        raise AnnotatorError(f"The environment variable {api_key_env!r} is not set; set it to the key of the server.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise AnnotatorError(
            f"The environment variable {api_key_env!r} is not a key: it has spaces, line breaks or non-ASCII "
            "characters. Copy the key again."
        )
    return key


def run_in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine in another thread, because an event loop can be running in this one."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, work).result()


def check_address(url: str) -> None:
    """Refuses an invalid address, and an address that contains a key, because addresses are written to files.

    Args:
        url (`str`): The address.

    Raises:
        InputError: If it does not begin with http:// or https:// and a host, its port is invalid, or it has a user, a
            password, or a field of the query that looks like a key.

    Example:

        >>> check_address("http://127.0.0.1:8080")
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # invalid port or IPv6 address
        is_address = False
    if not is_address or re.search(r"\s", url):
        raise InputError(
            f"{url!r} is not the address of a server; it must look like http://127.0.0.1:8080 or https://HOST/v1."
        )
    if parts.username or parts.password or _KEY_IN_QUERY.search(parts.query):
        raise InputError(
            f"The address of {public_url(url)} contains a key, and addresses are written to files. Leave it out, put "
            "it into an environment variable, and give its name as api_key_env."
        )


def check_options(options: Mapping[str, Any]) -> None:
    """Refuses options, at any depth, whose name looks like a key, because options are written to `config.yaml`.

    Args:
        options (`Mapping[str, Any]`): Options of an annotator.

    Raises:
        InputError: If there is such an option. Its value is not shown.

    Example:

        >>> check_options({"concurrency": 8, "api_key_env": "MY_KEY"})
    """
    for name, value in options.items():
        if _NAME_OF_KEY.search(name) and value is not None:
            raise InputError(
                f"The annotator option {name!r} looks like a token or a key, and options are written to config.yaml. "
                "Put it into an environment variable and give its name as api_key_env, or log in with `hf auth login`."
            )
        if isinstance(value, Mapping):
            check_options(value)


def check_limits(**values: object) -> None:
    """Refuses limits that are not above zero.

    Args:
        **values: The limits by name.

    Raises:
        InputError: If a value is not a number above zero.
    """
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            raise InputError(f"{name} is {value!r}; it must be a number above zero.")


def check_temperatures(**values: object) -> None:
    """Refuses invalid temperatures.

    Args:
        **values: The temperatures by name.

    Raises:
        InputError: If a value is not a number of at least zero.
    """
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise InputError(f"{name} is {value!r}; it must be a number of at least zero.")


async def chosen_model(names: Sequence[str], answers: Callable[[str], Awaitable[None]], *, timeout: float) -> str:
    """Returns the first model of a server that answers a plain question.

    Models whose names indicate another use (embeddings, speech, images) are tried last.

    Args:
        names (`Sequence[str]`): The models, as the server lists them.
        answers (`Callable`): Sends a plain question to a model, and raises an error if there is no answer.
        timeout (`float`): Time limit of an answer, in seconds.

    Returns:
        `str`: The name of the model.

    Raises:
        AnnotatorError: If none of the first models answers, or the server refuses the key.
    """
    said: Exception | None = None
    tried = sorted(names, key=lambda name: bool(_NO_CHAT.search(name)))[:_MOST_TRIED]
    for name in tried:
        try:
            await asyncio.wait_for(answers(name), timeout)
            return name
        except (TransientError, RefusedError, RejectedError, asyncio.TimeoutError) as error:
            logger.info("Model %s: no answer (%s).", name, error or type(error).__name__)
            said = said or error
    raise AnnotatorError(
        f"The server has {len(names)} models, and none of the {len(tried)} that were tried answered a plain question "
        f"(the first, {tried[0]!r}: {said or type(said).__name__}). Give one as endpoint:MODEL@URL. Its models "
        f"are {', '.join(map(repr, names[:20]))}{' and others' if len(names) > 20 else ''}."
    ) from said
