"""Resumption handles: which conversation each one brings back, and until when."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass

from bench.sim.gemini.errors import Refused
from bench.sim.gemini.memory import Memory

_REJECTED = "Request contains an invalid argument."
_LIMIT = 20_000  # handles kept; the oldest go first


@dataclass(slots=True)
class _Entry:
    session_id: str
    memory: Memory


class Handles:
    """Every handle the server gave out. Valid while its session lives and `ttl_s` after that."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._ended_ns: dict[str, int] = {}
        self._live: set[str] = set()

    def opened(self, session_id: str) -> None:
        """A session's socket is open."""
        self._live.add(session_id)

    def closed(self, session_id: str, now_ns: int) -> None:
        """A session's socket is gone; its handles begin to age."""
        self._live.discard(session_id)
        self._ended_ns[session_id] = now_ns

    def issue(self, session_id: str, memory: Memory, rng: random.Random) -> str:
        """A new handle for the conversation as it is now."""
        handle = "Cih" + base64.b32encode(rng.randbytes(35)).decode().lower()
        self._entries[handle] = _Entry(session_id, memory.copy())
        if len(self._entries) > _LIMIT:
            del self._entries[next(iter(self._entries))]
        return handle

    def resume(self, handle: str, model: str, ttl_s: float, now_ns: int) -> Memory:
        """The conversation behind a handle.

        Raises Refused: 1007 for one that is unknown, expired or of another model; 1011 while the old socket
        is still open.
        """
        entry = self._entries.get(handle)
        if entry is None or entry.memory.model != model:
            raise Refused(1007, _REJECTED)
        if entry.session_id in self._live:
            raise Refused(1011, "Internal error encountered.")
        ended_ns = self._ended_ns.get(entry.session_id, now_ns)
        if now_ns - ended_ns > ttl_s * 1_000_000_000:
            raise Refused(1007, _REJECTED)
        return entry.memory.copy()

    def forget_ended(self) -> None:
        """Drop the handles of sessions that are over."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.session_id in self._live}
        self._ended_ns.clear()
