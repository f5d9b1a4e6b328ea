"""A service account of nobody's, and the server that exchanges its assertions for access tokens."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@dataclass
class TokenServer:
    """Gives out `token-1`, `token-2`, …, each for `lifetime_s`; with `refusing`, none."""

    credentials: Path  # the service account's JSON file
    lifetime_s: int = 3600
    refusing: bool = False
    asked: list[float] = field(default_factory=list)  # when, monotonic

    async def answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        self.asked.append(time.monotonic())
        if self.refusing:
            return web.json_response({"error": "invalid_grant", "error_description": "disabled"}, status=400)
        token = f"token-{len(self.asked)}"
        return web.json_response(
            {"access_token": token, "expires_in": self.lifetime_s, "token_type": "Bearer"}
        )


@asynccontextmanager
async def token_server(folder: Path) -> AsyncIterator[TokenServer]:
    server = TokenServer(folder / "service-account.json")
    app = web.Application()
    app.router.add_post("/token", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    account = {
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": "agent@a-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{runner.addresses[0][1]}/token",
    }
    server.credentials.write_text(json.dumps(account))
    try:
        yield server
    finally:
        await runner.cleanup()
