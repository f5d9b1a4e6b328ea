"""Ports for the stack: the usual ones where they are free, others where not, no two alike."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Mapping

# From one media worker's ports to the next one's (docs/seams.md, Media workers).
STEP = 100
_TRIES = 200


class PortAllocator:
    """Hands out TCP ports on one address and keeps them until `release`.

    A port given out stays bound (not listening) by us, with SO_REUSEADDR: the kernel gives it to nobody who
    asks for any port, while the child, which sets SO_REUSEADDR as servers do, can still listen on it. Linux
    allows that; elsewhere the port is only known to have been free a moment ago.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._held: list[socket.socket] = []
        self._given: set[int] = set()
        self.ports: dict[str, int] = {}
        self.moved: dict[str, tuple[int, int]] = {}  # name: (wanted, given)

    def allocate(self, wanted: Mapping[str, int], copies: Mapping[str, int] | None = None) -> dict[str, int]:
        """A port for every name; 0 asks for any. Those taken already are replaced and listed in `moved`.

        A name with n `copies` gets n ports, STEP apart, of which the first is told.

        Raises:
            OSError: there are no such ports.
        """
        copies = copies or {}
        # First the wanted ones, all of them: a replacement must not take a port that another name wants.
        for name, port in wanted.items():
            if port:
                self._hold_all(name, port, copies.get(name, 1))
        for name, port in wanted.items():
            if name in self.ports:
                continue
            for _ in range(_TRIES):
                if self._hold_all(name, self._any_port(), copies.get(name, 1)):
                    break
            else:
                raise OSError(f"no {copies.get(name, 1)} free ports {STEP} apart for {name}")
            if port:
                self.moved[name] = (port, self.ports[name])
        return self.ports

    def release(self) -> None:
        """Let go of every port; the children have them by now."""
        for held in self._held:
            held.close()
        self._held.clear()

    def _is_free(self, port: int) -> bool:
        with _socket() as probe:
            try:
                probe.bind((self._host, port))
                probe.listen()  # two may bind with SO_REUSEADDR; only one can listen
            except OSError:
                return False
            return True

    def _hold_all(self, name: str, first: int, count: int) -> bool:
        """Take `count` ports from `first` on, or none of them; answers whether it did."""
        run = range(first, first + STEP * count, STEP)
        if run[-1] > 65535 or not self._given.isdisjoint(run) or not all(map(self._is_free, run)):
            return False
        self.ports[name] = first
        self._hold(run)
        return True

    def _hold(self, run: Iterable[int]) -> None:
        for port in run:
            self._given.add(port)
            if sys.platform == "linux":
                held = _socket()
                held.bind((self._host, port))
                self._held.append(held)

    def _any_port(self) -> int:
        with _socket() as probe:
            probe.bind((self._host, 0))
            port: int = probe.getsockname()[1]
        return port


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
