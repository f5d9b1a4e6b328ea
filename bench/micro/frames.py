"""What one frame costs each way: the product beside a bare table look-up and plain Python.

The frames are the load's: 20 ms from a caller, 40 ms from the model. `kernel` is the fused kernel alone,
`session` all that happens between the two sockets. The table look-up turns the 160 μ-law bytes of one 20 ms
frame into samples and does nothing else: what this machine, and a call into numba, cost at the least.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.figures import PRODUCT, Figure
from bench.load import callers, models, signal
from bench.load.process import ahead_of_others
from bench.micro import product
from bench.micro.timing import side_by_side
from bench.reference import kernels
from bench.reference.obvious import ToModel, ToPhone

SID: Final = "MZ" + "0" * 32
LOOKUP: Final = "lookup"
OBVIOUS: Final = "obvious"


@dataclass(frozen=True)
class Effort:
    rounds: int
    calls: int


FULL: Final = Effort(rounds=60, calls=2000)
SHORT: Final = Effort(rounds=20, calls=1000)


def measure(effort: Effort) -> list[Figure]:
    """µs per frame, each way, every candidate in turn."""
    phone = callers.media(SID) % (2, 1, 0, signal.ulaw_frame(1))
    model = models.speech(signal.pcm_chunk(1))
    text = phone.decode()
    to_model, to_phone = ToModel(), ToPhone()
    kernels.warm_up()
    codes = np.frombuffer(base64.b64decode(signal.ulaw_frame(1)), np.uint8).copy()
    pcm = np.zeros(codes.size, np.int16)
    kernel_up, kernel_down = product.codec(SID, phone, model)
    session = product.Session(SID, phone, model)
    candidates: dict[str, product.Frame] = {
        LOOKUP: lambda: kernels.look_up(codes, kernels.TO_PCM, pcm),
        "kernel_up": kernel_up,
        "kernel_down": kernel_down,
        "session_up": session.up,
        "session_down": session.down,
        f"{OBVIOUS}_up": lambda: to_model.message(text),
        f"{OBVIOUS}_down": lambda: to_phone.message(model, SID),
    }
    with ahead_of_others():
        took = side_by_side(candidates, rounds=effort.rounds, calls=effort.calls)
    return [
        Figure(
            f"{part}_{way}_us",
            f"{title}, {frame}",
            "µs",
            {PRODUCT: took[f"{part}_{way}"], LOOKUP: took[LOOKUP], OBVIOUS: took[f"{OBVIOUS}_{way}"]},
        )
        for part, title in (("kernel", "kernel"), ("session", "session"))
        for way, frame in (("up", "20 ms caller → model"), ("down", "40 ms model → caller"))
    ]
