"""Chat completions, sent by aiohttp to the provider that huggingface_hub chooses."""

import json
import math
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.request import getproxies

import certifi
from aiohttp import ClientResponseError, ClientSession, ClientTimeout, TCPConnector
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.inference._providers import get_provider_helper
from yarl import URL

from freeal_hf.annotators.event_stream import completion_in
from freeal_hf.annotators.final_answer import said_in
from freeal_hf.annotators.http_errors import HTTP_ERRORS, error_object, explained, redacted
from freeal_hf.annotators.json_bytes import json_bytes
from freeal_hf.annotators.logprobs import TokenLogprobs
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion
from freeal_hf.errors import AnnotatorError, TransientError, offline_hint

_MOST_SHOWN = 100  # characters of a body that is not JSON
_SHORTEST_KEY = 16  # characters; shorter ones ("none", "EMPTY") are no secret, and may be a label


class Route(NamedTuple):
    """The address of chat completions, the headers of a call, and the name of the model in its body."""

    url: URL
    headers: Mapping[str, str]
    model: str


class ChatClient:
    """Sends chat completions to the provider that huggingface_hub chooses, by aiohttp.

    huggingface_hub finds the address, the key and the name of a model once. Its `AsyncInferenceClient` is not used for
    the calls, because it takes several times the processor time of aiohttp, and converts the `json_schema` of OpenAI
    to the format of text-generation-inference if it is given a URL. vLLM, SGLang, llama.cpp, Ollama and OpenAI ignore
    or refuse this format, and the constraint is lost without an error.

    Args:
        model (`str`, *optional*): The model id or the URL of the server.
        provider (`str`, *optional*): The inference provider.
        token (`str`, *optional*): The key; by default that of huggingface_hub.
        timeout (`float`): Time limit of a call, in seconds.
    """

    def __init__(self, model: str | None, *, provider: str | None, token: str | None, timeout: float) -> None:
        self.model = model
        self.provider = provider
        self.token = token
        self.timeout = timeout
        self._routes: dict[str | None, Route] = {}
        self._session: ClientSession | None = None

    async def post(self, model: str | None, messages: Sequence[Message], fields: Mapping[str, Any]) -> Any:
        """Makes one call.

        Args:
            model (`str`, *optional*): Name of the model in the request.
            messages (`Sequence[Mapping[str, str]]`): The chat.
            fields (`Mapping`): The other fields of the request.

        Returns:
            `Any`: The JSON of the response.
        """
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled
        route = self._routes.get(model) or self._routes.setdefault(model, self._route(model))
        if self._session is None:
            self._session = _new_session(self.timeout)
        body = json_bytes({"model": route.model, "messages": messages, **fields})
        async with self._session.post(route.url, data=body, headers=route.headers) as response:
            content = await response.read()
        if response.status >= 400:
            raise ClientResponseError(
                response.request_info,
                response.history,
                status=response.status,
                message=content.decode("utf-8", "replace"),
                headers=response.headers,
            )
        return completion_in(content)

    def _route(self, model: str | None) -> Route:
        place = self.model or model
        helper = get_provider_helper(self.provider, task="conversational", model=place)  # type: ignore[arg-type]
        prepared = helper.prepare_request(
            inputs=[], parameters={"model": model or self.model}, headers={}, model=place, api_key=self.token
        )
        return Route(URL(prepared.url), prepared.headers, cast(dict[str, Any], prepared.json)["model"])

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _new_session(timeout: float | None) -> ClientSession:
    """Opens a pool of connections without a limit, because the driver limits the number of simultaneous calls."""
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())  # a Python of python.org has no certificates of its own
    return ClientSession(
        connector=TCPConnector(limit=0, ssl=trusted),
        timeout=ClientTimeout(total=timeout),
        trust_env=bool(getproxies()),  # aiohttp looks them up in a thread for each call
    )


