"""The agent is held when the caller is heard over it: does what `call.hold` decides. Never awaits.

Only sessions that ask for it have one. It stands before the uplink's kernel, so that it looks at each of the
caller's frames when the kernel has judged its level, and nothing is looked at in other sessions.
"""

from __future__ import annotations

from collections.abc import Callable

from media_plane.agent_audio import AgentAudio
from media_plane.call.hold import Hold, HoldCounts, HoldKnobs, Move
from media_plane.call.playout import Playout
from media_plane.call.speech import CallerSpeech

Encode = Callable[[bytes, int, int, int], int]


class EarlyHold:
    """Call `look` several times a second, too, for the time in which no frame comes."""

    __slots__ = ("_agent", "_hold", "_playout", "counts")

    def __init__(
        self,
        knobs: HoldKnobs,
        speech: CallerSpeech,
        counts: HoldCounts,
        agent: AgentAudio,
        playout: Playout,
    ) -> None:
        self.counts = counts
        self._hold = Hold(knobs, speech, counts)
        self._agent = agent
        self._playout = playout

    @property
    def holds(self) -> bool:
        """The agent is held now."""
        return self._hold.since_ns > 0

    def watch(self, encode: Encode) -> Encode:
        """`encode` of an uplink, and a look after each frame."""

        def encode_and_look(data: bytes, start: int, end: int, now_ns: int) -> int:
            result = encode(data, start, end, now_ns)
            if result > 0:
                self.look(now_ns)
            return result

        return encode_and_look

    def look(self, now_ns: int) -> None:
        move = self._hold.step(now_ns, self._playout.left_ns(now_ns))
        if move is Move.HOLD:
            if self._agent.hold(now_ns):
                self._hold.held(now_ns)
            else:
                self._hold.refused(now_ns)
        elif move is Move.GO_ON:
            self._hold.gone_on(now_ns)
            self._agent.go_on()

    def interrupted(self, now_ns: int) -> None:
        """The model knows that the caller spoke over it, and what was held has been dropped."""
        if self._hold.interrupted(now_ns):
            self._agent.open_again()
