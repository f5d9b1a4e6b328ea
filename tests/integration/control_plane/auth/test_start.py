"""Settings that would leave the API open, or that can't be used, keep the process from starting."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.control import free_port
from tests.support.stack import Servers


async def refused(module: str, status: int, **variables: str) -> str:
    """What the process says before it exits with that status."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module), env=os.environ | variables, stderr=asyncio.subprocess.PIPE
    )
    _, logged = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, logged.decode()
    assert b"Traceback" not in logged
    return logged.decode().splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"API_HOST": "0.0.0.0"},
            "API_AUTH: is `local`, but API_HOST is 0.0.0.0, which others reach: "
            "set it to `required`, and make keys with `voiceplane keys create`",
        ),
        ({"ENVIRONMENT": "production"}, "API_AUTH: is `local`, but ENVIRONMENT is production: "),
        ({"JWT_ISSUER": "https://login.example.com"}, "JWT_JWKS_URL: "),
        (
            {"JWT_JWKS_URL": "https://login.example.com/keys", "JWT_ISSUER": "https://login.example.com"},
            "JWT_JWKS_URL: Value error, needs JWT_AUDIENCE as well",
        ),
        ({"JWT_ALGORITHMS": "RS256,HS256"}, "JWT_ALGORITHMS: Value error, must be among "),
        ({"TRUSTED_PROXIES": "proxy.example.com"}, "TRUSTED_PROXIES: "),
        ({"GRPC_TLS_CERT": "/nowhere"}, "GRPC_TLS_KEY: must be set together with GRPC_TLS_CERT"),
        (
            {"GRPC_TLS_CERT": "/nowhere", "GRPC_TLS_KEY": "/nowhere"},
            "GRPC_TLS_CERT: /nowhere: No such file or directory",
        ),
        ({"MEDIA_GRPC_TLS_CA": "/nowhere"}, "MEDIA_GRPC_TLS_CA: /nowhere: No such file or directory"),
    ],
)
async def test_the_control_plane_names_the_setting(
    servers: Servers, variables: dict[str, str], said: str
) -> None:
    ports = {name: str(free_port()) for name in ("API_PORT", "GRPC_PORT", "CONTROL_METRICS_PORT")}
    where = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    line = await refused("control_plane", 2, **ports, **where, **variables)
    assert line.startswith(said)


async def test_a_media_node_names_the_setting(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("no key")
    line = await refused(
        "media_plane",
        1,
        MEDIA_WS_PORT="0",
        MEDIA_GRPC_PORT="0",
        MEDIA_METRICS_PORT="0",
        MEDIA_GRPC_TLS_CERT=str(key),
        MEDIA_GRPC_TLS_KEY=str(key),
    )
    assert line.startswith("MEDIA_GRPC_TLS_CERT: with MEDIA_GRPC_TLS_KEY: not a certificate")
