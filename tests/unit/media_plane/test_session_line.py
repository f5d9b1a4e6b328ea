"""A stream that leaves and comes back, and keys that are pressed, in virtual time."""

from __future__ import annotations

import json

import pytest

from media_plane.call.lifecycle import State
from media_plane.errors import PeerError
from media_plane.line_desk import LineDesk
from media_plane.wire.events import DtmfReceived, EndReason, StreamEnded, StreamStarted
from tests.support.scene import MS, SID, RecordedLeg, Scene

AGAIN = "MZ99999999999999999999999999999999"
TOKEN = "another-token"


def stop(scene: Scene) -> None:
    scene.twilio(event="stop", streamSid=SID, stop={"callSid": "CA1"})


def come_back(scene: Scene) -> RecordedLeg:
    caller = RecordedLeg()
    scene.session.attach_caller(caller)
    audio = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    scene.twilio(event="start", streamSid=AGAIN, start={"callSid": "CA1", "mediaFormat": audio})
    scene.caller = caller
    return caller


def expect(scene: Scene, within_ms: int = 10_000) -> None:
    scene.session.line.expect(TOKEN, scene.now + within_ms * MS)


def test_a_stream_that_leaves_and_comes_back_goes_on_with_the_same_model() -> None:
    scene = Scene()
    scene.media()
    expect(scene)
    stop(scene)
    assert scene.caller.closed is not None
    assert scene.session.state is State.LIVE
    assert scene.model.closed is None
    scene.tick(2000)
    caller = come_back(scene)
    scene.media(streamSid=AGAIN)
    assert len(scene.sent_up) == 2 * 640
    scene.speak(40)
    assert caller.sent[-1]["streamSid"] == AGAIN
    assert scene.ended == []
    assert [each.stream_sid for each in scene.of(StreamStarted)] == [SID, AGAIN]


def test_what_the_agent_says_meanwhile_waits_and_is_heard_whole() -> None:
    scene = Scene()
    expect(scene)
    stop(scene)
    scene.speak(400)
    scene.tick(500)
    assert scene.played == b""
    come_back(scene)
    assert len(scene.played) == 400 * 8


def test_a_socket_that_is_cut_while_a_stream_is_expected_is_a_stream_that_leaves() -> None:
    scene = Scene()
    expect(scene)
    scene.session.caller_closed("1006", scene.now)
    assert scene.ended == []
    come_back(scene)
    assert scene.session.state is State.LIVE


def test_a_stream_that_does_not_come_back_in_time_ends_the_media_leg() -> None:
    scene = Scene()
    expect(scene, within_ms=3000)
    stop(scene)
    scene.tick(2900)
    assert scene.ended == []
    scene.tick(200)
    (over,) = scene.of(StreamEnded)
    assert (over.reason, over.detail) == (EndReason.STOP, "no stream came back")


def test_a_stop_after_the_expectation_has_lapsed_is_the_end() -> None:
    scene = Scene()
    expect(scene, within_ms=1000)
    scene.tick(1100)
    assert scene.ended == []
    stop(scene)
    assert [each.reason for each in scene.of(StreamEnded)] == [EndReason.STOP]


def test_a_stream_that_is_not_expected_ends_as_ever() -> None:
    scene = Scene()
    stop(scene)
    assert [each.reason for each in scene.of(StreamEnded)] == [EndReason.STOP]


def test_no_second_stream_gets_in_before_the_first_has_left_or_after_one_has_come() -> None:
    scene = Scene()
    expect(scene)
    assert not scene.session.takes_stream
    stop(scene)
    assert scene.session.takes_stream
    come_back(scene)
    assert not scene.session.takes_stream
    audio = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    with pytest.raises(PeerError, match="second start"):
        scene.twilio(event="start", streamSid=AGAIN, start={"callSid": "CA1", "mediaFormat": audio})


def test_a_call_ended_while_its_stream_is_away_is_over_at_once() -> None:
    scene = Scene()
    expect(scene)
    stop(scene)
    scene.session.end(EndReason.REQUESTED, "transferred", scene.now)
    assert [each.reason for each in scene.of(StreamEnded)] == [EndReason.REQUESTED]
    assert scene.model.closed is not None


def key(scene: Scene, digit: str) -> None:
    scene.twilio(event="dtmf", streamSid=SID, dtmf={"track": "inbound_track", "digit": digit})


def texts(scene: Scene) -> list[str]:
    return [m["realtimeInput"]["text"] for m in scene.model.sent if "text" in m.get("realtimeInput", {})]


def test_keys_are_told_the_model_together_when_no_more_come() -> None:
    scene = Scene()
    for digit in "42":
        key(scene, digit)
        scene.tick(1000)
    assert texts(scene) == []
    scene.tick(600)
    assert texts(scene) == ["[The caller pressed 42 on the telephone's keypad.]"]
    assert [each.digit for each in scene.of(DtmfReceived)] == ["4", "2"]


def test_a_hash_ends_a_number_at_once() -> None:
    scene = Scene()
    for digit in "7#":
        key(scene, digit)
    scene.tick(50)
    assert texts(scene) == ["[The caller pressed 7# on the telephone's keypad.]"]


def test_a_model_that_is_not_to_know_is_not_told() -> None:
    scene = Scene(tell_keys=False)
    key(scene, "1")
    scene.tick(3000)
    assert texts(scene) == []
    assert len(scene.of(DtmfReceived)) == 1


def test_a_model_that_takes_turns_at_any_time_gets_keys_as_one() -> None:
    desk = LineDesk("gemini-3.8-live")
    desk.pressed("1", 0)
    told = json.loads(desk.due(2_000_000_000) or b"")
    assert told["clientContent"]["turnComplete"] is True
    assert desk.due(9_000_000_000) is None
