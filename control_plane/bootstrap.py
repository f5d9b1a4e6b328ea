"""The only file that names concrete classes: builds the API's and the worker's objects from the settings.

Nothing here connects to anything; every adapter does so when it is first used. Call these inside the event
loop that will use what they return (grpc.aio's rule), and `close` it there.

What only one of the two needs is imported where it is built: FastAPI or Twilio's client alone take most of a
process's start.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from redis.asyncio import Redis

from control_plane.adapters import redis_client
from control_plane.adapters.dial_intents import RedisIntents, RedisOwners
from control_plane.adapters.dialing_audit import BackgroundAudit
from control_plane.adapters.dialing_slots import RedisSlots
from control_plane.adapters.event_log import RedisEventLog
from control_plane.adapters.media_nodes import RegisteredMediaNodes
from control_plane.adapters.pacing import RedisPacer
from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.postgres_dialing import PostgresDialing
from control_plane.adapters.sessions import RedisSessions
from control_plane.errors import SettingRefused
from control_plane.service.answering import WAIT_S
from control_plane.service.dialing import Admission
from control_plane.service.dialing_ports import Intents, Owners, Pacer
from control_plane.service.dialing_rules import DialingRules
from control_plane.service.ports import (
    CallRepository,
    EventLog,
    LineNodes,
    SessionStore,
    Telephony,
    ToolDeclarations,
)
from control_plane.service.webhook_ports import WebhookLog, WebhookSender
from control_plane.settings import Settings
from control_plane.tools.store import ToolStore
from control_plane.tools.urls import UrlPolicy
from protos.tls import ClientTls, TlsFault, client_tls

if TYPE_CHECKING:
    import grpc
    from fastapi import FastAPI

    from control_plane.auth.authenticator import Authenticator
    from control_plane.entrypoints.grpc_server import Service
    from control_plane.service.numbers import Numbers
    from control_plane.tools.runner import ToolRunner

log = structlog.get_logger(__name__)

EVENT_BLOCK_S = 5.0  # the longest a reader of event streams may block
MAX_FOLLOWED = 5000  # event streams read at once, each on a connection of its own

_Close = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Dialing:
    """The dialing policy and what belongs to it; the same in the API, the worker and the commands."""

    admission: Admission
    rules: DialingRules
    pacer: RedisPacer
    intents: RedisIntents
    owners: RedisOwners
    closing: tuple[_Close, ...]

    async def close(self) -> None:
        await _close_all(self.closing)


@dataclass(frozen=True)
class Control:
    """What the API process serves."""

    app: FastAPI
    services: Sequence[Service]  # of the gRPC server
    interceptors: Sequence[grpc.aio.ServerInterceptor]  # from the outermost to the innermost
    stop_watching: Callable[[], None]  # ends what would last as long as a call
    closing: tuple[_Close, ...]

    async def close(self) -> None:
        await _close_all(self.closing)


@dataclass(frozen=True)
class Worker:
    """What the worker's activities need, and `runner`, which executes the model's function calls."""

    calls: CallRepository
    sessions: SessionStore
    events: EventLog
    nodes: LineNodes
    telephony: Telephony
    tools: ToolDeclarations
    runner: ToolRunner
    admission: Admission
    pacer: Pacer
    intents: Intents
    owners: Owners
    webhook_log: WebhookLog
    webhook_sender: WebhookSender
    base_url: str  # as Twilio sees the API's webhooks
    own_number: str  # the account's, E.164
    closing: tuple[_Close, ...]

    async def close(self) -> None:
        await _close_all(self.closing)


def control(settings: Settings, *, twiml_wait_s: float = WAIT_S) -> Control:
    """The API: REST, Twilio's webhooks, gRPC."""
    from control_plane.adapters.idempotency import RedisIdempotencyKeys
    from control_plane.adapters.postgres_agents import PostgresAgents
    from control_plane.adapters.postgres_numbers import PostgresNumbers
    from control_plane.adapters.postgres_webhooks import PostgresWebhooks
    from control_plane.adapters.rate_limit import RedisRateLimiter
    from control_plane.adapters.temporal_client import TemporalOrchestrator
    from control_plane.adapters.webhooks_seen import RedisWebhooksSeen
    from control_plane.domain.listing import PageTokens
    from control_plane.entrypoints import rest, twilio_line, twilio_webhooks
    from control_plane.entrypoints.agents_grpc import AgentService
    from control_plane.entrypoints.grpc import CallService
    from control_plane.entrypoints.grpc_auth import Authentication
    from control_plane.entrypoints.grpc_guard import Guard
    from control_plane.entrypoints.grpc_limit import RateLimit
    from control_plane.entrypoints.grpc_server import Service
    from control_plane.entrypoints.twilio_requests import TwilioRequests
    from control_plane.service.agents import Agents
    from control_plane.service.handlers import Calls
    from control_plane.service.health import Check, answers, has_nodes, has_pollers
    from control_plane.service.inbound import Inbound
    from control_plane.service.limits import RequestLimit
    from control_plane.service.line import Line
    from control_plane.service.listing import CallList
    from control_plane.service.numbers import Numbers
    from control_plane.service.use_cases import UseCases
    from control_plane.service.views import CallViews
    from control_plane.service.watching import Watching
    from control_plane.service.webhooks import Webhooks
    from protos.twilio_signing import Verifier
    from protos.voiceplane.agents.v1 import agent_service_pb2, agent_service_pb2_grpc
    from protos.voiceplane.calls.v1 import calls_pb2, calls_pb2_grpc

    redis = redis_client.connect(settings.redis_dsn)
    sessions = RedisSessions(redis, settings.redis_session_ttl)
    events = _event_log(settings)
    nodes = RegisteredMediaNodes(redis, _media_tls(settings))
    repository = PostgresCalls(settings.database_url)
    orchestrator = TemporalOrchestrator(settings.temporal_host, settings.temporal_namespace)

    auth = _authenticator(settings)
    agent_table = PostgresAgents(settings.database_url)
    number_table = PostgresNumbers(settings.database_url)
    webhook_log = PostgresWebhooks(settings.database_url)
    agents = Agents(agent_table, _tool_policy(settings), settings.gemini_service)
    gate = dialing(settings, redis)
    calls = Calls(
        sessions,
        repository,
        orchestrator,
        ToolStore(redis),
        _tool_policy(settings),
        settings.gemini_service,
        RedisIdempotencyKeys(redis),
        gate.admission,
        gate.owners,
        agents,
    )
    views = CallViews(sessions, repository)
    use = UseCases(
        calls=calls,
        views=views,
        lists=CallList(repository, PageTokens(_page_secret(settings))),
        line=Line(sessions, repository, orchestrator, nodes, gate.admission),
        watching=Watching(sessions, repository, views, events),
        dialing=gate.rules,
        webhooks=Webhooks(webhook_log, orchestrator),
        agents=agents,
        numbers=Numbers(number_table, agents),
    )
    limiter = RedisRateLimiter(redis, settings.api_rate_limit) if settings.api_rate_limit else None
    limit = RequestLimit(limiter)
    checks = {
        "postgres": Check(answers(repository.ping)),
        "redis": Check(answers(sessions.ping)),
        "temporal": Check(answers(orchestrator.ping)),
        "media": Check(has_nodes(nodes), critical=False),
        "worker": Check(has_pollers(orchestrator.pollers), critical=False),
    }
    verifier = Verifier(
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_shared_key_id,
        settings.twilio_shared_key_secret.get_secret_value(),
    )
    requests = TwilioRequests(verifier, RedisWebhooksSeen(redis), settings.base_url)
    webhooks = twilio_webhooks.new_router(
        calls,
        Inbound(number_table, agents, sessions, orchestrator, ToolStore(redis)),
        sessions,
        requests,
        base_url=settings.base_url,
        twiml_wait_s=twiml_wait_s,
    )
    webhooks.include_router(
        twilio_line.new_router(
            orchestrator, sessions, requests, base_url=settings.base_url, twiml_wait_s=twiml_wait_s
        )
    )
    return Control(
        app=rest.new_app(
            use,
            checks,
            webhooks,
            limit,
            version("voiceplane"),
            authenticator=auth,
            open_metrics=settings.api_metrics == "open",
            cors_origins=settings.cors_allowed,
        ),
        services=(
            Service.of(
                calls_pb2,
                "CallService",
                calls_pb2_grpc.add_CallServiceServicer_to_server,
                CallService(use),
            ),
            Service.of(
                agent_service_pb2,
                "AgentService",
                agent_service_pb2_grpc.add_AgentServiceServicer_to_server,
                AgentService(agents),
            ),
        ),
        interceptors=(Guard(), Authentication(auth), RateLimit(limit)),
        stop_watching=use.watching.stop,
        closing=(
            calls.close,
            gate.close,
            nodes.close,
            events.close,
            auth.close,
            agent_table.close,
            number_table.close,
            webhook_log.close,
            repository.close,
            sessions.close,
        ),
    )


