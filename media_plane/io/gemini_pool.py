"""Warm connections to the model, so that a call need not wait for one (docs/pool.md).

`call.pool_policy` says how many of which kind; this file opens them in the background, watches them while
they wait, and hands them out. A session that has been handed out is its call's: it never comes back.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import random
from time import monotonic_ns

import structlog

from media_plane.call.pool_policy import SOCKET, PoolLimits, PoolPolicy
from media_plane.errors import CloseCode, ModelFailure
from media_plane.io import gemini_ws
from media_plane.io.gemini_endpoint import GeminiEndpoint, is_ephemeral
from media_plane.io.model_leg import GO_AWAY, ModelLeg, ModelUser
from media_plane.settings import Settings

log = structlog.get_logger(__name__)

_TEND_S = 0.5  # ages and backoffs are looked at this often
_QUOTA = ("quota", "resource has been exhausted", "resource exhausted", "rate limit", "too many requests")
SESSION, BARE, COLD = "session", "socket", "cold"  # what a call was given


@dataclass(slots=True)
class Taken:
    """Calls that were given a connection of one level; sums, for means."""

    count: int = 0
    wait_ns: int = 0  # from the asking to the session being theirs
    age_ns: int = 0  # of the connection


@dataclass(slots=True)
class PoolCounts:
    """Since the start; they only grow."""

    taken: dict[str, Taken] = field(default_factory=lambda: {SESSION: Taken(), BARE: Taken(), COLD: Taken()})
    opened: Counter[str] = field(default_factory=Counter)  # by level
    discarded: Counter[str] = field(default_factory=Counter)  # warm ones, by reason
    failures: Counter[str] = field(
        default_factory=Counter
    )  # of the pool's own attempts: quota retryable final


class GeminiPool:
    """`start` it in a running loop; `close` closes what is warm. Calls work without either, only slower."""

    def __init__(
        self, endpoint: GeminiEndpoint, policy: PoolPolicy, *, clock: Callable[[], int] = monotonic_ns
    ) -> None:
        self.counts = PoolCounts()
        self._endpoint = endpoint
        self._policy = policy
        self._clock = clock
        self._warm: dict[bytes, deque[ModelLeg]] = {}  # oldest first; no empty ones
        self._opening: Counter[bytes] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._wanted = {BARE: 0, SESSION: 0}

    @classmethod
    def of(cls, settings: Settings, endpoint: GeminiEndpoint) -> GeminiPool:
        """As the settings GEMINI_POOL_* say."""
        s = settings
        # An ephemeral token is for one session: the pool must not be the one to use it up.
        total = 0 if is_ephemeral(s.gemini_api_key.get_secret_value()) else s.gemini_pool_max
        limits = PoolLimits(
            total=total,
            sockets_min=s.gemini_pool_sockets_min,
            sessions_min=s.gemini_pool_sessions_min,
            sessions_max=s.gemini_pool_sessions_max,
            opening=s.gemini_pool_opening,
            socket_age_ns=int(s.gemini_pool_socket_age_s * 1e9),
            session_age_ns=int(s.gemini_pool_session_age_s * 1e9),
            window_ns=int(s.gemini_pool_window_s * 1e9),
        )
        return cls(endpoint, PoolPolicy(limits, random))

    # -- what others ask --

    def held(self) -> dict[str, int]:
        """What is warm now, by level."""
        sockets = len(self._warm.get(SOCKET, ()))
        # A copy: metrics ask from another thread.
        return {BARE: sockets, SESSION: sum(map(len, list(self._warm.values()))) - sockets}

    def wanted(self) -> dict[str, int]:
        """What should be warm, by level, when it was last thought about."""
        return self._wanted

    def start(self) -> None:
        self._running = self._policy.limits.total > 0
        self._tend()

    async def open(self, user: ModelUser, setup: bytes, *, repeats: bool = True) -> tuple[int, int]:
        """Give `user` a session; `user.model_ready` has been called when this returns (connect_ms, setup_ms)
        as the call has waited for them. A warm session is handed over before anything is awaited.

        `repeats`: other calls may come with the same setup, so it is worth keeping sessions for; not so for a
        session that is resumed.

        Raises:
            ModelFailure: the session could not be opened.
        """
        now_ns = self._clock()
        if repeats:
            self._policy.asked(setup, now_ns)
        leg = self._take(setup, now_ns)
        if leg is not None:
            self._count(SESSION, leg.connected_ns, now_ns)
            leg.hand_over(user, 0, 0, now_ns)
            self._tend()
            return 0, 0
        self._policy.missed(now_ns)
        leg = self._take(SOCKET, now_ns)
        self._tend()
        try:
            return await self._open(user, setup, leg, now_ns)
        except ModelFailure as failure:
            if _is_quota(failure):
                self._policy.exhausted(now_ns, sum(self.held().values()), self._clock())
                self._tend()
            elif _is_refused(failure):
                self._policy.refused(setup, self._clock())
            raise

    async def close(self) -> None:
        """Nothing is warm any more, and nothing is opened."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for legs in list(self._warm.values()):
            for leg in list(legs):
                self._discard(leg, "closing", CloseCode.GOING_AWAY)
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- a call's session --

    async def _open(
        self, user: ModelUser, setup: bytes, leg: ModelLeg | None, asked_ns: int
    ) -> tuple[int, int]:
        """On the warm socket `leg` if there is one, else on a new one."""
        if leg is not None:
            try:
                opened_ns = leg.connected_ns
                setup_ms = await gemini_ws.set_up(self._endpoint, leg, setup, user)
            except ModelFailure as failure:
                # It may have been dead for a while without a word; a new one tells whether the service is.
                if not failure.retryable or _is_quota(failure) or failure.reason == gemini_ws.NO_SETUP:
                    raise
                self.counts.discarded["dead"] += 1
                self._policy.failed(opened_ns, self._clock())
                log.info("a warm socket was dead", reason=str(failure))
            else:
                self._count(BARE, opened_ns, asked_ns)
                return 0, setup_ms
        times = await gemini_ws.open_session(self._endpoint, user, setup)
        self._count(COLD, self._clock(), asked_ns)
        return times

    def _take(self, key: bytes, now_ns: int) -> ModelLeg | None:
        """The oldest one that is not too old: it would be lost first."""
        while legs := self._warm.get(key):
            leg = legs[0]
            if not self._policy.too_old(key, now_ns - leg.connected_ns):
                self._remove(key, leg)
                return leg
            self._discard(leg, "age")
        return None

    def _count(self, level: str, opened_ns: int, asked_ns: int) -> None:
        taken = self.counts.taken[level]
        now_ns = self._clock()
        taken.count += 1
        taken.wait_ns += now_ns - asked_ns
        taken.age_ns += now_ns - opened_ns

    # -- in the background --

    def _tend(self) -> None:
        """Drop what is too old, open and close what the policy says, and look again soon."""
        if not self._running:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_TEND_S, self._tend)
        now_ns = self._clock()
        for key in list(self._warm):
            for leg in [
                leg for leg in self._warm[key] if self._policy.too_old(key, now_ns - leg.connected_ns)
            ]:
                self._discard(leg, "age")
        step = self._policy.step({key: len(legs) for key, legs in self._warm.items()}, self._opening, now_ns)
        sockets = step.targets[SOCKET]
        self._wanted = {BARE: sockets, SESSION: sum(step.targets.values()) - sockets}
        for key in step.close:
            self._discard(self._warm[key][0], "surplus")
        for key in step.open:
            self._opening[key] += 1
            task = asyncio.create_task(self._warm_up(key), name="warm up")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _warm_up(self, key: bytes) -> None:
        """Open one for `key` and put it by."""
        began_ns = self._clock()
        leg = ModelLeg(self._lost)
        try:
            await gemini_ws.connect(self._endpoint, leg)
            if key != SOCKET:
                await gemini_ws.set_up(self._endpoint, leg, key)
        except ModelFailure as failure:
            self._failed(key, failure, began_ns)
        except asyncio.CancelledError:
            leg.close(CloseCode.GOING_AWAY, "")
            raise
        else:
            self._policy.opened(key, self._clock() - began_ns)
            self.counts.opened[_level(key)] += 1
            if leg.alive:  # else `_lost` has been told already
                self._warm.setdefault(key, deque()).append(leg)
        finally:
            self._opening[key] -= 1
            if not self._opening[key]:
                del self._opening[key]
        self._tend()

    def _failed(self, key: bytes, failure: ModelFailure, began_ns: int) -> None:
        now_ns = self._clock()
        if _is_quota(failure):
            kind = "quota"
            self._policy.exhausted(began_ns, sum(self.held().values()), now_ns)
        else:
            kind = "retryable" if failure.retryable else "final"
            self._policy.failed(began_ns, now_ns)
            if key != SOCKET and _is_refused(failure):
                self._policy.refused(key, now_ns)
        self.counts.failures[kind] += 1
        log.info("a connection was not warmed", kind=_level(key), reason=str(failure))

    def _lost(self, leg: ModelLeg, failure: ModelFailure) -> None:
        """A warm one has ended or is about to."""
        if failure is GO_AWAY:
            reason = "go_away"
        elif _is_quota(failure):
            reason = "quota"
            self._policy.exhausted(leg.connected_ns, sum(self.held().values()), self._clock())
        else:
            reason = "closed"
            self._policy.failed(leg.connected_ns, self._clock())
        self._discard(leg, reason)
        self._tend()

    def _discard(self, leg: ModelLeg, reason: str, code: CloseCode = CloseCode.NORMAL) -> None:
        for key, legs in self._warm.items():
            if leg in legs:
                self._remove(key, leg)
                self.counts.discarded[reason] += 1
                break
        leg.close(code, "")

    def _remove(self, key: bytes, leg: ModelLeg) -> None:
        legs = self._warm[key]
        legs.remove(leg)
        if not legs:
            del self._warm[key]


def _level(key: bytes) -> str:
    return BARE if key == SOCKET else SESSION


def _is_refused(failure: ModelFailure) -> bool:
    """The same setup will fail again; some are refused with silence."""
    return not failure.retryable or failure.reason == gemini_ws.NO_SETUP


def _is_quota(failure: ModelFailure) -> bool:
    """HTTP 429 on the upgrade, or a close whose text says so: the code is shared with other faults."""
    text = failure.reason.lower()
    return failure.code == 429 or any(words in text for words in _QUOTA)
