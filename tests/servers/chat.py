"""A chat-completions server on loopback with configurable behaviour and faults.

It labels each text by a rule (`oracle`), so that a test knows the right answer, and counts what it was asked. It
speaks `/v1/chat/completions` (with `response_format`, `structured_outputs`, `logprobs`, `Retry-After`), `/v1/models`
and `/health`. `serve` runs it in a thread; `python tests/servers/chat.py --port 0` as a process that prints its URL.
"""

import argparse
import asyncio
import hashlib
import json
import math
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.servers.background import running  # also when run as a script

MODEL = "tests/tiny-chat"


def by_hash(text: str, num_labels: int) -> int:
    """The default rule: any text has a label, and always the same."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[0] % num_labels


def first_candidates(numbers: list[int], wanted: int) -> str:
    """The default choice: the first candidates that were not chosen before, as JSON."""
    return json.dumps({"explanation": "the first ones", "ids": numbers[:wanted]})


def _json(content: object, status: int = 200) -> web.Response:
    return web.json_response(content, status=status)


REFUSALS: dict[str, Callable[[str], web.Response]] = {
    **{
        str(status): (lambda said, status=status: _json({"error": {"message": said}}, status))  # type: ignore[misc]
        for status in (400, 403, 404, 415, 422, 500, 501)
    },
    "pydantic": lambda said: _json({"detail": [{"loc": ["body", "field"], "msg": said, "input": 0}]}, 422),
    "error object": lambda said: _json({"error": {"message": said, "code": 400}}),
    "error text": lambda said: _json({"error": said}),
    "detail": lambda said: _json({"detail": said}),
    "object error": lambda said: _json({"object": "error", "message": said, "code": 40001}),
    "list": lambda said: _json([{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}]),
    "error in choice": lambda said: _json({"choices": [{"error": {"message": said, "code": 502}, "message": None}]}),
    "no choices": lambda said: _json({"choices": [], "usage": {}}),
    "null": lambda said: _json(None),
    "empty": lambda said: web.Response(text="", content_type="application/json"),
    "page": lambda said: web.Response(text=f"<html>{said}</html>", content_type="text/html"),
}
"""How servers refuse what they do not support."""


@dataclass
class Behaviour:
    """How the server behaves.

    Args:
        latency: Seconds until an answer.
        constraints: Fields that it enforces: `json_schema`, `json_object` (`response_format.schema`), `tgi`
            (`response_format.value`), `structured_outputs`, `guided_choice`, `regex`. Others are silently ignored, as
            vLLM does.
        rejected: Features that it refuses: names of fields, types of `response_format`, or `system` for the role.
        refusal: How it refuses them; a key of `REFUSALS`.
        logprobs: Whether log-probabilities are returned.
        usage: Whether it counts tokens.
        token: The bearer token that it wants.
        max_parallel: Requests at once beyond which it answers 429.
        retry_after: Value of `Retry-After` on 429 and 503.
        always: A fault that hits every request.
        faults: Share of requests that each fault hits: `429`, `500`, `503`, `hang`, `cut`, `reset`, `outside`,
            `empty`, `400`, `filter`, `broken`.
        seed: Of the faults; a text's nth request always meets the same one.
        confidence: Probability of the label that is answered; the others share the rest.
        models: Names of models that answer.
        listed: Names of the models that `/v1/models` gives.
        context: Characters of a prompt beyond which it answers 400.
        free_text: What it says when nothing constrains it; `{}` stands for the label.
        oracle: The rule: text and number of labels to label id.
        by_name: The rule in place of `oracle`: text and names of the labels, in the order in which the instructions
            show them, to the place of the answer.
        chooser: Its answer when it is to choose texts: candidates' numbers and how many are wanted to what it says.
        spoil: Changes a completion before it is sent.
        entities: The rule for a schema of entities: text to entities, each with `text` and `type`.
        sentences: What it writes for a schema of sentences: the instructions to sentences with `text` and `entities`.
        metrics: The text of `/metrics`; without it, there is no such page.
        label_sets: The rule for a schema of a list of labels, or of a truth value for each: text to names of labels.
    """

    latency: float = 0.0
    constraints: tuple[str, ...] = ("json_schema",)
    rejected: tuple[str, ...] = ()
    refusal: str = "400"
    logprobs: bool = True
    usage: bool = True
    token: str | None = None
    max_parallel: int | None = None
    retry_after: str | None = None
    always: str | None = None
    faults: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    confidence: float = 0.8
    models: tuple[str, ...] = (MODEL, "dummy")
    listed: tuple[str, ...] = (MODEL,)
    context: int = 10**9
    free_text: str = "{}"
    oracle: Callable[[str, int], int] = by_hash
    by_name: Callable[[str, list[str]], int] | None = None
    chooser: Callable[[list[int], int], str] = first_candidates
    spoil: Callable[[dict[str, Any]], object] = lambda completion: None
    entities: Callable[[str], list[dict[str, str]]] = lambda text: []
    sentences: Callable[[str], list[dict[str, Any]]] = lambda instructions: []
    label_sets: Callable[[str], list[str]] = lambda text: []
    metrics: str | None = None


@dataclass
class Stats:
    """What the server saw.

    Args:
        asked: Requests by text.
        answered: Requests that were answered with a usable or unusable answer (what a provider would bill), by text.
        billed: Tokens of those, read and written.
        met: How often each fault was met.
        most_parallel: Most requests at once.
        bodies: The last requests.
        headers: Their headers.
    """

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    billed: tuple[int, int] = (0, 0)
    met: Counter[str] = field(default_factory=Counter)
    most_parallel: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class ChatServer:
    """The server; `behaviour` may be changed while it runs."""

    def __init__(self, behaviour: Behaviour | None = None, keep_bodies: int = 1000) -> None:
        self.behaviour = behaviour or Behaviour()
        self.stats = Stats()
        self.url = ""
        self._keep_bodies = keep_bodies
        self._parallel = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name, "max_model_len": 4096} for name in self.behaviour.listed]})

    async def _metrics(self, request: web.Request) -> web.Response:
        metrics = self.behaviour.metrics
        return web.Response(status=404) if metrics is None else web.Response(text=metrics)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        last = body["messages"][-1]["content"]
        self._parallel += 1
        try:
            fault = await self._enter(request, body, last)
            if isinstance(fault, web.StreamResponse):
                return fault
            missing = [name for name in self.behaviour.rejected if _asks_for(body, name)]
            if missing:
                self.stats.met["refusal"] += 1
                return REFUSALS[self.behaviour.refusal](f"unknown field {missing[0]}")
            if sum(len(message["content"]) for message in body["messages"]) > self.behaviour.context:
                message = f"This model's maximum context length is {self.behaviour.context} characters."
                return web.json_response({"error": {"message": message}}, status=400)
            if body.get("model") not in self.behaviour.models:
                return web.json_response({"error": {"message": f"no model {body.get('model')}"}}, status=404)
            if _asks_for_list(body, "entities"):
                answer = json.dumps({"entities": self.behaviour.entities(text_of(last))})
                answer = answer[: len(answer) // 2] if fault == "cut" else answer
            elif _asks_for_list(body, "labels"):
                answer = json.dumps({"labels": self.behaviour.label_sets(text_of(last))})
                answer = answer[: len(answer) // 2] if fault == "cut" else answer
            elif flags := _flags(body):
                found = self.behaviour.label_sets(text_of(last))
                answer = json.dumps({name: name in found for name in flags})
            elif _asks_for_list(body, "sentences"):
                answer = json.dumps({"sentences": self.behaviour.sentences(body["messages"][0]["content"])})
            else:
                names = _shown_names(body["messages"][0]["content"])
                answer = self._say(last, _choices(body, self.behaviour.constraints), fault, names)
            return self._answered(last, self._completion(body, answer, fault), fault)
        finally:
            self._parallel -= 1

    async def _enter(self, request: web.Request, body: dict[str, Any], prompt: str) -> str | web.StreamResponse | None:
        """Counts the request and meets its fault: a response that ends it, or the fault that spoils its answer."""
        text = text_of(prompt)
        stats, behaviour = self.stats, self.behaviour
        stats.asked[text] += 1
        stats.most_parallel = max(stats.most_parallel, self._parallel)
        if len(stats.bodies) < self._keep_bodies:
            stats.bodies.append(body)
            stats.headers.append(dict(request.headers))
        if behaviour.token and request.headers.get("Authorization") != f"Bearer {behaviour.token}":
            return web.json_response({"error": "Invalid credentials in Authorization header"}, status=401)
        if behaviour.max_parallel is not None and self._parallel > behaviour.max_parallel:
            return self._turned_away(429)
        fault = behaviour.always or self._fault(text, stats.asked[text])
        if fault:
            stats.met[fault] += 1
        if fault in ("429", "503"):
            return self._turned_away(int(fault))
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if behaviour.latency:
            await asyncio.sleep(behaviour.latency)
        if fault == "400":
            return web.json_response({"error": {"message": "bad request"}}, status=400)
        if fault == "filter":
            return web.json_response({"error": {"code": "content_filter", "message": "content_filter"}}, status=400)
        if fault == "500":
            return web.json_response({"error": "internal"}, status=500)
        return fault

    def _fault(self, text: str, number: int) -> str | None:
        faults = self.behaviour.faults
        if not faults:
            return None
        drawn = random.Random(f"{self.behaviour.seed}/{text}/{number}").random()
        for name, share in faults.items():
            if drawn < share:
                return name
            drawn -= share
        return None

    def _turned_away(self, status: int) -> web.Response:
        headers = {"Retry-After": self.behaviour.retry_after} if self.behaviour.retry_after else {}
        return web.json_response({"error": "overloaded"}, status=status, headers=headers)

    def _say(self, prompt: str, codes: list[str] | None, fault: str | None, names: list[str]) -> str:
        """The answer: as JSON or a bare choice if it is constrained, else as chat."""
        text = text_of(prompt)
        if fault == "empty":
            return ""
        if fault == "outside":
            return '{"label": "none of these"}'
        if codes:
            is_asked = self.behaviour.by_name is not None and len(names) == len(codes)  # not by the canary
            place = self.behaviour.by_name(text, names) if is_asked else self.behaviour.oracle(text, len(codes))
            code = codes[place % len(codes)]
            answer = code[1:] if code.startswith("\0") else json.dumps({"label": code})
        elif wanted := re.search(r"Choose (\d+) ids\.$", prompt):
            chosen = re.search(r"^Chosen before: ([\d, ]+)$", prompt, re.MULTILINE)
            taken = set(map(int, chosen[1].split(","))) if chosen else set()
            numbers = map(int, re.findall(r'^(\d+): "', prompt, re.MULTILINE))
            answer = self.behaviour.chooser([n for n in numbers if n not in taken], int(wanted[1]))
        elif "Examples from the collection:" in prompt:
            answer = json.dumps({"texts": [f"written {i} like {prompt[-60:-20]!r}" for i in range(5)]})
        else:
            answer = self.behaviour.free_text
        return answer[: len(answer) // 2] if fault == "cut" else answer

    def _tokens(self, answer: str) -> list[tuple[str, float, dict[str, float]]]:
        """One token a character, with the alternatives of a letter among A to E that is the answer."""
        tokens = []
        for start in range(len(answer)):
            piece = answer[start]
            logprob, top = -1e-4, {piece: -1e-4}
            if piece in "ABCDE" and answer[start - 1 : start] in ('"', ""):
                rest = (1 - self.behaviour.confidence) / 4
                top = {letter: math.log(self.behaviour.confidence if letter == piece else rest) for letter in "ABCDE"}
                logprob = top[piece]
            tokens.append((piece, logprob, top))
        return tokens

    def _completion(self, body: dict[str, Any], answer: str, fault: str | None) -> dict[str, Any]:
        prompt_tokens = sum(len(message["content"]) for message in body["messages"]) // 4
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": answer},
            "finish_reason": "length" if fault == "cut" else "stop",
        }
        if body.get("logprobs") and self.behaviour.logprobs:
            choice["logprobs"] = {
                "content": [
                    {
                        "token": text,
                        "logprob": logprob,
                        "top_logprobs": [{"token": other, "logprob": value} for other, value in top.items()],
                    }
                    for text, logprob, top in self._tokens(answer)
                ]
            }
        completion_tokens = max(1, len(answer) // 4)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        return {
            "id": "chat-1",
            "object": "chat.completion",
            "created": 0,
            "model": body.get("model"),
            "choices": [choice],
            **({"usage": usage} if self.behaviour.usage else {}),
        }

    def _answered(self, prompt: str, payload: dict[str, Any], fault: str | None) -> web.Response:
        usage = dict(payload.get("usage", {}))
        self.behaviour.spoil(payload)
        content = json.dumps(payload)
        if fault == "broken":
            return web.Response(text=content[: len(content) // 2], content_type="application/json")
        self.stats.answered[text_of(prompt)] += 1
        read, written = self.stats.billed
        self.stats.billed = (read + usage.get("prompt_tokens", 0), written + usage.get("completion_tokens", 0))
        return web.Response(text=content, content_type="application/json")


def text_of(prompt: str) -> str:
    """The text that a prompt asks about: the last JSON string after "Text: ", or the whole prompt."""
    start = prompt.rfind('Text: "')
    return json.JSONDecoder().raw_decode(prompt, start + len("Text: "))[0] if start >= 0 else prompt


def _shown_names(instructions: str) -> list[str]:
    """The names of the labels in the order in which instructions show them; none in other instructions."""
    shown = instructions.partition("\nLabels:\n")[2].partition("\nRules:\n")[0]
    return re.findall(r"^(?:-|[A-Z]\.) ([^:\n]+)", shown, re.MULTILINE)


def _asks_for(body: dict[str, Any], name: str) -> bool:
    if name == "system":
        return any(message["role"] == "system" for message in body["messages"])
    return (body.get("response_format") or {}).get("type") == name or name in body


def _flags(body: dict[str, Any]) -> list[str]:
    """The names of the truth values in the schema that is asked for, if it has nothing else."""
    form = body.get("response_format") or {}
    fields = (form.get("schema") or form.get("json_schema", {}).get("schema", {})).get("properties", {})
    return list(fields) if all(field.get("type") == "boolean" for field in fields.values()) else []


def _asks_for_list(body: dict[str, Any], name: str) -> bool:
    form = body.get("response_format") or {}
    schema = form.get("schema") or form.get("json_schema", {}).get("schema", {})
    return name in schema.get("properties", {})


def _choices(body: dict[str, Any], constraints: tuple[str, ...]) -> list[str] | None:
    """The answers that a constraint which this server enforces allows; a bare choice is marked with a NUL."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema" and "json_schema" in constraints:
        return _enum(form["json_schema"]["schema"])
    if "schema" in form and "json_object" in constraints:
        return _enum(form["schema"])
    if "value" in form and "tgi" in constraints:
        return _enum(form["value"])
    if "structured_outputs" in body and "structured_outputs" in constraints:
        return [f"\0{choice}" for choice in body["structured_outputs"]["choice"]]
    if "guided_choice" in body and "guided_choice" in constraints:
        return [f"\0{choice}" for choice in body["guided_choice"]]
    if "regex" in body and "regex" in constraints:
        return body["regex"].partition("(")[2].partition(")")[0].split("|")
    return None


def _enum(schema: dict[str, Any]) -> list[str] | None:
    return schema["properties"].get("label", {}).get("enum")


@contextmanager
def serve(server: ChatServer, port: int = 0) -> Iterator[ChatServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app(), port) as server.url:
        yield server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--faults", type=json.loads, default={})
    parser.add_argument("--token")
    parser.add_argument("--models", nargs="*", default=["dummy"])
    parser.add_argument("--free-text", default="{}")
    options = parser.parse_args()
    behaviour = Behaviour(
        latency=options.latency,
        faults=options.faults,
        token=options.token,
        constraints=("json_schema", "tgi"),
        models=(MODEL, *options.models),
        free_text=options.free_text,
    )
    with serve(ChatServer(behaviour, keep_bodies=0), options.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
