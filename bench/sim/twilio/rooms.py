"""Conferences: rooms where two calls hear each other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.sim.twilio.call import Call


class Rooms:
    """By name, as `<Conference>` writes it; a room is there while somebody is in it."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    async def stay(self, call: Call, name: str, *, ends_on_exit: bool) -> None:
        """Until the call is over, or the room; two at a time hear each other."""
        room = self._rooms.setdefault(name, _Room())
        room.members.append(call)
        call.note("conference_joined", room=name)
        room.introduce()
        try:
            either: list[asyncio.Future[Any]] = [call.over, room.ended]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.members.remove(call)
            call.peer = None
            call.note("conference_left", room=name)
            room.introduce()
            if (ends_on_exit or not room.members) and not room.ended.done():
                room.ended.set_result(None)
                self._rooms.pop(name, None)


class _Room:
    def __init__(self) -> None:
        self.members: list[Call] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def introduce(self) -> None:
        """The first two hear each other; who is alone hears nobody."""
        for member in self.members:
            member.peer = None
        if len(self.members) >= 2:
            first, second = self.members[:2]
            first.peer, second.peer = second, first
