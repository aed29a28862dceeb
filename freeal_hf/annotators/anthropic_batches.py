"""The batch API of Anthropic."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from freeal_hf.annotators import batches
from freeal_hf.annotators.batches import BatchService, Result, State
from freeal_hf.annotators.cache import PendingBatch
from freeal_hf.annotators.http_errors import error_object, public_url
from freeal_hf.annotators.rest import JsonApi
from freeal_hf.errors import TransientError

_PATH = "/v1/messages/batches"
_TIMEOUT = 300.0  # seconds; the bodies are large
_CLOCKS = 300.0  # maximum difference of two clocks, in seconds


class AnthropicBatches(BatchService):
    """Sends messages in message batches.

    Args:
        api (`JsonApi`): The API.
    """

    most_bytes = 200 * 2**20

    def __init__(self, api: JsonApi) -> None:
        self._api = api

    @property
    def server(self) -> str:
        return f"anthropic {public_url(self._api.url)}"

    async def submit(self, name: str, requests: Mapping[str, Mapping[str, Any]]) -> str:
        body = {"requests": [{"custom_id": id, "params": params} for id, params in requests.items()]}
        return str((await self._call("POST", _PATH, json=body))["id"])

    async def find(self, batch: PendingBatch) -> str | None:
        # A batch has no name, and other runs can have batches of the same size. Only the results of a batch, which it
        # has when it has ended, contain the ids of its requests, and these begin with our name.
        possible = [
            str(one["id"])
            async for one in self._listed(batch.created - _CLOCKS)
            if sum(one["request_counts"].values()) == len(batch.keys)
        ]
        pause, longest = batches.POLL_SECONDS
        while possible:
            ended = [id for id in possible if (await self.state(id)).has_ended]
            for id in ended:
                if any(name.startswith(f"{batch.name}-") for name in await self._results(id)):
                    return id
            possible = [id for id in possible if id not in ended]
            if possible:
                await asyncio.sleep(pause)
                pause = min(longest, pause * 1.5)
        return None

    async def state(self, id: str) -> State:
        batch = await self._call("GET", f"{_PATH}/{id}")
        is_cancelled = batch.get("cancel_initiated_at") is not None
        return State(batch["processing_status"] == "ended", is_cancelled=is_cancelled)

    async def results(self, id: str) -> dict[str, Result]:
        found = {name: self._result(line["result"]) for name, line in (await self._results(id)).items()}
        return {name: result for name, result in found.items() if result is not None}

    async def _results(self, id: str) -> dict[str, Any]:
        lines = await self._api.lines(f"{_PATH}/{id}/results", timeout=_TIMEOUT)
        return {str(line["custom_id"]): line for line in lines}

    def _result(self, result: Mapping[str, Any]) -> Result | None:
        if result["type"] == "succeeded":
            message: Mapping[str, Any] = result["message"]
            return message
        if result["type"] == "expired":
            return TransientError("timeout", "the batch expired before the request was answered")
        if result["type"] == "canceled":
            return None
        error = result["error"]
        return error_object({"error": error.get("error") or error}, self._api.url, self._api.secret)

    async def _listed(self, since: float) -> AsyncIterator[dict[str, Any]]:
        """Yields the batches that were created since a time, the newest first."""
        after: dict[str, str] = {}
        while True:
            page = await self._call("GET", _PATH, params={"limit": "100", **after})
            for one in page["data"]:
                if datetime.fromisoformat(one["created_at"].replace("Z", "+00:00")).timestamp() < since:
                    return
                yield one
            if not page.get("has_more"):
                return
            after = {"after_id": page["last_id"]}

    async def _call(self, method: str, path: str, **content: Any) -> Any:
        return await self._api.call(method, path, timeout=_TIMEOUT, **content)
