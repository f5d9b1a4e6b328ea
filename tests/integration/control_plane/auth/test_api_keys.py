"""API keys on both APIs, over the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from control_plane.adapters.postgres_keys import PostgresKeys
from control_plane.auth.attempts import BURST
from control_plane.auth.keys import ApiKey, generate
from control_plane.domain.principal import Scope
from control_plane.settings import Settings
from protos.voiceplane.agents.v1 import agent_service_pb2 as agents_pb
from protos.voiceplane.agents.v1.agent_service_pb2_grpc import AgentServiceStub
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import Control, control_settings, new_workflow_id, running_control
from tests.support.eventually import eventually
from tests.support.stack import Servers

PUBLIC = "https://calls.example.com"


@dataclass
class Keys:
    store: PostgresKeys

    async def new(self, *scopes: Scope, expires_at: datetime | None = None) -> tuple[str, ApiKey]:
        text, key = generate("test", frozenset(scopes), datetime.now(UTC), expires_at)
        await self.store.add(key)
        return text, key


@pytest.fixture
async def keys(settings: Settings) -> AsyncIterator[Keys]:
    store = PostgresKeys(settings.database_url)
    yield Keys(store)
    await store.close()


@pytest.fixture
async def guarded(servers: Servers) -> AsyncIterator[Control]:
    """A control plane that a tunnel leads to: nobody is let in without a credential."""
    async with running_control(control_settings(servers, base_url=PUBLIC)) as control:
        yield control


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


async def test_without_a_credential_nothing_is_told_but_what_is_everybodys(guarded: Control) -> None:
    for method, path in (("GET", "/calls"), ("POST", "/calls"), ("GET", "/metrics"), ("GET", "/nothing")):
        response = await guarded.http.request(method, path)
        assert problem(response) == (401, "UNAUTHORIZED")
        assert response.headers["www-authenticate"] == 'Bearer realm="voiceplane"'
    for path in ("/health", "/health/live", "/openapi.json", "/docs"):
        assert (await guarded.http.get(path)).status_code == 200, path
    # Webhooks carry Twilio's signature instead.
    assert (await guarded.http.post(f"/twilio/status/{new_workflow_id()}")).status_code == 403


async def test_a_key_is_good_for_its_scopes(guarded: Control, keys: Keys) -> None:
    reader, _ = await keys.new(Scope.READ)
    admin, _ = await keys.new(Scope.ADMIN)

    assert (await guarded.http.get("/calls", headers=bearer(reader))).status_code == 200
    refused = await guarded.http.post("/calls", headers=bearer(reader), json={})
    assert problem(refused) == (403, "FORBIDDEN")
    assert 'error="insufficient_scope", scope="call"' in refused.headers["www-authenticate"]
    assert (await guarded.http.post("/calls", headers=bearer(admin), json={})).status_code == 422
    assert (await guarded.http.get("/metrics", headers=bearer(reader))).status_code == 200
    # The scheme's name is the same in any case (RFC 9110, 11.1).
    assert (
        await guarded.http.get("/calls", headers={"Authorization": f"bearer {reader}"})
    ).status_code == 200


async def test_a_key_that_is_not_ours_or_not_the_whole_is_refused(guarded: Control, keys: Keys) -> None:
    text, _ = await keys.new(Scope.READ)
    unknown, _ = generate("x", frozenset({Scope.READ}), datetime.now(UTC))

    for credential in (unknown, text[:-1] + ("A" if text[-1] != "A" else "B"), text[:-1], "x"):
        response = await guarded.http.get("/calls", headers=bearer(credential))
        assert problem(response) == (401, "UNAUTHORIZED")
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
        assert credential not in response.text
    basic = await guarded.http.get("/calls", headers={"Authorization": "Basic YTpi"})
    assert basic.status_code == 401
    two = [("Authorization", f"Bearer {text}"), ("Authorization", f"Bearer {text}")]
    assert (await guarded.http.get("/calls", headers=two)).status_code == 401


async def test_a_key_is_over_when_it_has_expired(guarded: Control, keys: Keys) -> None:
    text, _ = await keys.new(Scope.READ, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    response = await guarded.http.get("/calls", headers=bearer(text))
    assert problem(response) == (401, "UNAUTHORIZED")
    assert "expired" in response.json()["detail"]


async def test_its_use_is_noted(guarded: Control, keys: Keys) -> None:
    text, key = await keys.new(Scope.READ)
    assert (await guarded.http.get("/calls", headers=bearer(text))).status_code == 200

    async def noted() -> bool:
        found = await keys.store.find(key.id)
        return found is not None and found.last_used_at is not None

    assert await eventually(noted)


async def test_an_address_that_fails_too_often_waits_and_a_good_key_from_there_does_not(
    guarded: Control, keys: Keys
) -> None:
    text, _ = await keys.new(Scope.READ)
    assert (await guarded.http.get("/calls", headers=bearer(text))).status_code == 200

    answers = [await guarded.http.get("/calls", headers=bearer("wrong")) for _ in range(BURST + 2)]
    assert [answer.status_code for answer in answers[:BURST]] == [401] * BURST
    limited = answers[-1]
    assert problem(limited) == (429, "TOO_MANY_REQUESTS")
    assert int(limited.headers["retry-after"]) >= 1
    assert (await guarded.http.get("/calls", headers=bearer(text))).status_code == 200


async def test_grpc_asks_for_the_same(guarded: Control, keys: Keys) -> None:
    reader, _ = await keys.new(Scope.READ)
    unknown = pb.GetCallRequest(workflow_id=new_workflow_id())
    async with grpc.aio.insecure_channel(guarded.endpoints.grpc) as channel:
        calls, agents = CallServiceStub(channel), AgentServiceStub(channel)

        async def code(call: grpc.aio.UnaryUnaryCall) -> grpc.StatusCode:
            try:
                await call
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        def with_key(text: str) -> tuple[tuple[str, str], ...]:
            return (("authorization", f"Bearer {text}"),)

        assert await code(calls.GetCall(unknown)) is grpc.StatusCode.UNAUTHENTICATED
        assert await code(calls.GetCall(unknown, metadata=with_key("x"))) is grpc.StatusCode.UNAUTHENTICATED
        assert await code(calls.GetCall(unknown, metadata=with_key(reader))) is grpc.StatusCode.NOT_FOUND
        create = calls.CreateCall(pb.CreateCallRequest(), metadata=with_key(reader))
        assert await code(create) is grpc.StatusCode.PERMISSION_DENIED
        listed = agents.ListAgents(agents_pb.ListAgentsRequest(), metadata=with_key(reader))
        assert await code(listed) is grpc.StatusCode.OK
        deleted = agents.DeleteAgent(agents_pb.DeleteAgentRequest(name="x"), metadata=with_key(reader))
        assert await code(deleted) is grpc.StatusCode.PERMISSION_DENIED
        # A stream, too.
        watching = calls.WatchCall(pb.WatchCallRequest(workflow_id=unknown.workflow_id))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in watching:
                pass
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_grpc_tells_programs_why(guarded: Control) -> None:
    async with grpc.aio.insecure_channel(guarded.endpoints.grpc) as channel:
        stub = CallServiceStub(channel)
        errors = []
        for _ in range(BURST + 1):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListCalls(pb.ListCallsRequest(), metadata=(("authorization", "Bearer wrong"),))
            errors.append(caught.value)

    first, last = rpc_status.from_call(errors[0]), rpc_status.from_call(errors[-1])
    assert first is not None
    assert last is not None
    info, retry = ErrorInfo(), RetryInfo()
    assert any(detail.Unpack(info) for detail in first.details)
    assert info.reason == "UNAUTHORIZED"
    assert errors[-1].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert any(detail.Unpack(retry) for detail in last.details)
    assert retry.retry_delay.seconds >= 1


async def test_on_this_machine_no_key_is_needed_unless_the_request_came_through_something(
    control: Control, keys: Keys
) -> None:
    assert (await control.http.get("/calls")).status_code == 200
    for header, value in (
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("Origin", "https://example.com"),
        ("Host", "voiceplane.example.com"),
    ):
        assert (await control.http.get("/calls", headers={header: value})).status_code == 401, header
    # A credential that is presented must be good, here too.
    assert (await control.http.get("/calls", headers=bearer("wrong"))).status_code == 401
    text, _ = await keys.new(Scope.READ)
    through = bearer(text) | {"X-Forwarded-For": "192.0.2.1"}
    assert (await control.http.get("/calls", headers=through)).status_code == 200


async def test_a_trusted_proxy_says_who_fails(servers: Servers) -> None:
    settings = control_settings(servers, trusted_proxies="127.0.0.1")
    async with running_control(settings) as control:
        assert (await control.http.get("/calls")).status_code == 401

        async def fail(address: str) -> int:
            headers = bearer("wrong") | {"X-Forwarded-For": address}
            return (await control.http.get("/calls", headers=headers)).status_code

        assert {await fail("192.0.2.1") for _ in range(BURST)} == {401}
        assert await fail("192.0.2.1") == 429
        assert await fail("192.0.2.2") == 401


async def test_metrics_may_be_open(servers: Servers) -> None:
    settings = control_settings(servers, base_url=PUBLIC, api_metrics="open")
    async with running_control(settings) as control:
        assert (await control.http.get("/metrics")).status_code == 200
        assert (await control.http.get("/calls")).status_code == 401


async def test_every_route_and_method_is_in_the_table(control: Control) -> None:
    from control_plane.auth import access

    paths = (await control.http.get("/openapi.json")).json()["paths"]
    assert {path.split("/")[1] for path in paths} <= access.REST.keys()
    for path, operations in paths.items():
        for method, operation in operations.items():
            needed = access.of_request(method.upper(), path)
            stated = [{"bearer": [needed.value]}] if needed is not None else None
            assert operation.get("security") == stated, (method, path)


async def test_requests_at_once_with_a_new_key_ask_the_database_once(guarded: Control, keys: Keys) -> None:
    text, _ = await keys.new(Scope.READ)
    answers = await asyncio.gather(*(guarded.http.get("/calls", headers=bearer(text)) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
