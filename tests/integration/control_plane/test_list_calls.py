from __future__ import annotations

import itertools
import uuid

import grpc
import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.adapters.postgres import PostgresCalls
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import Control, new_workflow_id
from tests.support.records import finished, recorded
from workflows.contracts import CallStatus, EndReason

_numbers = itertools.count(int(uuid.uuid4().int % 10_000_000))


def own_number() -> str:
    """A number no other test calls, so that a list of its calls holds those of one test."""
    return f"+4930{next(_numbers) % 10_000_000:07d}"


async def made(
    repository: PostgresCalls, number: str, at: str, status: CallStatus = CallStatus.RINGING
) -> str:
    workflow_id = new_workflow_id()
    change = recorded(workflow_id, status)
    change.params.phone_number = number
    change.params.created_at = at
    await repository.record(change)
    return workflow_id


async def listed(control: Control, **query: object) -> httpx.Response:
    return await control.http.get("/calls", params={key: str(value) for key, value in query.items()})


async def test_calls_are_listed_newest_first_page_by_page(
    control: Control, repository: PostgresCalls
) -> None:
    number = own_number()
    ids = [await made(repository, number, f"2026-11-22T10:00:{second:02d}+00:00") for second in range(5)]
    # One moment may hold several calls.
    ids += [await made(repository, number, "2026-11-22T10:00:05+00:00") for _ in range(3)]

    seen, token = [], ""
    while True:
        page = (await listed(control, phone_number=number, page_size=3, page_token=token)).json()
        seen += [call["workflow_id"] for call in page["calls"]]
        token = page["next_page_token"]
        if not token:
            break

    assert len(seen) == 8
    assert set(seen[:3]) == set(ids[5:])
    assert seen[3:] == ids[4::-1]


async def test_a_call_created_between_two_pages_moves_no_other_one(
    control: Control, repository: PostgresCalls
) -> None:
    number = own_number()
    ids = [await made(repository, number, f"2026-11-22T11:00:0{second}+00:00") for second in range(4)]
    first = (await listed(control, phone_number=number, page_size=2)).json()

    await made(repository, number, "2026-11-22T11:30:00+00:00")
    rest = (
        await listed(control, phone_number=number, page_size=2, page_token=first["next_page_token"])
    ).json()

    assert [call["workflow_id"] for call in first["calls"] + rest["calls"]] == ids[::-1]
    assert rest["next_page_token"] == ""


async def test_lists_hold_what_every_filter_lets_through(control: Control, repository: PostgresCalls) -> None:
    number = own_number()
    ringing = await made(repository, number, "2026-11-22T12:00:00+00:00")
    answered = await made(repository, number, "2026-11-22T13:00:00+00:00", CallStatus.IN_PROGRESS)

    async def ids(**query: object) -> list[str]:
        response = await listed(control, phone_number=number, **query)
        assert response.status_code == 200, response.text
        return [call["workflow_id"] for call in response.json()["calls"]]

    assert await ids(status="ringing") == [ringing]
    assert await ids(created_after="2026-11-22T13:00:00Z") == [answered]
    assert await ids(created_before="2026-11-22T13:00:00Z") == [ringing]
    assert await ids(created_after="2026-11-22T14:00:00+02:00", created_before="2026-11-22T13:30:00Z") == [
        answered,
        ringing,
    ]
    assert await ids(status="busy") == []


async def test_a_listed_call_tells_how_it_went(control: Control, repository: PostgresCalls) -> None:
    number = own_number()
    workflow_id = new_workflow_id()
    over = finished(workflow_id, CallStatus.COMPLETED, EndReason.CALLER_HANGUP, duration_seconds=61.5)
    over.params.phone_number = number
    await repository.finish(over)

    [call] = (await listed(control, phone_number=number)).json()["calls"]

    assert call["workflow_id"] == workflow_id
    assert (call["status"], call["end_reason"]) == ("completed", "caller_hangup")
    assert call["duration_seconds"] == 61.5
    assert call["created_at"] < call["answered_at"] < call["ended_at"]


async def test_a_token_that_was_changed_or_is_for_another_list_is_refused(
    control: Control, repository: PostgresCalls
) -> None:
    number = own_number()
    for second in range(3):
        await made(repository, number, f"2026-11-22T10:00:0{second}+00:00")
    token = (await listed(control, phone_number=number, page_size=1)).json()["next_page_token"]
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")

    for bad in ("x", "AAAA", token + "A", token[:-1], swapped, "é", token.replace("-", "+")[::-1]):
        response = await listed(control, phone_number=number, page_size=1, page_token=bad)
        assert response.status_code == 422, bad
        assert response.json()["detail"][0]["loc"] == ["query", "page_token"]
    assert (await listed(control, page_size=1, page_token=token)).status_code == 422
    assert (await listed(control, phone_number=number, page_token=token)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"status": "asleep"},
        {"phone_number": "5551234"},
        {"page_size": -1},
        {"created_after": "yesterday"},
        {"created_after": "2026-11-22T10:00:00"},
    ],
)
async def test_a_filter_that_makes_no_sense_is_named(control: Control, query: dict[str, object]) -> None:
    response = await listed(control, **query)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:2] == ["query", *query]


async def test_the_same_lists_are_had_over_grpc(control: Control, repository: PostgresCalls) -> None:
    number = own_number()
    ids = [await made(repository, number, f"2026-11-22T10:00:0{second}+00:00") for second in range(3)]
    since = Timestamp()
    since.FromJsonString("2026-11-22T10:00:01Z")
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        stub = CallServiceStub(channel)
        page = await stub.ListCalls(pb.ListCallsRequest(phone_number=number, page_size=2))
        rest = await stub.ListCalls(
            pb.ListCallsRequest(phone_number=number, page_size=2, page_token=page.next_page_token)
        )
        late = await stub.ListCalls(
            pb.ListCallsRequest(phone_number=number, statuses=[pb.CALL_STATUS_RINGING], created_after=since)
        )

    assert [call.workflow_id for call in [*page.calls, *rest.calls]] == ids[::-1]
    assert rest.next_page_token == ""
    assert [call.workflow_id for call in late.calls] == ids[:0:-1]
    assert page.calls[0].created_at.ToJsonString() == "2026-11-22T10:00:02Z"
    assert not page.calls[0].HasField("answered_at")


async def test_the_calls_of_one_agent_are_listed(control: Control, repository: PostgresCalls) -> None:
    name = f"desk-{uuid.uuid4().hex[:12]}"
    workflow_id = new_workflow_id()
    change = recorded(workflow_id, CallStatus.RINGING)
    change.params.agent_name, change.params.agent_version = name, 3
    await repository.record(change)

    [call] = (await listed(control, agent_name=name)).json()["calls"]
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        page = await CallServiceStub(channel).ListCalls(pb.ListCallsRequest(agent_name=name))

    assert (call["workflow_id"], call["agent_name"], call["agent_version"]) == (workflow_id, name, 3)
    assert [each.workflow_id for each in page.calls] == [workflow_id]
    assert (await listed(control, agent_name="NO NAME")).status_code == 422
