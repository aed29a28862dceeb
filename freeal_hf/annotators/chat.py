"""Chat completions by the client of huggingface_hub, sent by aiohttp, with constraints that are not changed."""

import json
import math
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.request import getproxies

import certifi
from aiohttp import ClientResponseError, ClientSession, ClientTimeout, TCPConnector
from huggingface_hub import AsyncInferenceClient, constants
from huggingface_hub.errors import OfflineModeIsEnabled

from freeal_hf.annotators.event_stream import completion_in
from freeal_hf.annotators.final_answer import said_in
from freeal_hf.annotators.http_errors import HTTP_ERRORS, error_object, explained, redacted
from freeal_hf.annotators.logprobs import TokenLogprobs
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion
from freeal_hf.errors import AnnotatorError, TransientError, offline_hint

_OURS = "freeal"
_MOST_SHOWN = 100  # characters of a body that is not JSON
_SHORTEST_KEY = 16  # characters; shorter ones ("none", "EMPTY") are no secret, and may be a label


class ChatClient(AsyncInferenceClient):
    """`AsyncInferenceClient` that sends `response_format` unchanged and returns the response as plain JSON.

    huggingface_hub chooses the provider, its address and the key of a call. aiohttp sends it, which takes a fifth of
    the processor time of httpx.

    For a URL, huggingface_hub converts the `json_schema` of OpenAI to the format of text-generation-inference. vLLM,
    SGLang, llama.cpp, Ollama and OpenAI ignore or refuse this format, and the constraint is lost without an error.
    Therefore the format is passed under another name, which is replaced here. huggingface_hub would also convert each
    log-probability to a data class, which takes longer than the rest of a call. If `_inner_post` is renamed in a later
    version, the test of the server finds that the constraint is not enforced, and a weaker constraint is used.
    """

    _session: ClientSession | None = None

    async def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:
        body = request_parameters.json
        if isinstance(body, dict) and _OURS in body:
            body["response_format"] = body.pop(_OURS)
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled
        if self._session is None:
            self._session = _new_session(self.timeout)
        headers = request_parameters.headers
        async with self._session.post(request_parameters.url, json=body, headers=headers) as response:
            content = await response.read()
        if response.status >= 400:
            raise ClientResponseError(
                response.request_info,
                response.history,
                status=response.status,
                message=content.decode("utf-8", "replace"),
                headers=response.headers,
            )
        return {_OURS: completion_in(content)}

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await super().close()


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
    fields = {_OURS if name == "response_format" else name: value for name, value in extra.items()}
    try:
        output: dict[str, Any] = await client.chat_completion(
            list(messages), model=model, extra_body=fields, **sampling
        )
        payload = output.get(_OURS, output)
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
        prompt_tokens=_count(usage.get("prompt_tokens"), *(message["content"] for message in messages)),
        completion_tokens=_count(usage.get("completion_tokens"), text),
        cached_tokens=_cached(usage),
    )


def _cached(usage: Mapping[str, Any]) -> int:
    """Returns the number of input tokens that were read from the prompt cache; 0 if the server does not report it."""
    details = usage.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, Mapping) else usage.get("prompt_cache_hit_tokens")
    return told if isinstance(told, int) and told > 0 else 0


def _count(told: object, *texts: str) -> int:
    """Returns the number of tokens. It is estimated if the server does not count them, because the budget needs it."""
    if isinstance(told, int) and told > 0:
        return told
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
        str(other["token"]): _logprob(other["logprob"])
        for other in entry.get("top_logprobs") or ()
        if other["logprob"] is not None and not math.isnan(float(other["logprob"]))
    }
    return TokenLogprobs(str(entry["token"]), _logprob(entry["logprob"]), alternatives)


def _logprob(value: Any) -> float:
    if math.isnan(number := float(value)):
        raise ValueError("a log-probability is not a number")
    return number
