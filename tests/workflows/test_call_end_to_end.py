"""CallWorkflow with its real activities: real Temporal, Postgres and Valkey."""

from __future__ import annotations

from tests.support.eventually import eventually
from tests.workflows.conftest import World, call_params
from workflows.contracts import CallStatus, CallView, EndReason


async def test_a_call_from_dialing_to_its_result(world: World) -> None:
    params = call_params()
    workflow_id = params.workflow_id
    handle = await world.start(params)
    call = await world.dialed(params)

    assert call.params["Url"] == [f"http://voiceplane.test/twilio/twiml/{workflow_id}"]
    assert call.params["StatusCallback"] == [f"http://voiceplane.test/twilio/status/{workflow_id}"]
    assert call.params["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert call.params["TimeLimit"] == ["90"]

    async def stream_url() -> bool:
        session = await world.ports.sessions.get(workflow_id)
        return session is not None and bool(session.stream_url) and bool(session.call_sid)

    await eventually(stream_url)
    for sequence, status in enumerate(["initiated", "ringing", "in-progress"]):
        await world.callback(handle, call, status, sequence)
    await world.node.start_stream(workflow_id, call.sid)
    await world.node.speak(workflow_id, 1, "Hello!", agent=True)
    await world.node.speak(workflow_id, 2, "Good morning.")
    await world.node.turn(workflow_id, 1, 480)

    async def live() -> bool:
        view = await handle.query("status", result_type=CallView)
        return view.status == CallStatus.IN_PROGRESS and bool(view.stream_sid)

    await eventually(live)
    await world.node.end_stream(workflow_id)
    await world.callback(handle, call, "completed", 3, duration_seconds=4)

    result = await handle.result()
    assert result.status == CallStatus.COMPLETED
    assert result.end_reason == EndReason.CALLER_HANGUP
    assert result.call_sid == call.sid
    assert result.segments == 2

    row = await world.ports.calls.get(workflow_id)
    assert row is not None
    assert (row.status, row.end_reason, row.call_sid) == ("completed", "caller_hangup", call.sid)
    assert row.stream_sid
    assert row.answered_at < row.ended_at
    assert row.media["first_audio_ms"] == "120"
    lines = [(s.speaker, s.text) for s in await world.ports.calls.transcript(workflow_id)]
    assert lines == [("agent", "Hello!"), ("caller", "Good morning.")]
    assert [turn.response_ms for turn in await world.ports.calls.turns(workflow_id)] == [480]
    session = await world.ports.sessions.get(workflow_id)
    assert session is not None
    assert session.status == "completed"
    assert f"POST {call.sid}" not in world.twilio.requests, "the caller hung up: nothing to hang up"
    assert workflow_id not in world.node.ended, "the node ended by itself"
