"""When the greeting leaves, and whether the model is to hear what the callee says before it.

The greeting is made while it rings and waits as audio. `immediate`: it leaves as soon as the stream starts.
`after_hello`: people answer a telephone by speaking, so it leaves in the pause after the callee's first
words, or after a silence, whichever comes first. `none`: there is none, the agent waits for the callee.

The greeting is the answer to "hello?": the model, which believes that it has greeted already, must not be
asked for another one, so a hello is withheld from it. Who says more than a hello is heard, all of it.
"""

from __future__ import annotations

from enum import Enum, auto

from media_plane.call.speech import CallerSpeech

PAUSE_NS = 400_000_000  # longer than the gaps inside words and between them, shorter than an awkward one
HELLO_NS = 2_000_000_000  # "Smith residence, Anna speaking, hello?"; what goes on for longer has more to say


class GreetingMode(Enum):
    IMMEDIATE = auto()
    AFTER_HELLO = auto()
    NONE = auto()


class Move(Enum):
    """What is to happen now."""

    STAY = auto()
    HEAR = auto()  # the model gets the caller's audio, what was withheld first; the greeting waits on
    SPEAK = auto()  # the greeting leaves; what was withheld is answered by it


class Greeting:
    """`asked`: the model is to make one. `waits`: agent audio must not leave yet. `withholds`: caller audio
    is not for the model (yet).

    Once the stream has started, call `step` several times a second as long as it `waits`; `speech` must be
    fed with the caller's audio meanwhile.
    """

    __slots__ = ("_silence_ns", "_speech", "_start_ns", "asked", "waits", "withholds")

    def __init__(self, mode: GreetingMode, silence_ns: int, speech: CallerSpeech) -> None:
        self.asked = mode is not GreetingMode.NONE
        self.waits = self.withholds = mode is GreetingMode.AFTER_HELLO
        self._silence_ns = silence_ns
        self._speech = speech
        self._start_ns = 0

    def stream_started(self, now_ns: int) -> None:
        """The callee has picked up."""
        self._start_ns = now_ns

    def step(self, now_ns: int) -> Move:
        """What time and the callee's voice ask for; SPEAK once, HEAR at most once before it."""
        if not self.waits or not self._start_ns:
            return Move.STAY
        speech = self._speech
        if not speech.since_ns:
            if now_ns - self._start_ns < self._silence_ns:
                return Move.STAY
        elif now_ns - speech.stopped_ns < PAUSE_NS:
            if self.withholds and speech.stopped_ns - speech.since_ns > HELLO_NS:
                self.withholds = False
                return Move.HEAR
            return Move.STAY
        self.waits = self.withholds = False
        return Move.SPEAK
