"""The annotator behind a text-generation-inference server, through its own protocol."""

import asyncio
import logging
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.http_errors import public_url
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.logprobs import TokenLogprobs
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.servers import check_address, given_key
from freeal_hf.annotators.templates import without_system_role
from freeal_hf.errors import AnnotatorError, RefusedError, TransientError
from freeal_hf.tasks import TextClassification

if TYPE_CHECKING:
    from text_generation.types import Response

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False, repr=False)
class TGIAnnotator(LLMAnnotator):
    """Labels and writes texts through the `text-generation` client and TGI's own `/generate`.

    The server's grammar holds each answer to the labels, and the log-probabilities of its tokens give the probability
    of each label. A canary finds out, before the first call of a run, whether it really does both; see
    `freeal_hf.annotators.features`. `/generate` takes a raw prompt: the model's chat template is learnt from the
    server's `/chat_tokenize`, once for each shape of chat, and filled in here.

    Args:
        base_url (`str`): Address of the server, such as `"http://127.0.0.1:8080"`.
        token (`str`, *optional*): Bearer token, where the server or the proxy before it wants one.
        api_key_env (`str`, *optional*): Name of an environment variable that holds it instead.
        generation_max_tokens (`int`, *optional*, defaults to 1024): See [`LLMAnnotator`].
        probabilities (`bool`, *optional*, defaults to `True`):
            See [`LLMAnnotator`], as for the other arguments; the first answer about a text is decoded greedily. A
            server started without `--max-top-n-tokens` gives five probabilities at most: the other labels get 0.

    Raises:
        AnnotatorError: If `text-generation` is not installed, or the environment variable is not set.
        InputError: If `base_url` is no URL, or both `token` and `api_key_env` are given.
    """

    kinds = frozenset({TextClassification.type})

    base_url: str = field(kw_only=False)
    token: InitVar[str | None] = None
    api_key_env: InitVar[str | None] = None
    generation_max_tokens: int = 1024
    probabilities: bool = True
    name: str | None = field(init=False, default=None)
    temperature: float | None = field(init=False, default=None)  # decoded greedily
    seed: int | None = field(init=False, default=None)
    # The chat template tells whether there is a system role, and `max_new_tokens` is always known.
    form: Form = field(init=False, default=Form(system_role=False, length_field=None))

    def __post_init__(self, token: str | None, api_key_env: str | None) -> None:
        check_address(self.base_url)
        super().__post_init__()
        try:
            from freeal_hf.annotators.tgi_client import TGIClient
        except ImportError as error:
            raise AnnotatorError(
                "TGIAnnotator needs the text-generation client: pip install 'freeal-hf[tgi]'."
            ) from error
        self.base_url = self.base_url.rstrip("/")
        self._client = TGIClient(self.base_url, given_key(token, api_key_env), self.generation_timeout)
        self._model: dict[str, Any] = {}
        self._has_system_role = True
        self._templates: dict[tuple[str, ...], list[str]] = {}

    def open(self) -> None:
        """Asks the server which model it runs: answers are kept under its name."""
        if not self._model:
            with ThreadPoolExecutor(1) as executor:  # a thread, because a loop may be running in this one
                executor.submit(asyncio.run, self._identify()).result()

    async def _identify(self) -> None:
        try:
            async with self._client:
                self._model = await self._client.info()
        except TransientError as error:
            raise AnnotatorError(f"The server does not give the name of its model: {error}") from error

    async def connect(self) -> None:
        """Opens the client."""
        await self._client.__aenter__()

    async def disconnect(self) -> None:
        """Closes the client."""
        await self._client.__aexit__()

    async def complete(self, question: Question, form: Form) -> Completion:
        """See `LLMAnnotator`: one call of `/generate`."""
        temperature = question.temperature or None  # TGI only takes temperatures above 0
        response, prompt_tokens = await self._client.complete(
            await self._prompt(question.messages),
            max_new_tokens=question.max_tokens,
            do_sample=temperature is not None,
            temperature=temperature if form.temperature else None,
            seed=question.seed if form.seed else None,
            top_n_tokens=form.top_logprobs or None,
            grammar=_grammar(question.constrain(form.constraint)),
        )
        return Completion(
            text=response.generated_text,
            is_cut_off=response.details.finish_reason == "length",
            is_filtered=False,
            tokens=_tokens(response) if response.details.top_tokens else (),
            prompt_tokens=prompt_tokens,
            completion_tokens=response.details.generated_tokens,
        )

    async def _prompt(self, messages: Sequence[Message]) -> str:
        """A chat as the raw prompt that `/generate` takes."""
        if not self._templates:
            await self._try_template()
        if not self._has_system_role:
            messages = without_system_role(messages)
        start, *rest = await self._template(tuple(message["role"] for message in messages))
        # Templates strip contents; the quotes around a text keep its own white space.
        filled = (f"{message['content'].strip()}{after}" for message, after in zip(messages, rest, strict=True))
        return start + "".join(filled)

    async def _template(self, roles: tuple[str, ...]) -> list[str]:
        """What the model's chat template writes before, between and after the contents of such a chat."""
        if roles not in self._templates:
            marks = [f"[content-{i}]" for i in range(len(roles))]
            chat = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
            prompt, tokens = await self._client.chat_tokenize(chat)
            read = await self._client.tokenize(prompt)
            # `/generate` begins every prompt with the token that begins a sequence: once is enough.
            if len(read) > len(tokens) and read[0]["id"] == tokens[0]["id"]:
                prompt = prompt.removeprefix(tokens[0]["text"])
            self._templates[roles] = _split(prompt, marks)
        return self._templates[roles]

    async def _try_template(self) -> None:
        """Finds out whether the model's template knows the system role, and whether there is one at all."""
        try:
            await self._template(("system", "user"))
        except RefusedError:
            self._has_system_role = False
            try:
                await self._template(("user",))
            except RefusedError as error:
                raise AnnotatorError(
                    f"The server has no chat template to apply; serve a chat model: {error}"
                ) from error

    def source(self) -> dict[str, Any]:
        """See `LLMAnnotator`."""
        return {
            "annotator": "text-generation",
            "url": public_url(self.base_url),
            "model": self._model.get("model_id"),
            "commit": self._model.get("model_sha"),
        }


