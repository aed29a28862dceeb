"""The management API of Hugging Face's Inference Endpoints, as far as one endpoint's sleep goes, on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from tests.servers.background import running

NAMESPACE = "tests"
NAME = "my-endpoint"


class ManagementServer:
    """One endpoint that sleeps, wakes and fails as a test says.

    Args:
        state: Its state in the beginning, as the API spells it.
        url: Where its model answers once it runs.
        looks: How often it is seen `initializing` before it is seen `running`.
        becomes: What it ends up as when woken.
        refuses: Actions that are answered with 500: `resume`, `pause`, `scale-to-zero`.
    """

    def __init__(
        self, state: str, url: str, *, looks: int = 2, becomes: str = "running", refuses: tuple[str, ...] = ()
    ) -> None:
        self.state = state
        self.model_url = url
        self.looks = looks
        self.becomes = becomes
        self.refuses = refuses
        self.actions: list[str] = []
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v2/endpoint/{namespace}/{name}", self._get)
        app.router.add_post("/v2/endpoint/{namespace}/{name}/{action}", self._act)
        app.router.add_get("/sleeping/health", self._wake)
        app.router.add_get("/sleeping/v1/models", self._wake)
        return app

    async def _get(self, request: web.Request) -> web.Response:
        if (request.match_info["namespace"], request.match_info["name"]) != (NAMESPACE, NAME):
            return web.json_response({"error": "not found"}, status=404)
        if self.state == "initializing":
            self.looks -= 1
            if self.looks < 0:
                self.state = self.becomes
        return web.json_response(self._endpoint())

    async def _act(self, request: web.Request) -> web.Response:
        action = request.match_info["action"]
        self.actions.append(action)
        if action in self.refuses:
            return web.json_response({"error": "internal"}, status=500)
        self.state = {"resume": "initializing", "pause": "paused", "scale-to-zero": "scaledToZero"}[action]
        return web.json_response(self._endpoint())

    async def _wake(self, request: web.Request) -> web.Response:
        self.actions.append("request")
        if self.state == "scaledToZero":
            self.state = "initializing"
        return web.json_response({"error": "starting"}, status=503)

    def _endpoint(self) -> dict[str, Any]:
        url = {"paused": None, "scaledToZero": f"{self.url}/sleeping"}.get(self.state, self.model_url)
        return {
            "name": NAME,
            "type": "protected",
            "healthRoute": "/health",
            "model": {
                "repository": "org/model",
                "framework": "pytorch",
                "revision": "main",
                "task": "text-generation",
            },
            "status": {
                "state": self.state,
                "createdAt": "2026-01-01T00:00:00.000Z",
                "updatedAt": "2026-01-01T00:00:00.000Z",
                **({"url": url} if url else {}),
            },
        }


@contextmanager
def serve_management(server: ManagementServer) -> Iterator[ManagementServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app()) as server.url:
        yield server
