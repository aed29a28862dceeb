"""The annotator for text-generation-inference servers. It uses the protocol of the server."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

from freeal_hf.annotators.http_errors import public_url
from freeal_hf.annotators.llm import LLMAnnotator
from freeal_hf.annotators.logprobs import TokenLogprobs
from freeal_hf.annotators.prompts.labels import Message
from freeal_hf.annotators.question import Completion, Form, Question
from freeal_hf.annotators.servers import check_address, given_key, run_in_thread
from freeal_hf.annotators.templates import without_system_role
from freeal_hf.errors import AnnotatorError, RefusedError, TransientError
from freeal_hf.tasks import MultiLabelClassification, TextClassification

if TYPE_CHECKING:
    from text_generation.types import Response

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False, repr=False)
class TGIAnnotator(LLMAnnotator):
    """Labels and writes texts with the `text-generation` client and the route `/generate` of TGI.

    The grammar of the server constrains each answer to the schema of the task, and the log-probabilities of its tokens
    give the probability of each label. A test before the first call of a run finds out whether the server supports
    both; see `freeal_hf.annotators.features`. `/generate` takes a raw prompt. The chat template of the model is taken
    from the route `/chat_tokenize`, once for each sequence of roles, and filled in here.

    Args:
        base_url (`str`): Address of the server, such as `"http://127.0.0.1:8080"`.
        token (`str`, *optional*): Bearer token, if the server or its proxy requires one.
        api_key_env (`str`, *optional*): Name of an environment variable with the bearer token.
        generation_max_tokens (`int`, *optional*, defaults to 1024): See [`LLMAnnotator`].
        probabilities (`bool`, *optional*, defaults to `True`):
            See [`LLMAnnotator`], also for the other arguments. The first answer about a text is decoded greedily. A
            server that was started without `--max-top-n-tokens` returns at most five probabilities. The other labels
            get 0.

    Raises:
        AnnotatorError: If `text-generation` is not installed, or the environment variable is not set.
        InputError: If `base_url` is not a URL, or both `token` and `api_key_env` are given.

    Example:

        ```python
        annotator = TGIAnnotator("http://127.0.0.1:8080", api_key_env="TGI_KEY")
        FreeAL(task, annotator).run(data)
        ```
    """

    kinds = frozenset({TextClassification.type, MultiLabelClassification.type})

    base_url: str = field(kw_only=False)
    token: InitVar[str | None] = None
    api_key_env: InitVar[str | None] = None
    generation_max_tokens: int = 1024
    probabilities: bool = True
    name: str | None = field(init=False, default=None)
    temperature: float | None = field(init=False, default=None)  # decoded greedily
    seed: int | None = field(init=False, default=None)
    # The chat template shows whether there is a system role, and all servers support `max_new_tokens`.
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
        """Gets the name of the model from the server, because answers are cached under it."""
        if not self._model:
            run_in_thread(self._identify())

    async def _identify(self) -> None:
        try:
            async with self._client:
                self._model = await self._client.info()
        except TransientError as error:
            raise AnnotatorError(
                f"The server does not return the name of its model: {str(error).rstrip('.')}. Check that it is a "
                "running text-generation-inference server."
            ) from error

    async def connect(self) -> None:
        """Opens the client."""
        await self._client.__aenter__()

    async def disconnect(self) -> None:
        """Closes the client."""
        await self._client.__aexit__()

    async def complete(self, question: Question, form: Form) -> Completion:
        """See `LLMAnnotator`. Makes one call of `/generate`."""
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
        """Returns a chat as a raw prompt for `/generate`."""
        if not self._templates:
            await self._try_template()
        if not self._has_system_role:
            messages = without_system_role(messages)
        start, *rest = await self._template(tuple(message["role"] for message in messages))
        # Templates strip contents. The quotes around a text keep the white space in it.
        filled = (f"{message['content'].strip()}{after}" for message, after in zip(messages, rest, strict=True))
        return start + "".join(filled)

    async def _template(self, roles: tuple[str, ...]) -> list[str]:
        """Returns the texts that the chat template of the model adds before, between and after contents."""
        if roles not in self._templates:
            marks = [f"[content-{i}]" for i in range(len(roles))]
            chat = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
            prompt, tokens = await self._client.chat_tokenize(chat)
            read = await self._client.tokenize(prompt)
            # `/generate` adds the token that begins a sequence to every prompt, so the template must not add it.
            if len(read) > len(tokens) and read[0]["id"] == tokens[0]["id"]:
                prompt = prompt.removeprefix(tokens[0]["text"])
            self._templates[roles] = _split(prompt, marks)
        return self._templates[roles]

    async def _try_template(self) -> None:
        """Finds out whether the model has a chat template, and whether the template has a system role."""
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
    """Returns the texts before, between and after the marks."""
    pieces: list[str] = []
    for mark in marks:
        piece, found, prompt = prompt.partition(mark)
        if not found:
            raise AnnotatorError("The model's chat template leaves out or reorders messages; serve another model.")
        pieces.append(piece)
    return [*pieces, prompt]


def _grammar(fields: Mapping[str, Any]) -> Any:
    """Converts a constraint of chat completions to a grammar of TGI."""
    from text_generation.types import Grammar, GrammarType

    if not fields:
        return None
    if "regex" in fields:
        return Grammar(type=GrammarType.Regex, value=fields["regex"])
    if "value" in fields.get("response_format", {}):
        return Grammar(type=GrammarType.Json, value=dict(fields["response_format"]["value"]))
    raise RefusedError("request refused", "TGI's own protocol only has JSON schemas and regular expressions")


def _tokens(response: "Response") -> tuple[TokenLogprobs, ...]:
    details = response.details
    return tuple(
        TokenLogprobs(token.text, token.logprob, {other.text: other.logprob for other in others})
        for token, others in zip(details.tokens, details.top_tokens, strict=True)
        if not token.special
    )
