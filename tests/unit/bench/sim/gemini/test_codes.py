"""Coded caller audio: what was heard of it can be told to the millisecond."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sim.gemini import codes
from media_plane.dsp.g711 import expand
from tests.support.gemini_sim import Played, audio_frame, steady


def pcm(first: int, count: int) -> bytes:
    return expand(np.frombuffer(codes.ulaw(first, count), np.uint8)).astype("<i2").tobytes()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), max_size=20), before=st.integers(0, 30))
def test_groups_are_found_wherever_chunks_begin(cuts: list[int], before: int) -> None:
    audio = bytes(2 * before) + pcm(70_000, 100) + bytes(2 * before)
    reader, found, at = codes.Reader(), [], 0
    for cut in [*cuts, len(audio)]:
        found += reader.read(np.frombuffer(audio[2 * at : 2 * (at + cut)], np.int16))
        at += cut
    assert found == list(range(70_000, 70_100))


def test_a_conversation_s_memory_tells_what_it_has_heard() -> None:
    played = Played(steady(codes=True)).open()
    for first in (0, 20, 60):
        played.send(audio_frame(pcm(first, 20), 8000))
    assert played.session.memory.codes == [[0, 39], [60, 79]]


def test_what_is_told_of_an_exchange_is_taken_for_said_and_answered() -> None:
    script = [{"heard": f"question {n}", "reply": f"{n}0 {n}1 {n}2", "hearing": 10} for n in range(4)]
    played = Played(steady(script=script, voice={"numbers": True})).open()
    turns = [
        {"role": "user", "parts": [{"text": "question 2"}]},
        {"role": "model", "parts": [{"text": "20"}]},
    ]
    played.send({"clientContent": {"turns": turns, "turnComplete": False}})
    assert played.session.memory.turns == 3
    assert played.session.memory.told == ["question 2"]
    played.send({"realtimeInput": {"text": '[The caller heard you up to "20". Go on.]'}})
    played.run(5000)
    said = [note.fields["text"] for note in played.noted("reply")]
    assert said == ["21 22"]


def test_a_session_with_amnesia_is_resumed_without_its_memory() -> None:
    first = Played().open(sessionResumption={})
    handles = first.session._handles
    first.speak(500)
    first.run(3000)
    first.session.on_closed(int(first.at_ms * 1e6))
    handle = next(reversed(handles._entries))
    second = Played(handles=handles, session_id="g2", start_ms=first.at_ms, faults=[{"fault": "amnesia"}])
    second.open(sessionResumption={"handle": handle})
    assert second.session.memory.audio_in_ms == 0