async def complete(
    client: ChatClient,
    messages: Sequence[Message],
    *,
    model: str | None,
    extra: Mapping[str, Any],
    **sampling: Any,
) -> Completion:
    """Makes one chat completion.

    Args:
        client (`ChatClient`): The client.
        messages (`Sequence[Mapping[str, str]]`): The chat.
        model (`str`, *optional*): Name of the model in the request.
        extra (`Mapping`): Further fields of the request, `response_format` among them.
        **sampling: `max_tokens`, `temperature`, `seed`, `logprobs`, `top_logprobs`; `None` leaves one out.

    Raises:
        TransientError, RefusedError, AnnotatorError: See `freeal_hf.annotators.http_errors.explained`.
    """
    fields = {name: value for name, value in (sampling | dict(extra)).items() if value is not None}
    try:
        payload = await client.post(model, messages, fields)
        if (failure := error_object(payload, str(client.model), client.token)) is not None:
            raise failure
        answer = completion_of(payload, messages)
        if len(client.token or "") < _SHORTEST_KEY:
            return answer
        # Some gateways answer with status 200 and an error as plain text, which contains the key.
        return answer._replace(text=redacted(answer.text, client.token))
    except HTTP_ERRORS as error:
        raise explained(error, str(client.model), client.token) from error
    except json.JSONDecodeError as error:
        start = redacted(" ".join(error.doc[:_MOST_SHOWN].split()), client.token)
        begins = f"begins with {start!r}" if start else "is empty"
        detail = f"the server's answer is not a chat completion: its body is not JSON and {begins}"
        raise TransientError("broken response", detail) from error
    except (UnicodeDecodeError, TypeError, AttributeError) as error:
        detail = f"the server's answer is not a chat completion ({type(error).__name__}: {error})"
        raise TransientError("broken response", detail) from error
    except ValueError as error:  # raised by huggingface_hub: no token, unknown provider
        raise AnnotatorError(f"huggingface_hub cannot make the call: {error}{offline_hint()}") from error


def completion_of(completion: Mapping[str, Any], messages: Sequence[Message]) -> Completion:
    """Reads the body of a response.

    Raises:
        TransientError: If it is not a chat completion.
    """
    try:
        return _answer(completion, messages)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        detail = f"the server's answer is not a chat completion ({type(error).__name__}: {error})"
        raise TransientError("broken response", detail) from error


def _answer(completion: Mapping[str, Any], messages: Sequence[Message]) -> Completion:
    choice = completion["choices"][0]
    is_cut_off = choice.get("finish_reason") == "length"
    text, is_refused = said_in(choice["message"], is_cut_off=is_cut_off)
    usage = completion.get("usage") or {}
    return Completion(
        text=text,
        is_cut_off=is_cut_off,
        is_filtered=is_refused or choice.get("finish_reason") == "content_filter",
        tokens=_tokens(choice.get("logprobs")),
        prompt_tokens=_told(usage.get("prompt_tokens")) or _estimated(*(one["content"] for one in messages)),
        completion_tokens=_told(usage.get("completion_tokens")) or _estimated(text),
        cached_tokens=_cached(usage),
    )


def _cached(usage: Mapping[str, Any]) -> int:
    """Returns the number of input tokens that were read from the prompt cache; 0 if the server does not report it."""
    details = usage.get("prompt_tokens_details")
    if isinstance(details, Mapping):
        return _told(details.get("cached_tokens"))
    return _told(usage.get("prompt_cache_hit_tokens"))


def _told(count: object) -> int:
    return count if isinstance(count, int) and count > 0 else 0


def _estimated(*texts: str) -> int:
    """Estimates the number of tokens if the server does not count them, because the budget needs it."""
    return sum(len(text.encode("utf-8", "replace")) for text in texts) // 4


def _tokens(logprobs: Any) -> tuple[TokenLogprobs, ...]:
    """Returns the tokens of an answer. There are none if the server has another format, which its test finds out."""
    try:
        return tuple(map(_token, logprobs["content"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def _token(entry: Mapping[str, Any]) -> TokenLogprobs:
    # JSON has no infinity, so that some servers write null for impossible tokens
    alternatives = {
        str(other["token"]): float(value)
        for other in entry.get("top_logprobs") or ()
        if (value := other["logprob"]) is not None
    }
    if math.isnan(logprob := float(entry["logprob"])):
        raise ValueError("a log-probability is not a number")
    return TokenLogprobs(str(entry["token"]), logprob, alternatives)
