"""Ports for the stack: the usual ones where they are free, others where not, no two alike."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping


class PortAllocator:
    """Hands out TCP ports on one address and keeps them until `release`.

    A port given out stays bound (not listening) by us, with SO_REUSEADDR: the kernel gives it to nobody who
    asks for any port, while the child, which sets SO_REUSEADDR as servers do, can still listen on it. Linux
    allows that; elsewhere the port is only known to have been free a moment ago.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._held: dict[str, socket.socket] = {}
        self.ports: dict[str, int] = {}
        self.moved: dict[str, tuple[int, int]] = {}  # name: (wanted, given)

    def allocate(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """A port for every name; 0 asks for any. Those taken already are replaced and listed in `moved`."""
        # First the wanted ones, all of them: a replacement must not take a port that another name wants.
        for name, port in wanted.items():
            if port and port not in self.ports.values() and self._is_free(port):
                self._hold(name, port)
        for name, port in wanted.items():
            if name in self.ports:
                continue
            self._hold(name, 0)
            if port:
                self.moved[name] = (port, self.ports[name])
        return self.ports

    def release(self) -> None:
        """Let go of every port; the children have them by now."""
        for held in self._held.values():
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

    def _hold(self, name: str, port: int) -> None:
        held = _socket()
        held.bind((self._host, port))
        self.ports[name] = held.getsockname()[1]
        if sys.platform == "linux":
            self._held[name] = held
        else:
            held.close()


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
