from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from redis.asyncio import Redis
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from control_plane.adapters import redis_client
from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from control_plane.settings import Settings
from tests.support.control import NAMESPACE, Control, control_settings, running_control
from tests.support.stack import Servers
from tests.support.stand_in_workflow import StandInWorkflow
from workflows.contracts import TASK_QUEUE


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    return control_settings(servers)


@pytest.fixture(scope="session")
async def temporal(servers: Servers) -> Client:
    """A client in the namespace of these tests, which is made first."""
    client = await Client.connect(servers.temporal_host)
    request = RegisterNamespaceRequest(
        namespace=NAMESPACE, workflow_execution_retention_period=Duration(seconds=86_400)
    )
    await client.workflow_service.register_namespace(request)
    async with asyncio.timeout(30):
        while True:
            try:
                await client.workflow_service.describe_namespace(
                    DescribeNamespaceRequest(namespace=NAMESPACE)
                )
                break
            except RPCError:
                await asyncio.sleep(0.05)
    return await Client.connect(servers.temporal_host, namespace=NAMESPACE)


@pytest.fixture(scope="session")
async def worker(temporal: Client) -> AsyncIterator[Worker]:
    """Runs the stand-in workflow."""
    worker = Worker(
        temporal,
        task_queue=TASK_QUEUE,
        workflows=[StandInWorkflow],
        graceful_shutdown_timeout=timedelta(seconds=1),
    )
    async with worker:
        yield worker


@pytest.fixture(scope="session")
async def control(settings: Settings, temporal: Client) -> AsyncIterator[Control]:
    async with running_control(settings) as control:
        yield control


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    async with Redis.from_url(settings.redis_dsn, decode_responses=True) as redis:
        yield redis


@pytest.fixture
async def sessions(settings: Settings) -> AsyncIterator[RedisSessions]:
    sessions = RedisSessions(redis_client.connect(settings.redis_dsn), settings.redis_session_ttl)
    yield sessions
    await sessions.close()


@pytest.fixture
async def repository(settings: Settings) -> AsyncIterator[PostgresCalls]:
    repository = PostgresCalls(settings.database_url)
    yield repository
    await repository.close()
