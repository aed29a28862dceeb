"""Calls to the Hub, with retries, and errors with a remedy."""

import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from freeal_hf.annotators.http_errors import HTTP_ERRORS
from freeal_hf.errors import HubChanged, HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ERRORS: tuple[type[Exception], ...] = (*HTTP_ERRORS, ValueError)
_CAUGHT: tuple[type[Exception], ...] = (*_ERRORS, RuntimeError)
_TRIES = 5
_LONGEST_WAIT = 60.0
_TOKENS_PAGE = "https://huggingface.co/settings/tokens"


def connect(token: str | None = None) -> "HfApi":
    """Creates a client of the Hub.

    Args:
        token (`str`, *optional*): The access token. Defaults to that of `hf auth login` or `HF_TOKEN`.

    Returns:
        `HfApi`: The client.
    """
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="freeal-hf")


def calling(place: str, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Calls the Hub, and repeats the call after a rate limit, a server error or a lost connection.

    Args:
        place (`str`): The repository or page, for messages.
        call (`Callable`): A method of a client, which must be safe to repeat.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Returns:
        `Any`: The result of the method.

    Raises:
        HubChanged: If the repository has changed since the given parent commit.
        HubError: If the Hub refuses, or cannot be reached after several tries.

    Example:

        ```python
        api = connect()
        name = calling("your account", api.whoami)["name"]
        ```
    """
    for number in range(1, _TRIES + 1):
        try:
            return call(*args, **kwargs)
        except _CAUGHT as raised:
            # A failed upload is wrapped in a RuntimeError.
            error = raised.__cause__ if isinstance(raised, RuntimeError) else raised
            if not isinstance(error, _ERRORS) or getattr(error, "filename", None):
                raise  # not an error of the Hub, but of this package or a local file
            if number == _TRIES or not _may_pass(error):
                raise explained(place, error) from error
            wait = _wait(error, number)
            logger.info("%s: %s; trying again in %.0f s", place, type(error).__name__, wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def explained(place: str, error: Exception) -> HubError:
    """Converts an error of huggingface_hub to one with a remedy.

    Args:
        place (`str`): The repository or page of the call.
        error (`Exception`): The error of the client.

    Returns:
        `HubError`: The error to raise.

    Example:

        >>> str(explained("Space ada/freeal", ConnectionError()))
        'The Hub cannot be reached for Space ada/freeal (ConnectionError); check the network and try again.'
    """
    from huggingface_hub.errors import LocalEntryNotFoundError, LocalTokenNotFoundError, OfflineModeIsEnabled

    status, said = _status(error), _said(error)
    if isinstance(error, LocalTokenNotFoundError):
        return HubError("There is no Hugging Face token: log in with `hf auth login`, or set HF_TOKEN.")
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(f"huggingface_hub is in offline mode and cannot call {place}: unset HF_HUB_OFFLINE.")
    if status == 401:
        return HubError(
            f"The Hub does not accept the token for {place} (401), or the repository does not exist. Log in again "
            f"with `hf auth login`, or set HF_TOKEN to a valid token ({_TOKENS_PAGE}). The Hub says: {said}"
        )
    if status == 403:
        return HubError(
            f"The token has no write access to {place} (403). Use one with write access ({_TOKENS_PAGE}), or another "
            f"--hub-dataset-id and --hub-model-id. The Hub says: {said}"
        )
    if status == 404:
        return HubError(f"There is no {place} (404), or the token has no access to it. The Hub says: {said}")
    if status == 412:
        return HubChanged(f"{place} changed while a round was pushed.")
    if status is not None:
        return HubError(f"{place}: the Hub answered {status}: {said}")
    if isinstance(error, ValueError) and not isinstance(error, LocalEntryNotFoundError):
        return HubError(f"{place}: {said}")
    return HubError(
        f"The Hub cannot be reached for {place} ({type(error).__name__}); check the network and try again."
    )


def _may_pass(error: Exception) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError, LocalTokenNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalTokenNotFoundError | OfflineModeIsEnabled):
        return False
    if isinstance(error, LocalEntryNotFoundError):
        return True  # raised by a download after a server error
    status = _status(error)
    if status is not None:
        return status == 429 or status >= 500
    return not isinstance(error, ValueError)


def _wait(error: Exception, number: int) -> float:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    # The Hub sends RateLimit: "api";r=0;t=55, and a proxy may send Retry-After.
    told = re.search(r"t=(\d+)", headers.get("RateLimit") or "") or re.match(
        r"(\d+)$", headers.get("Retry-After") or ""
    )
    return min(float(told[1]) if told else 2.0 ** (number - 1), _LONGEST_WAIT)


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _said(error: Exception) -> str:
    said = getattr(error, "server_message", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"hf_\w+", "hf_***", " ".join(str(said).split()))[:300]
