"""Converts HTTP errors to errors that repeat the call, give up the text or end the run, with a remedy."""

import asyncio
import importlib
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from huggingface_hub.errors import InferenceTimeoutError, OfflineModeIsEnabled

from freeal_hf.errors import AnnotatorError, RefusedError, RejectedError, TransientError

_TOO_LONG = re.compile(r"context.{0,20}(?:length|window|size)|too (?:long|large)|inputs?\W{0,2} tokens", re.I)
_FILTERED = re.compile(r"content.?(?:filter|policy|management)|moderation|safety", re.I)
_NO_CREDIT = re.compile(r"insufficient[ _](?:quota|credit|balance|funds)|payment required", re.I)
# If a server gives a time to wait, the limit is temporary.
_LOW_CREDIT = re.compile(r"credit balance is too low", re.I)  # Anthropic, with status 400
_NO_QUOTA = re.compile(
    r"(?:exceeded|used up|exhausted)\W+(?:\w+\W+){0,5}?(?:quota|monthly|credits?)|billing|quota exceeded|"
    r"\bcredits?\b|per[ -]?day|\bdaily\b|per[ -]?month|\bmonthly\b",
    re.I,
)
_RATE_LIMIT = re.compile(r"rate[ _-]?limit|too many requests", re.I)
_WAIT_WORDS = re.compile(
    r"(?:try(?:ing)?(?: again)?|wait|retrydelay\\?\":)(?: for| in| after)*[ \\\"]+"
    r"((?:\d+(?:\.\d+)?\s?(?:ms|milliseconds?|hours?|h|minutes?|min|m|seconds?|sec|s)\b\s?)+|(?:\d+(?:\.\d+)?(?:ms|h|m|s))+)",
    re.I,
)
_STATUS_WORDS = (
    (_NO_CREDIT, 402),
    (_RATE_LIMIT, 429),
    (re.compile(r"overloaded|at capacity|loading", re.I), 503),
    (re.compile(r"invalid.?api.?key|incorrect api key|unauthori[sz]ed|authentication", re.I), 401),
    (re.compile(r"permission|forbidden", re.I), 403),
    (re.compile(r"not.?found|no such model", re.I), 404),
    (
        re.compile(
            r"invalid.?request|unsupported|not.{0,10}support|unknown|unrecogni[sz]ed|not permitted|extra_forbidden|"
            r"bad.?request|validation|context.{0,20}(?:length|window|size)",
            re.I,
        ),
        400,
    ),
)
"""Texts that mean a status in an error object without a number."""

_CODES = ("code", "status", "status_code", "statusCode", "error_code", "errorCode")
_WORDS = ("error", "message", "detail", "errors", "error_message", "msg", "title")
_KEY = re.compile(r"\b(?:hf|sk|gsk|pk|xai|r8|ghp)[-_][A-Za-z0-9_-]{12,}|(?<=Bearer )[^\s\"']{8,}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|h|m|s)", re.I)
_MOST_SAID = 300  # maximum number of characters to show of a message of a server


def _http_errors() -> tuple[type[Exception], ...]:
    # huggingface_hub uses requests up to 0.36, httpx from 1.0 and httpx2 from 2.0
    module = importlib.import_module(InferenceTimeoutError.__mro__[1].__module__.partition(".")[0])
    return (aiohttp.ClientError, module.HTTPError, InferenceTimeoutError, asyncio.TimeoutError, OSError)


HTTP_ERRORS: tuple[type[Exception], ...] = _http_errors()
"""The errors of aiohttp and of the client of huggingface_hub if the server or the connection fails."""


