"""A media node between a Gemini Live server and a Twilio stream, over real sockets."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from picows import WSCloseCode, WSMsgType
from redis.asyncio import Redis

from media_plane.dsp.g711 import compress, expand
from protos.voiceplane.events.v1 import events_pb2 as events
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.media_peers import NOWHERE, Caller, Plane, audio, media_plane, tone
from tests.support.stack import Servers


@pytest.fixture(scope="module")
async def plane(servers: Servers) -> AsyncIterator[Plane]:
    async with media_plane(servers.redis_url) as plane:
        yield plane


def strength(signal: npt.NDArray[Any], hz: float, rate: int) -> float:
    """How much of the signal's power lies at `hz`, 0-1, by FFT."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    at = round(hz * len(signal) / rate)
    return float(spectrum[at - 3 : at + 4].sum() / spectrum.sum())


async def story(servers: Servers, workflow_id: str) -> list[events.CallEvent]:
    """The call's events in Redis, once the last one is there."""
    async with Redis.from_url(servers.redis_url) as redis:

        async def whole() -> list[events.CallEvent]:
            entries = await redis.xrange(f"events:{workflow_id}")
            found = [events.CallEvent.FromString(fields[b"e"]) for _, fields in entries]
            return found if found and found[-1].WhichOneof("body") == "stream_ended" else []

        return await eventually(whole)


async def hang_up(caller: Caller) -> int:
    caller.event("stop", accountSid="AC", callSid=caller.call_sid)
    return await caller.closed()


async def refused_dial(plane: Plane, url: str) -> tuple[int, str]:
    caller = await plane.dial(url)
    code = await caller.closed()
    return code, caller.close_reason


async def test_the_caller_s_tone_is_found_at_the_model_clean(plane: Plane) -> None:
    caller, model, _ = await plane.call()
    ulaw = compress(tone(1000, 1000, 8000)).tobytes()
    for at in range(0, len(ulaw), 160):
        caller.media(ulaw[at : at + 160])
    await model.until(lambda: len(model.heard) == 16_000)
    heard = model.heard[2000:14_000].astype(float)
    assert strength(heard, 1000, 16_000) > 0.999
    assert np.abs(heard).max() == pytest.approx(8000, rel=0.03)
    await hang_up(caller)


async def test_the_model_s_tone_is_found_at_the_caller_clean(plane: Plane) -> None:
    caller, model, _ = await plane.call()
    pcm = tone(440, 1000, 24_000)
    for at in range(0, len(pcm), 1111):  # no whole number of anything
        model.speak(pcm[at : at + 1111])
    await caller.until(lambda: len(caller.heard) >= 7999)
    heard = expand(np.frombuffer(caller.heard, np.uint8))[1000:7000].astype(float)
    assert strength(heard, 440, 8000) > 0.999
    assert all(message["streamSid"] == caller.stream_sid for message in caller.messages)
    await hang_up(caller)


async def test_a_frame_crosses_without_waiting_for_the_next(plane: Plane) -> None:
    caller, model, _ = await plane.call()
    for count in range(1, 6):
        caller.media(b"\xff" * 160)
        await model.until(lambda count=count: len(model.heard) == 320 * count)  # type: ignore[misc]
        model.speak(tone(440, 20, 24_000))
        await caller.until(lambda count=count: len(caller.heard) == 160 * count)  # type: ignore[misc]
    await hang_up(caller)


async def test_forty_calls_at_once_never_hear_each_other(plane: Plane) -> None:
    calls = [await plane.call() for _ in range(40)]
    frequencies = [300 + 70 * i for i in range(len(calls))]
    up = [compress(tone(hz, 400, 8000)).tobytes() for hz in frequencies]
    down = [tone(hz, 400, 24_000) for hz in reversed(frequencies)]
    for at in range(0, 3200, 160):
        for (caller, model, _), ulaw, pcm in zip(calls, up, down, strict=True):
            caller.media(ulaw[at : at + 160])
            model.speak(pcm[3 * at : 3 * at + 480])
    for (caller, model, _), hz, back in zip(calls, frequencies, reversed(frequencies), strict=True):
        await model.until(lambda model=model: len(model.heard) == 6400)  # type: ignore[misc]
        await caller.until(lambda caller=caller: len(caller.heard) == 3200)  # type: ignore[misc]
        assert strength(model.heard[400:].astype(float), hz, 16_000) > 0.98
        heard = expand(np.frombuffer(caller.heard, np.uint8))[200:].astype(float)
        assert strength(heard, back, 8000) > 0.98
    for caller, _, _ in calls:
        await hang_up(caller)


