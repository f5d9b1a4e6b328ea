"""gRPC, health, metrics and refusals of a media node."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from picows import WSCloseCode, WSHandshakeError

from protos.voiceplane.events.v1 import events_pb2 as events
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.media_peers import TOKEN, Plane, media_plane


async def get(url: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def failure(plane: Plane, **changes: Any) -> tuple[grpc.StatusCode, str]:
    """How a PrepareCall that must fail does."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.prepare(**changes)
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"workflow_id": "call 1"}, "workflow_id"),
        ({"workflow_id": "x" * 129}, "workflow_id"),
        ({"stream_token": "short"}, "stream_token"),
        ({"stream_token": "a/b" + "c" * 20}, "stream_token"),
        ({"agent": pb.AgentConfig()}, "agent.system_prompt"),
        ({"agent": pb.AgentConfig(system_prompt="x" * 32769)}, "agent.system_prompt"),
        ({"agent": pb.AgentConfig(system_prompt="x", greeting="ü" * 2049)}, "agent.greeting"),
        ({"agent": pb.AgentConfig(system_prompt="x", model='m"')}, "agent.model"),
        ({"agent": pb.AgentConfig(system_prompt="x", voice="a b")}, "agent.voice"),
        ({"expires_in_s": 3601}, "expires_in_s"),
    ],
)
async def test_bad_input_is_refused_with_the_field_s_name_and_nothing_is_opened(
    changes: dict[str, Any], field: str
) -> None:
    async with media_plane() as plane:
        code, details = await failure(plane, **changes)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith(f"{field} must be")
        assert not plane.gemini.sessions


async def test_a_full_node_takes_no_more_until_a_call_is_over() -> None:
    async with media_plane(media_capacity=1) as plane:
        await plane.prepare("call-1")
        assert (await failure(plane))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        await plane.stub.EndCall(pb.EndCallRequest(workflow_id="call-1"))
        await plane.prepare("call-2")


