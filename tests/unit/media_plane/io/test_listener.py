"""Who judges callers' audio keeps the loop for one piece at a time, and uses detectors again."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
from numpy.typing import NDArray

from media_plane.activity_gate import ActivityGate
from media_plane.call.activity import Detection
from media_plane.io.listener import Listener
from media_plane.leg import TEXT
from media_plane.wire import gemini
from tests.support.scene import RecordedLeg


class Detector:
    def __init__(self, order: list[str], name: str) -> None:
        self._order = order
        self._name = name

    def probability(self, pcm16k: NDArray[np.int16]) -> float:
        self._order.append(self._name)
        return 1.0

    def reset(self) -> None:
        pass


class Detectors:
    def __init__(self, order: list[str]) -> None:
        self._order = order
        self.made = 0
        self.free: list[Detector] = []

    def take(self) -> Detector:
        if self.free:
            return self.free.pop()
        self.made += 1
        return Detector(self._order, f"call {self.made}")

    def give(self, detector: Detector) -> None:
        self.free.append(detector)


async def listening() -> tuple[Listener, Detectors, list[str]]:
    order: list[str] = []
    detectors = Detectors(order)
    listener = Listener(lambda: detectors)
    await listener.load()
    return listener, detectors, order


def frames(gate: ActivityGate, count: int) -> None:
    data = base64.b64encode(np.full(320, 4000, "<i2").tobytes())
    message = gemini.audio_head(16_000) + data + gemini.AUDIO_TAIL
    for _ in range(count):
        gate.send(TEXT, bytearray(message), 0)


async def test_between_two_pieces_the_loop_looks_after_everything_else_and_calls_take_turns() -> None:
    listener, _, order = await listening()
    gates = [listener.gate(Detection(), 16_000, all_input=False) for _ in range(2)]
    for gate in gates:
        gate.attach(RecordedLeg())
        frames(gate, 32)  # 20 pieces
    assert order == []  # nothing is judged on the frame's road
    while len(order) < 40:
        order.append("others")
        await asyncio.sleep(0)
        assert len(order) <= 80
    judged = [name for name in order if name != "others"]
    assert max(len(run) for run in " ".join(order).replace("call ", "").split("others")) <= len(" 1 ")
    assert judged[:4] == ["call 1", "call 2", "call 1", "call 2"]
    assert listener.busy_ns > 0


async def test_a_detector_is_made_before_the_first_call_and_used_again() -> None:
    listener, detectors, _ = await listening()
    assert detectors.made == 1
    for _ in range(3):
        listener.gate(Detection(), 16_000, all_input=False).let_go()
    assert detectors.made == 1


async def test_a_call_that_ends_while_its_audio_waits_is_passed_over() -> None:
    listener, _, order = await listening()
    gate = listener.gate(Detection(), 16_000, all_input=False)
    gate.attach(RecordedLeg())
    frames(gate, 10)
    gate.let_go()
    for _ in range(3):
        await asyncio.sleep(0)
    assert order == []
