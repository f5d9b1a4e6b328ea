"""What the service accepts, how long it stays, how it comes back."""

from __future__ import annotations

from typing import Any

import pytest

from bench.sim.gemini.resumption import Handles
from bench.sim.gemini.session import Connection
from tests.support.gemini_sim import SETUP, Played, steady

S = 1000.0


def closed_by(setup: dict[str, Any], **kwargs: Any) -> tuple[int, str]:
    played = Played(**kwargs)
    played.send({"setup": {"model": "models/gemini-3.8-live", **setup}})
    (close,) = played.closes
    assert played.frames == []
    return close.code, close.reason


def test_the_first_message_must_be_setup() -> None:
    played = Played()
    played.send({"clientContent": {"turnComplete": True}})
    assert [(close.code, close.reason) for close in played.closes] == [
        (1007, "setup must be the first message and only the first")
    ]


def test_an_unknown_model_closes_with_1008_and_a_reason_that_fits_a_close_frame() -> None:
    code, reason = closed_by({"model": "models/gemini-9"})
    assert code == 1008
    assert reason.startswith("models/gemini-9 is not found for API version v1beta, ")
    assert len(reason.encode()) == 123


@pytest.mark.parametrize("model", ["", "gemini-3.8-live"])
def test_a_model_without_its_path_is_refused(model: str) -> None:
    assert closed_by({"model": model})[0] in (1007, 1008)


def test_a_vertex_model_path_is_accepted() -> None:
    path = "projects/p/locations/l/publishers/google/models/gemini-3.8-live"
    played = Played(connection=Connection("v1beta1", True, "token"))
    played.send({"setup": {"model": path}})
    played.run(400)
    assert played.times("setupComplete")


def test_vertex_names_its_session_counts_messages_and_says_when_it_hears_speech() -> None:
    played = Played(connection=Connection("v1beta1", True, "token"))
    resumption = {"transparent": True}
    model = "projects/p/locations/l/publishers/google/models/gemini-3.8-live"
    played.send({"setup": {"model": model, "sessionResumption": resumption, "explicitVadSignal": True}})
    played.run(400)
    complete, update = played.frames
    assert len(complete["setupComplete"]["sessionId"]) == 36
    assert update["sessionResumptionUpdate"]["lastConsumedClientMessageIndex"] == "1"
    played.speak(600)
    played.hush(900)
    activity = [frame["voiceActivity"] for frame in played.frames if "voiceActivity" in frame]
    assert [item["type"] for item in activity] == ["ACTIVITY_START", "ACTIVITY_END"]
    assert activity[1]["audioOffset"] == "0.6s"
    assert played.times("voiceActivityDetectionSignal") == played.times("voiceActivity")


def test_extended_thinking_says_whether_more_turns_follow() -> None:
    tool = {"function": "lookup", "filler": "One moment.", "then": "Done."}
    played = Played(steady(script=[{"heard": "look", "tool": tool}]))
    tools = [{"functionDeclarations": [{"name": "lookup"}]}]
    played.open(model="models/gemini-3.8-live-extended-thinking", tools=tools)
    played.send({"realtimeInput": {"text": "look it up"}})
    played.run(4000)
    (call,) = [frame["toolCall"]["functionCalls"][0] for frame in played.frames if "toolCall" in frame]
    response = {"id": call["id"], "name": "lookup", "response": {}}
    played.send({"toolResponse": {"functionResponses": [response]}})
    played.run(4000)
    contents = [frame.get("serverContent", {}) for frame in played.frames]
    statuses = [content["interactionStatus"] for content in contents if "turnComplete" in content]
    assert statuses == ["IN_PROGRESS", "IDLE"]


@pytest.mark.parametrize(
    ("key", "code", "reason"),
    [
        ("bad-key", 1007, "API key not valid. Please pass a valid API key."),
        (None, 1008, "Method doesn't allow unregistered callers"),
    ],
)
def test_a_bad_key_is_refused_after_the_handshake(key: str | None, code: int, reason: str) -> None:
    closed = closed_by({}, connection=Connection("v1beta", False, key))
    assert closed[0] == code
    assert closed[1].startswith(reason)


@pytest.mark.parametrize(
    "setup",
    [
        {"generationConfig": {"responseModalities": ["TEXT"]}},
        {"proactivity": {"proactiveAudio": False}},
        {"sessionResumption": {"transparent": True}},
        {"explicitVadSignal": True},
        {"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]},
        {"realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": -1}}},
        {
            "model": "models/gemini-3.8-live-extended-thinking",
            "tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}],
        },
        {"sessionResumption": {"handle": "never issued"}},
    ],
)
def test_what_the_model_does_not_take_closes_with_1007(setup: dict[str, Any]) -> None:
    assert closed_by(setup) == (1007, "Request contains an invalid argument.")


