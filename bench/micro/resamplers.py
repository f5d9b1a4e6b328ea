"""The live resampler beside SOXR's qualities: what each holds back, costs, passes and keeps out.

Costs are taken in turn, so a ratio means something on a busy machine. `frame_us` is the whole codec as the
live path would run it, base64 in, base64 out; `resample_us` the resampler alone, PCM in, PCM out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.load.process import ahead_of_others
from bench.micro import response
from bench.micro.frames import Effort
from bench.micro.timing import side_by_side
from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.plain import PlainCodecs, SoxrResampler
from media_plane.dsp.resample import PcmResampler

KERNEL: Final = "kernel"
NAMES: Final = (KERNEL, "soxr-qq", "soxr-hq", "soxr-vhq")
PASS_HZ, STOP_HZ = 3400, 4600
_HELD_S: Final = 60  # of frames, to see every lump
_MUTE: Final = 2  # s at the start that are left out: a stream fills before it flows
_CALLS: Final = 5  # a codec over SOXR takes many times a kernel's time: fewer calls of it tell as much

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Direction:
    name: str
    rate_in: int
    rate_out: int
    frame_ms: int

    @property
    def chunk(self) -> int:
        """Samples a frame."""
        return self.rate_in * self.frame_ms // 1000


DIRECTIONS: Final = (Direction("up", 8000, 16000, 20), Direction("down", 24000, 8000, 40))


def measure(effort: Effort) -> list[dict[str, object]]:
    """One row per direction and resampler, the kernel's first."""
    frames, alone = {}, {}
    for direction in DIRECTIONS:
        for name in NAMES:
            frames[f"{direction.name} {name}"] = _frame(direction, codecs_of(name))
            alone[f"{direction.name} {name}"] = _alone(direction, name)
    with ahead_of_others():
        frame_us = side_by_side(frames, rounds=effort.rounds, calls=effort.calls // _CALLS)
        alone_us = side_by_side(alone, rounds=effort.rounds, calls=effort.calls // _CALLS)
    return [_row(direction, name, frame_us, alone_us) for direction in DIRECTIONS for name in NAMES]


def _row(
    direction: Direction, name: str, frame_us: dict[str, float], alone_us: dict[str, float]
) -> dict[str, object]:
    key, kernel = f"{direction.name} {name}", f"{direction.name} {KERNEL}"
    held_ms = np.array(list(held_back_ms(direction, codecs_of(name))))
    heard = response.measure(
        resampler(direction, name), direction.rate_in, direction.rate_out, direction.chunk
    )
    return {
        "direction": f"{direction.name}, {direction.rate_in // 1000} → {direction.rate_out // 1000} kHz",
        "resampler": name,
        "held_back_mean_ms": round(float(held_ms.mean()), 2),
        "held_back_max_ms": round(float(held_ms.max()), 2),
        "group_delay_ms": round(heard.delay_ms(PASS_HZ), 2) + 0.0,  # not -0.0
        "frame_us": round(frame_us[key], 2),
        "frame_ratio": round(frame_us[key] / frame_us[kernel], 2),
        "resample_us": round(alone_us[key], 2),
        "resample_ratio": round(alone_us[key] / alone_us[kernel], 2),
        "passband_edge_hz": round(heard.edge_hz()),
        "ripple_db": round(heard.ripple_db(PASS_HZ), 2),
        "rejection_db": round(heard.rejection_db(STOP_HZ), 1) + 0.0,
    }


def resampler(direction: Direction, name: str) -> Callable[[Pcm], Pcm]:
    """A fresh stream, PCM in, PCM out. The kernel's is the same filter as the fused kernel's."""
    if name == KERNEL:
        return PcmResampler(direction.rate_in, direction.rate_out).process
    return SoxrResampler(direction.rate_in, direction.rate_out, name.removeprefix("soxr-").upper()).process


def held_back_ms(direction: Direction, codecs: Codecs) -> Iterator[float]:
    """After each frame of a minute, what went in and has not come out, counted outside the codec."""
    rng = np.random.default_rng(1)
    up, down = codecs.uplink(b""), codecs.downlink()
    taken = given = 0
    for frame in range(_HELD_S * 1000 // direction.frame_ms):
        taken += direction.chunk
        if direction.name == "up":
            payload = base64.b64encode(rng.bytes(direction.chunk))
            offset = up.encode(payload, 0, len(payload), 0) & 0xFFFFFFFF
            given += len(base64.b64decode(up.buffer[offset : -len(b'"}}}')])) // 2 if offset else 0
        else:
            payload = base64.b64encode(rng.bytes(2 * direction.chunk))
            given += down.decode(payload, 0, len(payload)) >> 32
        if frame * direction.frame_ms >= _MUTE * 1000:
            yield taken * 1000 / direction.rate_in - given * 1000 / direction.rate_out


def codecs_of(name: str) -> Codecs:
    return KernelCodecs() if name == KERNEL else PlainCodecs(name)


def _frame(direction: Direction, codecs: Codecs) -> Callable[[], object]:
    sound = np.random.default_rng(1).bytes(direction.chunk * (1 if direction.name == "up" else 2))
    payload = base64.b64encode(sound)
    if direction.name == "up":
        encode = codecs.uplink(b"").encode
        return lambda: encode(payload, 0, len(payload), 0)
    decode = codecs.downlink().decode
    return lambda: decode(payload, 0, len(payload))


def _alone(direction: Direction, name: str) -> Callable[[], object]:
    process = resampler(direction, name)
    pcm = np.random.default_rng(1).integers(-8000, 8000, direction.chunk).astype(np.int16)
    return lambda: process(pcm)
