"""CallSession between two recorded legs, in virtual time."""

from __future__ import annotations

import base64
import gc
import json

import pytest

from media_plane.agent_audio import HELD_S
from media_plane.call.lifecycle import State
from media_plane.errors import ModelFailure, PeerError
from media_plane.wire.events import (
    DtmfReceived,
    EndReason,
    Interrupted,
    SessionFailed,
    SessionReady,
    Speaker,
    StreamEnded,
    StreamStarted,
    TranscriptSegment,
    TurnCompleted,
)
from tests.support.scene import SID, Scene, sessions_left_by, untie


def test_each_caller_frame_becomes_one_model_frame_at_once() -> None:
    scene = Scene()
    for count in range(1, 4):
        scene.media()
        assert len(scene.model.sent) == count
    assert set(scene.model.sent[0]) == {"realtimeInput"}
    assert scene.model.sent[0]["realtimeInput"]["audio"]["mimeType"] == "audio/pcm;rate=16000"
    assert len(scene.sent_up) == 3 * 640


def test_each_model_frame_becomes_one_message_to_the_caller_at_once() -> None:
    scene = Scene()
    scene.speak(40)
    message = scene.caller.sent[-1]
    assert (message["event"], message["streamSid"]) == ("media", SID)
    assert len(scene.played) == 320


def test_bundled_and_pretty_frames_lose_nothing() -> None:
    scene = Scene()
    scene.speak(40, outputTranscription={"text": "Hi"})
    scene.speak(40)
    scene.speak(40)
    scene.speak(40, generationComplete=True, turnComplete=True)
    assert len(scene.played) == 4 * 320


def test_caller_audio_in_an_unusual_shape_is_carried_all_the_same() -> None:
    scene = Scene()
    payload = base64.b64encode(bytes(range(160))).decode()
    scene.twilio(streamSid=SID, media={"payload": payload}, event="media")
    escaped = json.dumps({"event": "media", "streamSid": SID, "media": {"payload": payload}}).replace(
        "/", "\\/"
    )
    scene.session.caller_frame(escaped.encode(), scene.now)
    assert len(scene.sent_up) == 2 * 640


def test_caller_audio_of_any_length_is_carried() -> None:
    scene = Scene()
    for length in (0, 1, 159, 161, 8000):
        scene.media(b"\xff" * length)
    assert len(scene.sent_up) == 4 * (1 + 159 + 161 + 8000)


def test_a_long_part_of_agent_audio_is_cut_to_messages_twilio_takes() -> None:
    scene = Scene()
    scene.speak(10_000)
    assert len(scene.played) == 80_000
    assert all(len(json.dumps(message)) < 64 * 1024 for message in scene.caller.sent)


def test_audio_that_is_not_base64_is_dropped_and_counted_and_the_call_goes_on() -> None:
    scene = Scene()
    scene.media(media={"track": "inbound", "chunk": "1", "timestamp": "1", "payload": "*" * 8})
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "!!!!"}}
    scene.content(modelTurn={"parts": [part]})
    assert scene.session.tally.peer_errors == 2
    scene.media()
    scene.speak(40)
    assert len(scene.sent_up) == 640
    assert len(scene.played) == 320


def test_a_peer_that_never_makes_sense_is_shut_out() -> None:
    scene = Scene()
    with pytest.raises(PeerError):
        for _ in range(60):
            scene.session.model_frame(b"nonsense", scene.now)


def test_media_of_another_stream_is_dropped_and_counted() -> None:
    scene = Scene()
    scene.media(streamSid="MZother")
    assert scene.session.tally.peer_errors == 1
    assert not scene.sent_up


