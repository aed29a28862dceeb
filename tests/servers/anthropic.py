"""A server of Anthropic's messages and message batches on loopback.

It labels each text by a rule, so that a test knows the right answer.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from tests.servers.background import running
from tests.servers.batching import BatchBehaviour, BatchingServer
from tests.servers.chat import by_hash, text_of

KEY = "sk-ant-very-secret-0123456789"


@dataclass
class MessagesBehaviour:
    """How the server answers messages.

    Args:
        schemas: How it constrains answers: `output`, `tool`, or both.
        always: A fault that hits every message: `429`, `500`, `529`, `credit`, `long`, `refusal`, `max_tokens`,
            `broken`, `text`, `error`.
        oracle: The rule: text and number of labels to label id.
    """

    schemas: tuple[str, ...] = ("output", "tool")
    always: str | None = None
    oracle: Callable[[str, int], int] = by_hash


@dataclass
class MessagesStats:
    """What the server was asked: `bodies` of all messages, and how often each text was `answered`."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)


class AnthropicServer(BatchingServer):
    """The server; the behaviours may be changed while it runs."""

    def __init__(self, messages: MessagesBehaviour | None = None, batches: BatchBehaviour | None = None) -> None:
        super().__init__(batches or BatchBehaviour())
        self.messages = messages or MessagesBehaviour()
        self.stats = MessagesStats()
        self.url = ""
        self._prefixes: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**28, middlewares=[_key])
        app.router.add_post("/v1/messages", self._message)
        app.router.add_post("/v1/messages/batches", self._create)
        app.router.add_get("/v1/messages/batches", self._list)
        app.router.add_get("/v1/messages/batches/{id}", self._retrieve)
        app.router.add_get("/v1/messages/batches/{id}/results", self._results)
        return app

    async def _message(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.stats.bodies.append(body)
        always = self.messages.always
        if always in FAULTS:
            return FAULTS[always]()
        known = {"model", "max_tokens", "system", "messages", "temperature", "output_config", "tools", "tool_choice"}
        if unknown := set(body) - known:
            return _error(400, "invalid_request_error", f"{min(unknown)}: Extra inputs are not permitted")
        if "output_config" in body and "output" not in self.messages.schemas:
            return _error(400, "invalid_request_error", "output_config.format: not supported by this model")
        if "tools" in body and "tool" not in self.messages.schemas:
            return _error(400, "invalid_request_error", "tools: not supported by this model")
        answer, is_tool = self._said(body)
        text = text_of(_text(body["messages"][-1]["content"]))
        self.stats.answered[text] += 1
        content: list[dict[str, Any]] = [{"type": "text", "text": json.dumps(answer) if answer else "Yellow."}]
        if is_tool:
            content = [{"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": answer}]
        reason = always if always in ("refusal", "max_tokens") else "tool_use" if is_tool else "end_turn"
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [] if reason in ("refusal", "max_tokens") else content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": self._usage(body),
        }
        return self.sent(request, json.dumps(message), always)

    def _said(self, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        if "tools" in body:
            schema, is_tool = body["tools"][0]["input_schema"], True
        else:
            schema, is_tool = body.get("output_config", {}).get("format", {}).get("schema"), False
        if schema is None:
            return {}, False
        codes = schema["properties"].get("label", {}).get("enum")
        if codes is None:
            return {"texts": [f"written {i}" for i in range(5)]}, is_tool
        text = text_of(_text(body["messages"][-1]["content"]))
        return {"label": codes[self.messages.oracle(text, len(codes))]}, is_tool

    def _usage(self, body: dict[str, Any]) -> dict[str, Any]:
        """One token for each four characters. A marked prefix is written to the cache, and read from it later."""
        blocks = [*_blocks(body.get("system", "")), *(b for one in body["messages"] for b in _blocks(one["content"]))]
        texts = [block["text"] for block in blocks]
        written = read = 0
        for end in range(len(blocks), 0, -1):
            prefix = json.dumps(texts[:end])
            if "cache_control" in blocks[end - 1] and not read:
                size = sum(map(len, texts[:end])) // 4
                read, written = (size, written) if prefix in self._prefixes else (read, max(size, written))
                self._prefixes.add(prefix)
        written = max(0, written - read)
        total = sum(map(len, texts)) // 4
        return {
            "input_tokens": total - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": 8,
        }

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fault = await self.meet(request, "POST /v1/messages/batches")
        if isinstance(fault, web.StreamResponse):
            return fault
        if self.behaviour.accepts is not None:
            return _error(400, "invalid_request_error", self.behaviour.accepts)
        requests = (await request.json())["requests"]
        batch = {"id": f"msgbatch_{len(self.batches)}", "created": _now(), "count": len(requests), "ended": False}
        self.batches[batch["id"]] = batch
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        lines = {one["custom_id"]: one["params"] for one in requests}
        self.begin(f"{self.url}/v1/messages", headers, batch, lines)
        return self.sent(request, json.dumps(_described(batch)), fault)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        fault = await self.meet(request, "GET /v1/messages/batches")
        if isinstance(fault, web.StreamResponse):
            return fault
        listed = [_described(batch) for batch in reversed(self.batches.values())]
        ids = [one["id"] for one in listed] or [None]
        page = {"data": listed, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}
        return self.sent(request, json.dumps(page), fault)

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        fault = await self.meet(request, "GET /v1/messages/batches/{id}")
        if isinstance(fault, web.StreamResponse):
            return fault
        return self.sent(request, json.dumps(_described(self.batches[request.match_info["id"]])), fault)

    async def _results(self, request: web.Request) -> web.StreamResponse:
        fault = await self.meet(request, "GET /v1/messages/batches/{id}/results")
        if isinstance(fault, web.StreamResponse):
            return fault
        batch = self.batches[request.match_info["id"]]
        results = [
            {"custom_id": id, "result": {"type": "succeeded", "message": body}}
            if status == 200
            else {"custom_id": id, "result": {"type": "errored", "error": body}}
            for id, status, body in batch["answers"]
        ]
        results += [{"custom_id": id, "result": {"type": "expired"}} for id in batch["expired"]]
        return self.sent(request, "".join(json.dumps(result) + "\n" for result in results), fault)


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"type": "error", "error": {"type": kind, "message": message}}, status=status)


