"""The annotator for models of Anthropic, by the messages API."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

from freeal_hf.annotators.anthropic_batches import AnthropicBatches
from freeal_hf.annotators.batches import DISCOUNT, collect, identity
from freeal_hf.annotators.cache import AnswerCache
from freeal_hf.annotators.http_errors import public_url
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.rest import JsonApi
from freeal_hf.annotators.servers import check_address, given_key
from freeal_hf.annotators.templates import without_system_role
from freeal_hf.errors import TransientError

_VERSION = "2023-06-01"
_CACHE = {"type": "ephemeral"}


@dataclass(kw_only=True, eq=False, repr=False)
class AnthropicAnnotator(LLMAnnotator):
    """Labels and writes texts with a model of Anthropic.

    The answer is constrained by the output schema of the API, or, for models without it, by a tool that the model must
    call. Parts of the prompt that several requests have in common (task, labels, shared demonstrations) are marked for
    the prompt cache, from the second request with them. The API returns no log-probabilities: use `samples` for
    confidences.

    Args:
        model (`str`): The name of the model.
        base_url (`str`, *optional*, defaults to `"https://api.anthropic.com"`): The address of the API.
        api_key_env (`str`, *optional*, defaults to `"ANTHROPIC_API_KEY"`): The name of the environment variable with
            the key.
        extra_body (`Mapping`, *optional*): Further fields of each request, such as `thinking`.
        batch_requests (`int`, *optional*, defaults to 0): If it is above 0, the requests are sent in message batches
            of at most this number; see `freeal_hf.annotators.batches`.

    The other arguments are those of [`LLMAnnotator`].

    Raises:
        AnnotatorError: If the environment variable is not set.
        InputError: If a limit allows no call, or the address is not valid.

    Example:

        >>> import os
        >>> os.environ["ANTHROPIC_API_KEY"] = "none"
        >>> AnthropicAnnotator("claude-haiku-4-5").describe()
        {'class': 'AnthropicAnnotator', 'model': 'claude-haiku-4-5', 'base_url': 'https://api.anthropic.com'}
    """

    model: str = field(kw_only=False)
    base_url: str = "https://api.anthropic.com"
    api_key_env: InitVar[str] = "ANTHROPIC_API_KEY"
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    batch_requests: int = 0
    name: str | None = field(init=False)
    form: Form = field(init=False)

    def __post_init__(self, api_key_env: str) -> None:
        check_address(self.base_url)
        self.base_url = self.base_url.rstrip("/").removesuffix("/v1")
        self.extra_body = dict(self.extra_body or {})
        self.name, self.form = self.model, Form(seed=False, extra=tuple(self.extra_body))
        super().__post_init__()
        key = given_key(None, api_key_env)
        self._api = JsonApi(self.base_url, {"x-api-key": str(key), "anthropic-version": _VERSION}, key)
        self._prefixes: set[int] = set()
        service, most = AnthropicBatches(self._api), self.batch_requests
        self._batches = collect(self, service, most) if most else None

    @classmethod
    def from_spec(cls, value: str, options: Mapping[str, Any]) -> "AnthropicAnnotator":
        """Creates the annotator for `anthropic:VALUE`: a model, or `MODEL@URL`."""
        model, _, url = value.partition("@http")
        return cls(model, **{**options, "base_url": f"http{url}"} if url else options)

    def use_cache(self, cache: AnswerCache | None) -> None:
        """See `Annotator`."""
        if self._batches is not None:
            self._batches.cache = cache

    async def connect(self) -> None:
        """Opens the client, and reads the batches of an earlier process."""
        if self._batches is not None:
            self._batches.open()
        await self._api.__aenter__()

    async def disconnect(self) -> None:
        """Closes the client."""
        if self._batches is not None:
            await self._batches.close()
        await self._api.__aexit__(None, None, None)

    async def complete(self, question: Question, form: Form) -> Completion:
        """See `LLMAnnotator`. Makes one call of the messages API, or waits for the answer in a batch."""
        body = self._body(question, form)
        if self._batches is not None and question.kind != "canary":
            answered = await self._batches.answer(identity(self, question), body)
            if answered is not None:
                return _completion(answered)._replace(discount=DISCOUNT)
        payload = await self._api.call("POST", "/v1/messages", json=body, timeout=question.timeout)
        return _completion(payload)

    def source(self) -> dict[str, Any]:
        """See `LLMAnnotator`."""
        return {
            "annotator": "anthropic-messages",
            "model": self.model,
            "url": public_url(self.base_url),
            "extra_body": self.extra_body,
        }

    def _body(self, question: Question, form: Form) -> dict[str, Any]:
        messages = list(question.messages)
        if not form.system_role and messages[0]["role"] == "system":
            messages = without_system_role(messages)
        system = [messages.pop(0)] if messages[0]["role"] == "system" else []
        marked = self._marked(system)
        fields = {
            "model": self.model,
            "max_tokens": question.max_tokens,
            "system": marked[0]["content"] if marked else None,
            "messages": [*self._marked(messages[:-1], after=system), messages[-1]],
            "temperature": question.temperature if form.temperature else None,
            **_constraint(question, form),
            **{name: self.extra_body[name] for name in form.extra},
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _marked(self, messages: Sequence[Message], *, after: Sequence[Message] = ()) -> list[dict[str, Any]]:
        """Marks the end of a prefix for the prompt cache, if an earlier request had the same prefix.

        Writing to the cache costs more than the tokens alone, so that a prefix of only one request is not marked.
        """
        if not messages:
            return []
        prefix = hash(tuple(message["content"] for message in (*after, *messages)))
        last: dict[str, Any] = {"type": "text", "text": messages[-1]["content"]}
        if prefix in self._prefixes:
            last["cache_control"] = _CACHE
        self._prefixes.add(prefix)
        return [*messages[:-1], {"role": messages[-1]["role"], "content": [last]}]


def _constraint(question: Question, form: Form) -> dict[str, Any]:
    """Returns the fields that constrain an answer: the output schema, or a tool in place of `json_object`."""
    if form.constraint not in ("json_schema", "json_object"):
        return {}
    wanted = question.constrain("json_schema")
    if not wanted:
        return {}
    described = wanted["response_format"]["json_schema"]
    if form.constraint == "json_schema":
        return {"output_config": {"format": {"type": "json_schema", "schema": described["schema"]}}}
    tool = {"name": "answer", "description": "Gives the answer.", "input_schema": described["schema"]}
    return {"tools": [tool], "tool_choice": {"type": "tool", "name": "answer"}}


def _completion(payload: Mapping[str, Any]) -> Completion:
    try:
        blocks = payload["content"]
        said = "".join(str(block["text"]) for block in blocks if block["type"] == "text")
        called = [json.dumps(block["input"], ensure_ascii=False) for block in blocks if block["type"] == "tool_use"]
        usage = payload["usage"]
        written, read = (int(usage.get(f"cache_{what}_input_tokens") or 0) for what in ("creation", "read"))
        return Completion(
            text=called[0] if called else said,
            is_cut_off=payload["stop_reason"] in ("max_tokens", "model_context_window_exceeded"),
            is_filtered=payload["stop_reason"] == "refusal",
            # Tokens that are written to the cache cost a quarter more than others, and are counted as so many more.
            prompt_tokens=int(usage["input_tokens"]) + read + written + written // 4,
            completion_tokens=int(usage["output_tokens"]),
            cached_tokens=read,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"the server's answer is not a message ({type(error).__name__}: {error})"
        raise TransientError("broken response", detail) from error
