"""When each of the callee's frames reaches the media server: jitter, bunching and loss, by seed.

TCP keeps order, so a late frame delays those behind it. A lost frame was lost on the carrier's leg: the
server sees its timestamp missing, not its sequence number.
"""

from __future__ import annotations

import random

from bench.sim.twilio.persona import Network


class Departures:
    """How late each frame leaves, in ns after its nominal time. Ask once per frame, in order."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network = network
        self._random = random.Random(seed)
        self._held = False
        self._last_ns = 0  # the last departure, from the stream's first frame
        self.lost = 0

    @property
    def perfect(self) -> bool:
        """Every frame leaves at its time."""
        return self._network == Network()

    def delay_ns(self, frame: int) -> int | None:
        """`frame`: 0 for the stream's first. None: it is lost."""
        if self._network.loss and self._random.random() < self._network.loss:
            self.lost += 1
            return None
        nominal_ns = frame * 20_000_000
        late_ns = int(self._random.random() * self._network.jitter_ms * 1e6)
        if self._network.bunch and not self._held and self._random.random() < self._network.bunch:
            self._held = True  # leaves with the next frame
            late_ns += 20_000_000
        else:
            self._held = False
        self._last_ns = max(self._last_ns, nominal_ns + late_ns)
        return self._last_ns - nominal_ns
