"""A token issuer: an HTTP server that publishes keys (JWKS), and signs tokens with them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.com/"
AUDIENCE = "voiceplane"


class TokenIssuer:
    """`url`: of its keys; `fetches`: how often they were asked for; `status`: what that is answered with."""

    def __init__(self) -> None:
        self.url = ""
        self.fetches = 0
        self.status = 200
        self._private: dict[str, tuple[str, Any]] = {}
        self._published: list[dict[str, Any]] = []

    def add_key(self, name: str, algorithm: str = "RS256", *, published: bool = True) -> None:
        key: Any
        if algorithm.startswith("ES"):
            key = ec.generate_private_key(ec.SECP256R1())
            public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
        self._private[name] = (algorithm, key)
        if published:
            self._published.append(public | {"kid": name, "alg": algorithm, "use": "sig"})

    def withdraw(self, name: str) -> None:
        self._published = [key for key in self._published if key["kid"] != name]

    def token(self, key: str, *, named: str | None = None, **claims: Any) -> str:
        """Signed with `key`, for an hour; a claim of None is left out. `named`: the kid, if another."""
        algorithm, private = self._private[key]
        now = int(time.time())
        every = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 3600, **claims}
        stated = {name: value for name, value in every.items() if value is not None}
        return jwt.encode(stated, private, algorithm, headers={"kid": key if named is None else named})

    async def serve(self, request: web.Request) -> web.Response:
        self.fetches += 1
        return web.json_response({"keys": self._published}, status=self.status)


@asynccontextmanager
async def running_issuer() -> AsyncIterator[TokenIssuer]:
    issuer = TokenIssuer()
    app = web.Application()
    app.router.add_get("/jwks.json", issuer.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    issuer.url = f"http://{host}:{port}/jwks.json"
    try:
        yield issuer
    finally:
        await runner.cleanup()
