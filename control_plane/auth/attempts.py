"""Failed attempts to authenticate, by address: how many are answered as such. Pure; the time is passed in.

Keys can't be guessed; what a flood of wrong ones would cost is look-ups and log lines. So an address has an
allowance of failures; past it, it is told to wait, and nothing is looked up for it. A credential that is
known to be right is never asked about its address: those who share one with an attacker are not locked out.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network

BURST = 20  # failures at once
EVERY_S = 3.0  # one more after so long
MAX_ADDRESSES = 10_000  # above it, those whose last failure is longest ago are forgotten


class FailedAttempts:
    """The generic cell rate algorithm (ITU-T I.371): of each address, when its allowance is full again."""

    def __init__(self) -> None:
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address must wait for its next failure; 0: it need not."""
        full_at_s = self._full_at_s.get(_network(address), 0.0)
        return max(0.0, full_at_s + EVERY_S - now_s - BURST * EVERY_S)

    def failed(self, address: str, now_s: float) -> None:
        network = _network(address)
        full_at_s = max(self._full_at_s.get(network, 0.0), now_s) + EVERY_S
        self._full_at_s[network] = min(full_at_s, now_s + BURST * EVERY_S)
        self._full_at_s.move_to_end(network)
        if len(self._full_at_s) > MAX_ADDRESSES:
            self._full_at_s.popitem(last=False)


def _network(address: str) -> str:
    """The address; of IPv6 its /64, of which one subscriber has all addresses."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found), 64), strict=False))
    return str(found)
