"""The worker with its real ports, against real servers; Twilio's API and the node are small real ones."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from temporalio.client import Client, WorkflowHandle

from control_plane import bootstrap
from control_plane.adapters import redis_client
from control_plane.settings import Settings
from tests.support.eventually import eventually
from tests.support.media_node import MediaNodeServer, running_media_node
from tests.support.stack import Servers
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, NUMBER, Call, TwilioApi, running_twilio_api
from workflows.activities import Ports
from workflows.contracts import CALL_WORKFLOW, TASK_QUEUE, CallParams, CallResult, TwilioStatus
from workflows.worker import build

Handle = WorkflowHandle[object, CallResult]


def call_params(*, phone_number: str = "", max_duration_seconds: int = 60) -> CallParams:
    call_id = str(uuid.uuid4())
    number = phone_number or f"+1415555{uuid.uuid4().int % 10_000:04d}"
    return CallParams(
        workflow_id=f"call-{call_id}",
        call_id=call_id,
        phone_number=number,
        greeting="Hello!",
        system_prompt="You are brief.",
        max_duration_seconds=max_duration_seconds,
        stream_token="t" * 32,
        created_at=datetime.now(UTC).isoformat(),
    )


@dataclass
class World:
    """Everything a call touches, and the webhooks' side of Twilio."""

    client: Client
    ports: Ports
    twilio: TwilioApi
    node: MediaNodeServer
    redis: Redis

    async def start(self, params: CallParams) -> Handle:
        return await self.client.start_workflow(
            CALL_WORKFLOW,
            params,
            id=params.workflow_id,
            task_queue=TASK_QUEUE,
            result_type=CallResult,
            execution_timeout=timedelta(seconds=60),
        )

    async def dialed(self, params: CallParams) -> Call:
        """The call, once Twilio has placed it."""
        await eventually(lambda: bool(self.twilio.placed(params.phone_number)))
        return self.twilio.placed(params.phone_number)[0]

    async def callback(self, handle: Handle, call: Call, status: str, sequence: int, **rest: object) -> None:
        if status in ("completed", "busy", "no-answer", "failed", "canceled"):
            call.status = status
        signal = TwilioStatus(call_sid=call.sid, status=status, sequence=sequence, **rest)  # type: ignore[arg-type]
        await handle.signal("twilio_status", signal)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    redis = redis_client.connect(servers.redis_url)
    yield redis
    await redis.aclose()


@pytest.fixture
async def quiet_world(servers: Servers, redis: Redis) -> AsyncIterator[World]:
    """The world without a worker."""
    async with running_twilio_api() as twilio, running_media_node(redis, f"node-{uuid.uuid4().hex}") as node:
        settings = Settings(
            _env_file=None,
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            temporal_host=servers.temporal_host,
            twilio_account_sid=ACCOUNT_SID,
            twilio_auth_token=AUTH_TOKEN,
            twilio_phone_number=NUMBER,
            twilio_api_base_url=twilio.base_url,
            base_url="http://voiceplane.test",
        )
        client = await Client.connect(servers.temporal_host)
        ports = bootstrap.worker(settings)
        yield World(client, ports, twilio, node, redis)
        await ports.close()


@pytest.fixture
async def world(quiet_world: World) -> AsyncIterator[World]:
    """The world with a worker."""
    async with build(quiet_world.client, quiet_world.ports):
        yield quiet_world


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
