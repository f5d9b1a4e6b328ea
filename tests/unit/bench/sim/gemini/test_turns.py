"""A session in virtual time: setup, turns, pace, and when a turn is complete."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gemini_sim import Played, audio_frame, audio_of, silence, steady, tone, words_of

GREETING = {
    "clientContent": {
        "turns": [
            {
                "role": "user",
                "parts": [{"text": 'Greet the caller now. Say exactly: "Good day to you, Sir."'}],
            }
        ],
        "turnComplete": True,
    }
}
TRANSCRIBED = {"inputAudioTranscription": {}, "outputAudioTranscription": {}}


def test_setup_is_complete_after_its_delay() -> None:
    played = Played()
    played.send({"setup": {"model": "models/gemini-3.8-live"}})
    played.run(299)
    assert played.frames == []
    played.run(2)
    assert played.sent == [(300, {"setupComplete": {}})]


def test_a_turn_is_heard_answered_and_completed_in_order() -> None:
    played = Played().open(**TRANSCRIBED)
    played.speak(1000)
    spoke_ms = played.at_ms
    played.hush(800)
    endpoint_ms = played.at_ms
    played.run(5000)
    (endpoint,) = played.noted("endpoint")
    assert endpoint.t_ns == endpoint_ms * 1e6
    assert played.noted("speech_ended")[0].t_ns == spoke_ms * 1e6
    assert words_of(played.frames, "inputTranscription") == " good morning"
    assert words_of(played.frames, "outputTranscription") == " one two three"
    first_ms = played.times("modelTurn")[0]
    assert first_ms == endpoint_ms + 300
    (generated_ms,) = played.times("generationComplete")
    (complete_ms,) = played.times("turnComplete")
    # 3 s of tone leave 3.3 times faster than they play, and the turn ends when they have played.
    assert generated_ms - first_ms == pytest.approx(3000 / 3.3, rel=0.01)
    assert -244 <= complete_ms - (first_ms + 3000) <= 50
    assert played.times("modelTurn")[-1] <= generated_ms <= complete_ms
    assert len(audio_of(played.frames)) == 2 * 24 * 3000


def test_audio_leaves_in_irregular_chunks_and_parts() -> None:
    played = Played().open()
    played.send(GREETING)
    played.run(8000)
    frames = [frame for frame in played.frames if "modelTurn" in frame.get("serverContent", {})]
    sizes = {len(audio_of([frame])) for frame in frames}
    parts = {len(frame["serverContent"]["modelTurn"]["parts"]) for frame in frames}
    assert len(sizes) > 5
    assert parts >= {1, 2}
    assert len(audio_of(frames[:1])) == 2 * 24 * 40  # the first leaves as soon as there is sound


def test_the_same_seed_sends_the_same_frames_at_the_same_times() -> None:
    def play() -> list[tuple[float, dict[str, Any]]]:
        played = Played(steady(wire={"empty_frame": 0.3, "bundle_final": 0.5})).open(**TRANSCRIBED)
        played.send(GREETING)
        played.run(8000)
        return played.sent

    assert play() == play()


def test_it_greets_with_exactly_the_quoted_words_after_the_thinking_time() -> None:
    played = Played().open(outputAudioTranscription={})
    asked_ms = played.at_ms
    played.send(GREETING)
    played.run(5000)
    assert words_of(played.frames, "outputTranscription") == " Good day to you, Sir."
    assert played.times("modelTurn")[0] == asked_ms + 500


def test_an_empty_turn_makes_it_speak_first_with_the_quoted_words_of_its_instruction() -> None:
    instruction = {"parts": [{"text": 'You are a desk. Begin by saying: greet with "Front desk, hello."'}]}
    played = Played().open(outputAudioTranscription={}, systemInstruction=instruction)
    played.send({"clientContent": {"turnComplete": True}})
    played.run(5000)
    assert words_of(played.frames, "outputTranscription") == " Front desk, hello."


def test_without_quoted_words_it_greets_with_the_scenario_s() -> None:
    played = Played(steady(greeting="Welcome.")).open(outputAudioTranscription={})
    played.send({"client_content": {"turn_complete": True}})
    played.run(5000)
    assert words_of(played.frames, "outputTranscription") == " Welcome."


def test_nothing_is_transcribed_unless_setup_asked() -> None:
    played = Played().open()
    played.speak(600)
    played.hush(800)
    played.run(5000)
    assert played.times("modelTurn")
    assert played.times("inputTranscription") + played.times("outputTranscription") == []


def test_tokens_grow_with_the_whole_context() -> None:
    played = Played().open()
    for _ in range(2):
        played.speak(600)
        played.hush(800)
        played.run(6000)
    first, second = (frame["usageMetadata"] for frame in played.frames if "usageMetadata" in frame)
    assert first["responseTokenCount"] == second["responseTokenCount"] == 75  # 3 s at 25 tokens a second
    assert first["promptTokenCount"] == 35  # 1.4 s heard
    assert second["promptTokenCount"] == 35 * 2 + 75
    assert second["totalTokenCount"] == second["promptTokenCount"] + 75


def test_final_fields_may_share_one_frame() -> None:
    played = Played(steady(wire={"bundle_final": 1, "empty_frame": 0})).open()
    played.send(GREETING)
    played.run(8000)
    last = played.frames[-1]
    assert set(last["serverContent"]) == {"modelTurn", "generationComplete", "turnComplete"}
    assert "usageMetadata" in last
    assert len(audio_of(played.frames)) == 2 * 24 * 330 * 5  # five words; none was lost


def test_realtime_text_is_answered_and_does_not_interrupt() -> None:
    played = Played().open()
    played.send({"realtimeInput": {"text": "hello"}})
    played.run(1000)
    played.send({"realtimeInput": {"text": "and more"}})
    played.run(10_000)
    assert played.times("interrupted") == []
    assert len(played.times("turnComplete")) == 2


def test_history_is_seeded_without_an_answer() -> None:
    played = Played().open(historyConfig={"initialHistoryInClientContent": True})
    played.send({"clientContent": {"turns": [{"role": "user", "parts": [{"text": "My name is Ann."}]}]}})
    played.send({"clientContent": {"turnComplete": True}})
    played.run(3000)
    assert played.frames == []
    played.send(GREETING)
    played.run(1000)
    assert played.times("modelTurn")


def test_manual_activity_decides_the_turn() -> None:
    manual = {"automaticActivityDetection": {"disabled": True}}
    played = Played().open(realtimeInputConfig=manual)
    played.speak(500)
    played.hush(2000)
    assert played.noted("endpoint") == []
    played.send({"realtime_input": {"activityStart": {}}})
    played.speak(500)
    played.send({"realtime_input": {"activity_end": {}}})
    asked_ms = played.at_ms
    played.run(1000)
    assert played.times("modelTurn")[0] == asked_ms + 300


def test_closing_the_microphone_ends_the_turn() -> None:
    played = Played().open()
    played.speak(500)
    played.send({"realtimeInput": {"audioStreamEnd": True}})
    played.run(1000)
    assert played.times("modelTurn")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, {"realtimeInput": {"activityStart": {}}}),
        ({"automaticActivityDetection": {"disabled": True}}, {"realtimeInput": {"audioStreamEnd": True}}),
        ({}, {"realtimeInput": {"text": "a", "audioStreamEnd": True}}),
        ({}, {"setup": {"model": "models/gemini-3.8-live"}}),
        ({}, {"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "AA=="}}}),
    ],
)
def test_a_message_out_of_place_closes_with_1007(config: Any, message: Any) -> None:
    played = Played().open(realtimeInputConfig=config)
    played.send(message)
    assert [close.code for close in played.closes] == [1007]


def test_audio_at_8_khz_is_heard_too() -> None:
    played = Played().open()
    pcm = tone(800, rate=8000) + silence(900, rate=8000)
    for start in range(0, len(pcm), 320):
        played.run(20)
        played.send(audio_frame(pcm[start : start + 320], 8000))
    played.run(1000)
    assert played.times("modelTurn")


def test_what_comes_before_setup_is_complete_is_kept() -> None:
    played = Played()
    played.send({"setup": {"model": "models/gemini-3.8-live"}})
    played.send(GREETING)
    played.run(2000)
    assert played.times("setupComplete")[0] < played.times("modelTurn")[0]
