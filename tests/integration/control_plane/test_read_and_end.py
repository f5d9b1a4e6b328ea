from __future__ import annotations

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from control_plane.service.ports import Batch
from tests.support.control import NEW_CALL, Control, new_workflow_id
from tests.support.records import ANSWERED_AT, finished, recorded, segment, session, turn
from workflows.contracts import CallStatus, EndReason

UNKNOWN = new_workflow_id()
MALFORMED = ["call-1", "call-", "x", UNKNOWN.upper(), UNKNOWN + "0", "call-%00", "call-../../etc", "é"]


@pytest.mark.parametrize("workflow_id", [UNKNOWN, *MALFORMED])
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", "/terminate"), ("GET", "/result")])
async def test_an_unknown_call_is_answered_with_404(
    control: Control, method: str, suffix: str, workflow_id: str
) -> None:
    response = await control.http.request(method, f"/calls/{workflow_id}{suffix}")

    assert response.status_code == 404
    assert response.json()["detail"]


async def test_a_new_call_reads_as_initiated_with_its_config(
    control: Control, temporal: Client, worker: Worker
) -> None:
    created = (await control.http.post("/calls", json=NEW_CALL)).json()

    response = await control.http.get(f"/calls/{created['workflow_id']}")

    assert response.status_code == 200
    assert response.json() == {
        "workflow_id": created["workflow_id"],
        "status": "initiated",
        "transcript_count": 0,
        "call_config": NEW_CALL,
    }
    await temporal.get_workflow_handle(created["workflow_id"]).signal("terminate", {"reason": ""})


async def test_a_live_call_reads_its_status_from_redis_and_its_count_from_postgres(
    control: Control, sessions: RedisSessions, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    await repository.write(workflow_id, Batch(segments=[segment(1), segment(2)]))

    body = (await control.http.get(f"/calls/{workflow_id}")).json()

    assert (body["status"], body["transcript_count"]) == ("in_progress", 2)


async def test_an_ended_call_reads_from_postgres_when_its_session_has_expired(
    control: Control, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id, CallStatus.BUSY, EndReason.BUSY))

    body = (await control.http.get(f"/calls/{workflow_id}")).json()

    assert body["status"] == "busy"
    assert body["call_config"]["phone_number"] == "+15551234567"


async def test_the_further_of_two_statuses_is_told(
    control: Control, sessions: RedisSessions, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    await repository.finish(finished(workflow_id))

    assert (await control.http.get(f"/calls/{workflow_id}")).json()["status"] == "completed"


async def test_terminate_signals_the_workflow_and_answers_202_with_the_status(
    control: Control, temporal: Client, worker: Worker
) -> None:
    created = (await control.http.post("/calls", json=NEW_CALL)).json()

    response = await control.http.post(f"/calls/{created['workflow_id']}/terminate")

    assert response.status_code == 202
    assert response.json() == {"workflow_id": created["workflow_id"], "status": "initiated"}
    assert await temporal.get_workflow_handle(created["workflow_id"]).result() == [""]


async def test_terminating_an_ended_call_answers_200_with_its_final_status(
    control: Control, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id, CallStatus.NO_ANSWER, EndReason.NO_ANSWER))

    for _ in range(2):
        response = await control.http.post(f"/calls/{workflow_id}/terminate")
        assert response.status_code == 200
        assert response.json() == {"workflow_id": workflow_id, "status": "no_answer"}


async def test_terminating_a_call_whose_workflow_is_gone_is_answered_with_404(
    control: Control, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing"))

    assert (await control.http.post(f"/calls/{workflow_id}/terminate")).status_code == 404


@pytest.mark.parametrize("status", ["initiated", "ringing", "in_progress"])
async def test_the_result_of_a_call_that_is_not_over_is_409_naming_its_status(
    control: Control, sessions: RedisSessions, status: str
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status=status))

    response = await control.http.get(f"/calls/{workflow_id}/result")

    assert response.status_code == 409
    assert f" is {status};" in response.json()["detail"]


async def test_the_result_of_a_call_known_only_to_postgres_is_409_while_it_is_not_over(
    control: Control, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.record(recorded(workflow_id, CallStatus.RINGING))

    response = await control.http.get(f"/calls/{workflow_id}/result")

    assert response.status_code == 409
    assert "ringing" in response.json()["detail"]


async def test_the_result_tells_who_said_what_and_how_fast(
    control: Control, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.write(
        workflow_id,
        Batch(
            segments=[
                segment(2, speaker="caller", text="Fine — and you?", start_ms=2000, end_ms=3100),
                segment(
                    1,
                    text="Hello. How are",
                    start_ms=300,
                    end_ms=1900,
                    interrupted=True,
                    unheard_text="you today?",
                ),
            ],
            turns=[turn(1, response_ms=-1), turn(2, response_ms=700), turn(3, response_ms=900)],
            media={
                "uplink": {"frames": "500", "p50_us": 120, "p99_us": 480, "max_us": 900},
                "downlink": {"frames": "400", "p50_us": 90, "p99_us": 300, "max_us": 700},
                "first_audio_ms": "310",
                "setup_ms": 85,
                "prewarmed": True,
                "caller_audio_ms": "1100",
                "prompt_tokens": "77",
            },
        ),
    )
    await repository.finish(finished(workflow_id, duration_seconds=12.5))

    response = await control.http.get(f"/calls/{workflow_id}/result")

    assert response.status_code == 200
    body = response.json()
    assert (body["status"], body["end_reason"], body["error"]) == ("completed", "caller_hangup", "")
    assert body["duration_seconds"] == 12.5
    assert body["transcript"] == [
        {
            "speaker": "agent",
            "text": "Hello. How are",
            "start_ms": 300,
            "end_ms": 1900,
            "interrupted": True,
            "unheard_text": "you today?",
        },
        {
            "speaker": "caller",
            "text": "Fine — and you?",
            "start_ms": 2000,
            "end_ms": 3100,
            "interrupted": False,
            "unheard_text": "",
        },
    ]
    assert [each["response_ms"] for each in body["turns"]] == [-1, 700, 900]
    assert body["latency"] == {
        "uplink": {"frames": 500, "p50_us": 120, "p99_us": 480, "max_us": 900},
        "downlink": {"frames": 400, "p50_us": 90, "p99_us": 300, "max_us": 700},
        "first_audio_ms": 310,
        "setup_ms": 85,
        "prewarmed": True,
        "response": {"turns": 2, "p50_ms": 800, "max_ms": 900},
    }
    assert body["media"]["caller_audio_ms"] == 1100
    assert body["media"]["prompt_tokens"] == 77


async def test_the_result_of_a_call_nobody_answered_has_no_latencies(
    control: Control, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(
        finished(workflow_id, CallStatus.FAILED, EndReason.DIAL_FAILED, error="21211: no")
    )

    body = (await control.http.get(f"/calls/{workflow_id}/result")).json()

    assert (body["transcript"], body["turns"], body["latency"], body["media"]) == ([], [], None, None)
    assert body["error"] == "21211: no"
    assert body["answered_at"] == ANSWERED_AT
