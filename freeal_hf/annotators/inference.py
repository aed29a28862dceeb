"""The annotator behind an HTTP endpoint: serverless providers, dedicated endpoints, any OpenAI-compatible server."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import InitVar, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub.utils import get_session

from freeal_hf.annotators.chat import ChatClient, complete
from freeal_hf.annotators.dedicated import DedicatedEndpoint
from freeal_hf.annotators.http_errors import HTTP_ERRORS, public_url
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.servers import check_address, check_limits, chosen_model, given_key
from freeal_hf.annotators.templates import without_system_role
from freeal_hf.errors import AnnotatorError, InputError, TransientError

logger = logging.getLogger(__name__)

_NO_MODELS_LIST: tuple[type[Exception], ...] = (*HTTP_ERRORS, ValueError, KeyError, IndexError, TypeError)
_NO_KEY = "none"
_HUGGING_FACE = ("huggingface.co", "huggingface.cloud", "hf.co")


@dataclass(kw_only=True, eq=False, repr=False)
class InferenceEndpointsAnnotator(LLMAnnotator):
    """Labels and writes texts through huggingface_hub's asynchronous chat client.

    Before the first call of a run a canary finds out how the server can be held to the labels, whether it returns
    log-probabilities, and which other optional features it takes; see `freeal_hf.annotators.features`.

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
        extra_body (`Mapping`, *optional*):
            Further fields of each request. `None` leaves one out: `{"max_tokens": None, "max_completion_tokens": 4000,
            "temperature": None}` suits OpenAI's reasoning models.
        probabilities (`bool`, *optional*, defaults to `True`): See [`LLMAnnotator`], as for the other arguments.

    Raises:
        AnnotatorError: If the environment variable is not set.
        InputError: If arguments contradict each other, or a limit would let nothing through.
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
        self._chosen_model: str | None = None  # of several that the server has
        self._client: ChatClient | None = None

    @classmethod
    def from_spec(cls, value: str, options: Mapping[str, Any]) -> "InferenceEndpointsAnnotator":
        """Builds the annotator that is named `endpoint:VALUE`: a model, an endpoint, a URL, or `MODEL@URL`."""
        model, _, url = value.partition("@http")
        return cls(model, **{**options, "base_url": f"http{url}"}) if model and url else cls(value, **options)

    def open(self) -> None:
        """Wakes the dedicated endpoint, if it is one and sleeps; asks a server of several models which to use."""
        if self._endpoint is not None:
            self.base_url = self._endpoint.open()
        if self._asks_for_model:
            with ThreadPoolExecutor(1) as executor:  # a thread, because a loop may be running in this one
                executor.submit(asyncio.run, self._choose_model()).result()

    def close(self) -> None:
        """Puts the dedicated endpoint to sleep again, if it was woken here."""
        if self._endpoint is not None:
            self._endpoint.close()

    async def connect(self) -> None:
        """Opens the client, after the server's model is known."""
        if self._asks_for_model:
            await self._choose_model()
        self._client = self._new_client()

    async def disconnect(self) -> None:
        """Closes the client."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _new_client(self) -> ChatClient:
        return ChatClient(
            self.base_url or self.model,
            provider=self.provider,  # type: ignore[arg-type] # huggingface_hub lists them, and the list grows
            token=self._key,
            timeout=self.generation_timeout,
        )

    async def complete(self, question: Question, form: Form) -> Completion:
        """See `LLMAnnotator`: one call of the chat client."""
        if self._client is None:
            raise AnnotatorError("Enter the annotator first: `async with annotator: await annotator.annotate(...)`.")
        messages = question.messages
        if not form.system_role and messages[0]["role"] == "system":
            messages = without_system_role(messages)
        extra = {name: self.extra_body[name] for name in form.extra} | dict(question.constrain(form.constraint))
        if form.length_field == "max_completion_tokens":
            extra.setdefault("max_completion_tokens", question.max_tokens)
        return await complete(
            self._client,
            messages,
            model=self._served_model,
            extra=extra,
            max_tokens=question.max_tokens if form.length_field == "max_tokens" else None,
            temperature=question.temperature if form.temperature else None,
            seed=question.seed if form.seed else None,
            logprobs=True if form.top_logprobs else None,
            top_logprobs=form.top_logprobs or None,
        )

    async def _choose_model(self) -> None:
        """Learns the model's name in a request from the server, where only its address is known."""
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
                "The server has %d models; %r answers, and is used. Another one is named in the annotator: "
                "endpoint:MODEL@%s",
                len(names),
                self._chosen_model,
                public_url(self.base_url or ""),
            )
        self._served_model = self._chosen_model or next(iter(names), None)
        self._asks_for_model = False

    def _listed_models(self) -> list[str]:
        """The models that the server has; none where it does not say."""
        assert self.base_url is not None
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        address = self.base_url.partition("/chat/completions")[0].removesuffix("/").removesuffix("/v1") + "/v1/models"
        try:
            response = get_session().get(address, headers=headers, timeout=30)
            return list(dict.fromkeys(str(model["id"]) for model in response.json()["data"]))
        except _NO_MODELS_LIST as error:
            logger.info("The server does not tell its model's name (%s); asking without one.", type(error).__name__)
            return []

    def source(self) -> dict[str, Any]:
        """See `LLMAnnotator`."""
        # One model of several is not told by the address.
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
    return _NO_KEY  # else huggingface_hub would send the saved Hugging Face token to whoever runs that server


def _is_hugging_face(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in _HUGGING_FACE or host.endswith(tuple(f".{domain}" for domain in _HUGGING_FACE))
