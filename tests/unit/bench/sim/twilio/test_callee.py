"""A callee's script, stepped frame by frame by virtual time."""

from __future__ import annotations

from bench.sim.twilio.callee import (
    Act,
    Began,
    Callee,
    Deed,
    Ear,
    Gone,
    Interrupt,
    Key,
    PressKeys,
    Rest,
    RingOff,
    Speak,
    WaitUntil,
)
from bench.sim.twilio.mulaw import SILENT_FRAME

HELLO = Speak(b"\x10" * 400, "hello")  # 50 ms: two frames and a half
SILENT_EAR = Ear(False, None, None)


class Person:
    """Steps a callee; `agent` is a list of (start, stop) in ms at which the agent is audible."""

    def __init__(
        self, acts: list[Act], *, free: bool = False, agent: list[tuple[int, int]] | None = None
    ) -> None:
        self.callee = Callee(acts, free=free)
        self.agent = agent or []
        self.now_ms = 0
        self.spoke: list[int] = []
        self.deeds: list[tuple[int, Deed]] = []

    def until(self, ms: int, *, connected: bool = True) -> Person:
        while self.now_ms < ms:
            self.now_ms += 20
            frame, deeds = self.callee.next_frame(self.now_ms, self.ear(), connected=connected)
            assert len(frame) == 160
            if frame != SILENT_FRAME:
                self.spoke.append(self.now_ms)
            self.deeds += [(self.now_ms, deed) for deed in deeds if not isinstance(deed, Began)]
        return self

    def ear(self) -> Ear:
        heard = [(start, stop) for start, stop in self.agent if start <= self.now_ms]
        if not heard:
            return SILENT_EAR
        start, stop = heard[-1]
        return Ear(self.now_ms < stop + 300, start, min(stop, self.now_ms))


def test_speech_is_framed_and_its_end_padded_with_silence() -> None:
    callee = Callee([HELLO], free=False)
    frames = [callee.next_frame(20 * n, SILENT_EAR, connected=True)[0] for n in range(1, 5)]
    assert b"".join(frames) == HELLO.ulaw + b"\xff" * 80 + SILENT_FRAME


def test_speaking_waits_for_the_stream() -> None:
    person = Person([HELLO]).until(200, connected=False)
    assert person.spoke == []
    assert person.until(300).spoke == [220, 240, 260]


def test_an_answering_machine_does_not_wait() -> None:
    assert Person([HELLO], free=True).until(100, connected=False).spoke == [20, 40, 60]


def test_a_pause_and_a_hang_up_need_nobody_to_listen() -> None:
    person = Person([Rest(100), RingOff()]).until(300, connected=False)
    assert person.deeds == [(120, Gone())]


def test_keys_are_200_ms_apart_and_w_is_half_a_second() -> None:
    person = Person([PressKeys("12w#"), HELLO]).until(2000)
    assert person.deeds == [(20, Key("1")), (220, Key("2")), (920, Key("#"))]
    assert person.spoke[0] == 920


def test_waiting_for_the_agent_to_start() -> None:
    wait = WaitUntil("agent_starts", 15_000, 600)
    assert Person([wait, HELLO], agent=[(500, 900)]).until(1000).spoke[0] == 500


def test_waiting_for_the_agent_to_stop_needs_600_ms_of_quiet() -> None:
    wait = WaitUntil("agent_stops", 15_000, 600)
    person = Person([wait, HELLO], agent=[(500, 900), (1300, 2000)]).until(4000)
    assert person.spoke[0] == 2600


def test_an_agent_who_was_cut_off_has_not_answered() -> None:
    wait = WaitUntil("agent_stops", 15_000, 600)
    # The agent is still audible for the first 30 ms of the callee's words, and answers a second later.
    person = Person(
        [WaitUntil("agent_starts", 1000, 0), HELLO, wait, RingOff()], agent=[(200, 230), (1200, 2000)]
    )
    assert person.until(4000).deeds == [(2600, Gone())]


def test_a_wait_gives_up_at_its_timeout() -> None:
    person = Person([WaitUntil("agent_stops", 1000, 600), HELLO]).until(2000)
    assert person.spoke[0] == 1020


def test_silence_counts_from_the_wait() -> None:
    wait = WaitUntil("silence", 15_000, 300)
    assert Person([Rest(1000), wait, HELLO]).until(2000).spoke[0] == 1320
    assert Person([Rest(100), wait, HELLO], agent=[(0, 700)]).until(2000).spoke[0] == 1000


def test_a_barge_in_begins_that_long_after_the_agent() -> None:
    person = Person([Interrupt(HELLO, 900, 15_000)], agent=[(480, 5000)]).until(3000)
    assert person.spoke == [1380, 1400, 1420]


def test_a_barge_in_on_an_agent_already_speaking_counts_from_its_start() -> None:
    person = Person([Rest(600), Interrupt(HELLO, 900, 15_000)], agent=[(100, 5000)]).until(3000)
    assert person.spoke[0] == 1000


def test_a_barge_in_on_nobody_speaks_at_its_timeout() -> None:
    assert Person([Interrupt(HELLO, 900, 1000)]).until(3000).spoke[0] == 1020


def test_what_is_said_now_takes_the_place_of_the_script() -> None:
    person = Person([Rest(100), Speak(b"\x20" * 1600, "long"), RingOff()]).until(160)
    person.callee.say_now(b"\x30" * 320)
    person.until(400)
    assert person.spoke == [120, 140, 160, 180, 200]
    assert person.deeds == [(220, Gone())]
