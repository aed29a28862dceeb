"""The annotator behind an HTTP endpoint: serverless providers, dedicated endpoints, any OpenAI-compatible server."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from huggingface_hub.utils import get_session

from freeal_hf.annotation.annotator import (
    Annotation,
    AnnotationRequest,
    Choice,
    ChoiceRequest,
    Generation,
    GenerationRequest,
)
from freeal_hf.annotation.chat import ChatClient, complete
from freeal_hf.annotation.completions import (
    Completion,
    ask_entities,
    ask_label,
    choice_request,
    entity_request,
    label_request,
    read_choice,
    read_texts,
    send_canary,
    texts_request,
    writing,
)
from freeal_hf.annotation.constraints import Footing, json_schema_format
from freeal_hf.annotation.dedicated import DedicatedEndpoint
from freeal_hf.annotation.http_errors import HTTP_ERRORS, public_url
from freeal_hf.annotation.prompts import (
    Message,
    choice_messages,
    choice_schema,
)
from freeal_hf.annotation.servers import check_address, check_limits, check_temperatures, given_key
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import Task, TokenClassification

logger = logging.getLogger(__name__)

_NO_MODELS_LIST: tuple[type[Exception], ...] = (*HTTP_ERRORS, ValueError, KeyError, IndexError, TypeError)
_NO_KEY = "none"
_HUGGING_FACE = ("huggingface.co", "huggingface.cloud", "hf.co")


class _Ready(NamedTuple):
    client: ChatClient
    footing: Footing


class InferenceEndpointsAnnotator:
    """Labels and writes texts through huggingface_hub's asynchronous chat client.

    Before the first call of a run a canary finds out how the server can be held to the labels, and whether it returns
    log-probabilities; see `freeal_hf.annotation.constraints`.

    Args:
        model (`str`):
            A model id (`"meta-llama/Llama-3.1-8B-Instruct"`: serverless inference providers), the name of a dedicated
            Inference Endpoint (no slash; it is woken if it sleeps, and put to sleep afterwards if, and only if, it was
            woken here), or the URL of an OpenAI-compatible server.
        provider (`str`, *optional*): Inference provider, as `huggingface_hub` takes it. Model ids only.
        base_url (`str`, *optional*):
            URL of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, OpenAI, ...), where `model` is the
            model's name there.
        namespace (`str`, *optional*): Owner of the dedicated endpoint; the token's own by default.
        wake_timeout (`float`, *optional*, defaults to 1800.0): Seconds that the dedicated endpoint may take to wake.
        token (`str`, *optional*):
            Hugging Face token. By default the saved one, which goes to Hugging Face and to no other server.
        api_key_env (`str`, *optional*): Name of the environment variable that holds the key of `base_url`.
        temperature (`float`, *optional*, defaults to 0.0): For labels.
        generation_temperature (`float`, *optional*, defaults to 1.0): For writing texts.
        max_tokens (`int`, *optional*, defaults to 64):
            Most tokens of an answer; a reasoning model needs some thousands.
        generation_max_tokens (`int`, *optional*, defaults to 2048):
            Most tokens of one generation, and of one list of entities.
        probabilities (`bool`, *optional*, defaults to `True`):
            Whether to ask for the probability of every label, from log-probabilities. Labels are then answered as the
            letters A, B, C, ...
        max_text_length (`int`, *optional*, defaults to 12000):
            Longest text, in characters; a longer one is cut at the end of a sentence and marked. A text that is still
            too long for the model's context is cut further.
        concurrency (`int`, *optional*, defaults to 64): Most calls at once; the driver starts with few.
        timeout (`float`, *optional*, defaults to 60.0): Seconds for one labelling call.
        generation_timeout (`float`, *optional*, defaults to 300.0): Seconds for one writing call.
        seed (`int`, *optional*, defaults to 0): Seed of the server's sampling.
        extra_body (`Mapping`, *optional*):
            Further fields of each request. `None` leaves one out: `{"max_tokens": None, "max_completion_tokens": 4000,
            "temperature": None}` suits OpenAI's reasoning models.

    Raises:
        AnnotatorError: If the environment variable is not set.
        InputError: If arguments contradict each other, or a limit would let nothing through.
    """

    finds_entities = True

    def __init__(
        self,
        model: str,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        namespace: str | None = None,
        wake_timeout: float = 1800.0,
        token: str | None = None,
        api_key_env: str | None = None,
        temperature: float = 0.0,
        generation_temperature: float = 1.0,
        max_tokens: int = 64,
        generation_max_tokens: int = 2048,
        probabilities: bool = True,
        max_text_length: int = 12_000,
        concurrency: int = 64,
        timeout: float = 60.0,
        generation_timeout: float = 300.0,
        seed: int = 0,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self.base_url = base_url or (model if _is_url(model) else None)
        self.model = None if _is_url(model) else model
        if self.base_url is not None:
            check_address(self.base_url)
        if self.base_url is not None and provider is not None:
            raise InputError(f"provider={provider!r} goes with a model id, not with a URL; leave one of them out.")
        check_limits(
            max_tokens=max_tokens,
            generation_max_tokens=generation_max_tokens,
            max_text_length=max_text_length,
            concurrency=concurrency,
            timeout=timeout,
            generation_timeout=generation_timeout,
            wake_timeout=wake_timeout,
        )
        check_temperatures(temperature=temperature, generation_temperature=generation_temperature)
        self.provider = provider
        self.temperature = temperature
        self.generation_temperature = generation_temperature
        self.max_tokens = max_tokens
        self.generation_max_tokens = generation_max_tokens
        self.probabilities = probabilities
        self.max_text_length = max_text_length
        self.concurrency = concurrency
        self.timeout = timeout
        self.generation_timeout = generation_timeout
        self.seed = seed
        self.extra_body = dict(extra_body or {})
        self._key = _key(self.base_url, token, api_key_env)
        is_endpoint = self.base_url is None and self.model is not None and "/" not in self.model
        self._endpoint = (
            DedicatedEndpoint(model, namespace, self._key, wait_seconds=wake_timeout) if is_endpoint else None
        )
        self._served_model: str | None = None
        self._client: ChatClient | None = None
        self._footing: Footing | None = None
        self.own_calls: list[Completion] = []

    def fingerprint(self, task: Task, request: AnnotationRequest) -> Mapping[str, Any]:
        """The full request: messages, schema, model, sampling."""
        if isinstance(task, TokenClassification):
            asked = entity_request(task, request, max_tokens=self.generation_max_tokens)
            return {**self._source(), **asked, "temperature": self.temperature, "seed": self.seed}
        asked = label_request(
            task,
            request,
            coded=self.probabilities,
            max_text_length=self.max_text_length,
            max_tokens=self.max_tokens,
        )
        return {**self._source(), **asked, "temperature": self.temperature, "seed": self.seed}

    def generation_fingerprint(self, task: Task, request: GenerationRequest) -> Mapping[str, Any]:
        """The full request to write texts."""
        asked = texts_request(
            task, request, temperature=self.generation_temperature, max_tokens=self.generation_max_tokens
        )
        return {**self._source(), **asked}

    def choice_fingerprint(self, task: Task, request: ChoiceRequest) -> Mapping[str, Any]:
        """The full request to choose texts."""
        asked = choice_request(task, request, max_tokens=self.generation_max_tokens)
        return {**self._source(), **asked, "temperature": self.temperature, "seed": self.seed}

    async def annotate(self, task: Task, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts, one call each."""
        client, footing = self._ready()
        if isinstance(task, TokenClassification):
            call = partial(self._entity_call, client)
            return list(await asyncio.gather(*(ask_entities(call, footing, task, request) for request in requests)))
        ask = partial(
            ask_label,
            partial(self._label_call, client),
            footing,
            task,
            coded=self.probabilities,
            max_text_length=self.max_text_length,
        )
        return list(await asyncio.gather(*map(ask, requests)))

    async def generate(self, task: Task, request: GenerationRequest) -> Generation:
        """Writes texts for one label; in an entity task with what they name."""
        client, footing = self._ready()
        messages, schema = writing(task, request)
        held = footing.constraint == "json_schema"
        completion = await self._complete(
            client,
            messages,
            {"response_format": json_schema_format("texts", schema)} if held else {},
            temperature=self.generation_temperature,
            max_tokens=self.generation_max_tokens,
            seed=request.seed,
        )
        return read_texts(completion, task, request)

    async def choose(self, task: Task, request: ChoiceRequest) -> Choice:
        """Chooses texts for a person to label."""
        client, footing = self._ready()
        held = footing.constraint == "json_schema"
        schema = choice_schema(request.with_explanation)
        completion = await self._complete(
            client,
            choice_messages(task, request),
            {"response_format": json_schema_format("ids", schema)} if held else {},
            temperature=self.temperature,
            max_tokens=self.generation_max_tokens,
            seed=self.seed,
        )
        return read_choice(completion)

    def open(self) -> None:
        """Wakes the dedicated endpoint, if it is one and sleeps."""
        if self._endpoint is not None:
            self.base_url = self._endpoint.open()

    def close(self) -> None:
        """Puts the dedicated endpoint to sleep again, if it was woken here."""
        if self._endpoint is not None:
            self._endpoint.close()

    async def __aenter__(self) -> "InferenceEndpointsAnnotator":
        client = ChatClient(
            self.base_url or self.model,
            provider=self.provider,  # type: ignore[arg-type] # huggingface_hub lists them, and the list grows
            token=self._key,
            timeout=self.generation_timeout,
        )
        try:
            self._served_model = await self._model_served()
            if self._footing is None:
                self._footing = await send_canary(
                    partial(self._label_call, client),
                    self.own_calls,
                    timeout=self.timeout,
                    max_tokens=self.max_tokens,
                    want_logprobs=self.probabilities,
                )
        except BaseException:
            await client.close()
            raise
        self._client = client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._ready().client, None
        await client.close()

    def _ready(self) -> "_Ready":
        if self._client is None or self._footing is None:
            raise AnnotatorError("Enter the annotator first: `async with annotator: await annotator.annotate(...)`.")
        return _Ready(self._client, self._footing)

    async def _label_call(
        self, client: ChatClient, messages: Sequence[Message], fields: Mapping[str, Any], top_logprobs: int
    ) -> Completion:
        sampling: dict[str, Any] = {"logprobs": True, "top_logprobs": top_logprobs} if top_logprobs else {}
        return await self._complete(
            client,
            messages,
            fields,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
            **sampling,
        )

    async def _entity_call(
        self, client: ChatClient, messages: Sequence[Message], fields: Mapping[str, Any], top_logprobs: int
    ) -> Completion:
        return await self._complete(
            client,
            messages,
            fields,
            temperature=self.temperature,
            max_tokens=self.generation_max_tokens,
            seed=self.seed,
        )

    async def _complete(
        self, client: ChatClient, messages: Sequence[Message], fields: Mapping[str, Any], **sampling: Any
    ) -> Completion:
        extra = {**self.extra_body, **fields}
        return await complete(client, messages, model=self._served_model, extra=extra, **sampling)

    async def _model_served(self) -> str | None:
        """The model's name in a request; asked of the server where only its address is known."""
        if self.base_url is None or (self.model is not None and self._endpoint is None):
            return self.model
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        address = self.base_url.partition("/chat/completions")[0].removesuffix("/").removesuffix("/v1") + "/v1/models"
        try:
            response = await asyncio.to_thread(get_session().get, address, headers=headers, timeout=30)
            return str(response.json()["data"][0]["id"])
        except _NO_MODELS_LIST as error:
            logger.info("The server does not tell its model's name (%s); asking without one.", type(error).__name__)
            return None

    def _source(self) -> dict[str, Any]:
        return {
            "annotator": "chat-completions",
            "model": self.model,
            "provider": self.provider,
            "url": None if self._endpoint or self.base_url is None else public_url(self.base_url),
            "extra_body": self.extra_body,
        }


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _key(url: str | None, token: str | None, api_key_env: str | None) -> str | None:
    key = given_key(token, api_key_env)
    if key is not None or url is None or _is_hugging_face(url):
        return key
    return _NO_KEY  # else huggingface_hub would send the saved Hugging Face token to whoever runs that server


def _is_hugging_face(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in _HUGGING_FACE or host.endswith(tuple(f".{domain}" for domain in _HUGGING_FACE))
