"""What turns one leg's audio message into the other's: the interface the session knows, and the fused
kernels' owners.

`encode`/`decode` take a received message and the place of its base64 (or SHAPED: find it by the shape that
`expect` was told), and leave the message to send in `buffer[offset:]`: valid until the next call, whichever
call's, since one buffer serves the whole process (frames are handled one at a time, and sockets copy what
they can't send at once).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp import kernels
from media_plane.dsp.speech import SpeechDetector

SHAPED = kernels.SHAPED
KEPT = kernels.KEPT  # 8 kHz samples
OFFSET = 0xFFFFFFFF  # the lower half of what encode and decode return


class Uplink(Protocol):
    """One call's caller → model direction."""

    buffer: bytearray
    max_chars: int  # longer payloads are refused
    speech: SpeechDetector  # knows of all audio that was encoded

    @property
    def samples(self) -> int:
        """8 kHz samples encoded so far."""

    def recent(self, samples: int) -> bytes:
        """The newest μ-law that was encoded: so many samples, fewer if there were fewer or they are not kept
        any more (KEPT are)."""

    def encode(self, data: bytes, start: int, end: int, now_ns: int, /) -> int:
        """Caller audio, data[start:end], of a message read at `now_ns`.

        Returns level << 48 | samples << 32 | offset. Offset 0: nothing to send yet. 0: the payload is empty.
        -1: data[start:end] is not base64, or too long, or the message has not the expected shape; nothing has
        changed.
        """

    def expect(self, before: bytes, after: bytes) -> None:
        """What stands around the audio in messages that come; a 0 in `before` stands for 1 to 19 digits,
        and must have something else behind it."""


class Downlink(Protocol):
    """One call's model → caller direction."""

    buffer: bytearray
    max_chars: int

    def decode(self, data: bytes, start: int, end: int, /) -> int:
        """Agent audio, data[start:end].

        Returns samples << 32 | offset. 0: nothing to send yet. -1: data[start:end] is not base64, or too
        long, or the message has not the expected shape; nothing has changed.
        """

    def expect(self, before: bytes, after: bytes) -> None:
        """As of Uplink."""

    def ulaw(self, samples: int) -> bytes:
        """A copy of the μ-law that `decode` just made."""

    def address(self, head: bytes) -> None:
        """What messages begin with from now on."""

    def reset(self) -> None:
        """Forget the audio so far: what comes next does not continue it."""


class Codecs(Protocol):
    """Makes both directions of a call; one a process."""

    name: str
    uplink_rate: int  # Hz, of what the model is sent: what an uplink's head must say

    @property
    def held_back_ms(self) -> tuple[float, float]:
        """Audio that a direction has taken in and not given out, the recent mean: up, down."""

    @property
    def most_held_back_ms(self) -> tuple[float, float]:
        """The most that it ever held back in any call: up, down."""

    def uplink(self, head: bytes) -> Uplink: ...
    def downlink(self) -> Downlink: ...


class Workspace:
    """The scratch memory and message room of every kernel call in the process."""

    def __init__(self) -> None:
        self.buffer = bytearray(kernels.WORK)
        self.array: NDArray[np.uint8] = np.frombuffer(self.buffer, np.uint8)


class _State:
    """A call's memory of one direction: `array`, as the kernels lay it out. Its parts change their size only
    before and between messages."""

    def __init__(self, sizes_at: int, head: bytes = b"") -> None:
        self._sizes_at = sizes_at
        self._parts = [head, b"", b""]
        self.array = np.zeros(sizes_at, np.uint8)
        self._lay_out()

    def address(self, head: bytes) -> None:
        self._parts[0] = head
        self._lay_out()

    def expect(self, before: bytes, after: bytes) -> None:
        texts = before.split(b"\0") if before else []
        if max(map(len, texts), default=0) > kernels.MAX_SHAPE:
            texts = []  # nothing fits: every message takes the slow road
        self._parts[1] = b"".join(len(text).to_bytes(2, "little") + text for text in texts)
        self._parts[2] = after
        self._lay_out()

    def forget(self) -> None:
        self.array[: self._sizes_at] = 0

    def _lay_out(self) -> None:
        if len(self._parts[0]) > kernels.MAX_HEAD:
            raise ValueError(f"message head is longer than {kernels.MAX_HEAD} bytes")
        if max(map(len, self._parts)) > kernels.MAX_SHAPE:
            self._parts[1:] = b"", b""  # nothing fits: every message takes the slow road
        sizes = np.array([len(part) for part in self._parts], np.uint16)
        texts = np.frombuffer(b"".join(self._parts), np.uint8)
        self.array = np.concatenate([self.array[: self._sizes_at], sizes.view(np.uint8), texts])


