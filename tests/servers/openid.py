"""An OpenID provider on loopback that logs everybody in, as huggingface.co does for a Space; tokens last as told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.servers.background import running


class OpenIDServer:
    """Logs one user in.

    Args:
        user: Name of the user.
        token: Access token that every login gets.
    """

    def __init__(self, user: str, token: str) -> None:
        self.user, self.token = user, token
        self.lifetime = 3600
        self.logins = 0
        self.url = ""
        self._key = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
        self._nonces: dict[str, str] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._configuration)
        app.router.add_get("/oauth/authorize", self._authorize)
        app.router.add_post("/oauth/token", self._issue)
        app.router.add_get("/oauth/jwks", self._keys)
        return app

    async def _configuration(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/oauth/authorize",
                "token_endpoint": f"{self.url}/oauth/token",
                "jwks_uri": f"{self.url}/oauth/jwks",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        self.logins += 1
        code = f"code-{self.logins}"
        self._nonces[code] = request.query.get("nonce", "")
        back = request.query["redirect_uri"]
        mark = "&" if "?" in back else "?"
        raise web.HTTPFound(f"{back}{mark}code={code}&state={request.query['state']}")

    async def _issue(self, request: web.Request) -> web.Response:
        code, now = str((await request.post())["code"]), int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": "space",
            "sub": "1",
            "iat": now,
            "exp": now + 3600,
            "nonce": self._nonces.pop(code),
            "name": self.user,
            "preferred_username": self.user,
            "profile": f"{self.url}/{self.user}",
            "picture": f"{self.url}/{self.user}.png",
        }
        signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self._key)
        return web.json_response(
            {
                "access_token": self.token,
                "token_type": "bearer",
                "expires_in": self.lifetime,
                "scope": "openid profile inference-api contribute-repos",
                "id_token": signed,
            }
        )

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self._key.as_dict(private=False)]})


@contextmanager
def serve_openid(server: OpenIDServer) -> Iterator[OpenIDServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app()) as server.url:
        yield server
