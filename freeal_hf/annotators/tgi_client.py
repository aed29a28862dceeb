"""The client of text-generation with further routes and errors. It needs the extra `freeal-hf[tgi]`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientError, ClientResponseError, ClientSession, TCPConnector
from pydantic import ValidationError
from text_generation import AsyncClient
from text_generation.types import Parameters, Request, Response

from freeal_hf.annotators.http_errors import error_object, explained
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.errors import AnnotatorError, RefusedError, TransientError


class TGIClient(AsyncClient):
    """`AsyncClient` with one connection pool, further routes, and errors with a remedy.

    `AsyncClient` opens a connection for each call and drops the status and `Retry-After` of a failure. Requests and
    responses have the types of `AsyncClient`.

    Args:
        base_url (`str`): Address of the server.
        key (`str`, *optional*): Bearer token.
        timeout (`float`): Time limit of one call, in seconds.
    """

    def __init__(self, base_url: str, key: str | None, timeout: float) -> None:
        super().__init__(base_url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=timeout)
        self._key = key
        self._session: ClientSession | None = None

    async def __aenter__(self) -> "TGIClient":
        # The driver limits the number of simultaneous calls.
        self._session = ClientSession(headers=self.headers, timeout=self.timeout, connector=TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._opened(), None
        await session.close()

    async def complete(self, prompt: str, **parameters: Any) -> tuple[Response, int]:
        """Generates the continuation of a prompt.

        Args:
            prompt (`str`): The raw prompt.
            **parameters: As in `text_generation.types.Parameters`.

        Returns:
            `tuple[Response, int]`: The response with the details of its tokens, and the number of tokens of the prompt
            (0 if the server does not return it).

        Raises:
            TransientError, RefusedError, AnnotatorError: See `freeal_hf.annotators.http_errors.explained`.
        """
        request = Request(inputs=prompt, parameters=Parameters(details=True, **parameters))
        payload, headers = await self._call("POST", "/generate", request.model_dump())
        if (failure := error_object(payload, f"{self.base_url}/generate", self._key)) is not None:
            raise failure
        try:
            return Response(**payload), int(headers.get("x-prompt-tokens", 0))
        except (ValidationError, TypeError) as error:
            raise TransientError(
                "broken response", f"the response of the server has no generated text: {error}"
            ) from error

    async def info(self) -> dict[str, Any]:
        """Returns the information of the server about itself and its model."""
        payload, _ = await self._call("GET", "/info")
        return payload

    async def chat_tokenize(self, messages: Sequence[Message]) -> tuple[str, list[dict[str, Any]]]:
        """Returns a chat in the template of the model as a raw prompt, and its tokens (`id`, `text`)."""
        payload, _ = await self._call("POST", "/chat_tokenize", {"messages": list(messages)})
        return payload["templated_text"], payload["tokenize_response"]

    async def tokenize(self, prompt: str) -> list[dict[str, Any]]:
        """Returns the tokens (`id`, `text`) of a raw prompt."""
        payload, _ = await self._call("POST", "/tokenize", {"inputs": prompt})
        return payload

    async def _call(self, method: str, route: str, body: Any = None) -> tuple[Any, Mapping[str, str]]:
        url = f"{self.base_url}{route}"
        try:
            async with self._opened().request(method, url, json=body) as response:
                if response.status != 200:
                    raise ClientResponseError(
                        response.request_info,
                        response.history,
                        status=response.status,
                        message=await response.text(),
                        headers=response.headers,
                    )
                return await response.json(content_type=None), response.headers
        except ClientResponseError as error:
            raise self._explained(error, url) from error
        except (ClientError, OSError, asyncio.TimeoutError) as error:
            raise explained(error, url, self._key) from error
        except ValueError as error:
            raise TransientError("broken response", f"the response of the server is not JSON ({error})") from error

    def _explained(self, error: ClientResponseError, url: str) -> Exception:
        if error.status == 404:
            return AnnotatorError(
                f"{url} does not exist (404): is this a text-generation-inference server, and does it have a fast "
                "tokenizer? For an OpenAI-compatible server, use endpoint:URL."
            )
        meant = explained(error, url, self._key)
        if error.status == 424:  # the model failed while it generated
            return TransientError("server error", str(meant))
        if isinstance(meant, RefusedError) and "`inputs`" in error.message:  # the text is too long
            return RefusedError("text too long", str(meant))
        return meant

    def _opened(self) -> ClientSession:
        if self._session is None:
            raise AnnotatorError("Enter the annotator first: `async with annotator: await annotator.annotate(...)`.")
        return self._session
