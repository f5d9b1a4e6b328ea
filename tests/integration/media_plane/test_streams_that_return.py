"""Streams that come back with a token of their own, and those that Twilio did not sign; real sockets."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from picows import ws_connect
from twilio.request_validator import RequestValidator

from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.media_peers import Caller, Plane, media_plane

AUTH_TOKEN = "0123456789abcdef"
SILENCE = b"\xff" * 160


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with media_plane() as plane:
        yield plane


async def expect(plane: Plane, workflow_id: str, within_ms: int = 10_000) -> str:
    request = pb.ExpectStreamRequest(workflow_id=workflow_id, within_ms=within_ms)
    return (await plane.stub.ExpectStream(request)).stream_url


async def test_a_stream_comes_back_to_its_model_with_a_token_of_its_own(plane: Plane) -> None:
    caller, model, workflow_id = await plane.call()
    caller.media(SILENCE)
    await model.until(lambda: len(model.heard) == 320)
    url = await expect(plane, workflow_id)
    caller.event("stop", callSid=caller.call_sid)
    await caller.closed()
    back = await plane.dial(url)
    back.start()
    back.media(SILENCE)
    await model.until(lambda: len(model.heard) == 640)
    assert len(plane.gemini.sessions) == 1
    refused = await plane.dial(url)
    assert await refused.closed() == 1008
    back.event("stop", callSid=back.call_sid)
    await eventually(lambda: plane.state(workflow_id, pb.CALL_STATE_ENDED))


async def test_the_first_token_does_not_let_a_stream_back_in(plane: Plane) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    first = (await plane.prepare(workflow_id)).stream_url
    caller = await plane.dial(first)
    caller.start()
    await eventually(lambda: plane.state(workflow_id, pb.CALL_STATE_LIVE))
    await expect(plane, workflow_id)
    caller.event("stop", callSid=caller.call_sid)
    await caller.closed()
    refused = await plane.dial(first)
    assert (await refused.closed(), refused.close_reason) == (1008, "wrong stream token")
    await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id))


@pytest.mark.parametrize("within_ms", [0, 999, 600_001])
async def test_a_time_out_of_bounds_is_named(plane: Plane, within_ms: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="within_ms"):
        await expect(plane, "call-1", within_ms)


async def test_only_live_calls_may_expect_a_stream(plane: Plane) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await expect(plane, workflow_id)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    await plane.prepare(workflow_id)
    with pytest.raises(grpc.aio.AioRpcError) as waiting:
        await expect(plane, workflow_id)
    assert waiting.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id))


async def test_a_stream_must_be_signed_over_its_public_address() -> None:
    public = "wss://media.example.com"
    async with media_plane(twilio_auth_token=AUTH_TOKEN, media_public_ws_url=public) as plane:
        workflow_id = f"call-{uuid.uuid4()}"
        url = (await plane.prepare(workflow_id)).stream_url
        assert url.startswith(public)
        local = plane.endpoints["media_ws"] + url.removeprefix(public)

        async def dial(signature: str) -> Caller:
            _, caller = await ws_connect(Caller, local, extra_headers={"X-Twilio-Signature": signature})
            assert isinstance(caller, Caller)
            return caller

        validator = RequestValidator(AUTH_TOKEN)
        for wrong in ("", "nonsense", validator.compute_signature(local, {})):
            refused = await dial(wrong)
            assert (await refused.closed(), refused.close_reason) == (1008, "not signed by Twilio")
        caller = await dial(validator.compute_signature(url, {}))
        caller.start()
        await eventually(lambda: plane.state(workflow_id, pb.CALL_STATE_LIVE))
        caller.event("stop", callSid=caller.call_sid)
        await caller.closed()