def worker(settings: Settings) -> Worker:
    """The ports of the workflows' activities."""
    from control_plane.adapters.postgres_webhooks import PostgresWebhooks
    from control_plane.adapters.temporal_client import TemporalOrchestrator
    from control_plane.adapters.twilio_rest import TwilioRest
    from control_plane.adapters.webhook_sender import HttpWebhooks
    from control_plane.service.line import Line
    from control_plane.tools.http_tool import HttpTools
    from control_plane.tools.line_tool import LineTools
    from control_plane.tools.mcp_tool import McpTools
    from control_plane.tools.pinned import PinnedTransport
    from control_plane.tools.runner import BLOCK_S, ToolRunner
    from control_plane.tools.toolbox import Toolbox

    redis = redis_client.connect(settings.redis_dsn)
    sessions = RedisSessions(redis, settings.redis_session_ttl)
    events = _event_log(settings)
    nodes = RegisteredMediaNodes(redis, _media_tls(settings))
    repository = PostgresCalls(settings.database_url)
    telephony = TwilioRest(settings)
    transport = PinnedTransport(_tool_policy(settings))
    http = HttpTools(transport, secret=settings.tool_signing_secret.get_secret_value())
    store = ToolStore(redis)
    gate = dialing(settings, redis)
    orchestrator = TemporalOrchestrator(settings.temporal_host, settings.temporal_namespace)
    line = LineTools(Line(sessions, repository, orchestrator, nodes, gate.admission))
    toolbox = Toolbox(store, http, McpTools(transport), line)
    calls_redis = redis_client.connect(settings.redis_dsn, answer_s=BLOCK_S + redis_client.ANSWER_S)
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    webhook_log = PostgresWebhooks(settings.database_url)
    sender = HttpWebhooks(
        PinnedTransport(_tool_policy(settings)), secret=settings.webhook_signing_secret.get_secret_value()
    )
    return Worker(
        calls=repository,
        sessions=sessions,
        events=events,
        nodes=nodes,
        telephony=telephony,
        tools=toolbox,
        runner=ToolRunner(calls_redis, store, toolbox, nodes, owner=owner),
        admission=gate.admission,
        pacer=gate.pacer,
        intents=gate.intents,
        owners=gate.owners,
        webhook_log=webhook_log,
        webhook_sender=sender,
        base_url=settings.base_url,
        own_number=settings.twilio_phone_number,
        closing=(
            toolbox.close,
            sender.close,
            webhook_log.close,
            gate.close,
            calls_redis.aclose,
            telephony.close,
            nodes.close,
            events.close,
            repository.close,
            sessions.close,
        ),
    )


