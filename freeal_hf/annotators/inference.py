"""The annotator for inference providers, dedicated Inference Endpoints and OpenAI-compatible servers."""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub.utils import get_session

from freeal_hf.annotators.batches import DISCOUNT, Batches, collect, identity
from freeal_hf.annotators.budget import Price
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.chat import ChatClient, complete, completion_of
from freeal_hf.annotators.dedicated import DedicatedEndpoint
from freeal_hf.annotators.http_errors import HTTP_ERRORS, public_url
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.openai_batches import OpenAIBatches
from freeal_hf.annotators.prices import hub_price
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.rest import JsonApi
from freeal_hf.annotators.servers import check_address, check_limits, chosen_model, given_key, run_in_thread
from freeal_hf.annotators.templates import without_system_role
from freeal_hf.errors import AnnotatorError, InputError, TransientError

logger = logging.getLogger(__name__)

_NO_MODELS_LIST: tuple[type[Exception], ...] = (*HTTP_ERRORS, ValueError, KeyError, IndexError, TypeError)
_NO_KEY = "none"
_PREFIX_CACHE = re.compile(r'^vllm:cache_config_info\{[^}]*enable_prefix_caching="True"', re.MULTILINE)
_METRICS_SECONDS = 5.0
_HUGGING_FACE = ("huggingface.co", "huggingface.cloud", "hf.co")


