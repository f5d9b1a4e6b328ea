from __future__ import annotations

from media_plane.call.greeting import Greeting, GreetingMode, Move
from media_plane.dsp.speech import SpeechDetector

MS = 1_000_000
SILENCE_MS = 1200


class Callee:
    """Picks up at 1000 ms, is heard in 20 ms frames, and the greeting is asked every 100 ms what to do."""

    def __init__(self, mode: GreetingMode = GreetingMode.AFTER_HELLO) -> None:
        self.speech = SpeechDetector()
        self.greeting = Greeting(mode, SILENCE_MS * MS, self.speech)
        self.at_ms = 1000
        self.moves: list[tuple[int, Move]] = []
        self.greeting.stream_started(self.at_ms * MS)

    def line(self, ms: int, level: int) -> Callee:
        for _ in range(ms // 20):
            self.at_ms += 20
            self.speech.frame(level, 20 * MS, self.at_ms * MS)
            if self.at_ms % 100 == 0:
                self.step()
        return self

    def speaks(self, ms: int) -> Callee:
        return self.line(ms, 3000)

    def hushes(self, ms: int) -> Callee:
        return self.line(ms, 10)

    def step(self) -> None:
        move = self.greeting.step(self.at_ms * MS)
        if move is not Move.STAY:
            self.moves.append((self.at_ms - 1000, move))


def test_an_immediate_greeting_never_waits() -> None:
    greeting = Callee(GreetingMode.IMMEDIATE).greeting
    assert not greeting.waits
    assert not greeting.withholds


def test_nobody_waits_for_a_greeting_that_there_is_not() -> None:
    assert not Callee(GreetingMode.NONE).greeting.waits


def test_before_anybody_has_picked_up_nothing_moves() -> None:
    greeting = Greeting(GreetingMode.AFTER_HELLO, SILENCE_MS * MS, SpeechDetector())
    assert greeting.step(10_000 * MS) is Move.STAY
    assert greeting.waits


def test_the_greeting_leaves_in_the_pause_after_hello() -> None:
    callee = Callee().hushes(300).speaks(500).hushes(2000)
    assert callee.moves == [(1200, Move.SPEAK)]
    assert not callee.greeting.waits
    assert not callee.greeting.withholds


def test_it_leaves_after_a_silence_when_nobody_says_hello() -> None:
    assert Callee().hushes(3000).moves == [(SILENCE_MS, Move.SPEAK)]


def test_a_hello_that_begins_late_is_waited_for() -> None:
    callee = Callee().hushes(1100).speaks(600).hushes(1000)
    assert callee.moves == [(2100, Move.SPEAK)]


def test_gaps_between_words_are_no_pause() -> None:
    callee = Callee().speaks(400).hushes(300).speaks(400).hushes(1000)
    assert callee.moves == [(1500, Move.SPEAK)]


def test_who_says_more_than_hello_is_heard_while_the_greeting_waits_for_the_pause() -> None:
    callee = Callee().speaks(4000)
    assert callee.moves == [(2100, Move.HEAR)]
    assert callee.greeting.waits
    assert not callee.greeting.withholds
    callee.hushes(1000)
    assert callee.moves[1:] == [(4400, Move.SPEAK)]


def test_a_click_is_no_hello() -> None:
    assert Callee().hushes(200).speaks(40).hushes(2000).moves == [(SILENCE_MS, Move.SPEAK)]


def test_a_line_that_stops_sending_does_not_hold_the_greeting_up() -> None:
    callee = Callee().speaks(400)
    for _ in range(10):
        callee.at_ms += 100
        callee.step()
    assert callee.moves == [(800, Move.SPEAK)]
