"""Another session of the model's under a running call: what it hears and is told, what the caller hears."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from media_plane.call.continuity import Cause, Outcome, Renewal, RenewalCounts, RenewalLimits
from media_plane.call.lifecycle import State
from media_plane.call.tools import Tool
from media_plane.dsp.codec import KernelCodecs
from media_plane.dsp.g711 import compress
from media_plane.errors import ModelFailure
from media_plane.renewing import NextUser, Order, Renewing
from media_plane.session import CallConfig, CallSession
from media_plane.wire.events import EndReason, SessionFailed, SessionRenewed, StreamEnded, TranscriptSegment
from tests.support.scene import MS, RecordedLeg, Scene

CUT = ModelFailure(1011, "Internal error encountered.", retryable=True)
CODECS = KernelCodecs(8000)  # telephone audio as it is: what goes up can be told apart to the sample
VOICE = compress((8000 * np.sin(np.arange(160) * 0.3)).astype(np.int16)).tobytes()
SILENCE = b"\xff" * 160


class Opener:
    """Stands where sockets are opened: keeps the orders, and does them when told to."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.cancelled = 0
        self.user: NextUser | None = None

    def __call__(self, order: Order, user: NextUser) -> Callable[[], object]:
        self.orders.append(order)
        self.user = user
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1


