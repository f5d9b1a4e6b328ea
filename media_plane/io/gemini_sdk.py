"""google-genai, imported once the node's ports are open.

Its types take as long to import as half of the rest of a node, and nothing but the first message of a model's
session needs them. So they come last, in a thread, and a call that is prepared before waits for them. What
uses them imports them where it does.
"""

from __future__ import annotations

import asyncio
from importlib import import_module


class GeminiSdk:
    """`load` once; whoever needs the SDK waits for `loaded`."""

    def __init__(self) -> None:
        self._loaded = asyncio.Event()

    async def load(self) -> None:
        await asyncio.to_thread(import_module, "media_plane.io.gemini_setup")
        self._loaded.set()

    async def loaded(self) -> None:
        await self._loaded.wait()