def __getattr__(name: str) -> Any:
    if name != "TextGenerationAnnotator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("TextGenerationAnnotator is now called TGIAnnotator", DeprecationWarning, stacklevel=2)
    return TGIAnnotator


def _split(prompt: str, marks: Sequence[str]) -> list[str]:
    """What stands before, between and after the marks."""
    pieces: list[str] = []
    for mark in marks:
        piece, found, prompt = prompt.partition(mark)
        if not found:
            raise AnnotatorError("The model's chat template leaves out or reorders messages; serve another model.")
        pieces.append(piece)
    return [*pieces, prompt]


def _grammar(fields: Mapping[str, Any]) -> Any:
    """TGI's grammar for a constraint in the words of chat completions."""
    from text_generation.types import Grammar, GrammarType

    if not fields:
        return None
    if "regex" in fields:
        return Grammar(type=GrammarType.Regex, value=fields["regex"])
    if "value" in fields.get("response_format", {}):
        return Grammar(type=GrammarType.Json, value=dict(fields["response_format"]["value"]))
    raise RefusedError("request refused", "TGI's own protocol has a JSON schema and a regular expression")


def _tokens(response: "Response") -> tuple[TokenLogprobs, ...]:
    details = response.details
    return tuple(
        TokenLogprobs(token.text, token.logprob, {other.text: other.logprob for other in others})
        for token, others in zip(details.tokens, details.top_tokens, strict=True)
        if not token.special
    )
