"""Whole calls: dialled, answered, streamed, ended; judged by listening to the recording."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from picows import WSCloseCode, WSMsgType
from twilio.request_validator import RequestValidator

from bench.sim.twilio import mulaw, voice
from bench.sim.twilio.voice import AUDIO
from tests.support.media_server import Connection
from tests.support.twilio_sim import CALLEE, CONFIG, Bed, bed, words

SPEECH = str(AUDIO / "austen-0880.wav")
TONE = voice.tone((500.0,), 400, 0.5)


def echo(connection: Connection, message: dict[str, Any]) -> None:
    if message["event"] == "media":
        payload = message["media"]["payload"]
        connection.send(event="media", streamSid=message["streamSid"], media={"payload": payload})


def lag(channel: NDArray[np.int16], pattern: NDArray[np.int16]) -> int:
    """Where `pattern` is found in `channel`, in samples."""
    size = len(channel) + len(pattern)
    product = np.fft.rfft(channel.astype(float), size) * np.conj(np.fft.rfft(pattern.astype(float), size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(channel)]))


async def streaming(
    b: Bed, body: str = '<Connect><Stream url="{ws}/s"/></Connect>', **fields: Any
) -> tuple[str, Connection]:
    """A call whose stream has begun, with audio flowing."""
    before = len(b.customer.connections)
    sid = await b.call(body, **fields)
    await b.customer.until(lambda: len(b.customer.connections) > before)
    connection = b.customer.connections[before]
    await b.customer.until(lambda: connection.of("media"))
    return sid, connection


async def test_a_callee_who_speaks_hears_the_echo_and_hangs_up(tmp_path: Path) -> None:
    clip = words(tmp_path)
    async with bed() as b:
        b.customer.on_message = echo
        await b.persona({"script": [{"play": str(clip)}, {"pause_ms": 300}]})
        parameter = '<Parameter name="k" value="v"/>'
        sid = await b.call(f'<Connect><Stream url="{{ws}}/s/1?dropped=1">{parameter}</Stream></Connect>')
        state = await b.ended(sid)

        assert b.customer.statuses() == ["initiated", "ringing", "in-progress", "completed"]
        assert [h.params["SequenceNumber"] for h in b.customer.at("/status")] == ["0", "1", "2", "3"]
        assert all(h.valid for h in b.customer.webhooks)
        assert b.customer.at("/twiml")[0].params["CallStatus"] == "in-progress"
        assert b.customer.at("/twiml")[0].params["Direction"] == "outbound-api"
        final = b.customer.at("/status")[-1].params
        assert final["CallDuration"] in ("1", "2")
        assert (final["Duration"], final["SipResponseCode"]) == ("1", "200")

        (connection,) = b.customer.connections
        assert connection.path == "/s/1"
        headers = {name.lower(): value for name, value in connection.headers.items()}
        assert headers["user-agent"] == "Twilio.TmeWs/1.0"
        assert not headers.keys() & {"origin", "sec-websocket-extensions", "sec-websocket-protocol"}
        url = f"{b.customer.ws_url}/s/1"
        assert RequestValidator(CONFIG.auth_token).validate(url, {}, headers["x-twilio-signature"])

        first, start, *rest = connection.messages
        assert first == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        assert start["start"]["customParameters"] == {"k": "v"}
        assert start["start"]["callSid"] == sid
        assert [m["sequenceNumber"] for m in (start, *rest)] == [str(n + 1) for n in range(len(rest) + 1)]
        assert rest[-1]["event"] == "stop"
        media = [m["media"] for m in connection.of("media")]
        assert [m["chunk"] for m in media] == [str(n + 1) for n in range(len(media))]
        stamps = [int(m["timestamp"]) for m in media]
        assert 0 <= stamps[0] <= 20
        assert all(b - a in (19, 20, 21) for a, b in pairwise(stamps))

        said, heard = await b.recording(sid)
        speech = mulaw.decode(voice.read_wav(clip.read_bytes()))
        begins = lag(said, speech)
        assert np.array_equal(said[begins : begins + len(speech)], speech)
        assert lag(heard, speech) - begins >= 150, "a frame is heard by the server when it is complete"
        events = [event["kind"] for event in await b.timeline(sid)]
        assert events[:3] == ["dialed", "ringing", "answered"]
        assert {
            "stream_start",
            "callee_speaks",
            "callee_stops",
            "heard_start",
            "heard_stop",
            "media_in",
        } <= set(events)
        assert events[-1] == "ended"
        assert state["status"] == "completed"
        assert state["stream"]["closed_by"] == "twilio"
        assert state["stream"]["media_out"] == len(media) == state["stream"]["lateness_ms"]["frames"]


async def test_marks_return_when_played_and_clear_cuts_the_recording_there() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        connection.send_mark("at once")
        await b.customer.until(lambda: connection.of("mark"))
        for _ in range(5):
            connection.send_audio(TONE)  # 400 ms each
        connection.send_mark("never heard")
        connection.send_audio(TONE[:800])
        connection.send_mark("nor this")
        connection.send_clear()
        connection.send_audio(TONE[:1600])
        connection.send_mark("heard")
        await b.customer.until(lambda: len(connection.of("mark")) == 4)
        await b.update(sid, Status="completed")
        await b.ended(sid)

        assert [m["mark"]["name"] for m in connection.of("mark")] == [
            "at once",
            "never heard",
            "nor this",
            "heard",
        ]
        (clear,) = await b.timeline(sid, "clear")
        assert clear["discarded_ms"] == pytest.approx(2100, abs=60)
        (onset, *_), marks = await b.timeline(sid, "heard_start"), await b.timeline(sid, "mark")
        assert marks[3]["ms"] - clear["ms"] == pytest.approx(200, abs=60), "played for 200 ms after the clear"
        _, heard = await b.recording(sid)
        loud = np.flatnonzero(np.abs(heard) > 1000) / 8
        assert loud[0] == pytest.approx(onset["ms"], abs=20)
        assert loud[-1] == pytest.approx(marks[3]["ms"], abs=60)


async def test_clear_may_keep_the_marks_to_itself() -> None:
    async with bed() as b:
        await b.arm("clear_keeps_marks")
        _, connection = await streaming(b)
        connection.send_audio(TONE)
        connection.send_mark("lost")
        connection.send_clear()
        connection.send_mark("after")
        await b.customer.until(lambda: connection.of("mark"))
        assert [m["mark"]["name"] for m in connection.of("mark")] == ["after"]


async def test_when_the_server_closes_the_call_goes_on_with_the_next_verb() -> None:
    async with bed() as b:
        sid, first = await streaming(
            b,
            '<Connect><Stream url="{ws}/1"/></Connect><Say>wait</Say>'
            '<Connect><Stream url="{ws}/2"/></Connect>',
        )
        first.close()
        await b.customer.until(lambda: len(b.customer.connections) == 2)
        second = b.customer.connections[1]
        await b.customer.until(lambda: second.of("media"))
        assert first.of("stop") == [], "no stop when the server closes"
        assert first.stream_sid != second.stream_sid
        state = await b.state(sid)
        assert [verb["verb"] for verb in state["verbs"]] == ["Stream", "Say", "Stream"]
        assert [note["code"] for note in state["notifications"]] == [31921]
        assert (state["streams"][0]["closed_by"], state["streams"][0]["close_code"]) == ("server", 1000)


async def test_the_action_is_asked_with_a_signature_and_replaces_the_document() -> None:
    async with bed() as b:
        b.twiml("<Hangup/>", "/after")
        sid, connection = await streaming(
            b, '<Connect action="/after?n=1"><Stream url="{ws}/1"/></Connect><Say>not reached</Say>'
        )
        connection.close(WSCloseCode.GOING_AWAY)
        state = await b.ended(sid)
        (action,) = b.customer.at("/after")
        assert action.valid
        assert action.url.endswith("/after?n=1")
        assert action.params["CallSid"] == sid
        assert [verb["verb"] for verb in state["verbs"]] == ["Stream", "Hangup"]
        assert state["stream"]["close_code"] == 1001


async def test_a_call_whose_last_stream_is_closed_hangs_up() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        connection.close()
        assert (await b.ended(sid))["status"] == "completed"


async def test_an_update_replaces_the_twiml_and_stops_the_stream() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        response = await b.update(sid, Twiml="<Response><Say>bye</Say><Hangup/></Response>")
        assert response.status_code == 200
        assert response.json()["status"] == "in-progress"
        await b.customer.until(connection.closed.is_set)
        assert connection.messages[-1]["event"] == "stop"
        state = await b.ended(sid)
        assert [verb["verb"] for verb in state["verbs"]] == ["Stream", "Say", "Hangup"]


async def test_keys_the_callee_presses_reach_the_server() -> None:
    async with bed() as b:
        await b.persona({"script": [{"press": "1#"}], "hangup_after_script": False})
        sid, connection = await streaming(b)
        await b.customer.until(lambda: len(connection.of("dtmf")) == 2)
        (await b.admin.post(f"/calls/{sid}/dtmf", json={"digits": "A"})).raise_for_status()
        await b.customer.until(lambda: len(connection.of("dtmf")) == 3)
        assert [m["dtmf"] for m in connection.of("dtmf")] == [
            {"track": "inbound_track", "digit": digit} for digit in "1#A"
        ]


async def test_nonsense_is_ignored_and_warned_of_once() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        connection.send_raw(b"nonsense")
        connection.send_raw(b"binary", WSMsgType.BINARY)
        connection.send(event="media", streamSid="MZ0", media={"payload": "AAAA"})
        connection.send_mark("still here")
        await b.customer.until(lambda: connection.of("mark"))
        state = await b.state(sid)
        assert state["stream"]["invalid"] == 3
        assert [note["code"] for note in state["notifications"]] == [31951]


async def test_a_protocol_violation_is_31924_and_ends_the_stream() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        assert connection.transport is not None
        connection.transport.underlying_transport.write(b"\x83\x00")  # opcode 3 is reserved
        state = await b.ended(sid)
        assert [note["code"] for note in state["notifications"]] == [31924, 31921]
        assert connection.of("stop") == []


async def test_more_than_ten_minutes_are_discarded_and_warned_of_once() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        for _ in range(103):
            connection.send_audio(bytes(48_000))  # 6 s each
        connection.send_clear()
        connection.send_mark("after")
        await b.customer.until(lambda: connection.of("mark"))
        state = await b.state(sid)
        assert state["stream"]["dropped_media"] == 3
        assert [note["code"] for note in state["notifications"]] == [31931]
        (clear,) = await b.timeline(sid, "clear")
        assert 595_000 < clear["discarded_ms"] <= 600_000


async def test_a_refused_stream_is_31920_and_the_call_goes_on() -> None:
    async with bed() as b:
        b.customer.refuse_streams = True
        sid = await b.call('<Connect><Stream url="{ws}/s" statusCallback="/stream"/></Connect><Say>oh</Say>')
        state = await b.ended(sid)
        assert [verb["verb"] for verb in state["verbs"]] == ["Stream", "Say", "Hangup"]
        assert [note["code"] for note in state["notifications"]] == [31920]
        (told,) = b.customer.at("/stream")
        assert told.params["StreamEvent"] == "stream-error"
        assert "31920" in told.params["StreamError"]


async def test_a_stream_may_break_without_a_stop() -> None:
    async with bed() as b:
        await b.arm("stream_drop", after_ms=100)
        sid, connection = await streaming(b)
        await b.customer.until(connection.closed.is_set)
        assert connection.of("stop") == []
        assert (await b.ended(sid))["stream"]["closed_by"] == "network"


async def test_the_streams_own_callbacks_are_sent() -> None:
    async with bed() as b:
        body = '<Connect><Stream url="{ws}/s" name="n1" statusCallback="{url}/stream"/></Connect>'
        sid, connection = await streaming(b, body)
        connection.close()
        await b.ended(sid)
        await b.customer.until(lambda: len(b.customer.at("/stream")) == 2)
        events = [hook.params["StreamEvent"] for hook in b.customer.at("/stream")]
        assert sorted(events) == ["stream-started", "stream-stopped"]
        assert all(hook.valid and hook.params["StreamName"] == "n1" for hook in b.customer.at("/stream"))


async def test_a_lossy_network_leaves_gaps_in_timestamps_only() -> None:
    async with bed() as b:
        await b.persona({"network": {"jitter_ms": 15, "bunch": 0.2, "loss": 0.2}})
        _, connection = await streaming(b)
        await b.customer.until(lambda: len(connection.of("media")) >= 40)
        media = [m["media"] for m in connection.of("media")]
        assert [m["chunk"] for m in media] == [str(n + 1) for n in range(len(media))]
        stamps = [int(m["timestamp"]) for m in media]
        assert stamps == sorted(stamps)
        assert any(b - a >= 39 for a, b in pairwise(stamps))


async def test_an_unknown_event_and_a_missing_or_forged_signature_can_be_armed() -> None:
    async with bed() as b:
        for fault in ("signature_omit", "signature_forge"):
            await b.arm(fault, on="stream")
            await b.arm(fault, on="webhook")
            await b.arm("stream_unknown_event")
            sid, connection = await streaming(b)
            assert connection.messages[2]["event"] == "weather"
            url = f"{b.customer.ws_url}/s"
            given = connection.headers.get("x-twilio-signature", "")
            assert not RequestValidator(CONFIG.auth_token).validate(url, {}, given)
            assert bool(given) == (fault == "signature_forge")
            assert [hook.valid for hook in b.customer.webhooks].count(False) == 1
            await b.update(sid, Status="completed")
            b.customer.webhooks.clear()


async def test_what_a_callee_says_now_is_heard_by_the_server() -> None:
    async with bed() as b:
        sid, connection = await streaming(b)
        (await b.admin.post(f"/calls/{sid}/say", json={"play": SPEECH})).raise_for_status()
        await b.customer.until(lambda: len(connection.heard().strip(b"\xff")) > 8000)
        assert (await b.admin.post(f"/calls/{sid}/hangup")).status_code == 204
        assert (await b.ended(sid))["status"] == "completed"
        assert (await b.admin.post(f"/calls/{sid}/hangup")).status_code == 409


async def test_two_calls_do_not_hear_each_other() -> None:
    async with bed() as b:
        await b.persona({"script": [{"play": SPEECH}], "hangup_after_script": False})
        other = "+15551230002"
        await b.persona({}, other)
        _, loud = await streaming(b)
        _, quiet = await streaming(b, To=other)
        await b.customer.until(lambda: len(quiet.of("media")) > 30)
        assert set(quiet.heard()) == {0xFF}
        assert len(set(loud.heard())) > 10
        assert other != CALLEE


@pytest.mark.speech
async def test_a_text_is_spoken_the_moment_the_callee_answers() -> None:
    async with bed(speech=True) as b:
        await b.persona({"script": [{"say": "Hello there."}]})
        sid = await b.call()
        await b.ended(sid)
        (began, *_) = await b.timeline(sid, "callee_speaks")
        (stream, *_) = await b.timeline(sid, "stream_start")
        assert began["ms"] - stream["ms"] < 200, "synthesised before it was needed"
        said, _ = await b.recording(sid)
        assert (np.abs(said) > 1000).sum() > 500