def test_a_second_start_is_refused() -> None:
    scene = Scene()
    with pytest.raises(PeerError, match="a second start"):
        scene.twilio(
            event="start",
            streamSid=SID,
            start={
                "callSid": "CA1",
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        )


def test_what_no_parser_understands_raises_for_the_socket_to_close() -> None:
    with pytest.raises(PeerError, match="not JSON"):
        Scene().session.caller_frame(b"GET / HTTP/1.1", 0)


def test_a_greeting_is_asked_for_as_soon_as_the_model_is_ready() -> None:
    scene = Scene("Good day!", started=False)
    (asked,) = scene.model.sent
    assert "Good day!" in asked["clientContent"]["turns"][0]["parts"][0]["text"]
    assert not Scene("", started=False).model.sent


def test_a_greeting_made_while_it_rings_leaves_with_the_first_write() -> None:
    scene = Scene("Good day!", started=False)
    scene.speak(1000, outputTranscription={"text": "Good day!"})
    scene.speak(1000)
    scene.content(generationComplete=True)
    scene.content(turnComplete=True)
    assert not scene.caller.sent
    scene.at_ms = 5000
    scene.start()
    assert [message["event"] for message in scene.caller.sent] == ["mark", "media", "mark"]
    assert len(scene.played) == 16_000
    scene.tick(2500)
    (segment,) = scene.of(TranscriptSegment)
    assert (segment.speaker, segment.text, segment.start_ms, segment.end_ms) == (
        Speaker.AGENT,
        "Good day!",
        0,
        2000,
    )
    (turn,) = scene.of(TurnCompleted)
    assert (turn.first_audio_ms, turn.audio_ms, turn.response_ms) == (0, 2000, -1)


def test_a_greeting_still_being_made_goes_on_seamlessly() -> None:
    scene = Scene("Good day!", started=False)
    scene.speak(500)
    scene.start()
    scene.speak(500)
    assert len(scene.played) == 8000
    scene.content(turnComplete=True)
    scene.tick(2000)
    assert [turn.audio_ms for turn in scene.of(TurnCompleted)] == [1000]


def test_a_greeting_that_nobody_was_there_to_hear_is_no_part_of_the_conversation() -> None:
    scene = Scene("Good day!", started=False)
    scene.speak(1000, outputTranscription={"text": "Good day!"})
    scene.session.end(EndReason.REQUESTED, "nobody answered", scene.now)
    assert scene.of(StreamEnded)
    assert not scene.of(TranscriptSegment)
    assert not scene.of(TurnCompleted)


def test_what_waits_for_the_stream_is_bounded_and_counted() -> None:
    scene = Scene("Good day!", started=False)
    for _ in range(HELD_S + 5):
        scene.speak(1000)
    assert scene.session.tally.dropped_down > 0
    scene.start()
    assert HELD_S * 8000 - 8000 < len(scene.played) <= HELD_S * 8000


def test_interrupted_clears_twilio_in_the_same_call() -> None:
    scene = Scene()
    scene.speak(3000)
    scene.at_ms += 1000
    scene.content(interrupted=True)
    assert scene.caller.sent[-1] == {"event": "clear", "streamSid": SID}
    assert scene.of(Interrupted) == [Interrupted(turn=1, discarded_ms=2000, flush_us=0)]
    assert scene.session.tally.interruptions == 1


def test_late_audio_of_an_interrupted_turn_is_not_played() -> None:
    scene = Scene()
    scene.speak(1000)
    scene.content(interrupted=True)
    played = len(scene.played)
    scene.speak(200)
    assert len(scene.played) == played
    scene.content(turnComplete=True)
    scene.speak(200)
    assert len(scene.played) == played + 1600


def test_audio_beside_interrupted_belongs_to_the_turn_that_was_cut() -> None:
    scene = Scene()
    scene.speak(1000)
    played = len(scene.played)
    scene.speak(100, interrupted=True)
    assert len(scene.played) == played


def test_interrupted_while_nobody_speaks_is_no_interruption() -> None:
    scene = Scene()
    scene.content(interrupted=True)
    assert scene.of(Interrupted) == []
    scene.speak(100)
    assert len(scene.played) == 800


def test_an_interruption_before_the_stream_starts_silences_what_waits() -> None:
    scene = Scene("Hello", started=False)
    scene.speak(1000)
    scene.content(interrupted=True)
    scene.content(turnComplete=True)
    scene.start()
    assert not scene.played


def test_marks_follow_every_200_ms_of_audio_and_each_turn() -> None:
    scene = Scene()
    assert scene.caller.sent.pop()["event"] == "mark"  # while nothing plays: how long the way takes
    scene.speak(250)
    scene.speak(100)
    scene.content(generationComplete=True)
    assert [message["event"] for message in scene.caller.sent] == ["media", "mark", "media", "mark"]
    names = [message["mark"]["name"] for message in scene.caller.sent if message["event"] == "mark"]
    assert len(set(names)) == 2
    for name in [*names, *names, "unknown"]:
        scene.twilio(event="mark", streamSid=SID, mark={"name": name})
    assert scene.session.tally.marks_returned == 2


def test_keys_are_told() -> None:
    scene = Scene()
    scene.twilio(event="dtmf", streamSid=SID, dtmf={"track": "inbound_track", "digit": "#"})
    assert scene.of(DtmfReceived) == [DtmfReceived("#")]


def test_a_congested_socket_drops_audio_of_its_direction_and_counts_it() -> None:
    scene = Scene()
    scene.model.congested = scene.caller.congested = True
    scene.media()
    scene.speak(40)
    assert (scene.session.tally.dropped_up, scene.session.tally.dropped_down) == (1, 1)
    scene.model.congested = scene.caller.congested = False
    scene.media()
    scene.speak(40)
    assert len(scene.sent_up) == 640
    assert len(scene.played) == 320


def test_what_the_caller_says_before_the_model_is_ready_reaches_it() -> None:
    scene = Scene("Hello", ready=False)
    assert scene.session.state is State.WAITING
    for _ in range(10):
        scene.media()
    assert not scene.model.sent
    scene.ready()
    assert "clientContent" in scene.model.sent[0]
    assert len(scene.sent_up) == 10 * 640
    scene.media()
    assert len(scene.sent_up) == 11 * 640
    scene.session.end(EndReason.REQUESTED, "", scene.now)
    assert scene.session.summary is not None
    assert not scene.session.summary.prewarmed


def test_what_waits_for_the_model_is_bounded_and_counted() -> None:
    scene = Scene(ready=False)
    for _ in range(300):
        scene.media()
    assert scene.session.tally.dropped_up == 50
    scene.ready()
    assert len(scene.sent_up) == 250 * 640


@pytest.mark.parametrize(
    ("reason", "code"),
    [(EndReason.REQUESTED, 1000), (EndReason.DRAIN, 1001), (EndReason.MODEL_FAILED, 1011)],
)
def test_ending_closes_both_legs_each_with_the_right_code(reason: EndReason, code: int) -> None:
    scene = Scene()
    scene.session.end(reason, "because", scene.now)
    assert scene.model.closed == (1000, "")
    assert scene.caller.closed is not None
    assert scene.caller.closed[0] == code
    assert scene.ended == [scene.session]
    scene.session.end(EndReason.REQUESTED, "again", scene.now)
    assert scene.ended == [scene.session]


def test_the_story_is_numbered_and_ends_with_its_summary() -> None:
    scene = Scene()
    scene.media()
    scene.speak(200, outputTranscription={"text": "Hi"})
    scene.gemini({"usageMetadata": {"promptTokenCount": 7, "responseTokenCount": 3}})
    scene.twilio(event="stop", streamSid=SID, stop={"callSid": "CA1"})
    assert [event.seq for event in scene.events] == list(range(1, len(scene.events) + 1))
    assert scene.told() == [
        *("SessionReady", "StreamStarted", "TranscriptDelta"),
        *("TranscriptSegment", "TurnCompleted", "StreamEnded"),
    ]
    assert scene.of(SessionReady) == [SessionReady(12, 345, "gemini-test")]
    assert scene.of(StreamStarted) == [StreamStarted(SID, "CA1")]
    (ended,) = scene.of(StreamEnded)
    assert ended.reason is EndReason.STOP
    summary = ended.summary
    assert (summary.caller_audio_ms, summary.agent_audio_ms, summary.setup_ms) == (20, 200, 345)
    assert (summary.prompt_tokens, summary.response_tokens, summary.prewarmed) == (7, 3, True)
    assert (summary.uplink.frames, summary.downlink.frames) == (1, 1)


def test_offsets_count_from_the_stream_s_start() -> None:
    scene = Scene(started=False)
    scene.at_ms = 4000
    scene.start()
    scene.at_ms = 4700
    scene.twilio(event="dtmf", streamSid=SID, dtmf={"digit": "1"})
    assert [event.offset_ms for event in scene.events] == [-1, 0, 700]


def test_a_prepared_call_nobody_answers_expires() -> None:
    scene = Scene("Hello", started=False)
    scene.tick(1000)
    assert not scene.ended
    scene.at_ms = 180_000
    scene.session.tick(scene.now)
    assert scene.of(StreamEnded)[0].reason is EndReason.EXPIRED
    assert scene.model.closed == (1000, "")


def test_a_stream_that_never_starts_expires_too() -> None:
    scene = Scene(started=False)
    scene.attach()
    scene.at_ms = 180_000
    scene.session.tick(scene.now)
    assert scene.caller.closed is not None
    assert scene.caller.closed[0] == 1008


def test_a_live_call_does_not_expire() -> None:
    scene = Scene()
    scene.at_ms = 3_600_000
    scene.session.tick(scene.now)
    assert scene.session.state is State.LIVE


def test_a_stream_that_goes_before_it_started_may_come_again() -> None:
    scene = Scene(started=False)
    scene.attach()
    assert not scene.session.takes_stream
    scene.session.caller_closed("1006", scene.now)
    assert scene.session.takes_stream


def test_twilio_s_socket_going_without_stop_ends_the_call() -> None:
    scene = Scene()
    scene.session.caller_closed("1006", scene.now)
    assert scene.of(StreamEnded)[0].reason is EndReason.SOCKET_CLOSED
    assert scene.model.closed == (1000, "")


def test_the_model_breaking_mid_call_is_told_and_hangs_up_the_stream() -> None:
    scene = Scene()
    scene.session.model_closed(ModelFailure(1011, "Internal error", retryable=True), scene.now)
    assert scene.told()[-2:] == ["SessionFailed", "StreamEnded"]
    assert scene.of(SessionFailed) == [SessionFailed(1011, "Internal error", True)]
    assert scene.of(StreamEnded)[0].reason is EndReason.MODEL_FAILED
    assert scene.caller.closed == (1011, "the model's session failed")


def test_a_model_that_can_t_be_opened_leaves_no_stream_ended() -> None:
    scene = Scene(ready=False, started=False)
    scene.session.open_failed(ModelFailure(429, "quota", retryable=True), scene.now)
    assert scene.told() == ["SessionFailed"]
    assert scene.ended == []


def test_a_call_leaves_nothing_for_the_garbage_collector_in_its_frames() -> None:
    scene = Scene()
    scene.caller.send = scene.model.send = lambda kind, buffer, offset: None  # type: ignore[method-assign]
    marks: list[bytes] = []
    scene.caller.send_text = marks.append  # type: ignore[method-assign]
    media = json.dumps(
        {
            "event": "media",
            "sequenceNumber": "5",
            "streamSid": SID,
            "media": {"track": "inbound", "chunk": "4", "timestamp": "80", "payload": "/" * 212 + "/w=="},
        },
        separators=(",", ":"),
    ).encode()
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA" * 640}}
    speech = json.dumps({"serverContent": {"modelTurn": {"parts": [part]}}}).encode()
    for _ in range(3):
        scene.session.caller_frame(media, scene.now)
        scene.session.model_frame(speech, scene.now)
    gc.collect()
    gc.disable()
    try:
        left = []
        for frame, message in ((scene.session.caller_frame, media), (scene.session.model_frame, speech)):
            before = gc.get_count()[0]
            for _ in range(1000):
                frame(message, scene.now)
            left.append(gc.get_count()[0] - before)
    finally:
        gc.enable()
    # A handful is the test's own; a frame in a hundred that left something would show.
    assert max(left) < 10
    assert len(marks) > 15


def test_a_call_that_is_over_is_freed_without_the_garbage_collector() -> None:
    def live() -> None:
        scene = Scene("Good day!")
        scene.media()
        scene.speak(40)
        scene.content(outputTranscription={"text": "Hello"}, turnComplete=True)
        scene.twilio(event="stop", streamSid=SID)
        assert scene.ended == [scene.session]
        untie(scene.session)
        scene.ended.clear()

    assert sessions_left_by(live) == 0
