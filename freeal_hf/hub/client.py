"""Calls to the Hub: tried again while that can help, and errors that say what to do."""

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
    """A client of the Hub.

    Args:
        token (`str`, *optional*): Access token; by default the one of `hf auth login` or `HF_TOKEN`.
    """
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="freeal-hf")


def calling(place: str, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Calls the Hub, again after a rate limit, a server error or a lost connection.

    Args:
        place (`str`): Repository or page that the call is about, for messages.
        call (`Callable`): Method of a client; it must be safe to repeat.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Raises:
        HubChanged: If the repository changed since the parent commit that was named.
        HubError: If the Hub refuses, or cannot be reached after several tries.
    """
    for number in range(1, _TRIES + 1):
        try:
            return call(*args, **kwargs)
        except _CAUGHT as raised:
            # A failed upload comes wrapped in a RuntimeError.
            error = raised.__cause__ if isinstance(raised, RuntimeError) else raised
            if not isinstance(error, _ERRORS) or getattr(error, "filename", None):
                raise  # a mistake of ours or a local file, not the Hub
            if number == _TRIES or not _may_pass(error):
                raise explained(place, error) from error
            wait = _wait(error, number)
            logger.info("%s: %s; trying again in %.0f s", place, type(error).__name__, wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def explained(place: str, error: Exception) -> HubError:
    """The error to raise for one of huggingface_hub's.

    Args:
        place (`str`): Repository or page that the call was about.
        error (`Exception`): What the client raised.
    """
    from huggingface_hub.errors import LocalEntryNotFoundError, LocalTokenNotFoundError, OfflineModeIsEnabled

    status, said = _status(error), _said(error)
    if isinstance(error, LocalTokenNotFoundError):
        return HubError("No Hugging Face token is there: log in with `hf auth login`, or set HF_TOKEN.")
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(f"huggingface_hub is in offline mode and does not call {place}: unset HF_HUB_OFFLINE.")
    if status == 401:
        return HubError(
            f"The Hub does not accept the token for {place} (401), or the repository does not exist. Log in again "
            f"with `hf auth login`, or set HF_TOKEN to a valid token ({_TOKENS_PAGE}). The Hub says: {said}"
        )
    if status == 403:
        return HubError(
            f"The token may not write to {place} (403). Use one with write access to it ({_TOKENS_PAGE}), or another "
            f"--hub-dataset-id and --hub-model-id. The Hub says: {said}"
        )
    if status == 404:
        return HubError(f"There is no {place} (404), or the token may not see it. The Hub says: {said}")
    if status == 412:
        return HubChanged(f"{place} changed while a round was pushed.")
    if status is not None:
        return HubError(f"{place}: the Hub answered {status}: {said}")
    if isinstance(error, ValueError) and not isinstance(error, LocalEntryNotFoundError):
        return HubError(f"{place}: {said}")
    return HubError(f"The Hub cannot be reached for {place} ({type(error).__name__}); check the network, then repeat.")


def _may_pass(error: Exception) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError, LocalTokenNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalTokenNotFoundError | OfflineModeIsEnabled):
        return False
    if isinstance(error, LocalEntryNotFoundError):
        return True  # what a download makes of a server that failed
    status = _status(error)
    if status is not None:
        return status == 429 or status >= 500
    return not isinstance(error, ValueError)


def _wait(error: Exception, number: int) -> float:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    # RateLimit: "api";r=0;t=55 is what the Hub sends, Retry-After what a proxy before it may send.
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