def dialing(settings: Settings, redis: Redis | None = None) -> Dialing:
    """The dialing policy. `redis`: a client to share; the caller closes it."""
    client = redis if redis is not None else redis_client.connect(settings.redis_dsn)
    table = PostgresDialing(settings.database_url)
    audit = BackgroundAudit(table.write)
    slots = RedisSlots(client)
    account = settings.twilio_account_sid or "none"
    pacer = RedisPacer(client, account, settings.twilio_cps)
    return Dialing(
        admission=Admission(settings.dialing_policy, account, slots, pacer, table, audit),
        rules=DialingRules(settings.dialing_policy, account, slots, pacer, table),
        pacer=pacer,
        intents=RedisIntents(client),
        owners=RedisOwners(client),
        closing=(audit.close, table.close, *(() if redis is not None else (client.aclose,))),
    )


def _authenticator(settings: Settings) -> Authenticator:
    """Raises SettingRefused: without keys, the API would be open to others."""
    from control_plane.adapters.postgres_keys import PostgresKeys
    from control_plane.auth import local
    from control_plane.auth.authenticator import Authenticator
    from control_plane.auth.jwks import Jwks
    from control_plane.auth.key_cache import KeyCache
    from control_plane.auth.tokens import TokenRules, Tokens

    why = local.why_not(settings)
    if why:
        log.info("every request needs a credential", reason=why)
    tokens = None
    if settings.jwt_jwks_url:
        rules = TokenRules(
            settings.jwt_issuer,
            settings.jwt_audience,
            settings.jwt_allowed,
            settings.jwt_scope_claim,
            settings.jwt_leeway_s,
        )
        tokens = Tokens(rules, Jwks(settings.jwt_jwks_url))
    return Authenticator(KeyCache(PostgresKeys(settings.database_url)), tokens, local_needs_none=not why)


def _media_tls(settings: Settings) -> ClientTls | None:
    """Raises SettingRefused."""
    try:
        return client_tls(settings.media_grpc_tls, settings.media_grpc_tls_name)
    except TlsFault as fault:
        raise SettingRefused(fault.setting, fault.why) from fault


def numbers(settings: Settings) -> tuple[Numbers, _Close]:
    """Which agent answers which number, for the commands; and what closes it."""
    from control_plane.adapters.postgres_agents import PostgresAgents
    from control_plane.adapters.postgres_numbers import PostgresNumbers
    from control_plane.service.agents import Agents
    from control_plane.service.numbers import Numbers

    table, agent_table = PostgresNumbers(settings.database_url), PostgresAgents(settings.database_url)
    agents = Agents(agent_table, _tool_policy(settings), settings.gemini_service)

    async def close() -> None:
        await _close_all((table.close, agent_table.close))

    return Numbers(table, agents), close


def _page_secret(settings: Settings) -> bytes:
    """The same on every replica, and nobody else's: what they share is the database, with its password."""
    return hashlib.sha256(f"page tokens\0{settings.database_url}".encode()).digest()


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