async def test_the_greeting_waits_for_the_callee_and_leaves_at_once(plane: Plane) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    prepared = await plane.prepare(workflow_id, greeting="Good day!")
    model = plane.gemini.sessions[-1]
    await model.until(lambda: len(model.messages) == 2)
    assert "Good day!" in model.messages[1]["clientContent"]["turns"][0]["parts"][0]["text"]
    model.speak(tone(440, 700, 24_000))
    model.speak(tone(440, 300, 24_000), generationComplete=True, turnComplete=True)
    model.content()  # nothing; it only follows the audio
    caller = await plane.dial(prepared.stream_url)
    session = plane.server.node.find(workflow_id)
    assert session is not None
    await eventually(lambda: _true(session[0].unplayed_ms == 1000))
    caller.start()
    await caller.until(lambda: len(caller.of("mark")) == 2)
    assert [message["event"] for message in caller.messages] == ["mark", "media", "mark"]
    heard = expand(np.frombuffer(caller.heard, np.uint8))[400:].astype(float)
    assert strength(heard, 440, 8000) > 0.999
    await hang_up(caller)


async def _true(value: bool) -> bool:
    return value


async def test_barge_in_silences_the_caller_s_ear(plane: Plane, servers: Servers) -> None:
    caller, model, workflow_id = await plane.call()
    for _ in range(10):
        model.speak(tone(440, 500, 24_000))
    model.content(interrupted=True)
    model.speak(tone(440, 500, 24_000))  # late, of the turn that was cut
    model.content(turnComplete=True)
    await caller.until(lambda: caller.of("clear"))
    for message in [m for m in caller.messages if m["event"] == "mark"]:
        caller.event("mark", name=message["mark"]["name"])  # sent back because cleared
    model.speak(tone(880, 200, 24_000))
    await caller.until(lambda: caller.messages[-1]["event"] == "mark" and len(caller.heard) >= 41_600)
    assert len(caller.heard) == 40_000 + 1600
    await hang_up(caller)
    interrupted = [e.interrupted for e in await story(servers, workflow_id) if e.HasField("interrupted")]
    assert len(interrupted) == 1
    assert 4000 < interrupted[0].discarded_ms <= 5000
    assert interrupted[0].flush_us < 100_000


async def test_the_call_s_story_is_in_redis_in_order(plane: Plane, servers: Servers) -> None:
    caller, model, workflow_id = await plane.call()
    model.speak(tone(440, 300, 24_000), outputTranscription={"text": "Grüß Gott"})
    await caller.until(lambda: caller.heard)
    caller.event("dtmf", track="inbound_track", digit="5")
    model.content(inputTranscription={"text": " hello"}, generationComplete=True, turnComplete=True)
    caller.media(b"\xff" * 160)
    await model.until(lambda: len(model.heard))
    assert await hang_up(caller) == 1000
    assert await model.closed() == 1000
    told = await story(servers, workflow_id)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert {event.source for event in told} == {plane.server.node.id}
    kinds = [event.WhichOneof("body") for event in told]
    assert kinds[:2] == ["session_ready", "stream_started"]
    assert kinds[-1] == "stream_ended"
    assert sorted(kinds[2:-1]) == sorted(
        [*["transcript_delta"] * 2, "dtmf_received", *["transcript_segment"] * 2, "turn_completed"]
    )
    segments = {  # whoever hangs up at once has not heard the agent
        e.transcript_segment.speaker: e.transcript_segment.text + e.transcript_segment.unheard_text
        for e in told
        if e.HasField("transcript_segment")
    }
    assert segments == {events.SPEAKER_AGENT: "Grüß Gott", events.SPEAKER_CALLER: "hello"}
    summary = told[-1].stream_ended.summary
    assert (summary.caller_audio_ms, summary.agent_audio_ms, summary.prewarmed) == (20, 300, True)
    assert summary.uplink.frames == summary.downlink.frames == 1
    assert told[-1].stream_ended.reason == events.STREAM_END_REASON_STOP
    assert abs(told[-1].at_unix_ms - told[0].at_unix_ms) < 60_000


async def test_a_stream_with_a_wrong_token_is_closed_with_a_reason(plane: Plane) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    url = (await plane.prepare(workflow_id)).stream_url
    base = url.rpartition("/")[0]
    for bad, reason in [
        (f"{base}/token-0123456789abcdeX", "wrong stream token"),
        (base, "no stream token"),
        (f"{base}/", "no stream token"),
        (f"{base}/%C3%BC", "wrong stream token"),
        (url.replace(workflow_id, "call-unknown"), "no such call is prepared here"),
    ]:
        assert await refused_dial(plane, bad) == (1008, reason)
    caller = await plane.dial(url)
    caller.start()
    await eventually(lambda: plane.state(workflow_id, pb.CALL_STATE_LIVE))
    await hang_up(caller)


