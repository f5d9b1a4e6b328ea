"""What is done to a call while it lives, over HTTP and gRPC, down to its workflow and its media node."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from protos.voiceplane.calls.v1 import calls_pb2 as calls
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from protos.voiceplane.media.v1 import media_pb2 as pb
from protos.voiceplane.media.v1 import media_pb2_grpc
from tests.support.control import NEW_CALL, Control, new_workflow_id
from tests.support.records import finished, session

NODE = "line-node"


class _Node(media_pb2_grpc.MediaPlaneServicer):
    """A media node that takes texts."""

    def __init__(self) -> None:
        self.texts: list[pb.SendTextRequest] = []
        self.refuses: grpc.StatusCode | None = None

    async def SendText(self, request: pb.SendTextRequest, context: object) -> pb.SendTextResponse:  # noqa: N802
        if self.refuses is not None:
            await context.abort(self.refuses, "no conversation runs")  # type: ignore[attr-defined]
        self.texts.append(request)
        return pb.SendTextResponse()


@pytest.fixture
async def node(redis: Redis) -> AsyncIterator[_Node]:
    """Registered as real ones are."""
    node, server = _Node(), grpc.aio.server()
    media_pb2_grpc.add_MediaPlaneServicer_to_server(node, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    registration = {
        "id": NODE,
        "grpc_address": f"127.0.0.1:{port}",
        "ws_url": "ws://x",
        "capacity": 0,
        "calls": 0,
        "draining": False,
    }
    await redis.set(f"node:{NODE}", json.dumps(registration), ex=60)
    yield node
    await redis.delete(f"node:{NODE}")
    await server.stop(None)


@pytest.fixture
async def created(control: Control, worker: Worker) -> AsyncIterator[str]:
    workflow_id = (await control.http.post("/calls", json=NEW_CALL)).json()["workflow_id"]
    yield workflow_id
    await control.http.post(f"/calls/{workflow_id}/terminate")


@asynccontextmanager
async def stub(control: Control) -> AsyncIterator[CallServiceStub]:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        yield CallServiceStub(channel)


async def act(control: Control, workflow_id: str, what: str, **body: object) -> httpx.Response:
    return await control.http.post(f"/calls/{workflow_id}/{what}", json=body)


async def live(sessions: RedisSessions) -> str:
    workflow_id = new_workflow_id()
    found = session(workflow_id, status="in_progress")
    found.node_id = NODE
    await sessions.put(found)
    return workflow_id


async def test_a_text_reaches_the_node_that_holds_the_call(
    control: Control, sessions: RedisSessions, node: _Node
) -> None:
    workflow_id = await live(sessions)

    said = await act(control, workflow_id, "say", text="One moment, Ànna.")
    told = await act(control, workflow_id, "say", text="She is a customer.", mode="instruct")
    async with stub(control) as service:
        await service.SendText(calls.SendTextRequest(workflow_id=workflow_id, text="Bye."))

    assert (said.status_code, told.status_code) == (202, 202)
    assert said.json() == {"workflow_id": workflow_id, "status": "in_progress"}
    assert [(each.text, each.instruct) for each in node.texts] == [
        ("One moment, Ànna.", False),
        ("She is a customer.", True),
        ("Bye.", False),
    ]
    assert {each.workflow_id for each in node.texts} == {workflow_id}


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION])
async def test_a_text_for_a_call_that_is_not_live_at_its_node_is_409(
    control: Control, sessions: RedisSessions, node: _Node, code: grpc.StatusCode
) -> None:
    node.refuses = code

    response = await act(control, await live(sessions), "say", text="x")

    assert (response.status_code, response.json()["code"]) == (409, "CALL_NOT_LIVE")


async def test_a_text_for_a_call_without_a_node_is_409(control: Control, sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing"))

    assert (await act(control, workflow_id, "say", text="x")).status_code == 409
    assert (await act(control, await live(sessions), "say", text="x")).status_code == 409  # its node is gone


async def test_keys_and_transfers_reach_the_workflow(
    control: Control, created: str, temporal: Client
) -> None:
    pressed = await act(control, created, "dtmf", digits="1ww42#")
    cold = await act(control, created, "transfer", to="+15557654321")
    async with stub(control) as service:
        await service.SendDtmf(calls.SendDtmfRequest(workflow_id=created, digits="*A"))
        await service.TransferCall(
            calls.TransferCallRequest(
                workflow_id=created,
                to="+15557654321",
                mode=calls.TRANSFER_MODE_WARM,
                summary="Anna asks.",
                timeout_seconds=20,
            )
        )

    assert (pressed.status_code, cold.status_code) == (202, 202)
    assert await temporal.get_workflow_handle(created).query("done", result_type=list[str]) == [
        "1ww42#",
        "cold +15557654321 30",
        "*A",
        "warm +15557654321 20 Anna asks.",
    ]


@pytest.mark.parametrize(("digits", "code"), [("0", "CALL_NOT_LIVE"), ("#", "CALL_BUSY")])
async def test_what_the_workflow_refuses_the_caller_hears(
    control: Control, created: str, digits: str, code: str
) -> None:
    response = await act(control, created, "dtmf", digits=digits)
    async with stub(control) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.SendDtmf(calls.SendDtmfRequest(workflow_id=created, digits=digits))

    assert (response.status_code, response.json()["code"]) == (409, code)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("say", {"text": " "}, "text"),
        ("say", {"text": "é" * 2049}, "text"),
        ("say", {"text": "x", "mode": "shout"}, "mode"),
        ("dtmf", {"digits": ""}, "digits"),
        ("dtmf", {"digits": "ww"}, "digits"),
        ("dtmf", {"digits": "5" * 65}, "digits"),
        ("transfer", {"to": "5551234"}, "to"),
        ("transfer", {"to": "+15557654321", "timeout_seconds": 4}, "timeout_seconds"),
        ("transfer", {"to": "+15557654321", "mode": "hot"}, "mode"),
        ("transfer", {"to": "+15557654321", "x": 1}, "x"),
    ],
)
async def test_a_bad_field_is_named(control: Control, what: str, body: dict[str, object], field: str) -> None:
    response = await act(control, new_workflow_id(), what, **body)

    assert response.status_code == 422
    assert [each["loc"] for each in response.json()["detail"]] == [["body", field]]


async def test_a_summary_that_nobody_would_hear_is_refused(control: Control) -> None:
    body = {"to": "+15557654321", "summary": "x"}

    assert (await act(control, new_workflow_id(), "transfer", **body)).status_code == 422


async def test_nothing_can_be_done_to_a_call_that_is_over_or_unknown(
    control: Control, repository: PostgresCalls
) -> None:
    over = new_workflow_id()
    await repository.finish(finished(over))
    for what, body in (
        ("say", {"text": "x"}),
        ("dtmf", {"digits": "1"}),
        ("transfer", {"to": "+15557654321"}),
    ):
        assert (await act(control, over, what, **body)).status_code == 409
        assert (await act(control, new_workflow_id(), what, **body)).status_code == 404
