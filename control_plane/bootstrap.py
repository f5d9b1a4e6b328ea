"""The only file that names concrete classes: builds the API's and the worker's objects from the settings.

Nothing here connects to anything; every adapter does so when it is first used. Call these inside the event
loop that will use what they return (grpc.aio's rule), and `close` it there.

What only one of the two needs is imported where it is built: FastAPI or Twilio's client alone take most of a
process's start.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from control_plane.adapters import redis_client
from control_plane.adapters.event_log import RedisEventLog
from control_plane.adapters.media_nodes import RegisteredMediaNodes
from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from control_plane.service.answering import WAIT_S
from control_plane.service.ports import (
    CallRepository,
    EventLog,
    MediaNodes,
    SessionStore,
    Telephony,
    ToolDeclarations,
)
from control_plane.settings import Settings
from control_plane.tools.store import ToolStore
from control_plane.tools.urls import UrlPolicy

if TYPE_CHECKING:
    from fastapi import FastAPI

    from control_plane.entrypoints.grpc import CallService
    from control_plane.tools.runner import ToolRunner

EVENT_BLOCK_S = 5.0  # the longest a reader of event streams may block
MAX_FOLLOWED = 5000  # event streams read at once, each on a connection of its own

_Close = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Control:
    """What the API process serves."""

    app: FastAPI
    call_service: CallService
    closing: tuple[_Close, ...]

    async def close(self) -> None:
        await _close_all(self.closing)


@dataclass(frozen=True)
class Worker:
    """What the worker's activities need, and `runner`, which executes the model's function calls."""

    calls: CallRepository
    sessions: SessionStore
    events: EventLog
    nodes: MediaNodes
    telephony: Telephony
    tools: ToolDeclarations
    runner: ToolRunner
    closing: tuple[_Close, ...]

    async def close(self) -> None:
        await _close_all(self.closing)


def control(settings: Settings, *, twiml_wait_s: float = WAIT_S) -> Control:
    """The API: REST, Twilio's webhooks, gRPC."""
    from control_plane.adapters.temporal_client import TemporalOrchestrator
    from control_plane.entrypoints import rest, twilio_webhooks
    from control_plane.entrypoints.grpc import CallService
    from control_plane.service.handlers import Calls
    from control_plane.service.health import Check, answers, has_nodes, has_pollers
    from control_plane.service.views import CallViews

    redis = redis_client.connect(settings.redis_dsn)
    sessions = RedisSessions(redis, settings.redis_session_ttl)
    events = _event_log(settings)
    nodes = RegisteredMediaNodes(redis)
    repository = PostgresCalls(settings.database_url)
    orchestrator = TemporalOrchestrator(settings.temporal_host, settings.temporal_namespace)

    calls = Calls(
        sessions,
        repository,
        orchestrator,
        ToolStore(redis),
        _tool_policy(settings),
        settings.gemini_service,
    )
    views = CallViews(sessions, repository)
    checks = {
        "postgres": Check(answers(repository.ping)),
        "redis": Check(answers(sessions.ping)),
        "temporal": Check(answers(orchestrator.ping)),
        "media": Check(has_nodes(nodes), critical=False),
        "worker": Check(has_pollers(orchestrator.pollers), critical=False),
    }
    webhooks = twilio_webhooks.new_router(
        calls,
        sessions,
        base_url=settings.base_url,
        auth_token=settings.twilio_auth_token.get_secret_value(),
        twiml_wait_s=twiml_wait_s,
    )
    return Control(
        app=rest.new_app(calls, views, checks, webhooks, version("voiceplane")),
        call_service=CallService(calls, views, events),
        closing=(calls.close, nodes.close, events.close, repository.close, sessions.close),
    )


def worker(settings: Settings) -> Worker:
    """The ports of the workflows' activities."""
    from control_plane.adapters.twilio_rest import TwilioRest
    from control_plane.tools.http_tool import HttpTools
    from control_plane.tools.mcp_tool import McpTools
    from control_plane.tools.pinned import PinnedTransport
    from control_plane.tools.runner import BLOCK_S, ToolRunner
    from control_plane.tools.toolbox import Toolbox

    redis = redis_client.connect(settings.redis_dsn)
    sessions = RedisSessions(redis, settings.redis_session_ttl)
    events = _event_log(settings)
    nodes = RegisteredMediaNodes(redis)
    repository = PostgresCalls(settings.database_url)
    telephony = TwilioRest(settings)
    transport = PinnedTransport(_tool_policy(settings))
    http = HttpTools(transport, secret=settings.tool_signing_secret.get_secret_value())
    store = ToolStore(redis)
    toolbox = Toolbox(store, http, McpTools(transport))
    calls_redis = redis_client.connect(settings.redis_dsn, answer_s=BLOCK_S + redis_client.ANSWER_S)
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return Worker(
        calls=repository,
        sessions=sessions,
        events=events,
        nodes=nodes,
        telephony=telephony,
        tools=toolbox,
        runner=ToolRunner(calls_redis, store, toolbox, nodes, owner=owner),
        closing=(
            toolbox.close,
            calls_redis.aclose,
            telephony.close,
            nodes.close,
            events.close,
            repository.close,
            sessions.close,
        ),
    )


def _tool_policy(settings: Settings) -> UrlPolicy:
    hosts = (host.strip().lower() for host in settings.tool_allow_private.split(","))
    return UrlPolicy(
        allowed_hosts=frozenset(filter(None, hosts)),
        ports=frozenset(int(port) for port in settings.tool_ports.split(",")),
    )


def _event_log(settings: Settings) -> RedisEventLog:
    return RedisEventLog(
        redis_client.connect(
            settings.redis_dsn,
            answer_s=EVENT_BLOCK_S + redis_client.ANSWER_S,
            max_connections=MAX_FOLLOWED,
        )
    )


async def _close_all(closing: tuple[_Close, ...]) -> None:
    for close in closing:
        await close()
