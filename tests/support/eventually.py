"""Waiting for the truth of something that nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


async def eventually(probe: Callable[[], Awaitable[_T]], within_s: float = 10.0) -> _T:
    """The first truthy answer of `probe`, asked again and again; TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while True:
            if value := await probe():
                return value
            await asyncio.sleep(0.01)