@dataclass(kw_only=True, eq=False, repr=False)
class InferenceEndpointsAnnotator(LLMAnnotator):
    """Labels and writes texts with chat completions, of the inference providers of huggingface_hub or of a server.

    Before the first call of a run, tests find the constraints that the server enforces, whether it returns
    log-probabilities, and its other optional features; see `freeal_hf.annotators.features`.

    Args:
        model (`str`): A model id for the inference providers (`"meta-llama/Llama-3.1-8B-Instruct"`), the name of a
            dedicated Inference Endpoint (without a slash; a paused endpoint is started, and paused again afterwards),
            or the URL of an OpenAI-compatible server.
        provider (`str`, *optional*): The inference provider, as in `huggingface_hub`. For model ids only.
        base_url (`str`, *optional*): The URL of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, OpenAI,
            ...). `model` is then the name of the model on this server.
        namespace (`str`, *optional*): The owner of the dedicated endpoint. Defaults to the owner of the token.
        wake_timeout (`float`, *optional*, defaults to 1800.0): The maximum time in seconds to start the dedicated
            endpoint.
        token (`str`, *optional*): The Hugging Face token. Defaults to the saved one. It is only sent to Hugging Face.
        api_key_env (`str`, *optional*): The name of the environment variable with the key for `base_url`.
        extra_body (`Mapping`, *optional*): Further fields of each request. `None` removes a field: `{"max_tokens":
            None, "max_completion_tokens": 4000, "temperature": None}` is for reasoning models of OpenAI.
        batch_requests (`int`, *optional*, defaults to 0): If it is above 0, the requests to `base_url` are sent by its
            batch API, in batches of at most this number; see `freeal_hf.annotators.batches`.
        probabilities (`bool`, *optional*, defaults to `True`): See [`LLMAnnotator`], as for the other arguments.

    Raises:
        AnnotatorError: If the environment variable is not set.
        InputError: If arguments contradict each other, or a limit allows no call.

    Example:

        >>> annotator = InferenceEndpointsAnnotator("llama", base_url="http://127.0.0.1:8000/v1", concurrency=8)
        >>> annotator.describe()["model"], annotator.concurrency
        ('llama', 8)
    """

    model: str | None = field(kw_only=False)
    provider: str | None = None
    base_url: str | None = None
    namespace: str | None = None
    wake_timeout: float = 1800.0
    token: InitVar[str | None] = None
    api_key_env: InitVar[str | None] = None
    probabilities: bool = True
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    batch_requests: int = 0
    name: str | None = field(init=False)
    form: Form = field(init=False)

    def __post_init__(self, token: str | None, api_key_env: str | None) -> None:
        if self.model is not None and self.model.startswith(("http://", "https://")):
            self.base_url, self.model = self.base_url or self.model, None
        if self.base_url is not None:
            check_address(self.base_url)
            if self.provider is not None:
                raise InputError(
                    f"provider={self.provider!r} goes with a model id, not with a URL; leave one of them out."
                )
        check_limits(wake_timeout=self.wake_timeout)
        self.extra_body = dict(self.extra_body or {})
        self.name, self.form = self.model, Form(extra=tuple(self.extra_body))
        super().__post_init__()
        self._key = _key(self.base_url, token, api_key_env)
        self._endpoint: DedicatedEndpoint | None = None
        if self.base_url is None and self.model is not None and "/" not in self.model:
            self._endpoint = DedicatedEndpoint(self.model, self.namespace, self._key, wait_seconds=self.wake_timeout)
        self._served_model = self.model
        self._asks_for_model = (self.base_url is not None and self.model is None) or self._endpoint is not None
        self._chosen_model: str | None = None  # one of several models of the server
        self._client: ChatClient | None = None
        self._api: JsonApi | None = None
        self._batches: Batches | None = None
        if self.batch_requests:
            if self.base_url is None:
                raise InputError("A batch needs the address of a server with a batch API: batch:endpoint:MODEL@URL.")
            self._api = JsonApi(_root(self.base_url), {"Authorization": f"Bearer {self._key}"}, self._key)
            self._batches = collect(self, OpenAIBatches(self._api), self.batch_requests)

    @classmethod
    def from_spec(cls, value: str, options: Mapping[str, Any]) -> "InferenceEndpointsAnnotator":
        """Creates the annotator for `endpoint:VALUE`: a model, an endpoint, a URL, or `MODEL@URL`."""
        model, _, url = value.partition("@http")
        return cls(model, **{**options, "base_url": f"http{url}"}) if model and url else cls(value, **options)

    def open(self) -> None:
        """Starts a dedicated endpoint that is paused, and chooses the model of a server with several models.

        It also looks up whether the server has a prompt cache.
        """
        if self._endpoint is not None:
            self.base_url = self._endpoint.open()
        if self._asks_for_model:
            run_in_thread(self._choose_model())
        if self.base_url is not None and self._batches is None:
            self.has_prompt_cache = self._states_prompt_cache(_root(self.base_url))

    def close(self) -> None:
        """Pauses the dedicated endpoint again, if this annotator started it."""
        if self._endpoint is not None:
            self._endpoint.close()

    def use_cache(self, cache: AnswerCache | None) -> None:
        """See `Annotator`."""
        if self._batches is not None:
            self._batches.cache = cache

    def published_price(self) -> Price | None:
        """Looks up the price of a model of the inference providers."""
        is_provided = self.model is not None and self.base_url is None and self._endpoint is None
        return hub_price(str(self.model), self.provider) if is_provided else None

    async def connect(self) -> None:
        """Opens the client, when the model of the server is known."""
        if self._asks_for_model:
            await self._choose_model()
        self._client = self._new_client()
        if self._batches is not None and self._api is not None:
            self._batches.open()
            await self._api.__aenter__()

    async def disconnect(self) -> None:
        """Closes the client."""
        if self._batches is not None and self._api is not None:
            await self._batches.close()
            await self._api.__aexit__(None, None, None)
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _new_client(self) -> ChatClient:
        return ChatClient(
            self.base_url or self.model,
            provider=self.provider,
            token=self._key,
            timeout=self.generation_timeout,
        )

    async def complete(self, question: Question, form: Form) -> Completion:
        """See `LLMAnnotator`. Makes one call of the chat client, or waits for the answer in a batch."""
        if self._client is None:
            raise AnnotatorError("Enter the annotator first: `async with annotator: await annotator.annotate(...)`.")
        messages = question.messages
        if not form.system_role and messages[0]["role"] == "system":
            messages = without_system_role(messages)
        extra = {name: self.extra_body[name] for name in form.extra} | dict(question.constrain(form.constraint))
        if form.length_field == "max_completion_tokens":
            extra.setdefault("max_completion_tokens", question.max_tokens)
        sampling = {
            "max_tokens": question.max_tokens if form.length_field == "max_tokens" else None,
            "temperature": question.temperature if form.temperature else None,
            "seed": question.seed if form.seed else None,
            "logprobs": True if form.top_logprobs else None,
            "top_logprobs": form.top_logprobs or None,
        }
        if self._batches is not None and question.kind != "canary":
            fields = {"model": self._served_model, "messages": list(messages), **sampling, **extra}
            body = {name: value for name, value in fields.items() if value is not None}
            answered = await self._batches.answer(identity(self, question), body)
            if answered is not None:
                return completion_of(answered, messages)._replace(discount=DISCOUNT)
        return await complete(self._client, messages, model=self._served_model, extra=extra, **sampling)

    async def _choose_model(self) -> None:
        """Asks the server for the name of its model, if only its address is given."""
        names = await asyncio.to_thread(self._listed_models)
        if len(names) > 1:
            client = self._new_client()

            async def answers(name: str) -> None:
                question = [{"role": "user", "content": "Answer in one word: what colour is a ripe banana?"}]
                extra = dict(self.extra_body)
                completion = await complete(client, question, model=name, extra=extra, max_tokens=self.max_tokens)
                self.own_calls.append(completion)
                if not completion.text.strip() and not completion.is_cut_off:
                    raise TransientError("broken response", "an empty answer")

            try:
                self._chosen_model = await chosen_model(names, answers, timeout=self.timeout)
            finally:
                await client.close()
            logger.warning(
                "The server has %d models; %r answers and is used. To use another one, give endpoint:MODEL@%s",
                len(names),
                self._chosen_model,
                public_url(self.base_url or ""),
            )
        self._served_model = self._chosen_model or next(iter(names), None)
        self._asks_for_model = False

    def _listed_models(self) -> list[str]:
        """Returns the models of the server; empty if it does not list them."""
        assert self.base_url is not None
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            response = get_session().get(f"{_root(self.base_url)}/v1/models", headers=headers, timeout=30)
            return list(dict.fromkeys(str(model["id"]) for model in response.json()["data"]))
        except _NO_MODELS_LIST as error:
            logger.info("The server does not list its models (%s); requests have no model name.", type(error).__name__)
            return []

    @staticmethod
    def _states_prompt_cache(root: str) -> bool:
        """Returns whether the metrics of a server, which vLLM has, say that it caches the beginnings of prompts.

        By default, vLLM does not report cached tokens.
        """
        try:
            response = get_session().get(f"{root}/metrics", timeout=_METRICS_SECONDS)
            return response.status_code == 200 and _PREFIX_CACHE.search(response.text) is not None
        except HTTP_ERRORS:
            return False

    def source(self) -> dict[str, Any]:
        """See `LLMAnnotator`."""
        # The address does not identify one of several models.
        served = {"served_model": self._chosen_model} if self._chosen_model else {}
        return {
            "annotator": "chat-completions",
            "model": self.model,
            "provider": self.provider,
            "url": None if self._endpoint or self.base_url is None else public_url(self.base_url),
            "extra_body": self.extra_body,
            **served,
        }


def _key(url: str | None, token: str | None, api_key_env: str | None) -> str | None:
    key = given_key(token, api_key_env)
    if key is not None or url is None or _is_hugging_face(url):
        return key
    return _NO_KEY  # otherwise huggingface_hub would send the saved Hugging Face token to that server


def _root(url: str) -> str:
    """Returns the address of a server without the path of its API."""
    return url.partition("/chat/completions")[0].removesuffix("/").removesuffix("/v1")


def _is_hugging_face(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in _HUGGING_FACE or host.endswith(tuple(f".{domain}" for domain in _HUGGING_FACE))
