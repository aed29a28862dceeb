"""Calls a JSON API over HTTP with the asynchronous client of huggingface_hub."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from freeal_hf.annotators.http_errors import HTTP_ERRORS, error_object, explained, redacted
from freeal_hf.errors import AnnotatorError, TransientError

_MOST_SHOWN = 100  # characters of a body that is not JSON
_SHORTEST_KEY = 16  # characters; shorter ones ("none", "EMPTY") are no secret, and may be a label


class JsonApi:
    """A JSON API. It is an asynchronous context manager, and must be entered in the event loop of its calls.

    Redirects are not followed, because the headers contain a key.

    Args:
        url (`str`): The address of the server, without the path.
        headers (`Mapping[str, str]`): The headers of each call.
        secret (`str`, *optional*): The key in the headers. It is redacted in all messages of the server.
    """

    def __init__(self, url: str, headers: Mapping[str, str], secret: str | None) -> None:
        self.url = url
        self.secret = secret
        self._headers = dict(headers)
        self._client: Any = None

    async def __aenter__(self) -> "JsonApi":
        try:
            from huggingface_hub.utils import get_async_session
        except ImportError as error:
            raise AnnotatorError(
                "This annotator needs huggingface_hub 1.0 or newer: pip install -U huggingface_hub."
            ) from error
        self._client = get_async_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def call(self, method: str, path: str, *, timeout: float, **content: Any) -> Any:
        """Makes a call and returns the JSON of the response.

        Args:
            method (`str`): The HTTP method.
            path (`str`): The path, beginning with a slash.
            timeout (`float`): Time limit of each step of the call, in seconds.
            **content: `json`, `params`, `data` and `files`, as in httpx.

        Raises:
            TransientError, RefusedError, AnnotatorError: See `freeal_hf.annotators.http_errors.explained`.
        """
        text = await self._text(method, path, timeout, content)
        payload = self._parsed(text)
        if not isinstance(payload, dict):
            raise TransientError("broken response", f"the server's answer is not a JSON object: {self._start(text)}")
        # A batch that failed has `errors`, and is no error of the call.
        failure = error_object(payload, self.url, self.secret) if payload.get("error") else None
        if failure is not None:
            raise failure
        return payload

    async def lines(self, path: str, *, timeout: float) -> list[Any]:
        """Reads a file of JSON lines.

        Raises:
            TransientError, RefusedError, AnnotatorError: As `call`; `TransientError` if a line is not JSON.
        """
        text = await self._text("GET", path, timeout, {})
        return [self._parsed(line) for line in text.split("\n") if line.strip()]

    async def _text(self, method: str, path: str, timeout: float, content: dict[str, Any]) -> str:
        if self._client is None:
            raise AnnotatorError("Enter the annotator first: `async with annotator: await annotator.annotate(...)`.")
        try:
            response = await self._client.request(
                method, self.url + path, headers=self._headers, timeout=timeout, follow_redirects=False, **content
            )
            response.raise_for_status()
            text = str(response.text)
        except HTTP_ERRORS as error:
            raise explained(error, self.url, self.secret) from error
        # Some gateways answer with status 200 and an error as text, which contains the key.
        return text.replace(self.secret, "***") if self.secret and len(self.secret) >= _SHORTEST_KEY else text

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            detail = f"the server's answer is not JSON: {self._start(text)}"
            raise TransientError("broken response", detail) from error

    def _start(self, text: str) -> str:
        return repr(redacted(" ".join(text.split())[:_MOST_SHOWN], self.secret))
