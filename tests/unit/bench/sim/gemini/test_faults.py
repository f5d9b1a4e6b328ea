"""Each fault does to a session what it is named for."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from bench.sim.gemini.actions import Abort, PauseReading, Pong
from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.faults import Fault, FaultBook, parse_fault
from bench.sim.gemini.resumption import Handles
from tests.support.gemini_sim import SETUP, Played, audio_of, steady, words_of

TRANSCRIBED = {"inputAudioTranscription": {}, "outputAudioTranscription": {}}


def greeted(*faults: dict[str, Any], run_ms: float = 8000) -> Played:
    """A session with faults that was asked to speak first."""
    played = Played(faults=faults).open(**TRANSCRIBED)
    played.send({"clientContent": {"turnComplete": True}})
    played.run(run_ms)
    return played


def spoken_to(*faults: dict[str, Any]) -> Played:
    """A session with faults to which a caller said something."""
    played = Played(faults=faults).open(**TRANSCRIBED)
    played.speak(600)
    played.hush(800)
    played.run(8000)
    return played


def test_setup_may_hang() -> None:
    played = Played(faults=[{"fault": "setup_hang"}])
    played.send(SETUP)
    played.run(60_000)
    assert (played.frames, played.closes) == ([], [])


def test_setup_may_take_long() -> None:
    played = Played(faults=[{"fault": "setup_delay", "ms": 4000}])
    played.send(SETUP)
    played.run(5000)
    assert played.times("setupComplete") == [4000]


def test_go_away_then_silence_then_the_close() -> None:
    played = greeted({"fault": "go_away", "at": "reply", "after_ms": 100, "time_left_s": 9.5})
    said_ms = played.times("goAway")[0]
    assert played.frames[-1] == {"goAway": {"timeLeft": "9.500s"}}
    played.run(20_000)
    assert played.frames[-1] == {"goAway": {"timeLeft": "9.500s"}}
    (closed,) = [note for note in played.noted("close") if note.direction == ">"]
    assert closed.t_ns == (said_ms + 9500) * 1e6
    assert [close.code for close in played.closes] == [1001]


def test_go_away_may_leave_the_conversation_going() -> None:
    played = greeted({"fault": "go_away", "silent": False})
    assert played.times("turnComplete")


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("internal_error", 1011, "Internal error encountered."),
        ("deadline", 1011, "Deadline expired before operation could complete."),
        ("invalid_argument", 1007, "Request contains an invalid argument."),
        ("aborted", 1008, "The operation was aborted"),
        ("restart", 1012, "Service restart."),
        ("quota", 1011, "You exceeded your current quota"),
    ],
)
def test_it_may_close_in_mid_sentence_with_any_of_the_service_s_reasons(
    kind: str, code: int, reason: str
) -> None:
    played = greeted({"fault": kind, "at": "reply", "after_ms": 200})
    (close,) = played.closes
    assert close.code == code
    assert close.reason.startswith(reason)
    assert played.times("generationComplete") == []


def test_a_close_may_have_any_code_and_reason() -> None:
    played = greeted({"fault": "close", "code": 1013, "reason": "try later", "after_ms": 1000})
    assert [(close.code, close.reason) for close in played.closes] == [(1013, "try later")]


def test_the_line_may_drop_without_a_close_frame() -> None:
    played = greeted({"fault": "abort", "at": "reply", "after_ms": 300})
    assert [type(action) for action in played.others][-1] is Abort
    assert played.closes == []


def test_pongs_may_be_late() -> None:
    played = Played(faults=[{"fault": "delayed_pongs", "ms": 9000}]).open()
    played.session.on_ping(b"p", int(played.at_ms * 1e6))
    played.run(8900)
    assert played.others == []
    played.run(200)
    assert played.others == [Pong(b"p")]


def test_reads_may_stall() -> None:
    played = Played(faults=[{"fault": "slow_reads", "ms": 2500, "after_ms": 10}])
    played.run(20)
    assert played.others == [PauseReading(2_500_000_000)]


def test_it_may_stall_in_mid_sentence() -> None:
    played = greeted({"fault": "stall", "at": "reply", "after_ms": 150, "ms": 2000})
    times = played.times("modelTurn")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) > 1900
    assert len(audio_of(played.frames)) == 2 * 24 * 330 * 7


def test_it_may_not_reply_once() -> None:
    played = spoken_to({"fault": "no_reply"})
    assert words_of(played.frames, "inputTranscription") == " good morning"
    assert played.times("modelTurn") + played.times("turnComplete") == []
    played.speak(600)
    played.hush(800)
    played.run(5000)
    assert played.times("turnComplete")


def test_a_turn_may_be_complete_with_nothing_said() -> None:
    played = spoken_to({"fault": "empty_turn_complete"})
    assert played.times("modelTurn") == []
    assert len(played.times("turnComplete")) == 1


def test_it_may_be_interrupted_by_nobody_while_it_speaks_and_while_it_does_not() -> None:
    speaking = greeted({"fault": "phantom_interrupted", "at": "reply", "after_ms": 200})
    assert len(speaking.times("interrupted")) == len(speaking.times("turnComplete")) == 1
    idle = Played(faults=[{"fault": "phantom_interrupted", "after_ms": 1000}]).open()
    idle.run(1000)
    assert idle.frames == [{"serverContent": {"interrupted": True}}]


def test_transcripts_may_trail_the_turn_they_belong_to() -> None:
    played = spoken_to({"fault": "late_transcripts", "ms": 6000})
    assert words_of(played.frames, "outputTranscription") == " one two three"
    assert words_of(played.frames, "inputTranscription") == " good morning"
    assert played.times("outputTranscription")[-1] > played.times("turnComplete")[0]


def test_transcripts_may_fall_anywhere_but_keep_their_own_order() -> None:
    played = spoken_to({"fault": "unordered_transcripts"})
    assert words_of(played.frames, "outputTranscription") == " one two three"
    assert words_of(played.frames, "inputTranscription") == " good morning"


def test_empty_frames_may_come_in_storms() -> None:
    played = greeted({"fault": "empty_frames", "count": 300, "every_ms": 5})
    assert len([frame for frame in played.frames if frame == {}]) > 100
    assert played.times("turnComplete")


def test_generation_may_be_slower_than_real_time() -> None:
    played = greeted({"fault": "slow_generation", "factor": 0.5}, run_ms=10_000)
    first, *_, last = played.times("modelTurn")
    assert last - first > 2 * 2000  # 2.3 s of audio


def test_a_resumed_session_may_be_closed_during_setup() -> None:
    handles = Handles()
    first = Played(handles=handles)
    first.send({"setup": {"model": "models/gemini-3.8-live", "sessionResumption": {}}})
    first.run(400)
    first.session.on_closed(int(first.at_ms * 1e6))
    handle = first.frames[-1]["sessionResumptionUpdate"]["newHandle"]
    second = Played(handles=handles, session_id="g2", faults=[{"fault": "close_during_resume", "code": 1011}])
    second.send({"setup": {"model": "models/gemini-3.8-live", "sessionResumption": {"handle": handle}}})
    second.run(400)
    assert [close.code for close in second.closes] == [1011]


def test_a_newer_service_s_message_and_a_frame_over_a_megabyte_may_come() -> None:
    played = greeted({"fault": "unknown_message"}, {"fault": "large_frame", "at": "reply"})
    assert {"futureMessage": {"text": "from a newer service"}} not in played.frames  # it came before setup
    assert max(len(audio_of([frame])) for frame in played.frames) == 1_500_000


def test_a_fault_for_the_next_session_strikes_once() -> None:
    book = FaultBook()
    book.arm(Fault(fault="no_reply"))
    rng = random.Random(1)
    assert [len(book.strike(rng, f"g{number}")) for number in range(3)] == [1, 0, 0]
    assert book.armed == []


def test_a_fault_for_all_sessions_strikes_until_it_is_disarmed() -> None:
    book = FaultBook()
    book.arm(Fault(fault="no_reply", session="all"))
    rng = random.Random(1)
    assert [len(book.strike(rng, f"g{number}")) for number in range(3)] == [1, 1, 1]
    book.disarm()
    assert book.strike(rng, "g4") == []


def test_a_fault_may_strike_at_random_and_the_seed_decides_whom() -> None:
    def struck(seed: int) -> list[int]:
        book = FaultBook()
        book.arm(Fault(fault="abort", session="all", probability=0.3))
        rng = random.Random(seed)
        return [number for number in range(100) if book.strike(rng, f"g{number}")]

    assert struck(1) == struck(1) != struck(2)
    assert 15 < len(struck(1)) < 45


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fault": "explode"}, "fault"),
        ({"fault": "stall", "time_left_s": 3}, "stall takes no time_left_s"),
        ({"fault": "stall", "ms": -1}, "ms"),
        ({"fault": "refuse_upgrade", "status": 200}, "status"),
        ({"fault": "close", "code": 1006}, "code.*abort"),
        ([], "fault"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_naming_the_field(fields: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        parse_fault(fields)


def test_a_scenario_can_carry_faults() -> None:
    chosen = steady(faults=[{"fault": "deadline", "session": "all", "probability": 0.1}])
    assert chosen.faults[0].fault == "deadline"