class Call(Scene):
    """A call whose session can be renewed. `model` is the newest session's leg."""

    def __init__(self, greeting: str = "", *, model: str = "gemini-3.8-live", **config: Any) -> None:
        self.opener = Opener()
        self.counts = RenewalCounts()
        self.handles: list[str] = []
        self.limits = RenewalLimits()
        self._name = model
        self._config = config
        super().__init__(greeting, **config)

    def _make(self, greeting: str, config: dict[str, Any]) -> CallSession:
        return CallSession(
            CallConfig("call-1", greeting, self._name, 180_000 * MS, **config),
            CODECS,
            clock=lambda: self.now,
            emit=self.events.append,
            ended=self.ended.append,
            renewing=Renewing(self.opener, self.counts, self.limits, self.handles.append),
        )

    def handle(self, name: str = "h1", index: int | None = None) -> None:
        update: dict[str, object] = {"newHandle": name, "resumable": True}
        if index is not None:
            update["lastConsumedClientMessageIndex"] = str(index)
        self.gemini({"sessionResumptionUpdate": update})

    def unresumable(self) -> None:
        self.gemini({"sessionResumptionUpdate": {"resumable": False}})

    def cut(self, failure: ModelFailure = CUT) -> None:
        self.session.model_closed(failure, self.now)

    def opened(self) -> RecordedLeg:
        """The next session is there."""
        self.model = RecordedLeg()
        assert self.opener.user is not None
        self.opener.user.model_ready(self.model, 0, 300, self.now)
        return self.model

    def refused(self, code: int = 1007, *, retryable: bool = False) -> None:
        assert self.opener.user is not None
        self.opener.user.open_failed(ModelFailure(code, "refused", retryable=retryable), self.now)

    def hears(self, frames: int, ulaw: bytes = SILENCE) -> None:
        """The caller's line, in real time."""
        for _ in range(frames):
            self.at_ms += 20
            self.media(ulaw)
            if self.at_ms % 100 == 0:
                self.session.tick(self.now)

    def answers(self, text: str, ms: int = 1000) -> None:
        """A whole answer, and the handle that comes after it."""
        self.unresumable()
        self.speak(ms, outputTranscription={"text": text})
        self.content(generationComplete=True)
        self.content(turnComplete=True)
        self.handle(f"after {text}")
        self.hears(ms // 20 + 25)

    def asks(self, text: str, frames: int = 40) -> None:
        self.hears(frames, VOICE)
        self.content(inputTranscription={"text": text})
        self.hears(40)

    @property
    def heard(self) -> bytes:
        """The caller's audio that the newest session got, μ-law."""
        return ulaw_of(self.model)

    @property
    def notes(self) -> list[dict[str, Any]]:
        """What the newest session was sent beside audio."""
        return [each for each in self.model.sent if "audio" not in each.get("realtimeInput", {})]


def ulaw_of(leg: RecordedLeg) -> bytes:
    parts = [
        each["realtimeInput"]["audio"]["data"]
        for each in leg.sent
        if "audio" in each.get("realtimeInput", {})
    ]
    return compress(np.frombuffer(b"".join(base64.b64decode(part) for part in parts), np.int16)).tobytes()


def frame(number: int) -> bytes:
    """20 ms of loud audio that tells its number."""
    digits = [number >> shift & 15 for shift in (12, 8, 4, 0)]
    return bytes(0x10 + digit for digit in digits) * 40


def test_a_cut_is_renewed_by_the_newest_handle_and_the_call_goes_on() -> None:
    call = Call()
    call.handle("h1")
    call.unresumable()
    call.handle("h2")
    call.cut()
    assert [(order.handle, order.history, order.delay_ns) for order in call.opener.orders] == [
        ("h2", False, 0)
    ]
    call.opened()
    assert call.session.state is State.LIVE
    call.hears(3, VOICE)
    assert call.heard == VOICE * 3
    call.speak(40)
    assert len(call.played) == 320
    assert call.counts.renewals == {(Cause.CUT, Outcome.RESUMED): 1}
    renewed = call.of(SessionRenewed)[0]
    assert (renewed.cause, renewed.resumed, renewed.tries) == ("cut", True, 1)
    assert renewed.detail == "Internal error encountered. (1011)"


def test_what_the_caller_says_while_there_is_no_session_is_heard_by_the_next_one() -> None:
    call = Call()
    call.handle()
    call.hears(50)
    call.cut()
    frames = [frame(number) for number in range(30)]
    for each in frames:
        call.hears(1, each)
    call.opened()
    call.hears(1, VOICE)
    assert call.heard.endswith(b"".join(frames) + VOICE)
    assert call.heard.count(frames[0]) == 1


def test_what_the_caller_had_begun_to_say_before_the_cut_is_said_again_whole() -> None:
    call = Call()
    call.handle()
    call.hears(100)
    frames = [frame(number) for number in range(60)]
    for each in frames[:40]:
        call.hears(1, each)
    call.cut()
    for each in frames[40:]:
        call.hears(1, each)
    call.opened()
    at = call.heard.index(frames[0])
    assert call.heard[at:] == b"".join(frames)
    assert call.heard[:at].strip(b"\xff") == b""
    assert call.counts.lost_samples == 0


def test_the_service_s_index_says_to_the_sample_from_where_the_caller_is_heard_again() -> None:
    call = Call()
    call.handle("h0", index=1)
    frames = [frame(number) for number in range(60)]
    for each in frames[:40]:
        call.hears(1, each)
    call.handle("h1", index=1 + 33)  # the setup, and 33 of the 40
    call.cut()
    for each in frames[40:]:
        call.hears(1, each)
    call.opened()
    assert call.heard == b"".join(frames[33:])
    call.handle("h2", index=1 + 0)
    call.hears(2, VOICE)
    call.cut()
    call.opened()
    assert call.heard == b"".join(frames[33:]) + VOICE * 2


def test_a_text_between_audio_does_not_move_the_index() -> None:
    call = Call()
    call.handle("h0", index=1)
    call.hears(10, VOICE)
    assert call.session._model is not None
    call.session._model.send_text(b"{}")
    call.hears(10, frame(1))
    call.handle("h1", index=1 + 21)
    call.hears(5, frame(2))
    call.handle("h2", index=1 + 23)
    call.cut()
    call.opened()
    assert call.heard == frame(2) * 3


def test_only_the_newest_eight_seconds_can_be_said_again_and_the_rest_is_counted() -> None:
    call = Call()
    call.handle()
    call.hears(500, VOICE)
    call.cut()
    call.opened()
    assert len(call.heard) == 65536
    assert call.counts.lost_samples == 80_000 - 65536


def test_go_away_waits_for_a_pause_and_the_old_socket_is_closed_first() -> None:
    call = Call()
    call.handle()
    call.hears(10)
    call.gemini({"goAway": {"timeLeft": "50s"}})
    call.unresumable()
    call.speak(2000, outputTranscription={"text": "One two three."})
    call.tick(100)
    assert call.opener.orders == []
    call.content(generationComplete=True)
    call.tick(100)
    assert call.opener.orders == []  # no handle yet that remembers the answer
    call.content(turnComplete=True)
    call.handle("h2")
    old = call.model
    call.tick(100)
    order = call.opener.orders[0]
    assert order.handle == "h2"
    assert order.after is old
    assert old.closed == (1000, "")
    call.hears(10)
    call.opened()
    assert call.notes == []
    assert call.counts.renewals == {(Cause.GO_AWAY, Outcome.RESUMED): 1}


def test_go_away_is_obeyed_in_time_even_in_the_middle_of_an_answer() -> None:
    call = Call()
    call.handle()
    call.gemini({"goAway": {"timeLeft": "10s"}})
    call.unresumable()
    call.speak(9000, outputTranscription={"text": "A very long story."})
    for _ in range(6):
        call.tick(1000)
    assert call.opener.orders == []
    for _ in range(4):
        call.tick(1000)
    assert len(call.opener.orders) == 1


def test_a_session_is_renewed_before_it_is_too_old() -> None:
    call = Call()
    call.handle()
    call.tick(3_239_000)
    assert call.opener.orders == []
    call.tick(2_000)
    call.opened()
    assert call.counts.renewals == {(Cause.AGE, Outcome.RESUMED): 1}


def test_a_go_away_while_the_caller_speaks_waits_for_the_answer() -> None:
    call = Call()
    call.handle()
    call.hears(10)
    call.gemini({"goAway": {"timeLeft": "50s"}})
    call.hears(40, VOICE)
    call.hears(60)
    assert call.opener.orders == []
    call.answers("Yes.")
    assert [order.handle for order in call.opener.orders] == ["after Yes."]


def test_an_answer_that_was_given_is_told_and_its_question_not_asked_again() -> None:
    call = Call()
    call.handle("h1")
    call.hears(20)
    call.asks("What time is it?")
    call.unresumable()
    call.speak(1000, outputTranscription={"text": "It is noon."})
    call.content(generationComplete=True)
    call.cut()  # before turnComplete, and so before a handle that remembers it
    call.hears(10)
    call.opened()
    (told,) = call.notes
    turns = told["clientContent"]["turns"]
    assert [(turn["role"], turn["parts"][0]["text"]) for turn in turns] == [
        ("user", "What time is it?"),
        ("model", "It is noon."),
    ]
    assert told["clientContent"]["turnComplete"] is False
    assert VOICE not in call.heard
    assert len(call.played) == 8000


def test_an_answer_that_broke_off_is_taken_up_where_the_caller_s_hearing_of_it_ends() -> None:
    call = Call()
    call.handle("h1")
    call.hears(20)
    call.asks("Tell me about the rooms.")
    call.unresumable()
    for text in ("Our rooms", " have a", " view"):
        call.speak(1000, outputTranscription={"text": text})
    call.cut()
    call.hears(15)
    call.opened()
    told, ask = call.notes
    assert told["clientContent"]["turns"][0]["parts"][0]["text"] == "Tell me about the rooms."
    assert told["clientContent"]["turnComplete"] is False
    assert "line broke while you were speaking" in ask["realtimeInput"]["text"]
    assert "Our rooms have a" in ask["realtimeInput"]["text"]
    assert VOICE not in call.heard
    call.speak(1000, outputTranscription={"text": " over the harbour."})
    call.content(generationComplete=True)
    call.content(turnComplete=True)
    call.hears(250)
    assert len(call.played) == 32_000  # all that either session sent, and nothing cleared
    texts = [(each.text, each.interrupted) for each in call.of(TranscriptSegment) if each.speaker == 2]
    assert texts[-1] == ("over the harbour.", False)
    assert texts[-2][0].startswith("Our rooms")


def test_a_session_that_ends_before_it_has_gone_on_leaves_that_to_the_next() -> None:
    call = Call()
    call.handle("h1")
    call.asks("Tell me about the rooms.")
    for text in ("Our rooms", " have a", " view"):
        call.speak(1000, outputTranscription={"text": text})
    for _ in range(3):
        call.cut()
        call.hears(15)
        call.opened()
        assert "Our rooms have a" in call.notes[-1]["realtimeInput"]["text"]
    call.speak(1000, outputTranscription={"text": " over the harbour."})
    call.content(generationComplete=True)
    call.cut()
    call.opened()
    assert "realtimeInput" not in call.notes[-1]


def test_a_refused_handle_means_a_fresh_session_that_is_told_everything() -> None:
    call = Call()
    call.handle("h1")
    call.hears(20)
    call.asks("Good morning.")
    call.answers("Hello there.")
    call.cut()
    call.refused()
    resumed, fresh = call.opener.orders
    assert resumed.handle == "after Hello there."
    assert (fresh.handle, fresh.history) == ("", True)
    call.opened()
    (told,) = call.notes
    assert told["clientContent"]["turnComplete"] is True
    assert [turn["role"] for turn in told["clientContent"]["turns"]] == ["user", "model"]
    assert call.counts.renewals == {(Cause.CUT, Outcome.FRESH): 1}
    assert not call.of(SessionRenewed)[0].resumed


def test_what_1007_came_for_is_not_offered_again() -> None:
    call = Call()
    call.handle("h1")
    call.asks("Hello?")
    call.cut()
    for _ in range(3):
        call.refused()
    assert [(order.handle, order.history) for order in call.opener.orders] == [
        ("h1", False),
        ("", False),  # what was asked is said again
        ("", False),  # not even that
        ("", False),
    ]
    call.refused()
    assert call.session.end_reason is EndReason.MODEL_FAILED
    assert len(call.opener.orders) == 4


def test_a_session_that_1007_ends_at_once_is_not_given_the_same_again() -> None:
    call = Call()
    call.handle("h1")
    call.asks("Hello?")
    call.cut()
    call.opened()
    assert VOICE in call.heard
    call.tick(500)
    call.cut(ModelFailure(1007, "Request contains an invalid argument.", retryable=False))
    assert call.opener.orders[1].handle == ""
    call.opened()
    call.tick(500)
    call.cut(ModelFailure(1007, "Request contains an invalid argument.", retryable=False))
    call.opened()
    assert VOICE not in call.heard
    assert call.notes[-1]["realtimeInput"]["text"] == "Hello?"


def test_failures_are_tried_again_ever_later_and_not_for_ever() -> None:
    call = Call()
    call.handle("h1")
    call.cut()
    delays: list[float] = []
    while call.session.end_reason is None and len(delays) < 50:
        call.refused(503, retryable=True)
        delays.append(call.opener.orders[-1].delay_ns / 1e9)
        call.tick(int(delays[-1] * 1000) + 100)
    assert call.session.end_reason is EndReason.MODEL_FAILED
    assert len(call.opener.orders) <= 12
    assert 0.1 <= delays[0] <= 0.25
    assert max(delays) > 1
    # Which limit is met first, tries or time, is up to the jitter.
    assert call.of(SessionFailed)[0].reason in ("refused", "no session in time")


def test_a_call_without_a_session_ends_after_a_while_and_what_was_said_is_played_first() -> None:
    call = Call()
    call.handle("h1")
    call.speak(20_000)
    call.cut()
    call.tick(14_900)
    assert call.session.state is State.LIVE
    call.tick(200)
    assert call.opener.cancelled == 1
    assert call.session.state is State.LIVE
    call.tick(5_000)
    assert call.session.end_reason is EndReason.MODEL_FAILED
    assert call.of(StreamEnded)[0].detail == "no session in time"
    assert call.counts.renewals == {(Cause.CUT, Outcome.FAILED): 1}


def test_a_resumed_session_that_remembers_nothing_is_replaced_by_one_that_is_told() -> None:
    call = Call()
    call.handle("h1")
    call.asks("Good morning.")
    call.gemini({"usageMetadata": {"promptTokenCount": 4000, "responseTokenCount": 10}})
    call.answers("Hello there.")
    call.cut()
    call.opened()
    call.gemini({"usageMetadata": {"promptTokenCount": 300, "responseTokenCount": 10}})
    assert call.opener.orders[-1].handle == ""
    call.opened()
    assert call.notes[0]["clientContent"]["turnComplete"] is True
    assert call.counts.renewals[Cause.FORGOTTEN, Outcome.FRESH] == 1
    call.gemini({"usageMetadata": {"promptTokenCount": 50, "responseTokenCount": 10}})
    assert len(call.opener.orders) == 2


def test_compression_is_no_loss_of_memory() -> None:
    call = Call()
    call.handle("h1")
    call.gemini({"usageMetadata": {"promptTokenCount": 100_000, "responseTokenCount": 10}})
    call.cut()
    call.opened()
    call.gemini({"usageMetadata": {"promptTokenCount": 50_000, "responseTokenCount": 10}})
    assert len(call.opener.orders) == 1


def test_a_greeting_that_never_came_is_asked_for_again() -> None:
    call = Call("Good morning!")
    call.cut()
    call.opened()
    assert "Good morning!" in json.dumps(call.notes)
    call.speak(500)
    call.content(generationComplete=True)
    call.cut()
    call.opened()
    assert "Say exactly" not in json.dumps(call.notes)


def test_a_function_s_answer_waits_for_the_session_that_asks_again() -> None:
    call = Call(tools=(Tool("lookup", blocking=True),))
    call.handle("h1")
    call.asks("Where is it?")
    call.gemini({"toolCall": {"functionCalls": [{"id": "f1", "name": "lookup", "args": {"q": "x"}}]}})
    call.cut()
    call.session.answer_tool("f1", {"output": "here"}, call.now)
    call.opened()
    assert VOICE in call.heard
    call.gemini({"toolCall": {"functionCalls": [{"id": "f9", "name": "lookup", "args": {"q": "x"}}]}})
    (response,) = [each for each in call.notes if "toolResponse" in each]
    assert response["toolResponse"]["functionResponses"][0] == {
        "id": "f9",
        "name": "lookup",
        "response": {"output": "here"},
    }


def test_another_session_can_be_asked_for() -> None:
    call = Call()
    call.handle("h1")
    assert call.session.renew(Renewal.FRESH, "silent", call.now)
    assert call.model.closed == (1000, "")
    assert not call.session.renew(Renewal.RESUME, "silent", call.now)
    call.opened()
    assert call.opener.orders[0].handle == ""
    call.handle("h2")
    assert call.session.renew(Renewal.RESUME, "silent", call.now)
    assert call.opener.orders[1].handle == "h2"
    assert call.counts.renewals == {(Cause.ASKED, Outcome.FRESH): 1}


def test_a_model_that_takes_no_content_later_is_told_in_a_fresh_session() -> None:
    call = Call(model="gemini-3.1-flash-live-preview")
    call.handle("h1")
    call.asks("What time is it?")
    call.speak(1000, outputTranscription={"text": "It is noon."})
    call.content(generationComplete=True)
    call.cut()
    assert call.opener.orders == [Order("", True, 0, None)]
    call.opened()
    assert call.notes[0]["clientContent"]["turnComplete"] is True


def test_handles_are_kept_and_let_go_at_the_end() -> None:
    call = Call()
    call.handle("h1")
    call.handle("h2")
    call.cut()
    call.session.end(EndReason.REQUESTED, "", call.now)
    assert call.handles == ["h1", "h2", ""]
    assert call.opener.cancelled == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_of_the_caller_s_is_in_the_model_s_memory_once_however_often_it_is_cut(
    seed: int,
) -> None:
    """The service says what its handles include; the handles' sessions and the last one's tail are the
    memory."""
    rng = np.random.default_rng(seed)
    call = Call()
    memory: list[bytes] = []  # of the handle
    session: list[bytes] = []  # what the session began with
    call.handle("h", index=1)
    said: list[bytes] = []

    def frames_of_session() -> list[bytes]:
        heard = call.heard
        return [heard[at : at + 160] for at in range(0, len(heard), 160)]

    for number in range(600):
        said.append(frame(number))
        call.hears(1, said[-1])
        chance = rng.random()
        if chance < 0.05 and not call.session.renewals.under_way:
            there = frames_of_session()
            consumed = int(rng.integers(max(len(there) - 3, 0), len(there) + 1))
            memory = session + there[:consumed]
            call.handle("h", index=1 + consumed)
        elif chance < 0.08 and not call.session.renewals.under_way:
            call.cut()
            for _ in range(int(rng.integers(0, 20))):
                said.append(frame(len(said) + 10_000))
                call.hears(1, said[-1])
            session = memory
            call.opened()
            call.handle("h", index=1)
            memory = session
        call.at_ms += 60_000 * (chance < 0.08)  # so that it never has had its share
    assert session + frames_of_session() == said
