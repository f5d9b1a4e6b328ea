"""What turns one leg's audio message into the other's: the interface the session knows, and the fused
kernels' owners.

`encode`/`decode` take a received message and the place of its base64, and leave the message to send in
`buffer[offset:]`: valid until the next call, whichever call's, since one buffer serves the whole process
(frames are handled one at a time, and sockets copy what they can't send at once).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp import kernels

OFFSET = 0xFFFFFFFF  # the lower half of what encode and decode return


class Uplink(Protocol):
    """One call's caller → model direction."""

    buffer: bytearray
    max_chars: int  # longer payloads are refused

    def encode(self, data: bytes, start: int, end: int, /) -> int:
        """Caller audio, data[start:end].

        Returns level << 48 | samples << 32 | offset. Offset 0: nothing to send yet. 0: the payload is empty.
        -1: data[start:end] is not base64, or too long; nothing has changed.
        """


class Downlink(Protocol):
    """One call's model → caller direction."""

    buffer: bytearray
    max_chars: int

    def decode(self, data: bytes, start: int, end: int, /) -> int:
        """Agent audio, data[start:end].

        Returns samples << 32 | offset. 0: nothing to send yet. -1: data[start:end] is not base64, or too
        long; nothing has changed.
        """

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


def _state(floats: int, head: bytes) -> NDArray[np.uint8]:
    if len(head) > kernels.MAX_HEAD:
        raise ValueError(f"message head is longer than {kernels.MAX_HEAD} bytes")
    state = np.zeros(floats + len(head), np.uint8)
    state[floats:] = np.frombuffer(head, np.uint8)
    return state


_UPLINKS = {16000: (kernels.uplink, kernels.UP_HEAD), 8000: (kernels.uplink_8k, kernels.UP_8K_HEAD)}


class KernelUplink:
    __slots__ = ("buffer", "encode")

    max_chars = kernels.MAX_UP_CHARS

    def __init__(self, work: Workspace, head: bytes, rate: int) -> None:
        self.buffer = work.buffer
        kernel, floats = _UPLINKS[rate]
        self.encode: Callable[[bytes, int, int], int] = partial(kernel, work.array, _state(floats, head))


class KernelDownlink:
    __slots__ = ("_state", "_work", "buffer", "decode")

    max_chars = kernels.MAX_DOWN_CHARS
    decode: Callable[[bytes, int, int], int]

    def __init__(self, work: Workspace) -> None:
        self.buffer = work.buffer
        self._work = work
        self._state = _state(kernels.DOWN_HEAD, b"")
        self.address(b"")

    def ulaw(self, samples: int) -> bytes:
        return self._work.array[kernels.AUDIO_AT : kernels.AUDIO_AT + samples].tobytes()

    def address(self, head: bytes) -> None:
        state = _state(kernels.DOWN_HEAD, head)
        state[: kernels.DOWN_HEAD] = self._state[: kernels.DOWN_HEAD]
        self._state = state
        self.decode = partial(kernels.downlink, self._work.array, state)

    def reset(self) -> None:
        self._state[: kernels.DOWN_HEAD] = 0


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
