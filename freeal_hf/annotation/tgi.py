"""The annotator behind a text-generation-inference server, through its own protocol."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from freeal_hf.annotation.annotator import Annotation, AnnotationRequest, Generation, GenerationRequest
from freeal_hf.annotation.calls import Pace, RefusedError, TransientError, ask
from freeal_hf.annotation.constraints import Footing, Trial, constraint_fields, find_footing
from freeal_hf.annotation.http_errors import public_url
from freeal_hf.annotation.logprobs import TokenLogprobs, code_probabilities, name_probability
from freeal_hf.annotation.prompts import (
    Message,
    annotation_messages,
    answer_schema,
    cut_text,
    generation_messages,
    generation_schema,
    label_codes,
    parse_answer,
    parse_texts,
)
from freeal_hf.annotation.templates import without_system_role
from freeal_hf.errors import AnnotatorError, InputError
from freeal_hf.tasks import NO_LABEL, TextClassification

if TYPE_CHECKING:
    from text_generation.types import Response

logger = logging.getLogger(__name__)

_PROBE_ATTEMPTS = 4
_SMALLEST_CUT = 200  # characters; a text that does not fit then never will


class TextGenerationAnnotator:
    """Labels and writes texts through the `text-generation` client and TGI's own `/generate`.

    The server's grammar holds each answer to the labels, and the log-probabilities of its tokens give the probability
    of each label. A canary finds out, before the first call of a run, whether it really does both; see
    `freeal_hf.annotation.constraints`. `/generate` takes a raw prompt: the model's chat template is learnt from the
    server's `/chat_tokenize`, once for each shape of chat, and filled in here.

    Args:
        base_url (`str`): Address of the server, such as `"http://127.0.0.1:8080"`.
        token (`str`, *optional*): Bearer token, where the server or the proxy before it wants one.
        api_key_env (`str`, *optional*): Name of an environment variable that holds it instead.
        generation_temperature (`float`, *optional*, defaults to 1.0): For writing texts; labels are decoded greedily.
        max_tokens (`int`, *optional*, defaults to 64): Most tokens of an answer.
        generation_max_tokens (`int`, *optional*, defaults to 1024): Most tokens of one generation.
        probabilities (`bool`, *optional*, defaults to `True`):
            Whether to ask for the probability of every label. Labels are then answered as the letters A, B, C, ... A
            server started without `--max-top-n-tokens` tells five at most: the labels beyond get 0.
        max_text_length (`int`, *optional*, defaults to 12000):
            Longest text, in characters; a longer one is cut at the end of a sentence and marked. A text that is still
            too long for the model's context is cut further.
        concurrency (`int`, *optional*, defaults to 64): Most calls at once; the driver starts with few.
        timeout (`float`, *optional*, defaults to 60.0): Seconds for one labelling call.
        generation_timeout (`float`, *optional*, defaults to 300.0): Seconds for one writing call.

    Raises:
        AnnotatorError: If `text-generation` is not installed, or the environment variable is not set.
        InputError: If `base_url` is no URL, or both `token` and `api_key_env` are given.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        api_key_env: str | None = None,
        generation_temperature: float = 1.0,
        max_tokens: int = 64,
        generation_max_tokens: int = 1024,
        probabilities: bool = True,
        max_text_length: int = 12_000,
        concurrency: int = 64,
        timeout: float = 60.0,
        generation_timeout: float = 300.0,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise InputError(f"{base_url!r} is no address of a server; it must begin with http:// or https://.")
        try:
            from freeal_hf.annotation.tgi_client import TGIClient
        except ImportError as error:
            raise AnnotatorError(
                "TextGenerationAnnotator needs the text-generation client: pip install 'freeal-hf[tgi]'."
            ) from error
        self.base_url = base_url.rstrip("/")
        self.generation_temperature = generation_temperature
        self.max_tokens = max_tokens
        self.generation_max_tokens = generation_max_tokens
        self.probabilities = probabilities
        self.max_text_length = max_text_length
        self.concurrency = concurrency
        self.timeout = timeout
        self.generation_timeout = generation_timeout
        self._client = TGIClient(self.base_url, _key(token, api_key_env), generation_timeout)
        self._model: dict[str, Any] = {}
        self._footing: Footing | None = None
        self._has_system_role = True
        self._templates: dict[tuple[str, ...], list[str]] = {}

    def fingerprint(self, task: TextClassification, request: AnnotationRequest) -> Mapping[str, Any]:
        """The full request: server, messages, schema, sampling."""
        return {
            **self._source(),
            "messages": self._messages(task, request, self.max_text_length),
            "schema": answer_schema(label_codes(task, self.probabilities)),
            "max_tokens": self.max_tokens,
            "logprobs": self.probabilities,
        }

    def generation_fingerprint(self, task: TextClassification, request: GenerationRequest) -> Mapping[str, Any]:
        """The full request to write texts."""
        return {
            **self._source(),
            "messages": generation_messages(task, request),
            "schema": generation_schema(),
            "temperature": self.generation_temperature,
            "max_tokens": self.generation_max_tokens,
            "seed": request.seed,
        }

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        """Labels the texts, one call each.

        Raises:
            TransientError, RefusedError, AnnotatorError: As the driver expects them.
        """
        return list(await asyncio.gather(*(self._annotate(task, request) for request in requests)))

    async def generate(self, task: TextClassification, request: GenerationRequest) -> Generation:
        """Writes texts for one label.

        Raises:
            TransientError, RefusedError, AnnotatorError: As the driver expects them.
        """
        held = {"grammar": _json_grammar(generation_schema())} if self._ready().constraint != "none" else {}
        response, prompt_tokens = await self._client.complete(
            await self._prompt(generation_messages(task, request)),
            max_new_tokens=self.generation_max_tokens,
            do_sample=True,
            temperature=self.generation_temperature,
            seed=request.seed,
            **held,
        )
        texts = parse_texts(response.generated_text)[: request.num_texts]
        return Generation(texts, prompt_tokens, response.details.generated_tokens)

    def open(self) -> None:
        """Asks the server which model it runs: answers are kept under its name."""
        if not self._model:
            with ThreadPoolExecutor(1) as executor:  # a thread, because a loop may be running in this one
                executor.submit(asyncio.run, self._identify()).result()

    def close(self) -> None:
        """Nothing is held between runs."""

    async def _identify(self) -> None:
        try:
            async with self._client:
                self._model = await self._client.info()
        except TransientError as error:
            raise AnnotatorError(f"The server does not say which model it runs: {error}") from error

    async def __aenter__(self) -> "TextGenerationAnnotator":
        await self._client.__aenter__()
        try:
            if self._footing is None:
                self._footing = await self._probe()
        except BaseException:
            await self._client.__aexit__()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__()

    async def _annotate(self, task: TextClassification, request: AnnotationRequest) -> Annotation:
        codes = label_codes(task, self.probabilities)
        length = self.max_text_length
        while True:
            try:
                response, prompt_tokens = await self._complete(
                    self._messages(task, request, length),
                    constraint_fields(self._ready().constraint, codes),
                    self._ready().top_logprobs,
                )
                break
            except RefusedError as error:
                length = min(length, len(request.text)) // 2
                if error.reason != "text too long" or length < _SMALLEST_CUT:
                    raise
        annotation = self._read(response, task, codes)
        return replace(annotation, prompt_tokens=prompt_tokens, is_cut=length < len(request.text))

    def _read(self, response: "Response", task: TextClassification, codes: Sequence[str]) -> Annotation:
        label, reason = parse_answer(response.generated_text, task, coded=self.probabilities)
        tokens = _tokens(response)
        probabilities = confidence = None
        if label != NO_LABEL and self._ready().top_logprobs:
            if codes != task.label_names:
                probabilities = code_probabilities(tokens, codes)
            confidence = probabilities[label] if probabilities else name_probability(tokens, codes[label])
        return Annotation(
            label,
            confidence=confidence,
            probabilities=probabilities,
            reason="cut-off answer" if reason and response.details.finish_reason == "length" else reason,
            completion_tokens=response.details.generated_tokens,
            answer=response.generated_text,
        )

    async def _complete(
        self, messages: Sequence[Message], fields: Mapping[str, Any], top_logprobs: int
    ) -> tuple["Response", int]:
        """One greedy answer, held to what the fields of a chat completion say."""
        return await self._client.complete(
            await self._prompt(messages),
            max_new_tokens=self.max_tokens,
            top_n_tokens=top_logprobs or None,
            grammar=_grammar(fields),
        )

    async def _prompt(self, messages: Sequence[Message]) -> str:
        """A chat as the raw prompt that `/generate` takes."""
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

    async def _probe(self) -> Footing:
        pace = Pace(1)

        async def call(messages: Sequence[Message], fields: Mapping[str, Any], top_logprobs: int) -> Trial:
            (response, _), _ = await ask(
                lambda: self._complete(messages, fields, top_logprobs),
                pace=pace,
                order=0,
                timeout=self.timeout,
                max_attempts=_PROBE_ATTEMPTS,
                on_retry=lambda: None,
            )
            return Trial(response.generated_text, has_logprobs=bool(response.details.top_tokens))

        try:
            await self._try_template()
            return await find_footing(call, want_logprobs=self.probabilities)
        except TransientError as error:
            raise AnnotatorError(f"The server did not answer its first call: {error}") from error

    def _ready(self) -> Footing:
        if self._footing is None:
            raise AnnotatorError("Enter the annotator first: `async with annotator: await annotator.annotate(...)`.")
        return self._footing

    def _messages(self, task: TextClassification, request: AnnotationRequest, length: int) -> list[Message]:
        text, _ = cut_text(request.text, length)
        return annotation_messages(task, replace(request, text=text), coded=self.probabilities)

    def _source(self) -> dict[str, Any]:
        return {
            "annotator": "text-generation",
            "url": public_url(self.base_url),
            "model": self._model.get("model_id"),
            "commit": self._model.get("model_sha"),
        }


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
        return _json_grammar(fields["response_format"]["value"])
    raise RefusedError("request refused", "TGI's own protocol has a JSON schema and a regular expression")


def _json_grammar(schema: Mapping[str, Any]) -> Any:
    from text_generation.types import Grammar, GrammarType

    return Grammar(type=GrammarType.Json, value=dict(schema))


def _tokens(response: "Response") -> tuple[TokenLogprobs, ...]:
    alternatives = response.details.top_tokens or [[] for _ in response.details.tokens]
    return tuple(
        TokenLogprobs(token.text, token.logprob, {other.text: other.logprob for other in others})
        for token, others in zip(response.details.tokens, alternatives, strict=True)
        if not token.special
    )


def _key(token: str | None, api_key_env: str | None) -> str | None:
    if api_key_env is None:
        return token
    if token is not None:
        raise InputError("Give either token or api_key_env, not both.")
    if not os.environ.get(api_key_env):
        raise AnnotatorError(f"The environment variable {api_key_env!r} is not set; put the server's key into it.")
    return os.environ[api_key_env]
