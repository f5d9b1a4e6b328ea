"""What the API answers while a server it needs refuses connections, or accepts them and says nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from tests.support.control import (
    NEW_CALL,
    Control,
    control_settings,
    free_port,
    new_workflow_id,
    running_control,
)
from tests.support.records import finished, session
from tests.support.relay import Relay
from tests.support.stack import Servers

PATIENCE_S = 5.5  # the longest wait for any one dependency, and a moment for a busy machine


@contextmanager
def silent_port() -> Iterator[int]:
    """A port where connections are accepted by the kernel and then left alone."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


@contextmanager
def away(kind: str) -> Iterator[int]:
    if kind == "refuses":
        yield free_port()
    else:
        with silent_port() as port:
            yield port


KINDS = pytest.mark.parametrize("kind", ["refuses", "is silent"])


async def assert_unavailable(control: Control, method: str, path: str, dependency: str) -> None:
    started = time.monotonic()
    response = await control.http.request(method, path, json=NEW_CALL if path == "/calls" else None)

    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["detail"] == f"{dependency} is unavailable"
    assert time.monotonic() - started < PATIENCE_S


@KINDS
async def test_no_call_is_started_while_redis_is_away(servers: Servers, temporal: Client, kind: str) -> None:
    with away(kind) as port:
        settings = control_settings(servers, redis_url=f"redis://127.0.0.1:{port}/0")
        async with running_control(settings) as control:
            before = await temporal.count_workflows()
            await asyncio.gather(
                assert_unavailable(control, "POST", "/calls", "redis"),
                assert_unavailable(control, "GET", f"/calls/{new_workflow_id()}", "redis"),
            )
            assert (await temporal.count_workflows()).count == before.count


@KINDS
async def test_no_session_is_left_behind_while_temporal_is_away(
    servers: Servers, redis: Redis, kind: str
) -> None:
    before = set(await redis.keys("session:*"))
    with away(kind) as port:
        async with running_control(control_settings(servers, temporal_host=f"127.0.0.1:{port}")) as control:
            await assert_unavailable(control, "POST", "/calls", "temporal")
    assert set(await redis.keys("session:*")) == before


@KINDS
async def test_terminate_and_status_callbacks_answer_503_while_temporal_is_away(
    servers: Servers, sessions: RedisSessions, kind: str
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    with away(kind) as port:
        async with running_control(control_settings(servers, temporal_host=f"127.0.0.1:{port}")) as control:
            _, told = await asyncio.gather(
                assert_unavailable(control, "POST", f"/calls/{workflow_id}/terminate", "temporal"),
                control.webhook(f"/twilio/status/{workflow_id}", {"CallSid": "CA1", "CallStatus": "ringing"}),
            )
            metrics = (await control.http.get("/metrics")).text

    assert (told.status_code, told.headers["retry-after"]) == (503, "2")
    assert 'voiceplane_control_webhooks_lost_total{dependency="temporal"}' in metrics


async def test_a_result_is_503_while_postgres_is_away(servers: Servers) -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()}/voiceplane"
    async with running_control(control_settings(servers, database_url=url)) as control:
        await assert_unavailable(control, "GET", f"/calls/{new_workflow_id()}/result", "postgres")


async def test_calls_are_started_and_ended_while_postgres_is_away(
    servers: Servers, worker: Worker, temporal: Client
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()}/voiceplane"
    async with running_control(control_settings(servers, database_url=url)) as control:
        created = await control.http.post("/calls", json=NEW_CALL)
        ended = await control.http.post(f"/calls/{created.json()['workflow_id']}/terminate")

    assert (created.status_code, ended.status_code) == (201, 202)


