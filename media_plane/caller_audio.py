"""CallerAudio: the caller's voice on its way to the model. Like the session it never awaits.

`frame` is the road of every message of Twilio's: kernel, the model's socket, in one stack. What has not the
shape of ordinary audio is somebody else's to understand. Audio waits in one place, `early`, and only until
the model may have it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator

from media_plane.agent_audio import nobody
from media_plane.call.greeting import Greeting
from media_plane.call.tally import Tally
from media_plane.call.waiting import WaitingAudio
from media_plane.dsp.codec import OFFSET, SHAPED, Uplink
from media_plane.dsp.g711 import mean_level
from media_plane.errors import PeerError
from media_plane.leg import TEXT, Leg
from media_plane.wire import gemini

EARLY_S = 5  # of caller audio, before the model is ready
_NS_PER_SAMPLE = 125_000  # 8 kHz

Encode = Callable[[bytes, int, int, int], int]


class CallerAudio:
    """`inlet`: the model's leg, as soon as there is one. `other` is given the messages that are not audio of
    the common shape, `drop` the reason why one of caller audio cannot be sent. `watch` may put something
    around the encoder."""

    __slots__ = (
        *("_clock", "_drop", "_encode", "_greeting", "_note", "_other", "_up", "_watch"),
        *("early", "inlet"),
    )

    def __init__(
        self,
        up: Uplink,
        greeting: Greeting,
        tally: Tally,
        *,
        clock: Callable[[], int],
        other: Callable[[bytes, int], None],
        drop: Callable[[str], None],
        watch: Callable[[Encode], Encode] | None = None,
    ) -> None:
        self.inlet: Leg | None = None
        self.early = WaitingAudio(EARLY_S)
        self._up = up
        self._greeting = greeting
        self._clock = clock
        self._other = other
        self._drop = drop
        self._watch = watch
        # Looked up once here, used in every frame.
        self._note = tally.up_latency.note
        self._encode: Encode = up.encode

    def frame(self, data: bytes, now_ns: int) -> None:
        """A whole message of Twilio's, read at `now_ns`.

        Raises:
            PeerError: the stream must be closed.
        """
        if not self._send(data, SHAPED, 0, now_ns):
            self._other(data, now_ns)

    def expect(self, before: bytes, after: bytes) -> None:
        """What stands around the audio in ordinary messages from now on."""
        self._up.expect(before, after)
        self._encode = self._up.encode if self._watch is None else self._watch(self._up.encode)

    def media(self, payload: str, now_ns: int) -> None:
        """Caller audio in an unusual shape, or before the model is ready.

        Raises:
            PeerError: it is not base64.
        """
        audio = gemini.standard_base64(payload)
        if self.inlet is not None and not self._greeting.withholds:
            self._send_slowly(audio, now_ns)
            return
        try:
            self._put_by(b64decode(audio, validate=True), now_ns)
        except ValueError:
            raise PeerError("media.payload is not base64") from None

    def release(self, now_ns: int) -> int:
        """The model may have what waits; returns in how many messages it went."""
        waiting = b64encode(self.early.take())
        self._send_slowly(waiting, now_ns)
        return -(-len(waiting) // self._up.max_chars)

    def let_go(self) -> None:
        """The call is over: hold nothing of who made this, so that counting references frees the call."""
        self.inlet = None
        self._watch = None
        self.expect(b"", b"")
        self._other = self._drop = nobody

    def _send(self, data: bytes, start: int, end: int, now_ns: int) -> bool:
        """Encode one piece of caller audio and send it. False: it is not plain base64 (SHAPED: or the message
        has another shape), and nothing was done."""
        encode = self._encode  # what an attribute holds is called slowly while it is looked up as a method
        result = encode(data, start, end, now_ns)
        if result <= 0:
            return result == 0
        model = self.inlet
        assert model is not None, "caller audio is encoded before the model is ready"
        if model.congested:
            self._drop("the model's socket takes too little")
        elif offset := result & OFFSET:
            send, clock, note = model.send, self._clock, self._note
            send(TEXT, self._up.buffer, offset)
            note(clock() - now_ns)
        return True

    def _send_slowly(self, audio: bytes, now_ns: int) -> None:
        """Padded base64 of any length, or something that is not."""
        for start, end in slices(len(audio), self._up.max_chars):
            if not self._send(audio, start, end, now_ns):
                raise PeerError("media.payload is not base64")

    def _put_by(self, ulaw: bytes, now_ns: int) -> None:
        """Caller audio that the model does not get now."""
        if not self.early.add(ulaw):
            self._drop("the model is not ready")
        if self._greeting.waits:
            self._up.speech.frame(mean_level(ulaw), len(ulaw) * _NS_PER_SAMPLE, now_ns)


def slices(length: int, step: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + step, length)) for start in range(0, length, step))
