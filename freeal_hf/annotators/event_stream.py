"""Reads chat completions that a server sends as an event stream although none was requested."""

import json
from collections.abc import Iterator
from typing import Any

from freeal_hf.annotators.json_bytes import from_json

_DONE = "[DONE]"
_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")


def completion_in(body: bytes) -> Any:
    """Returns the payload of a response: its JSON, or the completion from the chunks of an event stream.

    Args:
        body (`bytes`): The body of the response.

    Returns:
        `Any`: The payload.

    Raises:
        json.JSONDecodeError: If the body is neither of the two, or ends within a chunk.

    Example:

        >>> completion_in(b'{"id": "1"}')
        {'id': '1'}
    """
    try:
        return from_json(body)
    except json.JSONDecodeError:
        chunks = list(_chunks(body.decode("utf-8")))
        if not chunks:
            raise
    for chunk in chunks:
        if not _deltas(chunk) and not _is_usage(chunk):
            return chunk  # an error, or the whole completion in one event
    return _joined(chunks)


def _chunks(text: str) -> Iterator[Any]:
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data and data != _DONE:
            yield json.loads(data)


def _joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    choices = [choice for chunk in chunks for choice in _deltas(chunk)]
    deltas = [choice["delta"] for choice in choices]
    said = {name: "".join(delta.get(name) or "" for delta in deltas) for name in _FIELDS}
    tokens = [token for choice in choices for token in (choice.get("logprobs") or {}).get("content") or ()]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    return {
        "choices": [
            {
                "message": {name: text for name, text in said.items() if text or name == "content"},
                # A stream without a finish reason was cut off.
                "finish_reason": reasons[-1] if reasons else "length",
                "logprobs": {"content": tokens} if tokens else None,
            }
        ],
        "usage": next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None),
    }


def _deltas(chunk: Any) -> list[dict[str, Any]]:
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    first = [choice for choice in choices or () if isinstance(choice, dict) and not choice.get("index")]
    return [choice for choice in first if isinstance(choice.get("delta"), dict)]


def _is_usage(chunk: Any) -> bool:
    """Whether a chunk has no choices, because it only counts tokens or opens the stream."""
    return isinstance(chunk, dict) and chunk.get("choices") == [] and not chunk.get("error")
