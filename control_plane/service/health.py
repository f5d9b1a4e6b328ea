"""Whether the servers we depend on answer, and how fast."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import MediaNodes

LIMIT_S = 1.0


@dataclass(frozen=True)
class Check:
    """One dependency. `probe` answers with a detail worth reading, or raises DependencyUnavailable."""

    probe: Callable[[], Awaitable[str]]
    critical: bool = True  # without it we can serve nobody


@dataclass(frozen=True)
class Finding:
    ok: bool
    latency_ms: float
    detail: str
    critical: bool


@dataclass(frozen=True)
class Health:
    checks: dict[str, Finding]

    @property
    def ok(self) -> bool:
        """Every critical dependency answers."""
        return all(finding.ok for finding in self.checks.values() if finding.critical)

    @property
    def status(self) -> str:
        if not self.ok:
            return "unavailable"
        return "ok" if all(finding.ok for finding in self.checks.values()) else "degraded"


async def examine(checks: Mapping[str, Check], limit_s: float = LIMIT_S) -> Health:
    """Probe all side by side; one that takes longer than `limit_s` has failed."""
    findings = await asyncio.gather(*(_examine_one(check, limit_s) for check in checks.values()))
    return Health(dict(zip(checks, findings, strict=True)))


async def _examine_one(check: Check, limit_s: float) -> Finding:
    started = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            detail, ok = await check.probe(), True
    except DependencyUnavailable as error:
        detail, ok = str(error), False
    except TimeoutError:
        detail, ok = f"no answer within {limit_s} s", False
    return Finding(ok, round((time.monotonic() - started) * 1000, 2), detail, check.critical)


def answers(ping: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[str]]:
    """A probe of something that can only answer or not."""

    async def probe() -> str:
        await ping()
        return "answers"

    return probe


def has_pollers(pollers: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[str]]:
    """A probe of the workers, by who asks Temporal for our tasks."""

    async def probe() -> str:
        count = await pollers()
        if not count:
            raise DependencyUnavailable("worker", "nobody polls the task queue")
        return f"{count} polling"

    return probe


def has_nodes(nodes: MediaNodes) -> Callable[[], Awaitable[str]]:
    """A probe of the media nodes, by their registry."""

    async def probe() -> str:
        live = [node for node in await nodes.live() if not node.draining]
        if not live:
            raise DependencyUnavailable("media", "no node takes calls")
        return f"{len(live)} nodes, {sum(n.calls for n in live)} of {sum(n.capacity for n in live)} calls"

    return probe
