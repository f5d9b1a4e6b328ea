"""One call for one idempotency key, however often its request comes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

from google.protobuf.message import Message
from pydantic import BaseModel

from control_plane.domain.calls import AgentCall, NewCall
from control_plane.errors import IdempotencyConflict
from control_plane.service.ports import IdempotencyKeys, Reservation


class Once:
    """One owner's key."""

    def __init__(self, keys: IdempotencyKeys, owner: str, key: str) -> None:
        self._keys = keys
        self._owner = owner
        self._key = key

    async def reserve(self, request: str, workflow_id: str) -> Reservation:
        """What the key stands for: this call or, if it was used before, that one.

        Raises IdempotencyConflict, DependencyUnavailable.
        """
        held = await self._keys.reserve(self._owner, self._key, request, workflow_id)
        if held.request != request:
            raise IdempotencyConflict
        return held

    async def started(self, workflow_id: str, run_id: str) -> bool:
        """False: the call was given up meanwhile, and is being ended."""
        return await self._keys.started(self._owner, self._key, workflow_id, run_id)

    async def give_up(self, workflow_id: str) -> bool:
        """False: somebody was told that it has started."""
        return await self._keys.give_up(self._owner, self._key, workflow_id)


def digest(call: NewCall | AgentCall) -> str:
    """The same for the same request, by whichever API it came."""
    asked = {field.name: _plain(getattr(call, field.name)) for field in fields(call)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=repr).encode()).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case Message():
            return value.SerializeToString(deterministic=True).hex()
        case BaseModel():
            return value.model_dump(mode="json")
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value
