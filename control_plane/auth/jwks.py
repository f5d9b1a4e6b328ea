"""The public keys of the token issuer (RFC 7517), fetched from its JWKS address and kept.

A key the issuer has begun to use is found when a token names it: the set is fetched again then, at most once
in `COOLDOWN_S`, whatever tokens name. While the issuer is away, the keys that are known hold for `STALE_S`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import monotonic

import httpx2 as httpx
import structlog
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from control_plane.auth import metrics
from control_plane.errors import DependencyUnavailable

FRESH_S = 300.0
STALE_S = 3600.0
COOLDOWN_S = 30.0  # after a fetch: an unknown name makes no other
RETRY_S = 2.0  # after a fetch that failed
FETCH_S = 3.0
MAX_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


class UnknownKey(Exception):
    """The issuer has no such key."""


class Jwks:
    """Use it in one event loop; `close` at the end. `url` is the operator's, and followed nowhere else."""

    def __init__(self, url: str, *, now_s: Callable[[], float] = monotonic) -> None:
        self._url = url
        self._now_s = now_s
        self._http = httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False)
        self._keys: dict[str, PyJWK] = {}
        self._fetched_s: float | None = None
        self._failed_s = -RETRY_S
        self._fetching = asyncio.Lock()

    async def key(self, name: str) -> PyJWK:
        """The key of that name (`kid`).

        Raises:
            UnknownKey
            DependencyUnavailable: the issuer can't be asked, and the key is not known.
        """
        if self._must_fetch(name):
            async with self._fetching:  # whoever waited here may find it fetched
                if self._must_fetch(name):
                    await self._fetch()
        found = self._keys.get(name)
        if found is not None and self._age_s() < STALE_S:
            return found
        if self._fetched_s is None or self._failed_s > self._fetched_s:
            raise DependencyUnavailable("the token issuer")
        raise UnknownKey

    async def close(self) -> None:
        await self._http.aclose()

    def _age_s(self) -> float:
        return self._now_s() - self._fetched_s if self._fetched_s is not None else float("inf")

    def _must_fetch(self, name: str) -> bool:
        if self._now_s() - self._failed_s < RETRY_S:
            return False
        return self._age_s() >= (FRESH_S if name in self._keys else COOLDOWN_S)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_S):
                self._keys = await self._read()
        except (httpx.HTTPError, TimeoutError, ValueError, PyJWTError) as error:
            self._failed_s = self._now_s()
            metrics.JWKS_FETCHES.labels("failed").inc()
            log.warning("the token issuer's keys were not fetched", url=self._url, error=repr(error))
            return
        self._fetched_s = self._now_s()
        metrics.JWKS_FETCHES.labels("ok").inc()

    async def _read(self) -> dict[str, PyJWK]:
        body = bytearray()
        async with self._http.stream("GET", self._url, headers={"Accept": "application/json"}) as response:
            if response.status_code != 200:
                raise ValueError(f"answered with {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError(f"answered with more than {MAX_BYTES} bytes")
        found = json.loads(bytes(body))
        if not isinstance(found, dict):
            raise ValueError("did not answer with a JSON object")
        usable = [key for key in PyJWKSet.from_dict(found) if key.public_key_use in ("sig", None)]
        return {key.key_id: key for key in usable if key.key_id}