async def test_a_token_is_good_once(plane: Plane) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    url = (await plane.prepare(workflow_id)).stream_url
    caller = await plane.dial(url)
    caller.start()
    await eventually(lambda: plane.state(workflow_id, pb.CALL_STATE_LIVE))
    assert await refused_dial(plane, url) == (1008, "the call has its stream already")
    await hang_up(caller)
    assert await refused_dial(plane, url) == (1008, "no such call is prepared here")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1", 1007),
        (b"[1]", 1007),
        (b'{"event":"start","streamSid":"MZ1","start":{}}', 1007),
        (b"\xff\xfe\x00", 1007),
        (b"x" * 70_000, 1009),
    ],
    ids=["text", "array", "start", "binary", "oversized"],
)
async def test_a_first_frame_that_is_no_twilio_message_closes_that_socket_alone(
    plane: Plane, data: bytes, code: int
) -> None:
    healthy, model, _ = await plane.call()
    workflow_id = f"call-{uuid.uuid4()}"
    url = (await plane.prepare(workflow_id)).stream_url
    before = sum(plane.server.node.counters.refused.values())
    bad = await plane.dial(url)
    bad.send_raw(data)
    assert await bad.closed() == code
    assert sum(plane.server.node.counters.refused.values()) == before + 1
    healthy.media(b"\xff" * 160)
    await model.until(lambda: len(model.heard) == 320)
    # The call is still prepared: its real stream may come.
    good = await plane.dial(url)
    good.start()
    await eventually(lambda: plane.state(workflow_id, pb.CALL_STATE_LIVE))
    await hang_up(good)
    await hang_up(healthy)


async def test_garbage_in_a_live_call_ends_it(plane: Plane, servers: Servers) -> None:
    caller, model, workflow_id = await plane.call()
    caller.send_raw(b"nonsense")
    assert await caller.closed() == 1007
    assert await model.closed() == 1000
    ended = (await story(servers, workflow_id))[-1].stream_ended
    assert ended.reason == events.STREAM_END_REASON_SOCKET_CLOSED
    assert "not JSON" in ended.detail


async def test_a_message_in_fragments_is_put_together(plane: Plane) -> None:
    caller, model, _ = await plane.call()
    assert caller.transport is not None
    caller.media(b"\xff" * 160)
    whole = (
        b'{"event":"media","sequenceNumber":"3","streamSid":"%b","media":{"track":"inbound","chunk":"2",'
        b'"timestamp":"40","payload":"%b"}}' % (caller.stream_sid.encode(), b"/" * 212 + b"/w==")
    )
    caller.transport.send(WSMsgType.TEXT, whole[:100], fin=False)
    caller.transport.send(WSMsgType.CONTINUATION, whole[100:200], fin=False)
    caller.transport.send(WSMsgType.CONTINUATION, whole[200:])
    caller.media(b"\xff" * 160)
    await model.until(lambda: len(model.heard) == 3 * 320)
    await hang_up(caller)


async def test_twilio_s_socket_cut_without_stop_ends_the_call(plane: Plane, servers: Servers) -> None:
    caller, model, workflow_id = await plane.call()
    caller.cut()
    assert await model.closed() == 1000
    told = await story(servers, workflow_id)
    assert told[-1].stream_ended.reason == events.STREAM_END_REASON_SOCKET_CLOSED


@pytest.mark.parametrize("closed", [True, False], ids=["close", "cut"])
async def test_a_model_that_goes_and_can_t_be_had_again_lets_twilio_go_on_with_the_next_verb(
    plane: Plane, servers: Servers, closed: bool
) -> None:
    caller, model, workflow_id = await plane.call()
    plane.gemini.refuse = 403
    try:
        if closed:
            model.close(WSCloseCode.INTERNAL_ERROR, "Internal error encountered.")
        else:
            model.cut()
        assert await caller.closed() == 1011
    finally:
        plane.gemini.refuse = 0
    told = await story(servers, workflow_id)
    assert [event.WhichOneof("body") for event in told[-2:]] == ["session_failed", "stream_ended"]
    assert told[-2].session_failed.close_code == 403
    assert not told[-2].session_failed.retryable
    assert told[-1].stream_ended.reason == events.STREAM_END_REASON_MODEL_FAILED


