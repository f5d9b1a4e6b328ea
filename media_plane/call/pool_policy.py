"""How many warm connections to the model to keep, of which kind, and when to open the next.

Two levels: a *socket* (connected and upgraded, nothing sent) serves any agent; a *session* (setupComplete
received) serves calls with exactly the same setup message, which is its key. `SOCKET` is the key of sockets.

Size follows demand. `rate × time to warm` is how many calls come while a replacement is being opened; calls
come at random (Poisson), so twice the standard deviation is kept on top, which covers 97 % of the moments. A
session is kept only for a setup that was asked for more than once lately: an open session counts against the
project's quota, and most of a campaign's calls share one setup while a single call's is never seen again.

Pure: no clock, no socket; `now_ns` is passed in and never goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, exp, sqrt

SOCKET = b""
_NS = 1_000_000_000
_REPEATED = 1.2  # decayed arrivals: two calls within the window, the first no longer whole
_FORGOTTEN = 0.02  # decayed arrivals: four windows after the last call
_SETUPS = 256  # remembered at once; a setup message may have 32 kB
_GAIN = 0.125  # of the running means, as in TCP's round trip estimate
_BACKOFF_S = (0.5, 60.0)  # after the first failure; at most. Doubled each time, then halved to kept whole
_RECOVER_NS = 30 * _NS  # after a quota's refusal the pool may grow by one this often
_REFUSED_NS = 600 * _NS  # a setup the service refuses for good is not tried again by the pool for so long


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The settings GEMINI_POOL_*."""

    total: int  # warm or being warmed, both levels together; 0: no pool
    sockets_min: int
    sessions_min: int  # for each setup that was asked for lately
    sessions_max: int  # for each setup
    opening: int  # at the same time
    socket_age_ns: int
    session_age_ns: int
    window_ns: int  # a call counts 1 when it comes, 1/e so long afterwards


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: keys to open one each of, keys to close one each of (the oldest); how many of each key
    are wanted."""

    open: list[bytes]
    close: list[bytes]
    targets: dict[bytes, int]


class Demand:
    """Arrivals, each worth less the longer ago it was."""

    __slots__ = ("_at_ns", "_count", "refused_until_ns")

    def __init__(self) -> None:
        self._count = 0.0
        self._at_ns = 0
        self.refused_until_ns = 0

    def add(self, now_ns: int, window_ns: int) -> None:
        self._count = self.count(now_ns, window_ns) + 1.0
        self._at_ns = now_ns

    def count(self, now_ns: int, window_ns: int) -> float:
        return self._count * exp((self._at_ns - now_ns) / window_ns)


class PoolPolicy:
    """`chance` gives numbers in [0, 1): the jitter of the backoff."""

    def __init__(self, limits: PoolLimits, chance: Callable[[], float]) -> None:
        self.limits = limits
        self.retry_ns = 0  # nothing is opened before then
        self._chance = chance
        self._sockets = Demand()  # calls that found no session
        self._setups: dict[bytes, Demand] = {}
        self._socket_ns = 0.2 * _NS  # to open one; running mean
        self._session_ns = 0.6 * _NS
        self._failures = 0  # without a quiet time between them
        self._failed_ns = 0
        self._delay_ns = 0  # waited after the last one
        self._doubtful = False  # nothing has been opened since
        self._cap = limits.total  # at `_capped_ns`
        self._capped_ns = 0

    # -- what happens --

    def asked(self, setup: bytes, now_ns: int) -> None:
        """A call that may come again with the same setup."""
        demand = self._setups.get(setup)
        if demand is None:
            self._forget(now_ns)
            demand = self._setups[setup] = Demand()
        demand.add(now_ns, self.limits.window_ns)

    def missed(self, now_ns: int) -> None:
        """A call found no session and takes a socket, if there is one."""
        self._sockets.add(now_ns, self.limits.window_ns)

    def opened(self, key: bytes, took_ns: int) -> None:
        """The pool's own attempt succeeded."""
        self._doubtful = False
        if key == SOCKET:
            self._socket_ns += _GAIN * (took_ns - self._socket_ns)
        else:
            self._session_ns += _GAIN * (took_ns - self._session_ns)

    def failed(self, began_ns: int, now_ns: int) -> None:
        """The pool's own attempt failed, or what it held was lost to an error. Attempts that were under way
        together count as one."""
        if began_ns < self._failed_ns:
            return
        # What opens only to be lost again at once is failing all the while.
        quiet = now_ns - self._failed_ns > 2 * self._delay_ns
        self._failures = 1 if quiet else self._failures + 1
        first_s, most_s = _BACKOFF_S
        self._delay_ns = int(min(first_s * 2.0 ** min(self._failures - 1, 16), most_s) * _NS)
        self._failed_ns = now_ns
        self._doubtful = True
        self.retry_ns = now_ns + int(self._delay_ns * (0.5 + 0.5 * self._chance()))

    def refused(self, setup: bytes, now_ns: int) -> None:
        """The service will not have this setup, whoever sends it."""
        if setup in self._setups:
            self._setups[setup].refused_until_ns = now_ns + _REFUSED_NS

    def exhausted(self, began_ns: int, held: int, now_ns: int) -> None:
        """A quota refused somebody, a call or the pool, who began at `began_ns` while the pool held `held`.
        Calls need what is left: the pool halves, and grows again one by one."""
        if began_ns < self._capped_ns:
            return
        self._cap = min(self.cap(now_ns), held) // 2
        self._capped_ns = now_ns
        self.failed(began_ns, now_ns)

    # -- what to keep --

    def cap(self, now_ns: int) -> int:
        """How much may be held now."""
        if not self._capped_ns:
            return self.limits.total
        return min(self.limits.total, self._cap + (now_ns - self._capped_ns) // _RECOVER_NS)

    def targets(self, now_ns: int) -> dict[bytes, int]:
        """How many of each to hold; what comes first goes first."""
        limits = self.limits
        room = self.cap(now_ns)
        targets = {SOCKET: min(limits.sockets_min, room)}
        room -= targets[SOCKET]
        counts = {key: demand.count(now_ns, limits.window_ns) for key, demand in self._setups.items()}
        for key in sorted(counts, key=counts.__getitem__, reverse=True):
            if now_ns < self._setups[key].refused_until_ns or counts[key] < _FORGOTTEN:
                continue
            wanted = self._needed(counts[key], self._session_ns) if counts[key] >= _REPEATED else 0
            wanted = min(max(wanted, limits.sessions_min), limits.sessions_max, room)
            if wanted:
                targets[key] = wanted
                room -= wanted
        more = self._needed(self._sockets.count(now_ns, limits.window_ns), self._socket_ns)
        targets[SOCKET] += min(max(more - targets[SOCKET], 0), room)
        return targets

    def step(self, warm: Mapping[bytes, int], opening: Mapping[bytes, int], now_ns: int) -> Step:
        """What to open and close, given what is warm and what is being warmed."""
        targets = self.targets(now_ns)
        missing = [
            key
            for key, wanted in targets.items()
            for _ in range(wanted - warm.get(key, 0) - opening.get(key, 0))
        ]
        spare = [key for key, count in warm.items() for _ in range(count - targets.get(key, 0))]
        room = self.cap(now_ns) - sum(warm.values()) - sum(opening.values())
        # What is too much stays until it ages, unless something else needs its place.
        close = spare[: max(len(missing) - room, 0)]
        slots = self.limits.opening - sum(opening.values())
        if now_ns < self.retry_ns:
            slots = 0
        elif self._doubtful:
            slots = min(slots, 1 - sum(opening.values()))  # one finds out for all
        return Step(missing[: max(min(slots, room + len(close)), 0)], close, targets)

    def too_old(self, key: bytes, age_ns: int) -> bool:
        return age_ns >= (self.limits.socket_age_ns if key == SOCKET else self.limits.session_age_ns)

    def _needed(self, count: float, warming_ns: float) -> int:
        """Enough for the calls that come while one is opened."""
        if count < _FORGOTTEN:
            return 0
        mean = count / self.limits.window_ns * warming_ns
        return ceil(mean + 2 * sqrt(mean))

    def _forget(self, now_ns: int) -> None:
        """Make room for a setup that was never seen."""
        window_ns = self.limits.window_ns
        setups = self._setups
        for key in [k for k, demand in setups.items() if demand.count(now_ns, window_ns) < _FORGOTTEN]:
            if now_ns >= setups[key].refused_until_ns:
                del setups[key]
        if len(setups) >= _SETUPS:
            del setups[min(setups, key=lambda key: setups[key].count(now_ns, window_ns))]
