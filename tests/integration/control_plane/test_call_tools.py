"""Creating calls with tools, over REST and gRPC."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import NEW_CALL, Control
from workflows.contracts import CallParams

BOOK = {
    "type": "http",
    "name": "book_table",
    "description": "Books a table.",
    "url": "https://tools.example.com/book",
    "headers": {"Authorization": "Bearer s3cret"},
}
TOOLS = [BOOK, {"type": "end_call"}]


async def kept(control: Control, workflow_id: str) -> tuple[list[dict[str, Any]], int]:
    async with Redis.from_url(control.settings.redis_url) as redis:
        text = await redis.get(f"tools:{workflow_id}")
        return json.loads(text)["definitions"], await redis.ttl(f"tools:{workflow_id}")


async def test_tools_wait_in_redis_and_not_in_the_workflow(
    control: Control, temporal: Client, worker: Worker
) -> None:
    created = await control.http.post("/calls", json={**NEW_CALL, "tools": TOOLS})
    assert created.status_code == 201
    workflow_id = created.json()["workflow_id"]
    definitions, ttl = await kept(control, workflow_id)
    assert [each["type"] for each in definitions] == ["http", "end_call"]
    assert definitions[0]["headers"] == BOOK["headers"]
    assert 3600 < ttl <= 3600 + 300
    handle = temporal.get_workflow_handle(workflow_id)
    params = await handle.query("params", result_type=CallParams)
    assert params.tools == 2
    assert "s3cret" not in (await handle.fetch_history()).to_json()


async def test_grpc_takes_the_same_list(control: Control, worker: Worker) -> None:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        request = pb.CreateCallRequest(**NEW_CALL, tools_json=json.dumps(TOOLS))  # type: ignore[arg-type]
        created = await CallServiceStub(channel).CreateCall(request)
    definitions, _ = await kept(control, created.workflow_id)
    assert [each["type"] for each in definitions] == ["http", "end_call"]


@pytest.mark.parametrize(
    ("tool", "place", "reason"),
    [
        ({**BOOK, "url": "http://tools.example.com/"}, ["tools", 0, "url"], "https://"),
        ({**BOOK, "url": "https://10.0.0.1/"}, ["tools", 0, "url"], "private"),
        ({**BOOK, "name": "1"}, ["tools", 0, "http", "name"], "1-64"),
        ({**BOOK, "headers": {"Host": "x"}}, ["tools", 0, "http", "headers"], "may set"),
        ({"type": "open_door"}, ["tools", 0], "expected tags"),
        ({"type": "mcp", "name": "m", "url": "https://[::1]/"}, ["tools", 0, "url"], "loopback"),
    ],
)
async def test_a_tool_that_will_not_do_is_told_by_its_place(
    control: Control, tool: dict[str, Any], place: list[Any], reason: str
) -> None:
    answer = await control.http.post("/calls", json={**NEW_CALL, "tools": [tool]})
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", *place]
    assert reason in problem["msg"]


@pytest.mark.parametrize(
    ("tools_json", "field", "reason"),
    [
        ("[", "tools_json", "Invalid JSON"),
        ('[{"type": "x"}]', "tools_json.0", "expected tags"),
        (json.dumps([{**BOOK, "url": "https://127.1/"}]), "tools.0.url", "unusual form"),
    ],
)
async def test_grpc_names_the_field_too(control: Control, tools_json: str, field: str, reason: str) -> None:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        request = pb.CreateCallRequest(**NEW_CALL, tools_json=tools_json)  # type: ignore[arg-type]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CallServiceStub(channel).CreateCall(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(caught.value)
    assert status is not None
    detail = BadRequest()
    assert status.details[0].Unpack(detail)
    [violation] = detail.field_violations
    assert violation.field == field
    assert reason in violation.description
