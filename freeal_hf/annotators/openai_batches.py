"""The batch API of OpenAI, which other servers have too."""

import json
from collections.abc import Mapping
from typing import Any

from freeal_hf.annotators.batches import BatchService, Result, State
from freeal_hf.annotators.cache import PendingBatch
from freeal_hf.annotators.http_errors import error_object, public_url
from freeal_hf.annotators.rest import JsonApi
from freeal_hf.errors import TransientError

_PATH = "/v1/chat/completions"
_TIMEOUT = 300.0  # seconds; the files are large
_NAME = "freeal"
_ENDED = ("completed", "expired", "cancelled")
_CLOCKS = 3600.0  # maximum difference of two clocks, in seconds


class OpenAIBatches(BatchService):
    """Sends chat completions as files of JSON lines.

    Args:
        api (`JsonApi`): The API.
    """

    most_bytes = 100 * 2**20

    def __init__(self, api: JsonApi) -> None:
        self._api = api

    @property
    def server(self) -> str:
        return f"openai {public_url(self._api.url)}"

    async def submit(self, name: str, requests: Mapping[str, Mapping[str, Any]]) -> str:
        lines = (
            json.dumps({"custom_id": id, "method": "POST", "url": _PATH, "body": body})
            for id, body in requests.items()
        )
        content = "\n".join(lines).encode()
        files = {"file": (f"{_NAME}-{name}.jsonl", content, "application/jsonl")}
        file = await self._call("POST", "/v1/files", data={"purpose": "batch"}, files=files)
        body = {
            "input_file_id": file["id"],
            "endpoint": _PATH,
            "completion_window": "24h",
            "metadata": {_NAME: name},
        }
        return str((await self._call("POST", "/v1/batches", json=body))["id"])

    async def find(self, batch: PendingBatch) -> str | None:
        after: dict[str, str] = {}
        while True:
            page = await self._call("GET", "/v1/batches", params={"limit": "100", **after})
            for one in page["data"]:
                if (one.get("metadata") or {}).get(_NAME) == batch.name:
                    return str(one["id"])
            if not page.get("has_more") or page["data"][-1]["created_at"] < batch.created - _CLOCKS:
                return None
            after = {"after": page["data"][-1]["id"]}

    async def state(self, id: str) -> State:
        batch = await self._call("GET", f"/v1/batches/{id}")
        if batch["status"] != "failed":
            return State(batch["status"] in _ENDED, is_cancelled=batch["status"] == "cancelled")
        errors = [str(error.get("message")) for error in (batch.get("errors") or {}).get("data") or ()]
        return State(True, refusal=" ".join(errors[:3]) or "no reason given.")

    async def results(self, id: str) -> dict[str, Result]:
        batch = await self._call("GET", f"/v1/batches/{id}")
        found: dict[str, Result] = {}
        for file in filter(None, (batch.get("output_file_id"), batch.get("error_file_id"))):
            for line in await self._api.lines(f"/v1/files/{file}/content", timeout=_TIMEOUT):
                found[str(line["custom_id"])] = self._result(line)
        return found

    def _result(self, line: Mapping[str, Any]) -> Result:
        response, error = line.get("response"), line.get("error")
        if response and response.get("status_code") == 200:
            failure = error_object(response["body"], self._api.url, self._api.secret)
            return response["body"] if failure is None else failure
        if error and error.get("code") == "batch_expired":
            return TransientError("timeout", str(error.get("message")))
        body = (response or {}).get("body") or {}
        said = body.get("error") or error or body
        told = said if isinstance(said, Mapping) else {"message": said}
        payload = {"error": {**told, "status": (response or {}).get("status_code")}}
        found = error_object(payload, self._api.url, self._api.secret)
        assert found is not None
        return found

    async def _call(self, method: str, path: str, **content: Any) -> Any:
        return await self._api.call(method, path, timeout=_TIMEOUT, **content)
