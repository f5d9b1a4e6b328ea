"""Opening the next session of a call that had one: by handle or afresh, once the old socket is closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Any

from media_plane.call.continuity import RenewalCounts, RenewalLimits
from media_plane.errors import ModelFailure
from media_plane.io.gemini_pool import GeminiPool
from media_plane.io.model_leg import ModelLeg
from media_plane.renewing import NextUser, Order, Renewing
from media_plane.settings import Settings

_GONE_S = 0.6  # for the service to answer our close: it takes 0.2 s, and refuses a resumption before
_S = 1_000_000_000

Kept = Callable[[str, str], None]  # (workflow_id, handle), as of rpc.handles.Handles.keep


class RenewalPlan:
    """How a node's calls get other sessions. `transparent`: the service says what a handle includes, which
    only Vertex AI does. `kept` is told of each call's newest handle."""

    def __init__(self, limits: RenewalLimits, *, transparent: bool, kept: Kept) -> None:
        self.counts = RenewalCounts()
        self.transparent = transparent
        self._limits = limits
        self._kept = kept

    @classmethod
    def of(cls, settings: Settings, kept: Kept) -> RenewalPlan:
        """As the settings GEMINI_SESSION_AGE_S and GEMINI_RENEW_WITHIN_S say."""
        limits = RenewalLimits(
            age_ns=int(settings.gemini_session_age_s * _S), within_ns=int(settings.gemini_renew_within_s * _S)
        )
        return cls(limits, transparent=bool(settings.gemini_vertex_project), kept=kept)

    def call(self, workflow_id: str, pool: GeminiPool) -> Reopener:
        return Reopener(pool, self.counts, self._limits, partial(self._kept, workflow_id))


class Reopener:
    """Of one call. `setup`: its first message, without a handle; known by the time the first session is
    there. A `Reopen`."""

    def __init__(
        self, pool: GeminiPool, counts: RenewalCounts, limits: RenewalLimits, kept: Callable[[str], None]
    ) -> None:
        self.setup = b""
        self.renewing = Renewing(self, counts, limits, kept)
        self._pool = pool
        self._task: asyncio.Task[None] | None = None

    def __call__(self, order: Order, user: NextUser) -> Callable[[], object]:
        self._task = asyncio.create_task(self._open(order, user), name="reopen")
        return self._task.cancel

    async def _open(self, order: Order, user: NextUser) -> None:
        """Do what `order` says; `user` has heard how it went when this returns."""
        if order.delay_ns:
            await asyncio.sleep(order.delay_ns / _S)
        if isinstance(order.after, ModelLeg):
            await order.after.gone(_GONE_S)
        setup = next_setup(self.setup, handle=order.handle, history=order.history)
        try:
            await self._pool.open(user, setup, repeats=False)
        except ModelFailure as failure:
            user.open_failed(failure, monotonic_ns())


def next_setup(setup: bytes, *, handle: str, history: bool) -> bytes:
    """The same setup for another session of the call. `history`: the first clientContent is what was said
    before it."""
    message: dict[str, Any] = json.loads(setup)
    body = message["setup"]
    if handle:
        body["sessionResumption"] = {**body.get("sessionResumption", {}), "handle": handle}
    if history:
        body["historyConfig"] = {"initialHistoryInClientContent": True}
    return json.dumps(message).encode()