async def test_the_model_going_for_good_while_it_rings_is_told(plane: Plane, servers: Servers) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    url = (await plane.prepare(workflow_id)).stream_url
    plane.gemini.refuse = 403
    try:
        plane.gemini.sessions[-1].close(WSCloseCode.GOING_AWAY, "bye")
        told = await story(servers, workflow_id)
    finally:
        plane.gemini.refuse = 0
    assert [event.WhichOneof("body") for event in told] == ["session_ready", "session_failed", "stream_ended"]
    assert await refused_dial(plane, url) == (1008, "no such call is prepared here")


async def test_end_call_closes_both_sockets_and_tells(plane: Plane, servers: Servers) -> None:
    caller, model, workflow_id = await plane.call()
    caller.media(b"\xff" * 160)
    await model.until(lambda: len(model.heard))
    answer = await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id, reason="limit"))
    assert answer.ended
    assert answer.summary.caller_audio_ms == 20
    assert await caller.closed() == 1000
    assert await model.closed() == 1000
    ended = (await story(servers, workflow_id))[-1].stream_ended
    assert (ended.reason, ended.detail) == (events.STREAM_END_REASON_REQUESTED, "limit")
    again = await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id, reason="limit"))
    assert not again.ended
    call = await plane.stub.GetCall(pb.GetCallRequest(workflow_id=workflow_id))
    assert call.state == pb.CALL_STATE_ENDED
    assert call.summary == answer.summary


async def test_a_prepared_call_expires_by_itself(plane: Plane, servers: Servers) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    await plane.prepare(workflow_id, expires_in_s=1)
    model = plane.gemini.sessions[-1]
    assert await model.closed() == 1000
    assert (await story(servers, workflow_id))[-1].stream_ended.reason == events.STREAM_END_REASON_EXPIRED


async def test_the_node_tells_redis_how_full_it_is(plane: Plane, servers: Servers) -> None:
    caller, _, _ = await plane.call()
    async with Redis.from_url(servers.redis_url) as redis:

        async def says_one_call() -> bool:
            entry = await redis.get(f"node:{plane.server.node.id}")
            return entry is not None and b'"calls": 1' in entry

        assert await eventually(says_one_call)
    await hang_up(caller)


async def test_a_call_is_carried_whole_while_redis_is_away() -> None:
    async with media_plane(NOWHERE) as plane:
        caller, model, _ = await plane.call()
        caller.media(b"\xff" * 160)
        model.speak(tone(440, 40, 24_000))
        await model.until(lambda: len(model.heard) == 320)
        await caller.until(lambda: len(caller.heard) == 320)
        assert await hang_up(caller) == 1000


@pytest.mark.parametrize("resampler", ["soxr-qq", "soxr-hq"])
async def test_soxr_can_carry_the_call_by_setting(resampler: str) -> None:
    async with media_plane(NOWHERE, media_resampler=resampler) as plane:
        caller, model, _ = await plane.call()
        ulaw = compress(tone(1000, 1000, 8000)).tobytes()
        for at in range(0, len(ulaw), 160):
            caller.media(ulaw[at : at + 160])
        model.speak(tone(440, 1000, 24_000))
        await model.until(lambda: len(model.heard) > 12_000)
        await caller.until(lambda: len(caller.heard) > 6000)
        assert strength(model.heard[2000:12_000].astype(float), 1000, 16_000) > 0.99
        await hang_up(caller)


async def test_a_socket_that_takes_nothing_costs_bounded_memory_and_only_its_own_audio() -> None:
    async with media_plane(NOWHERE) as plane:
        caller, model, workflow_id = await plane.call()
        other, other_model, _ = await plane.call()
        found = plane.server.node.find(workflow_id)
        assert found is not None
        assert caller.transport is not None
        caller.transport.underlying_transport.pause_reading()
        frame = {"serverContent": audio(tone(440, 500, 24_000))}
        async with asyncio.timeout(30):
            while not found[0].tally.dropped_down:
                for _ in range(50):
                    model.say(frame)
                other_model.speak(tone(880, 20, 24_000))
                heard = len(other.heard)
                await other.until(lambda heard=heard: len(other.heard) >= heard)  # type: ignore[misc]
                await asyncio.sleep(0)
        leg = found[0]._caller
        assert leg is not None
        assert leg.congested
        await other.until(lambda: len(other.heard) > 0)
        caller.cut()


async def test_prepare_is_idempotent_by_token(plane: Plane) -> None:
    workflow_id = f"call-{uuid.uuid4()}"
    first, second = await asyncio.gather(plane.prepare(workflow_id), plane.prepare(workflow_id))
    assert first == second
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await plane.prepare(workflow_id, stream_token="another-token-0123456789")
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id))
