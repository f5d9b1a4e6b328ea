"""How often one principal may ask."""

from __future__ import annotations

import structlog

from control_plane import metrics
from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import Allowance, RateLimiter

log = structlog.get_logger(__name__)


class RequestLimit:
    """The limit, if there is one. While Redis is away nobody is refused: what needs Redis fails by itself."""

    def __init__(self, limiter: RateLimiter | None) -> None:
        self._limiter = limiter

    async def take(self, principal: str) -> Allowance | None:
        """Count one request; None: there is no limit now."""
        if self._limiter is None:
            return None
        try:
            allowance = await self._limiter.take(principal)
        except DependencyUnavailable as error:
            metrics.REQUESTS_UNLIMITED.inc()
            log.warning("request not counted", error=str(error))
            return None
        if not allowance.allowed:
            metrics.REQUESTS_LIMITED.inc()
        return allowance