def test_3_1_never_answers_a_setup_with_affective_dialog() -> None:
    played = Played()
    body = {
        "model": "models/gemini-3.1-flash-live-preview",
        "generationConfig": {"enableAffectiveDialog": True},
    }
    played.send({"setup": body})
    played.run(60 * S)
    assert (played.frames, played.closes) == ([], [])


def test_it_says_go_away_60_s_ahead_and_ends_at_600_s() -> None:
    played = Played()
    played.send(SETUP)
    played.run(541 * S)
    assert played.sent[-1] == (540 * S, {"goAway": {"timeLeft": "60s"}})
    played.run(60 * S)
    assert [close.code for close in played.closes] == [1001]
    assert played.at_ms == 601 * S


def test_or_it_ends_without_a_word_at_its_age() -> None:
    played = Played(steady(limits={"connection_s": 3480, "go_away_lead_s": 0}))
    played.send(SETUP)
    played.run(3481 * S)
    assert played.times("goAway") == []
    assert [(close.code, close.reason) for close in played.closes] == [
        (1011, "Deadline expired before operation could complete.")
    ]


def handle_of(played: Played) -> str:
    updates = [
        frame["sessionResumptionUpdate"] for frame in played.frames if "sessionResumptionUpdate" in frame
    ]
    return str(updates[-1]["newHandle"])


def first_session(handles: Handles) -> Played:
    played = Played(handles=handles)
    played.send({"setup": {"model": "models/gemini-3.8-live", "sessionResumption": {}}})
    played.run(400)
    played.send({"realtimeInput": {"text": "My name is Ann."}})
    played.run(6000)
    return played


def resume(handles: Handles, handle: str, at_ms: float, **setup: Any) -> Played:
    played = Played(handles=handles, session_id="g2", start_ms=at_ms)
    body = {"model": "models/gemini-3.8-live", "sessionResumption": {"handle": handle}, **setup}
    played.send({"setup": body})
    played.run(400)
    return played


def test_a_handle_brings_the_conversation_back() -> None:
    handles = Handles()
    first = first_session(handles)
    first.session.on_closed(int(first.at_ms * 1e6))
    second = resume(handles, handle_of(first), first.at_ms + 1000)
    assert second.times("setupComplete")
    assert second.session.memory.turns == 1
    assert second.session.memory.history == first.session.memory.history


def test_a_handle_points_to_what_was_said_when_it_was_given() -> None:
    handles = Handles()
    first = first_session(handles)
    early = handle_of(first)
    first.send({"realtimeInput": {"text": "And I like tea."}})
    first.run(6000)
    first.session.on_closed(int(first.at_ms * 1e6))
    assert resume(handles, early, first.at_ms).session.memory.turns == 1
    assert resume(handles, handle_of(first), first.at_ms).session.memory.turns == 2


def test_resuming_while_the_old_socket_is_open_closes_with_1011() -> None:
    handles = Handles()
    first = first_session(handles)
    second = resume(handles, handle_of(first), first.at_ms)
    assert [close.code for close in second.closes] == [1011]
    first.session.on_close_frame(1000, "", int(first.at_ms * 1e6))
    assert resume(handles, handle_of(first), first.at_ms).times("setupComplete")


def test_a_handle_expires_two_hours_after_its_session() -> None:
    handles = Handles()
    first = first_session(handles)
    first.session.on_closed(int(first.at_ms * 1e6))
    assert resume(handles, handle_of(first), first.at_ms + 7199 * S).times("setupComplete")
    assert [close.code for close in resume(handles, handle_of(first), first.at_ms + 7300 * S).closes] == [
        1007
    ]


def test_a_handle_belongs_to_its_model() -> None:
    handles = Handles()
    first = first_session(handles)
    first.session.on_closed(int(first.at_ms * 1e6))
    other = resume(handles, handle_of(first), first.at_ms, model="models/gemini-3.1-flash-live-preview")
    assert [close.code for close in other.closes] == [1007]


def test_handles_come_only_when_asked_for_and_never_while_it_generates() -> None:
    assert Played().open().frames == []
    played = Played()
    played.send({"setup": {"model": "models/gemini-3.8-live", "sessionResumption": {}}})
    played.run(400)
    played.send({"realtimeInput": {"text": "hello"}})
    played.run(6000)
    updates = [
        frame["sessionResumptionUpdate"] for frame in played.frames if "sessionResumptionUpdate" in frame
    ]
    assert [update["resumable"] for update in updates] == [True, False, True]
    assert "newHandle" not in updates[1]
    assert updates[0]["newHandle"] != updates[2]["newHandle"]


def test_a_client_s_close_is_echoed_after_a_while() -> None:
    played = Played().open()
    played.session.on_close_frame(1000, "bye", int(played.at_ms * 1e6))
    played.run(19)
    assert played.closes == []
    played.run(2)
    assert [close.code for close in played.closes] == [1000]