async def test_a_draining_node_ends_what_waits_and_takes_nothing() -> None:
    async with media_plane() as plane:
        prepared = await plane.prepare()
        model = plane.gemini.sessions[-1]
        await plane.server.node.drain(0)
        assert await model.closed() == 1000
        assert (await failure(plane))[0] == grpc.StatusCode.UNAVAILABLE
        with pytest.raises(WSHandshakeError) as refused:
            await plane.dial(prepared.stream_url)
        assert refused.value.response is not None
        assert refused.value.response.status == 503
        status, body = await get(f"http{plane.endpoints['media_ws'][2:]}/health")
        assert (status, json.loads(body)["status"]) == (200, "draining")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, grpc.StatusCode.UNAVAILABLE),
        (503, grpc.StatusCode.UNAVAILABLE),
        (401, grpc.StatusCode.FAILED_PRECONDITION),
        (404, grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_refused_upgrade_says_whether_to_try_again(status: int, code: grpc.StatusCode) -> None:
    async with media_plane() as plane:
        plane.gemini.refuse = status
        found, details = await failure(plane, workflow_id="call-1")
        assert found == code
        assert f"HTTP {status}: no quota left" in details
        plane.gemini.refuse = 0
        await plane.prepare("call-1")  # the id is free again


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (
            WSCloseCode.INVALID_TEXT,
            "Request contains an invalid argument.",
            grpc.StatusCode.FAILED_PRECONDITION,
        ),
        (WSCloseCode.POLICY_VIOLATION, "models/x is not found", grpc.StatusCode.FAILED_PRECONDITION),
        (WSCloseCode.POLICY_VIOLATION, "The operation was aborted", grpc.StatusCode.UNAVAILABLE),
        (WSCloseCode.INTERNAL_ERROR, "Internal error encountered.", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_refused_setup_says_why_and_whether_to_try_again(
    code: WSCloseCode, reason: str, expected: grpc.StatusCode
) -> None:
    async with media_plane() as plane:
        plane.gemini.answers_setup = False
        asked = asyncio.create_task(failure(plane))
        await eventually(lambda: _first_message(plane))
        plane.gemini.sessions[0].close(code, reason)
        found, details = await asked
        assert found == expected
        assert reason in details
        assert plane.server.node.counters.failures.total() == 1


async def _first_message(plane: Plane) -> bool:
    return bool(plane.gemini.sessions and plane.gemini.sessions[0].messages)


async def test_a_setup_that_is_never_answered_fails_in_time() -> None:
    async with media_plane(gemini_setup_timeout_s=0.2) as plane:
        plane.gemini.answers_setup = False
        code, details = await failure(plane)
        assert code == grpc.StatusCode.UNAVAILABLE
        assert "no setupComplete in time" in details
        assert await plane.gemini.sessions[0].closed() == 1000


async def test_a_first_frame_that_is_not_setup_complete_is_a_failure() -> None:
    async with media_plane() as plane:
        plane.gemini.answers_setup = False
        asked = asyncio.create_task(failure(plane))
        await eventually(lambda: _first_message(plane))
        plane.gemini.sessions[0].content(turnComplete=True)
        assert "the first frame is not setupComplete" in (await asked)[1]


async def test_a_model_that_can_t_be_reached_is_unavailable() -> None:
    async with media_plane(gemini_base_url="http://127.0.0.1:1") as plane:
        code, details = await failure(plane)
        assert code == grpc.StatusCode.UNAVAILABLE
        assert "no connection" in details


async def test_a_call_ended_while_its_session_is_being_opened_leaves_nothing() -> None:
    async with media_plane() as plane:
        plane.gemini.answers_setup = False
        asked = asyncio.create_task(failure(plane, workflow_id="call-1"))
        await eventually(lambda: _first_message(plane))
        answer = await plane.stub.EndCall(pb.EndCallRequest(workflow_id="call-1", reason="given up"))
        assert answer.ended
        assert "ended while its session was being opened" in (await asked)[1]
        assert await plane.gemini.sessions[0].closed() == 1000
        assert not plane.server.node.sessions


async def test_an_unknown_call_is_not_found() -> None:
    async with media_plane() as plane:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plane.stub.GetCall(pb.GetCallRequest(workflow_id="call-nowhere"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_get_call_follows_a_call_s_life() -> None:
    async with media_plane() as plane:
        await plane.prepare("call-1")
        assert await plane.state("call-1", pb.CALL_STATE_READY)
        caller, _, _ = await plane.call(workflow_id="call-2")
        call = await plane.stub.GetCall(pb.GetCallRequest(workflow_id="call-2"))
        assert (call.state, call.stream_sid) == (pb.CALL_STATE_LIVE, caller.stream_sid)
        stats = await plane.stub.GetStats(pb.GetStatsRequest())
        assert (stats.calls_prepared, stats.calls_live, stats.calls_total) == (1, 1, 2)
        assert stats.rss_bytes > 10_000_000
        assert stats.cpu_seconds > 0


async def test_health_and_reflection_are_served() -> None:
    async with (
        media_plane() as plane,
        grpc.aio.insecure_channel(str(plane.endpoints["media_grpc"])) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        answer = await health.Check(health_pb2.HealthCheckRequest(service="voiceplane.media.v1.MediaPlane"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        async for listed in reflection.ServerReflectionInfo(iter([request])):
            names = {service.name for service in listed.list_services_response.service}
            assert "voiceplane.media.v1.MediaPlane" in names
        status, body = await get(f"http{plane.endpoints['media_ws'][2:]}/health")
        assert status == 200
        assert json.loads(body) == {
            "status": "ok",
            "node_id": plane.server.node.id,
            "calls": 0,
            "capacity": 400,
        }
        assert (await get(f"http{plane.endpoints['media_ws'][2:]}/elsewhere"))[0] == 404


async def _counted(plane: Plane) -> str:
    """The metrics, once the newest frame is among them: it is counted within a tick."""
    _, text = await get(str(plane.endpoints["media_metrics"]))
    return text if 'added_delay_seconds_count{direction="up"} 1.0' in text else ""


async def test_metrics_tell_what_happened() -> None:
    async with media_plane() as plane:
        caller, model, _ = await plane.call()
        caller.media(b"\xff" * 160)
        await model.until(lambda: len(model.heard) == 320)
        refused = await plane.dial(f"{plane.endpoints['media_ws']}/twilio/ws/media/call-x/{TOKEN}")
        assert await refused.closed() == 1008
        text = await eventually(lambda: _counted(plane))
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert lines["voiceplane_media_calls_live"] == "1.0"
        assert lines["voiceplane_media_calls_total"] == "1.0"
        assert lines['voiceplane_media_streams_refused_total{reason="unknown"}'] == "1.0"
        assert lines['voiceplane_media_added_delay_seconds_bucket{direction="up",le="+Inf"}'] == "1.0"
        assert lines['voiceplane_media_added_delay_seconds_count{direction="down"}'] == "0.0"
        caller.event("stop", accountSid="AC", callSid=caller.call_sid)
        await caller.closed()
        _, text = await get(str(plane.endpoints["media_metrics"]))
        assert 'voiceplane_media_calls_ended_total{reason="stop"} 1.0' in text
        assert 'voiceplane_media_added_delay_seconds_count{direction="up"} 1.0' in text


async def test_event_numbers_go_on_when_a_call_is_prepared_again() -> None:
    seen: list[int] = []
    async with media_plane() as plane:
        plane.server.node._emit = lambda event: seen.append(event.seq)
        plane.gemini.refuse = 503
        await failure(plane, workflow_id="call-1")
        plane.gemini.refuse = 0
        await plane.prepare("call-1")
    assert seen == [1, 2, 3]  # failed; ready, ended by the drain


async def test_a_call_that_is_over_is_not_prepared_again() -> None:
    async with media_plane() as plane:
        await plane.prepare("call-1")
        await plane.stub.EndCall(pb.EndCallRequest(workflow_id="call-1"))
        assert (await failure(plane, workflow_id="call-1"))[0] == grpc.StatusCode.ALREADY_EXISTS


def test_every_end_reason_has_its_protobuf_value() -> None:
    from media_plane.wire.events import EndReason

    for reason in EndReason:
        assert events.StreamEndReason.Name(reason.value) == f"STREAM_END_REASON_{reason.name}"
