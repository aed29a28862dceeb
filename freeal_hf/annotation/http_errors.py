"""What an HTTP failure means: try again, give this text up, or end the run; and how to mend it."""

import importlib
import re
import time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub.errors import InferenceTimeoutError, OfflineModeIsEnabled

from freeal_hf.annotation.calls import RefusedError, TransientError
from freeal_hf.errors import AnnotatorError

_TOO_LONG = re.compile(r"context.{0,20}(?:length|window|size)|too (?:long|large)|inputs?\W{0,2} tokens", re.I)
_FILTERED = re.compile(r"content.?(?:filter|policy|management)|moderation|safety", re.I)
_NO_QUOTA = re.compile(r"insufficient_quota|exceeded your (?:current quota|monthly)|billing", re.I)
_MOST_SAID = 300  # characters of a server's message that are worth showing


def _http_errors() -> tuple[type[Exception], ...]:
    # huggingface_hub speaks through aiohttp up to 0.36, httpx from 1.0 and httpx2 from 2.0
    module = importlib.import_module(InferenceTimeoutError.__mro__[1].__module__.partition(".")[0])
    if module.__name__ == "requests":
        return (importlib.import_module("aiohttp").ClientError, InferenceTimeoutError, OSError)
    return (module.HTTPError, InferenceTimeoutError, OSError)


HTTP_ERRORS: tuple[type[Exception], ...] = _http_errors()
"""What a call through huggingface_hub's asynchronous client raises when the server or the way to it fails."""


def explained(error: Exception, url: str, secret: str | None) -> Exception:
    """The driver's error for a failure of an HTTP call.

    Args:
        error (`Exception`): One of `HTTP_ERRORS`.
        url (`str`): Where the call went, or the model that was asked.
        secret (`str`, *optional*): The key that was sent; it is blotted out of whatever the server said.

    Returns:
        `TransientError`, `RefusedError` or `AnnotatorError`; raise it from `error`.
    """
    place = public_url(url)
    status, headers, said = _response(error)
    said = " ".join(blotted(said, secret).split())[:_MOST_SAID]
    if isinstance(error, OfflineModeIsEnabled):
        return AnnotatorError(
            f"huggingface_hub is in offline mode and makes no call, not even to {place}: unset HF_HUB_OFFLINE."
        )
    if status is None:
        if isinstance(error, InferenceTimeoutError | TimeoutError) or "Timeout" in type(error).__name__:
            return TransientError("timeout", f"{place} did not answer in time")
        return TransientError(
            "connection failed",
            f"{place} cannot be reached ({type(error).__name__}); check the address and the network",
        )
    if status == 401:
        return AnnotatorError(
            f"{place} refused the key (401): {said} Give a valid one: `hf auth login`, HF_TOKEN, or the environment "
            "variable that api_key_env names."
        )
    if status in (402, 403) or (status == 429 and _NO_QUOTA.search(said)):
        return AnnotatorError(
            f"{place} does not let this key use the model ({status}): {said} Accept the model's terms, add credit, or "
            "use a key with the right to make inference calls."
        )
    if status == 404:
        return AnnotatorError(
            f"{place} knows no such model or path (404): {said} Check the model's name, and that the address ends "
            "where `/v1/chat/completions` begins."
        )
    if status == 429:
        return TransientError(
            "rate limited", f"{place}: {status} {said}", retry_after=_retry_after(headers), overloaded=True
        )
    if status in (503, 529):
        return TransientError(
            "server error", f"{place}: {status} {said}", retry_after=_retry_after(headers), overloaded=True
        )
    if status >= 500 or status in (408, 409, 425):
        return TransientError("server error", f"{place}: {status} {said}", retry_after=_retry_after(headers))
    if status == 413 or _TOO_LONG.search(said):
        return RefusedError("text too long", f"{place}: {status} {said}")
    if _FILTERED.search(said):
        return RefusedError("content filter", f"{place}: {status} {said}")
    return RefusedError("request refused", f"{place}: {status} {said}")


def blotted(text: str, secret: str | None) -> str:
    """What a server said, without the key that was sent to it."""
    return text.replace(secret, "***") if secret else text


@lru_cache(maxsize=16)
def public_url(url: str) -> str:
    """An address without user, password, query and fragment, which may hold a key; a model id as it is."""
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}".rstrip("/")


def _response(error: Any) -> tuple[int | None, Any, str]:
    if hasattr(error, "response") and error.response is not None:  # httpx
        return error.response.status_code, error.response.headers, error.response.text
    if hasattr(error, "status") and hasattr(error, "headers"):  # aiohttp
        return error.status, error.headers or {}, str(getattr(error, "response_error_payload", "") or error.message)
    return None, {}, ""


def _retry_after(headers: Any) -> float | None:
    value = headers.get("Retry-After")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
