"""Opening the next session of a call that had one: by handle or afresh, once the old socket is closed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Protocol

from media_plane.errors import ModelFailure
from media_plane.io.gemini_pool import GeminiPool
from media_plane.io.model_leg import ModelLeg, ModelUser
from media_plane.renewals import Order

_GONE_S = 0.6  # for the service to answer our close: it takes 0.2 s, and refuses a resumption before


class NextUser(ModelUser, Protocol):
    """Who is given the next session, or told that there is none."""

    def open_failed(self, failure: ModelFailure, now_ns: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Reopener:
    """Of one call. `setup`: its first message, without a handle."""

    pool: GeminiPool
    setup: bytes

    async def open(self, order: Order, user: NextUser) -> None:
        """Do what `order` says; `user` has heard how it went when this returns."""
        if order.delay_ns:
            await asyncio.sleep(order.delay_ns / 1e9)
        if isinstance(order.after, ModelLeg):
            await order.after.gone(_GONE_S)
        setup = next_setup(self.setup, handle=order.handle, history=order.history)
        try:
            await self.pool.open(user, setup, repeats=False)
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
