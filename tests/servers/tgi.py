"""A text-generation-inference server on loopback: TGI's routes, errors and grammars around a tiny real model.

Tokens are decoded greedily under the grammar, and log-probabilities are normalised over what the grammar allows, as
TGI does. `serve` runs it in a thread.
"""

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import torch
from aiohttp import web
from jinja2 import TemplateError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from freeal_hf.annotators.prompts.labels import answer_text
from tests.servers.background import running

MODEL_INFO = {"model_id": "tests/tiny-chat", "model_sha": "0" * 40, "version": "3.3.6"}


@dataclass
class TGIServer:
    """The server; its fields may be changed while it runs.

    Args:
        model: The model that it runs.
        tokenizer: Its tokenizer, with or without a chat template.
        token: The bearer token that it wants.
        supports_grammar: Whether it was started with grammars.
        enforces_grammar: Whether it keeps to them.
        max_top_n_tokens: As `--max-top-n-tokens`.
        max_input_tokens: As `--max-input-tokens`.
        failures: Status and headers of the next answers to `/generate`.
        calls: How often each route was asked.
        bodies: What `/generate` was asked.
        prompts: The token ids that the model read for each of them.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    token: str | None = None
    supports_grammar: bool = True
    enforces_grammar: bool = True
    max_top_n_tokens: int = 5
    max_input_tokens: int = 1500
    failures: deque[tuple[int, Mapping[str, str]]] = field(default_factory=deque)
    calls: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    url: str = ""

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/info", self._info)
        app.router.add_post("/chat_tokenize", self._chat_tokenize)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/generate", self._generate)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[request.path] += 1
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "unauthorized", "error_type": "unauthorized"}, status=401)
        return await handler(request)

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(MODEL_INFO | {"max_input_tokens": self.max_input_tokens})

    async def _chat_tokenize(self, request: web.Request) -> web.Response:
        messages = (await request.json())["messages"]
        if not self.tokenizer.chat_template:
            return _refused("Template error: template not found", "template_error")
        try:
            prompt = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            return _refused(f"Template error: {error}", "template_error")
        tokens = self._tokens(prompt, add_special_tokens=False)
        return web.json_response({"templated_text": prompt, "tokenize_response": tokens})

    async def _tokenize(self, request: web.Request) -> web.Response:
        return web.json_response(self._tokens((await request.json())["inputs"], add_special_tokens=True))

    async def _generate(self, request: web.Request) -> web.Response:
        body = await request.json()
        parameters = body["parameters"]
        self.bodies.append(body)
        if self.failures:
            status, headers = self.failures.popleft()
            kinds = {424: "generation", 429: "overloaded"}
            error = {"error": f"failed with {status}", "error_type": kinds.get(status, "incomplete_generation")}
            return web.json_response(error, status=status, headers=headers)
        top_n = parameters.get("top_n_tokens") or 0
        if top_n > self.max_top_n_tokens:
            return _refused(f"`top_n_tokens` must be >= 0 and <= {self.max_top_n_tokens}. Given: {top_n}")
        if parameters.get("grammar") and not self.supports_grammar:
            return _refused("grammar is not supported")
        ids = self.tokenizer(body["inputs"])["input_ids"]
        if len(ids) > self.max_input_tokens:
            return _refused(f"`inputs` must have less than {self.max_input_tokens} tokens. Given: {len(ids)}")
        self.prompts.append(ids)
        answers = _allowed(parameters["grammar"]) if parameters.get("grammar") and self.enforces_grammar else None
        generation = self._generation(ids, parameters["max_new_tokens"], answers, top_n)
        return web.json_response(generation, headers={"x-prompt-tokens": str(len(ids))})

    @torch.inference_mode()
    def _generation(
        self, ids: list[int], max_new_tokens: int, answers: list[str] | None, top_n: int
    ) -> dict[str, Any]:
        text, tokens, top_tokens, end = "", [], [], self.tokenizer.eos_token_id
        texts = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        while len(tokens) < max_new_tokens and (not tokens or tokens[-1]["id"] != end):
            logits = self.model(torch.tensor([ids])).logits[0, -1]
            if answers is not None:
                allowed = [_goes_on(answers, text, None if i == end else piece) for i, piece in enumerate(texts)]
                logits = logits.masked_fill(~torch.tensor(allowed), -torch.inf)
            logprobs = logits.log_softmax(-1).clamp(min=-1e9)  # JSON has no infinity
            best = logprobs.topk(max(top_n, 1)).indices.tolist()
            described = [{"id": i, "text": texts[i], "logprob": logprobs[i].item(), "special": i == end} for i in best]
            tokens.append(described[0])
            top_tokens.append(described)
            ids = [*ids, best[0]]
            text += "" if best[0] == end else texts[best[0]]
        details = {
            "finish_reason": "eos_token" if tokens[-1]["id"] == end else "length",
            "generated_tokens": len(tokens),
            "seed": None,
            "prefill": [],
            "tokens": tokens,
        }
        return {"generated_text": text, "details": details | ({"top_tokens": top_tokens} if top_n else {})}

    def _tokens(self, text: str, *, add_special_tokens: bool) -> list[dict[str, Any]]:
        ids = self.tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"]
        return [{"id": i, "text": self.tokenizer.decode([i]), "start": 0, "stop": 0} for i in ids]


def _allowed(grammar: Mapping[str, Any]) -> list[str] | None:
    """Every answer that a JSON schema of labels allows; `None` for other schemas, which this server lets pass."""
    fields = grammar["value"]["properties"]
    if all(field["type"] == "boolean" for field in fields.values()):
        every = product((False, True), repeat=len(fields))
        return [json.dumps(dict(zip(fields, values, strict=True))) for values in every]
    if "labels" in fields:
        names = fields["labels"]["items"]["enum"]
        sets = [some for count in range(len(names) + 1) for some in combinations(names, count)]
        return [json.dumps({"labels": some}) for some in sets]
    return [answer_text(code) for code in fields["label"]["enum"]] if "label" in fields else None


def _goes_on(answers: list[str], text: str, piece: str | None) -> bool:
    """Whether an answer may go on with this piece after the text, or end there."""
    if piece is None:
        return text in answers
    return piece != "" and any(answer.startswith(text + piece) for answer in answers)


def _refused(message: str, kind: str = "validation") -> web.Response:
    return web.json_response({"error": f"Input validation error: {message}", "error_type": kind}, status=422)


@contextmanager
def serve(server: TGIServer) -> Iterator[TGIServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app()) as server.url:
        yield server
