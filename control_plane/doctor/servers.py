"""PostgreSQL, Redis, Temporal, and the ports of our own processes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping

import httpx

from control_plane.adapters import redis_client
from control_plane.adapters.sessions import RedisSessions
from control_plane.adapters.temporal_client import TemporalOrchestrator
from control_plane.doctor.finding import Finding, fail, ok, warn
from control_plane.errors import DependencyUnavailable
from control_plane.settings import Settings

# What the media plane alone reads: its ports.
MEDIA_PORTS = {"MEDIA_WS_PORT": "8081", "MEDIA_GRPC_PORT": "50051", "MEDIA_METRICS_PORT": "9102"}
_HTTP = {
    "API_PORT": "/health/live",
    "MEDIA_WS_PORT": "/health",
    "CONTROL_METRICS_PORT": "/metrics",
    "WORKER_METRICS_PORT": "/metrics",
    "MEDIA_METRICS_PORT": "/metrics",
}


async def redis(settings: Settings) -> Finding:
    sessions = RedisSessions(redis_client.connect(settings.redis_dsn), settings.redis_session_ttl)
    try:
        await sessions.ping()
    except DependencyUnavailable as error:
        return fail("redis", str(error), "Start Redis, or correct REDIS_URL and REDIS_PASSWORD.")
    finally:
        await sessions.close()
    return ok("redis", "answers")


async def postgres(settings: Settings) -> Finding:
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from control_plane import migrations

    try:
        at = await asyncio.to_thread(migrations.current, settings.database_url)
    except (psycopg.Error, SQLAlchemyError) as error:
        why = str(getattr(error, "orig", None) or error).splitlines()[0]
        return fail("postgres", why, "Start PostgreSQL, or correct DATABASE_URL.")
    newest = migrations.history()[0][0]
    if at != newest:
        found = f"the schema is at {at or 'nothing'}, not at {newest}"
        return fail("postgres", found, "Run `voiceplane db upgrade`.")
    return ok("postgres", f"answers, the schema is at {at}")


async def temporal(settings: Settings) -> Finding:
    where = f"{settings.temporal_host}, namespace {settings.temporal_namespace}"
    try:
        polling = await TemporalOrchestrator(settings.temporal_host, settings.temporal_namespace).pollers()
    except DependencyUnavailable as error:
        advice = "Start Temporal, or correct TEMPORAL_HOST and TEMPORAL_NAMESPACE."
        return fail("temporal", f"{where}: {error}", advice)
    if not polling:
        return warn("temporal", f"{where}: answers, but no worker asks", "Start one: `voiceplane worker`.")
    return ok("temporal", f"{where}: answers, {polling} polling")


async def ports(
    settings: Settings, environment: Mapping[str, str], client: httpx.AsyncClient
) -> list[Finding]:
    """Each of our ports is free, or one of our processes has it."""
    media = {name: environment.get(name) or usual for name, usual in MEDIA_PORTS.items()}
    media_host = environment.get("MEDIA_HOST") or "127.0.0.1"
    wanted = {
        "API_PORT": (settings.api_host, str(settings.api_port)),
        "GRPC_PORT": (settings.api_host, str(settings.grpc_port)),
        "CONTROL_METRICS_PORT": ("127.0.0.1", str(settings.control_metrics_port)),
        "WORKER_METRICS_PORT": ("127.0.0.1", str(settings.worker_metrics_port)),
        **{name: (media_host, port) for name, port in media.items()},
    }
    tasks = (_port(name, host, port, client) for name, (host, port) in wanted.items())
    return list(await asyncio.gather(*tasks))


async def _port(setting: str, host: str, text: str, client: httpx.AsyncClient) -> Finding:
    check = f"port {setting.removesuffix('_PORT').lower().replace('_', ' ')}"
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        return fail(check, f"{setting} is {text!r}", "Set it to a port, 1 to 65535.")
    port, reached = int(text), "127.0.0.1" if host in ("0.0.0.0", "::") else host
    why = _why_not_free(host, port)
    if why == errno.EADDRINUSE:
        if setting not in _HTTP:
            return ok(check, f"{port} is in use")
        try:
            answer = await client.get(f"http://{reached}:{port}{_HTTP[setting]}")
            ours = answer.status_code == 200 and _is_ours(setting, answer.text)
        except httpx.HTTPError:
            ours = False
        if ours:
            return ok(check, f"{port}: voiceplane answers")
        return fail(check, f"{port} is another program's", f"Stop it, or set {setting}.")
    if why:
        return fail(check, f"{host}:{port}: {errno.errorcode.get(why, why)}", f"Set {setting} or its host.")
    return ok(check, f"{port} is free")


def _is_ours(setting: str, body: str) -> bool:
    return "voiceplane_" in body if _HTTP[setting] == "/metrics" else True


def _why_not_free(host: str, port: int) -> int:
    """errno of binding it; 0: it is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0