FAULTS: dict[str | None, Callable[[], web.Response]] = {
    "429": lambda: _error(429, "rate_limit_error", "This request would exceed the rate limit."),
    "500": lambda: _error(500, "api_error", "Internal server error"),
    "529": lambda: _error(529, "overloaded_error", "Overloaded"),
    "credit": lambda: _error(400, "invalid_request_error", "Your credit balance is too low to access the API."),
    "long": lambda: _error(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    "error": lambda: _error(200, "overloaded_error", "Overloaded"),
    "text": lambda: web.Response(text=f"<html>bad key {KEY}</html>", content_type="text/html"),
}


@web.middleware
async def _key(request: web.Request, handler: Any) -> web.StreamResponse:
    # The documentation names the first header; the official client sends the second.
    key = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
    if key != KEY:
        return _error(401, "authentication_error", f"invalid x-api-key {key}")
    if "anthropic-version" not in request.headers:
        return _error(400, "invalid_request_error", "anthropic-version: header is required")
    return await handler(request)  # type: ignore[no-any-return]


def _described(batch: dict[str, Any]) -> dict[str, Any]:
    count = batch["count"]
    ended = len(batch["answers"]) if batch["ended"] else 0
    counts = {"processing": count - ended, "succeeded": ended, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": batch["id"],
        "type": "message_batch",
        "processing_status": "ended" if batch["ended"] else "in_progress",
        "request_counts": counts,
        "created_at": batch["created"],
        "ended_at": batch["created"] if batch["ended"] else None,
        "expires_at": batch["created"],
        "archived_at": None,
        "cancel_initiated_at": batch.get("cancelled"),
        "results_url": f"http://elsewhere/{batch['id']}" if batch["ended"] else None,
    }


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: Any) -> str:
    return "".join(block["text"] for block in _blocks(content))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


@contextmanager
def serve(server: AnthropicServer) -> Iterator[AnthropicServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app()) as server.url:
        yield server
