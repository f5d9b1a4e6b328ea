"""Calls that are prepared and that nobody answers: everything is released, and what it cost is counted."""

from __future__ import annotations

import asyncio
import urllib.request

from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.media_peers import Plane, media_plane, tone


async def ringing(plane: Plane, workflow_id: str, **changes: object) -> None:
    """A call whose greeting, a second long, waits for somebody to pick up."""
    await plane.prepare(workflow_id, greeting="Good day!", **changes)
    model = plane.gemini.sessions[-1]
    await model.until(lambda: len(model.messages) == 2)
    model.speak(tone(440, 1000, 24_000))
    model.say(
        {
            "serverContent": {"generationComplete": True, "turnComplete": True},
            "usageMetadata": {"promptTokenCount": 30, "responseTokenCount": 25},
        }
    )

    def held() -> bool:
        found = plane.server.node.find(workflow_id)
        return found is not None and found[0].tally.response_tokens == 25

    await eventually(held)


async def scraped(plane: Plane) -> dict[str, float]:
    """The node's metrics, by name and labels as they are written."""
    url = str(plane.endpoints["media_metrics"])
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_a_call_ended_while_it_rings_releases_its_session_and_is_counted_with_its_cost() -> None:
    async with media_plane() as plane:
        await ringing(plane, "call-1")
        await plane.stub.EndCall(pb.EndCallRequest(workflow_id="call-1", reason="no answer"))
        assert await plane.gemini.sessions[0].closed() == 1000
        metrics = await scraped(plane)
        assert metrics['voiceplane_media_unanswered_total{reason="requested"}'] == 1
        assert metrics["voiceplane_media_unanswered_sessions_total"] == 1
        assert metrics["voiceplane_media_unanswered_audio_seconds_total"] == 1.0
        assert metrics['voiceplane_media_unanswered_tokens_total{kind="prompt"}'] == 30
        assert metrics['voiceplane_media_unanswered_tokens_total{kind="response"}'] == 25


async def test_a_call_nobody_picks_up_in_time_expires_and_is_counted_too() -> None:
    async with media_plane() as plane:
        await ringing(plane, "call-1", expires_in_s=1)
        assert await plane.gemini.sessions[0].closed() == 1000
        assert plane.server.node.unanswered.calls == {"expired": 1}
        assert not plane.server.node.busy


async def test_a_call_that_was_answered_is_not_counted() -> None:
    async with media_plane() as plane:
        caller, _, workflow_id = await plane.call()
        await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id))
        await caller.closed()
        assert plane.server.node.unanswered.calls == {}


async def test_the_pool_tells_what_it_holds_and_what_calls_were_given() -> None:
    async with media_plane(gemini_pool_max=4, gemini_pool_sockets_min=1) as plane:
        await eventually(lambda: plane.server.node.pool.held()["socket"] == 1)
        await plane.prepare("call-1")
        metrics = await scraped(plane)
        assert metrics['voiceplane_media_pool_wait_seconds_count{level="socket"}'] == 1
        assert metrics['voiceplane_media_pool_wait_seconds_count{level="cold"}'] == 0
        assert metrics['voiceplane_media_pool_target{level="socket"}'] >= 1
        assert metrics['voiceplane_media_pool_opened_total{level="socket"}'] >= 1
        warm = plane.gemini.sessions
    assert all(session.close_code in (1000, 1001) for session in warm)
