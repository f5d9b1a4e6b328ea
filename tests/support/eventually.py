"""Waiting for the truth of something that nobody announces."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


async def eventually(probe: Callable[[], _T | Awaitable[_T]], within_s: float = 10.0) -> _T:
    """The first truthy answer of `probe`, plain or awaitable, asked again and again; else TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            answer = probe()
            value = await answer if inspect.isawaitable(answer) else answer
            if value:
                return value
            await asyncio.sleep(0.01)
