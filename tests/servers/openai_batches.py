"""A chat-completions server on loopback that also has OpenAI's files and batches."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from tests.servers.background import running
from tests.servers.batching import BatchBehaviour, BatchingServer
from tests.servers.chat import Behaviour, ChatServer


class OpenAIServer(BatchingServer):
    """The server. `chat` answers the requests, also those of batches.

    Args:
        chat (`Behaviour`, *optional*): How chat completions are answered.
        batches (`BatchBehaviour`, *optional*): How batches are answered.
    """

    def __init__(self, chat: Behaviour | None = None, batches: BatchBehaviour | None = None) -> None:
        super().__init__(batches or BatchBehaviour())
        self.chat = ChatServer(chat)
        self.url = ""
        self.files: dict[str, tuple[str, bytes]] = {}

    def app(self) -> web.Application:
        app = self.chat.app()
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{id}", self._retrieve)
        return app

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        fault = await self._enter(request, "POST /v1/files")
        if isinstance(fault, web.StreamResponse):
            return fault
        form = await request.post()
        file: Any = form["file"]
        assert form["purpose"] == "batch"
        content = file.file.read()
        id = self._new_file(file.filename, content)
        created = {"id": id, "object": "file", "bytes": len(content), "created_at": int(time.time())}
        described = {**created, "filename": file.filename, "purpose": "batch", "status": "processed"}
        return self.sent(request, json.dumps(described), fault)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        fault = await self._enter(request, "GET /v1/files/{id}/content")
        if isinstance(fault, web.StreamResponse):
            return fault
        return self.sent(request, self.files[request.match_info["id"]][1].decode(), fault)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fault = await self._enter(request, "POST /v1/batches")
        if isinstance(fault, web.StreamResponse):
            return fault
        asked = await request.json()
        assert asked["completion_window"] == "24h"
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]][1].splitlines()]
        assert all(line["method"] == "POST" and line["url"] == asked["endpoint"] for line in lines)
        batch = {
            "id": f"batch_{len(self.batches)}",
            "asked": asked,
            "count": len(lines),
            "created": int(time.time()),
            "ended": False,
        }
        self.batches[batch["id"]] = batch
        if self.behaviour.accepts is None:
            headers = {"Authorization": request.headers.get("Authorization", "")}
            bodies = {line["custom_id"]: line["body"] for line in lines}
            self.begin(self.url + asked["endpoint"], headers, batch, bodies)
        return self.sent(request, json.dumps(self._described(batch)), fault)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        fault = await self._enter(request, "GET /v1/batches")
        if isinstance(fault, web.StreamResponse):
            return fault
        listed = [self._described(batch) for batch in reversed(self.batches.values())]
        return self.sent(request, json.dumps({"object": "list", "data": listed, "has_more": False}), fault)

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        fault = await self._enter(request, "GET /v1/batches/{id}")
        if isinstance(fault, web.StreamResponse):
            return fault
        return self.sent(request, json.dumps(self._described(self.batches[request.match_info["id"]])), fault)

    async def _enter(self, request: web.Request, route: str) -> str | web.StreamResponse | None:
        token = self.chat.behaviour.token
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        return await self.meet(request, route)

    def _new_file(self, name: str, content: bytes) -> str:
        self.files[f"file-{len(self.files)}"] = (name, content)
        return f"file-{len(self.files) - 1}"

    def _described(self, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["ended"] and "output" not in batch:
            self._write_files(batch)
        errors = None
        status = "in_progress"
        if self.behaviour.accepts is not None:
            errors = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": self.behaviour.accepts}]}
            status = "failed"
        elif batch["ended"]:
            status = "expired" if batch["expired"] else "completed"
        return {
            "id": batch["id"],
            "object": "batch",
            "endpoint": batch["asked"]["endpoint"],
            "errors": errors,
            "input_file_id": batch["asked"]["input_file_id"],
            "completion_window": "24h",
            "status": batch.get("status", status) if batch["ended"] else status,
            "output_file_id": batch.get("output"),
            "error_file_id": batch.get("error"),
            "created_at": batch["created"],
            "request_counts": {"total": batch["count"], "completed": 0, "failed": 0},
            "metadata": batch["asked"].get("metadata"),
        }

    def _write_files(self, batch: dict[str, Any]) -> None:
        lines: dict[str, list[dict[str, Any]]] = {"output": [], "error": []}
        for id, status, body in batch["answers"]:
            line = {"custom_id": id, "response": {"status_code": status, "body": body}, "error": None}
            lines["output" if status == 200 else "error"].append(line)
        for id in batch["expired"]:
            error = {"code": "batch_expired", "message": "This request could not be executed in time."}
            lines["error"].append({"custom_id": id, "response": None, "error": error})
        for kind, some in lines.items():
            content = "".join(json.dumps(line) + "\n" for line in some).encode()
            batch[kind] = self._new_file(f"{kind}.jsonl", content) if some else None


@contextmanager
def serve(server: OpenAIServer) -> Iterator[OpenAIServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app()) as server.url:
        yield server