async def test_an_ended_call_can_be_read_while_redis_is_away(
    servers: Servers, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id))
    settings = control_settings(servers, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with running_control(settings) as control:
        call = await control.http.get(f"/calls/{workflow_id}")
        result = await control.http.get(f"/calls/{workflow_id}/result")

    assert call.json()["status"] == "completed"
    assert result.status_code == 200


async def test_twiml_outlasts_a_short_absence_of_redis(servers: Servers, sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing", stream_url="wss://node/x"))
    async with Relay(servers.redis_url) as relay:
        url = urlunsplit(
            urlsplit(control_settings(servers).redis_url)._replace(netloc=f"127.0.0.1:{relay.port}")
        )
        async with running_control(control_settings(servers, redis_url=url)) as control:
            relay.refuse()
            asked = asyncio.create_task(control.webhook(f"/twilio/twiml/{workflow_id}", {"CallSid": "CA1"}))
            await relay.refused(2)
            relay.accept()
            response = await asked

    assert "wss://node/x" in response.text


async def test_twiml_is_503_when_redis_stays_away(servers: Servers) -> None:
    settings = control_settings(servers, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with running_control(settings, twiml_wait_s=0.2) as control:
        response = await control.webhook(f"/twilio/twiml/{new_workflow_id()}", {"CallSid": "CA1"})

    assert response.status_code == 503


async def test_the_api_serves_once_temporal_comes_up(servers: Servers, worker: Worker) -> None:
    async with Relay(servers.temporal_host) as relay:
        relay.refuse()
        settings = control_settings(servers, temporal_host=f"127.0.0.1:{relay.port}")
        async with running_control(settings) as control:
            refused = await control.http.post("/calls", json=NEW_CALL)
            relay.accept()
            created = await control.http.post("/calls", json=NEW_CALL)
            await control.http.post(f"/calls/{created.json()['workflow_id']}/terminate")

    assert (refused.status_code, created.status_code) == (503, 201)


async def test_a_call_whose_start_was_answered_with_503_is_ended_if_it_had_started_after_all(
    servers: Servers, worker: Worker, temporal: Client, redis: Redis
) -> None:
    async with Relay(servers.temporal_host) as relay:
        settings = control_settings(servers, temporal_host=f"127.0.0.1:{relay.port}")
        async with running_control(settings) as control:
            warm = await control.http.post("/calls", json=NEW_CALL)  # connects
            await control.http.post(f"/calls/{warm.json()['workflow_id']}/terminate")
            started = {execution.id async for execution in temporal.list_workflows()}

            relay.swallow_answers()
            refused = await control.http.post("/calls", json=NEW_CALL)
            assert refused.status_code == 503
            relay.accept()

            # Not by the list, which lags: by the session, whose id is gone, the workflow alone knows it.
            ended = await _new_workflow(temporal, started | {warm.json()["workflow_id"]})
            assert await temporal.get_workflow_handle(ended).result() == ["its start was answered with 503"]


async def _new_workflow(temporal: Client, known: set[str]) -> str:
    async with asyncio.timeout(20):
        while True:
            async for execution in temporal.list_workflows():
                if execution.id not in known:
                    return execution.id
            await asyncio.sleep(0.1)


@KINDS
async def test_health_names_what_is_away_and_answers_within_a_second(servers: Servers, kind: str) -> None:
    with away(kind) as port:
        settings = control_settings(
            servers,
            redis_url=f"redis://127.0.0.1:{port}/0",
            temporal_host=f"127.0.0.1:{port}",
            database_url=f"postgresql://postgres@127.0.0.1:{port}/voiceplane",
        )
        async with running_control(settings) as control:
            started = time.monotonic()
            response = await control.http.get("/health")
            took = time.monotonic() - started
            alive = await control.http.get("/health/live")

    assert response.status_code == 503
    assert took < 1.5
    found = response.json()
    assert found["status"] == "unavailable"
    assert {name for name, each in found["dependencies"].items() if not each["ok"]} == {
        "postgres",
        "redis",
        "temporal",
        "media",
        "worker",
    }
    assert all(each["detail"] for each in found["dependencies"].values())
    assert alive.status_code == 200


async def test_health_is_ok_for_what_answers(control: Control, worker: Worker) -> None:
    response = await control.http.get("/health")

    assert response.status_code == 200
    dependencies = response.json()["dependencies"]
    assert {name: each["ok"] for name, each in dependencies.items() if each["critical"]} == {
        "postgres": True,
        "redis": True,
        "temporal": True,
    }
    assert all(each["latency_ms"] > 0 for each in dependencies.values())
    assert response.json()["status"] == "degraded"  # no media node has registered here
    assert "no node takes calls" in dependencies["media"]["detail"]


async def test_metrics_are_served_by_route_template_on_both_ports(control: Control) -> None:
    await control.http.get(f"/calls/{new_workflow_id()}")
    await control.http.get("/nowhere/at/all")

    async with httpx.AsyncClient(trust_env=False) as scraper:
        own_port = (await scraper.get(control.endpoints.metrics)).text
    text = (await control.http.get("/metrics")).text

    line = 'voiceplane_control_http_requests_total{method="GET",route="/calls/{workflow_id}",status="404"}'
    assert line in text
    assert line in own_port
    assert 'route="(none)",status="404"' in text
    assert "nowhere" not in text


async def test_the_docs_describe_the_api(control: Control) -> None:
    assert (await control.http.get("/docs")).status_code == 200
    paths = (await control.http.get("/openapi.json")).json()["paths"]

    assert {
        "/calls",
        "/calls/{workflow_id}",
        "/calls/{workflow_id}/terminate",
        "/calls/{workflow_id}/result",
        "/agents",
        "/agents/{name}",
        "/twilio/twiml/{workflow_id}",
        "/twilio/status/{workflow_id}",
        "/health",
        "/health/live",
        "/metrics",
    } <= set(paths)
    either = paths["/calls"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    body, of_agent = either
    assert {"phone_number", "greeting", "system_prompt", "max_duration_seconds", "tools"} <= set(
        body["properties"]
    )
    assert {"phone_number", "agent", "variables"} <= set(of_agent["properties"])
    assert "$ref" not in str(either), "a reference that leads nowhere in the document"
    assert body["additionalProperties"] is False