def explained(error: Exception, url: str, secret: str | None) -> Exception:
    """Converts an error of an HTTP call to one for the driver.

    Args:
        error (`Exception`): One of `HTTP_ERRORS`.
        url (`str`): The address of the call, or the model.
        secret (`str`, *optional*): The key of the call, which is redacted in the message of the server.

    Returns:
        `TransientError`, `RefusedError` or `AnnotatorError`: The error; raise it from `error`.
    """
    place = public_url(url)
    status, headers, said = _response(error)
    if isinstance(error, OfflineModeIsEnabled):
        return AnnotatorError(
            f"huggingface_hub is in offline mode and makes no calls, also not to {place}: unset HF_HUB_OFFLINE."
        )
    if status is None:
        if isinstance(error, InferenceTimeoutError | TimeoutError) or "Timeout" in type(error).__name__:
            return TransientError("timeout", f"{place} did not answer in time")
        return TransientError(
            "connection failed",
            f"{place} cannot be reached ({type(error).__name__}); check the address and the network",
        )
    return _meaning(status, place, _shown(_message(said), secret), said, requested_wait(headers, said))


def error_object(payload: Any, url: str, secret: str | None) -> Exception | None:
    """Converts an error that a server sends with status 200 to one for the driver.

    Args:
        payload (`Any`): The JSON body of the response.
        url (`str`), secret (`str`, *optional*): As in `explained`.

    Returns:
        `TransientError`, `RefusedError`, `AnnotatorError` or `None`: The error; `None` if the body is not an error
        object.
    """
    if (found := _error_in(payload)) is None:
        return None
    text = json.dumps(found, ensure_ascii=False)
    status = _status_of(found)
    metadata = found.get("metadata")  # sent by OpenRouter
    headers = metadata.get("headers") if isinstance(metadata, Mapping) else None
    told = headers if isinstance(headers, Mapping) else {}
    wait = requested_wait({str(name).lower(): str(value) for name, value in told.items()}, text)
    return _meaning(status, public_url(url), _shown(_message(text), secret), text, wait)


def _meaning(status: int, place: str, shown: str, said: str, wait: float | None) -> Exception:
    """Returns the error for a status, from the complete message of the server and the part to show."""
    if status == 401:
        return AnnotatorError(
            f"{place} refused the key (401): {shown} Give a valid key: `hf auth login`, HF_TOKEN, or the environment "
            "variable of api_key_env."
        )
    is_limit = status == 429 or (status >= 500 and _RATE_LIMIT.search(said))
    no_quota = is_limit and (_NO_CREDIT.search(said) or (wait is None and _NO_QUOTA.search(said)))
    if status == 402 or no_quota or _LOW_CREDIT.search(said):
        return AnnotatorError(
            f"{place} says that the quota is used up ({status}): {shown} All answers are kept. Add credit, or start "
            "the same command again when the quota is renewed."
        )
    if status == 403:
        return RejectedError(
            f"{place} does not allow this key to use the model (403): {shown} Accept the terms of the model, or use a "
            "key with permission for inference calls."
        )
    if status == 404:
        return RejectedError(
            f"{place} has no such model or path (404): {shown} Check the name of the model, and that the address is "
            "the part before `/v1/chat/completions`."
        )
    said_so = f"{place}: {status} {shown}"
    if is_limit:
        return TransientError("rate limited", said_so, retry_after=wait, overloaded=True)
    if status in (503, 529):
        return TransientError("server error", said_so, retry_after=wait, overloaded=True)
    if status == 413 or _TOO_LONG.search(said):
        return RefusedError("text too long", said_so)
    if (status >= 500 and status != 501) or status in (408, 409, 425):
        return TransientError("server error", said_so, retry_after=wait)
    if _FILTERED.search(said):
        return RefusedError("content filter", said_so)
    return RefusedError("request refused", said_so)


def _error_in(payload: Any) -> Mapping[str, Any] | None:
    """Returns the error object of a body without a completion, in any form that servers use."""
    if isinstance(payload, list) and payload:  # Google's list of one
        payload = payload[0]
    if not isinstance(payload, Mapping):
        return None
    choices = payload.get("choices")
    if isinstance(choices, list) and choices:
        first = choices[0]
        error = first.get("error") if isinstance(first, Mapping) else None
    else:
        error = payload.get("error") or payload.get("errors") or payload.get("detail")
        if not error and (payload.get("object") == "error" or "message" in payload):
            error = payload
    if isinstance(error, list) and len(error) == 1 and isinstance(error[0], Mapping):
        error = error[0]
    if not error:
        return None
    # Some servers put the code next to the error object, not into it.
    beside = {name: payload[name] for name in (*_CODES, "type") if name in payload}
    return {**beside, **error} if isinstance(error, Mapping) else {**beside, "message": error}


