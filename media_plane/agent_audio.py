"""AgentAudio: the model's voice on its way to the caller. Like the session it never awaits.

`play` is the frame's road: kernel, Twilio's socket, the ledger, in one stack. Audio waits in one place,
`held`, and only until it may leave; a mark follows it where the ledger asks for one; `silence` takes back
what has not been played.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable

from media_plane.call.conversation import Conversation
from media_plane.call.playout import Playout
from media_plane.call.sent_audio import SentAudio
from media_plane.call.tally import Tally
from media_plane.call.waiting import WaitingAudio
from media_plane.dsp.codec import OFFSET, Downlink
from media_plane.leg import TEXT, Leg
from media_plane.wire import twilio
from media_plane.wire.events import Body

HELD_S = 60  # of agent audio, before it may leave: longer than any greeting
_WHOLE = 24_000  # bytes of μ-law a message when much is sent at once: 3 s, 32 kB as base64
_NS_PER_SAMPLE = 125_000  # 8 kHz
_DOUBT = 8000  # samples: what was played is kept for a second, as the ledger may learn that it was not

Emit = Callable[[Iterable[Body], int], None]
Drop = Callable[[str], None]


class AgentAudio:
    """`outlet`: the caller's leg, as soon as agent audio may leave. `first_ns`: when the first of it was
    written; 0: none was. `drop` is told of every message that cannot be sent, with the reason."""

    __slots__ = (
        *("_clock", "_conversation", "_down", "_drop", "_emit", "_note", "_playout", "_stream_sid"),
        *("_closed", "first_ns", "held", "kept", "outlet"),
    )

    def __init__(
        self,
        down: Downlink,
        playout: Playout,
        conversation: Conversation,
        tally: Tally,
        *,
        clock: Callable[[], int],
        emit: Emit,
        drop: Drop,
    ) -> None:
        self.outlet: Leg | None = None
        self.first_ns = 0
        self.held = WaitingAudio(HELD_S)
        self.kept: SentAudio | None = None  # what was sent, if it may be taken back
        self._closed: Leg | None = None  # the outlet, while the agent is held
        self._down = down
        self._playout = playout
        self._conversation = conversation
        self._note = tally.down_latency.note
        self._clock = clock
        self._emit = emit
        self._drop = drop
        self._stream_sid = ""

    def address(self, stream_sid: str) -> None:
        """The stream has started."""
        self._stream_sid = stream_sid
        self._down.address(twilio.media_head(stream_sid))

    def expect(self, before: bytes, after: bytes) -> None:
        """What stands around the audio in the model's frames from now on."""
        self._down.expect(before, after)

    def play(self, data: bytes, start: int, end: int, now_ns: int) -> bool:
        """Decode one part of agent audio, in a frame read at `now_ns`, and send it.

        False: it is not plain base64 (SHAPED: or the frame has another shape), and nothing was done.
        """
        down = self._down
        decode = down.decode
        result = decode(data, start, end)
        if result <= 0:
            return result == 0
        samples = result >> 32
        caller = self.outlet
        if caller is None:
            self._hold(self._down.ulaw(samples), now_ns)
        elif caller.congested:
            self._drop("Twilio's socket takes too little")
        else:
            send, clock, note = caller.send, self._clock, self._note
            send(TEXT, down.buffer, result & OFFSET)
            written_ns = clock()
            note(written_ns - now_ns)
            if not self.first_ns:
                self.first_ns = written_ns
            due = self._playout.write(samples, written_ns)
            over = self._conversation.agent_audio(samples, written_ns)
            if over:
                self._emit(over, written_ns)
            if due:
                self._send_mark(self._playout.due_mark())
        return True

    def play_kept(self, data: bytes, start: int, end: int, now_ns: int) -> bool:
        """`play`, of what may be taken back later: `kept` holds what was sent."""
        playout, kept = self._playout, self.kept
        assert kept is not None, "nothing is kept"
        before = playout.sent
        if not self.play(data, start, end, now_ns):
            return False
        if playout.sent > before:
            kept.add(self._down.ulaw(playout.sent - before), playout.sent)
            kept.played(playout.played(now_ns) - _DOUBT)
        return True

    @property
    def longest(self) -> int:
        """Characters of base64 that `play` takes at once."""
        return self._down.max_chars

    def release(self) -> None:
        """Agent audio may leave from now on: what waited goes with the first write."""
        self.probe(self._clock())
        held = self.held.take()
        if not held or self.outlet is None:
            return
        written_ns = self._write(held, self.outlet)
        self._conversation.released(written_ns, self._playout.end_ns)
        self.mark_end()

    def say_ahead(self, ulaw: bytes) -> bool:
        """Say what was made ahead, without the model. False: it can't be sent now."""
        caller = self.outlet
        if caller is None or caller.congested:
            return False
        written_ns = self._write(ulaw, caller)
        self._emit(self._conversation.agent_audio(len(ulaw), written_ns), written_ns)
        self.mark_end()
        return True

    def mark_end(self) -> None:
        """A turn's last audio was written."""
        if self.outlet is not None:
            self._send_mark(self._playout.due_mark(turn_over=True))

    def probe(self, now_ns: int) -> None:
        """Learn how long a mark is on its way, when that is due."""
        if self.outlet is not None:
            self._send_mark(self._playout.due_probe(now_ns))

    def silence(self, now_ns: int) -> int:
        """Nothing more is played, of what was sent and what waited; returns how much that is, in ns."""
        discarded_ns = self._playout.clear(now_ns) + len(self.held.take()) * _NS_PER_SAMPLE
        if self.kept is not None:
            self.kept.clear()
        if self.outlet is not None:
            self.outlet.send_text(twilio.clear(self._stream_sid))
        return discarded_ns

    def hold(self, now_ns: int) -> bool:
        """Nothing is played until `go_on`; what was sent and not played waits again. False: it can't be done,
        and nothing was."""
        outlet, kept = self.outlet, self.kept
        if outlet is None or kept is None:
            return False
        unplayed = kept.take(self._playout.played(now_ns))
        if unplayed is None:
            return False
        outlet.send_text(twilio.clear(self._stream_sid))
        self._playout.take_back(now_ns)
        self._conversation.paused(now_ns)
        self._closed, self.outlet = outlet, None
        self.held.add(unplayed)
        return True

    def open_again(self) -> None:
        """What comes may leave, after `hold`."""
        if self._closed is not None:  # else the stream has been replaced meanwhile
            self.outlet, self._closed = self._closed, None

    def go_on(self) -> None:
        """The agent is heard again, from where it was held on."""
        self.open_again()
        self.release()

    def leave(self, now_ns: int) -> None:
        """The stream is gone for a while, with what it has not played; what comes waits for the next one."""
        self.outlet = self._closed = None
        unplayed = self.kept.take(self._playout.played(now_ns)) if self.kept is not None else None
        if unplayed is None:
            self._playout.clear(now_ns)
        else:
            self._playout.take_back(now_ns)
            self.held.add(unplayed)

    def forget(self) -> None:
        """What comes next does not continue the audio so far."""
        self._down.reset()

    def let_go(self) -> None:
        """The call is over: hold nothing of who made this, so that counting references frees the call."""
        self.outlet = self._closed = None
        self._emit = self._drop = nobody

    def _hold(self, ulaw: bytes, now_ns: int) -> None:
        if not self.held.add(ulaw):
            self._drop(f"{HELD_S} s wait for the stream to start")
            return
        self._emit(self._conversation.agent_audio(len(ulaw), now_ns, playing=False), now_ns)

    def _write(self, ulaw: bytes, caller: Leg) -> int:
        """Send any length at once; returns when."""
        head = twilio.media_head(self._stream_sid)
        for start in range(0, len(ulaw), _WHOLE):
            caller.send_text(head + b64encode(ulaw[start : start + _WHOLE]) + twilio.MEDIA_TAIL)
        written_ns = self._clock()
        if not self.first_ns:
            self.first_ns = written_ns
        self._playout.write(len(ulaw), written_ns)
        if self.kept is not None:
            self.kept.add(ulaw, self._playout.sent)
        return written_ns

    def _send_mark(self, name: str | None) -> None:
        if name is not None and self.outlet is not None:
            self.outlet.send_text(twilio.mark(self._stream_sid, name))


def nobody(*_: object) -> None:
    """Whom a call that is over tells."""
