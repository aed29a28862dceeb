"""What the servers of batches on loopback share: they answer the requests of a batch by calling themselves."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web


@dataclass
class BatchBehaviour:
    """How a server of batches behaves.

    Args:
        delay: Seconds until a batch ends.
        accepts: Whether it accepts a batch at all; otherwise why not.
        expired: How many requests of each batch expire.
        missing: How many results of each batch are left out.
        faults: What happens to the next calls, by `METHOD PATH` without ids: `500`, `429`, `reset` and `cut` before
            the call takes effect, `lost` after it took effect (the connection is reset), `broken` (half of the body).
        on_call: Called with `METHOD PATH` when a call arrives, before it takes effect.
        on_created: Called when a batch was created, before its answer is sent.
    """

    delay: float = 0.0
    accepts: str | None = None
    expired: int = 0
    missing: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    on_call: Callable[[str], object] = lambda route: None
    on_created: Callable[[], object] = lambda: None


class BatchingServer:
    """The part of a server that answers batches.

    Attributes:
        batches: The batches by id.
        calls: How often each `METHOD PATH` was called.
        paid: How often each request was answered in a batch, by its id without the name of the batch.
    """

    def __init__(self, behaviour: BatchBehaviour) -> None:
        self.behaviour = behaviour
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def meet(self, request: web.Request, route: str) -> str | web.StreamResponse | None:
        """Meets the next fault of a call: a response that ends it, or the fault that spoils its response."""
        self.calls[route] += 1
        self.behaviour.on_call(route)
        waiting = self.behaviour.faults.get(route)
        fault = waiting.pop(0) if waiting else None
        if fault == "reset":
            return self.reset(request)
        if fault in ("429", "500"):
            return web.json_response({"error": {"message": "overloaded"}}, status=int(fault))
        return fault

    def reset(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def sent(self, request: web.Request, text: str, fault: str | None) -> web.Response:
        """Sends a response that took effect."""
        if fault == "lost":
            return self.reset(request)
        text = text[: len(text) // 2] if fault == "broken" else text
        return web.Response(text=text, content_type="application/json")

    def begin(
        self, url: str, headers: dict[str, str], batch: dict[str, Any], lines: dict[str, dict[str, Any]]
    ) -> None:
        """Answers the requests of a batch in the background, by calling the server itself."""
        task = asyncio.create_task(self._answer(url, headers, batch, lines))
        self._tasks.add(task)
        self.behaviour.on_created()

    async def _answer(
        self, url: str, headers: dict[str, str], batch: dict[str, Any], lines: dict[str, dict[str, Any]]
    ) -> None:
        await asyncio.sleep(self.behaviour.delay)
        ids = list(lines)
        left_out = self.behaviour.expired + self.behaviour.missing
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20)) as session:

            async def one(id: str) -> tuple[str, int, Any]:
                async with session.post(url, json=lines[id], headers=headers) as response:
                    return id, response.status, await response.json()

            answered = await asyncio.gather(*map(one, ids[left_out:]))
        for id, status, _ in answered:
            self.paid[id.rpartition("-")[2]] += status == 200
        batch["answers"] = answered
        batch["expired"] = ids[: self.behaviour.expired]
        batch["ended"] = True