_UPLINKS = {
    16000: (kernels.uplink, kernels.UP_KEPT_AT, kernels.UP_SIZES),
    8000: (kernels.uplink_8k, kernels.UP_8K_KEPT_AT, kernels.UP_8K_SIZES),
}


class KernelUplink:
    __slots__ = ("_kept_at", "_kernel", "_state", "_work", "buffer", "encode", "speech")

    max_chars = kernels.MAX_UP_CHARS
    encode: Callable[[bytes, int, int, int], int]

    def __init__(self, work: Workspace, head: bytes, rate: int) -> None:
        self.buffer = work.buffer
        self._work = work
        self._kernel, self._kept_at, sizes_at = _UPLINKS[rate]
        self._state = _State(sizes_at, head)
        self.speech = SpeechDetector(self._registers())
        self.expect(b"", b"")

    def expect(self, before: bytes, after: bytes) -> None:
        self._state.expect(before, after)
        self.speech.move(self._registers())
        self.encode = partial(self._kernel, self._work.array, self._state.array)

    @property
    def samples(self) -> int:
        return int(self._registers()[kernels.SAMPLES])

    def recent(self, samples: int) -> bytes:
        end = self.samples
        kept = self._state.array[self._kept_at : self._kept_at + KEPT]
        places = np.arange(end - min(samples, end, KEPT), end) % KEPT
        return kept[places].tobytes()

    def _registers(self) -> NDArray[np.int64]:
        return self._state.array[: kernels.REGISTERS].view(np.int64)


class KernelDownlink:
    __slots__ = ("_state", "_work", "buffer", "decode")

    max_chars = kernels.MAX_DOWN_CHARS
    decode: Callable[[bytes, int, int], int]

    def __init__(self, work: Workspace) -> None:
        self.buffer = work.buffer
        self._work = work
        self._state = _State(kernels.DOWN_SIZES)
        self.expect(b"", b"")

    def ulaw(self, samples: int) -> bytes:
        return self._work.array[kernels.AUDIO_AT : kernels.AUDIO_AT + samples].tobytes()

    def address(self, head: bytes) -> None:
        self._state.address(head)
        self._bind()

    def expect(self, before: bytes, after: bytes) -> None:
        self._state.expect(before, after)
        self._bind()

    def reset(self) -> None:
        self._state.forget()

    def _bind(self) -> None:
        self.decode = partial(kernels.downlink, self._work.array, self._state.array)


class KernelCodecs:
    """The live path: fused numba kernels, 1.4 and 1.2 ms of filter delay and nothing held back.

    `uplink_rate` is 16000, or 8000: telephone audio as it is, with no filter and no delay at all.
    """

    name = "kernel"
    held_back_ms = most_held_back_ms = (0.0, 0.0)

    def __init__(self, uplink_rate: int = 16000) -> None:
        if uplink_rate not in _UPLINKS:
            raise ValueError(f"uplink_rate must be one of {sorted(_UPLINKS)}")
        self.uplink_rate = uplink_rate
        self._work = Workspace()

    def uplink(self, head: bytes) -> KernelUplink:
        return KernelUplink(self._work, head, self.uplink_rate)

    def downlink(self) -> KernelDownlink:
        return KernelDownlink(self._work)