def _status_of(error: Mapping[str, Any]) -> int:
    """Returns the HTTP status of an error object. The default is 500, after which the call is repeated."""
    for name in _CODES:
        if str(error.get(name, "")).isdecimal() and 400 <= int(error[name]) < 600:
            return int(error[name])
    text = json.dumps(error, ensure_ascii=False)
    return next((status for pattern, status in _STATUS_WORDS if pattern.search(text)), 500)


def _message(said: str) -> str:
    """Returns the message in a response, which is often inside a JSON object; otherwise the complete response."""
    try:
        found = json.loads(said)
    except ValueError:
        return said
    while isinstance(found, Mapping | list) and found:
        if isinstance(found, list):
            if len(found) > 1 or not isinstance(found[0], Mapping):
                break
            found = found[0]
        elif (name := next((name for name in _WORDS if found.get(name)), None)) is not None:
            if name == "msg" and "loc" in found:  # pydantic: the message needs the place
                break
            found = found[name]
        else:
            break
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _shown(said: str, secret: str | None) -> str:
    text = " ".join(redacted(said, secret).split())[:_MOST_SAID]
    return text if not text or text[-1] in ".!?" else f"{text}."


def redacted(text: str, secret: str | None) -> str:
    """Redacts the key of the call, and all texts that look like keys, in a message of a server.

    Example:

        >>> redacted("Incorrect key my-key or hf_abcdefghijklmnop.", secret="my-key")
        'Incorrect key *** or ***.'
    """
    return _KEY.sub("***", text.replace(secret, "***") if secret else text)


@lru_cache(maxsize=16)
def public_url(url: str) -> str:
    """Removes user, password, query and fragment, which can contain a key, from an address.

    Example:

        >>> public_url("https://me:secret@host/v1?key=secret"), public_url("org/model")
        ('https://host/v1', 'org/model')
    """
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


def requested_wait(headers: Any, said: str) -> float | None:
    """Returns the time that a server asks to wait, from its headers or its message.

    Args:
        headers (`Mapping`): The headers of the response: `Retry-After` in seconds or as a date, `retry-after-ms`,
            `RateLimit`, `x-ratelimit-reset` and its variants for requests and tokens.
        said (`str`): The message of the server.

    Returns:
        `float` or `None`: The time in seconds; `None` if the server gives none.

    Example:

        >>> requested_wait({"retry-after": "20"}, ""), requested_wait({}, "Please try again in 1m30s.")
        (20.0, 90.0)
    """
    value = str(headers.get("retry-after-ms") or "")
    if _NUMBER.fullmatch(value):
        return float(value) / 1000
    value = str(headers.get("retry-after") or headers.get("Retry-After") or "").strip()
    if value and (wait := _seconds(value)) is not None:
        return wait
    limits = {str(name).lower(): str(content) for name, content in headers.items()}
    if found := re.search(r"\b(?:t|reset)=(\d+)", limits.get("ratelimit", "")):
        return float(found[1])
    waits = {
        name: wait
        for name, content in limits.items()
        if "ratelimit" in name and "reset" in name and (wait := _seconds(content)) is not None
    }
    used_up = [wait for name, wait in waits.items() if limits.get(name.replace("reset", "remaining")) == "0"]
    if waits:
        return max(used_up) if used_up else min(waits.values())
    if found := _WAIT_WORDS.search(said):
        return sum(float(part[1]) * _UNITS[part[2].lower()] for part in _DURATION.finditer(found[1]))
    return None


def _seconds(value: str) -> float | None:
    """Parses a time to wait: seconds, `6m0s`, `20ms`, a date, or a time since 1970 in seconds or milliseconds."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number > 1e11:
            number /= 1000
        return max(0.0, number - time.time() if number > 1e9 else number)
    parts = list(_DURATION.finditer(value.lower()))
    if parts and "".join(part[0] for part in parts) == value.lower():
        return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        try:
            date = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, date.timestamp() - time.time())
