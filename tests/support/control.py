"""The control plane for tests: settings over the session's servers, signed webhooks, a stand-in workflow."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx
from twilio.request_validator import RequestValidator

from control_plane import server
from control_plane.server import Endpoints
from control_plane.settings import Settings
from tests.support.stack import Servers

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
NAMESPACE = "control-plane-tests"  # a namespace of its own: no other test's worker takes these workflows
REDIS_DATABASE = 5

NEW_CALL = {
    "phone_number": "+15551234567",
    "greeting": "Hello, this is Puck. Ça va?",
    "system_prompt": "You are a friendly assistant.",
    "max_duration_seconds": 300,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_workflow_id() -> str:
    return f"call-{uuid.uuid4()}"


def control_settings(servers: Servers, **overrides: object) -> Settings:
    """Settings over `servers`, on free ports; `overrides` replace any of them."""
    redis_url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{REDIS_DATABASE}"))
    values: dict[str, object] = {
        "base_url": "https://localhost",  # this machine: in development its requests need no credential
        "api_port": free_port(),
        "grpc_port": free_port(),
        "control_metrics_port": free_port(),
        "database_url": servers.database_url,
        "redis_url": redis_url,
        "redis_password": "",
        "temporal_host": servers.temporal_host,
        "temporal_namespace": NAMESPACE,
        "twilio_auth_token": AUTH_TOKEN,
        # Tests call one number again and again; those of the caps set their own.
        "dialing_caps_key": "",
        "dialing_caps_number": "",
        **overrides,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@dataclass
class Control:
    """A running control plane, and a client of its REST API."""

    settings: Settings
    endpoints: Endpoints
    http: httpx.AsyncClient

    async def webhook(
        self, path: str, fields: Mapping[str, str | list[str]], *, token: str = AUTH_TOKEN
    ) -> httpx.Response:
        """POST as Twilio does, signed with `token`; empty: not signed."""
        headers = {}
        if token:
            validator = RequestValidator(token)
            multi = httpx.QueryParams(dict(fields))
            signature = validator.compute_signature(self.settings.base_url + path, _MultiDict(multi))
            headers["X-Twilio-Signature"] = signature
        return await self.http.post(path, data=dict(fields), headers=headers)


class _MultiDict(dict[str, str]):
    """What RequestValidator asks of a form with repeated fields."""

    def __init__(self, fields: httpx.QueryParams) -> None:
        super().__init__(fields)
        self._fields = fields

    def getlist(self, name: str) -> list[str]:
        return self._fields.get_list(name)


@asynccontextmanager
async def running_control(settings: Settings, **options: float) -> AsyncIterator[Control]:
    """Served from this process and loop, on real sockets; `options` as of `bootstrap.control`."""
    async with (
        server.running(settings, **options) as endpoints,
        httpx.AsyncClient(base_url=endpoints.rest, timeout=15, trust_env=False) as http,
    ):
        yield Control(settings, endpoints, http)
