"""Who sends a request, and whether they may: the same decision for REST and gRPC."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Never

import structlog

from control_plane.auth import local, metrics
from control_plane.auth.attempts import FailedAttempts
from control_plane.auth.key_cache import KeyCache, utc_now
from control_plane.auth.keys import ApiKey, id_of
from control_plane.auth.tokens import BadToken, Tokens
from control_plane.domain.principal import LOCAL, Principal, Scope
from control_plane.errors import (
    DependencyUnavailable,
    PermissionDenied,
    TooManyRequests,
    Unauthenticated,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
    """What a request says of its sender. `address`: the peer's; `headers`: by names in lower case;
    `authorization`: the values of all headers of that name."""

    address: str
    headers: Mapping[str, str]
    authorization: Sequence[str]


class Authenticator:
    """`tokens`: None without an issuer. `local_needs_none`: requests of this machine may come without."""

    def __init__(
        self,
        keys: KeyCache,
        tokens: Tokens | None,
        *,
        local_needs_none: bool,
        now_s: Callable[[], float] = monotonic,
        utc: Callable[[], datetime] = utc_now,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._local_needs_none = local_needs_none
        self._now_s = now_s
        self._utc = utc
        self._attempts = FailedAttempts()

    async def principal(self, asker: Asker, needed: Scope) -> Principal:
        """Whose request it is.

        Raises:
            Unauthenticated: no credential, or none that is good.
            PermissionDenied: it is not good for `needed`.
            TooManyRequests: too many bad ones came from this address.
            DependencyUnavailable: who could tell whether it is good is away.
        """
        if not asker.authorization:
            if self._local_needs_none and local.is_direct(asker.address, asker.headers):
                return _counted("local", LOCAL, needed)
            metrics.ATTEMPTS.labels("none", "missing").inc()
            raise Unauthenticated("a key or a token is needed: Authorization: Bearer …", presented=False)
        text = _bearer(asker.authorization)
        key_id = id_of(text)
        try:
            if not text:
                self._refuse(asker, "other", "malformed", "Authorization must be one Bearer credential")
            if key_id:
                return _counted("key", await self._of_key(asker, key_id, text), needed)
            if self._tokens is None:
                self._refuse(asker, "other", "malformed", "the credential is not written as an API key is")
            return _counted("jwt", await self._of_token(asker, self._tokens, text), needed)
        except DependencyUnavailable:
            metrics.ATTEMPTS.labels("key" if key_id else "jwt", "unavailable").inc()
            raise

    async def close(self) -> None:
        await self._keys.close()
        if self._tokens is not None:
            await self._tokens.close()

    async def _of_key(self, asker: Asker, key_id: str, text: str) -> Principal:
        key = self._keys.known(key_id)
        if key is None:
            self._check_attempts(asker, "key")
            key = await self._keys.find(key_id)
        if key is None or not key.is_of(text):
            self._refuse(asker, "key", "wrong", "the API key is not one of ours")
        return self._unless_over(asker, key)

    def _unless_over(self, asker: Asker, key: ApiKey) -> Principal:
        now = self._utc()
        state = key.state(now)
        if state != "active":
            what = "has been revoked" if state == "revoked" else "has expired"
            self._refuse(asker, "key", state, f"the API key {what}", key=key.id)
        self._keys.note_use(key, now)
        return key.principal

    async def _of_token(self, asker: Asker, tokens: Tokens, text: str) -> Principal:
        try:
            return await tokens.verify(text)
        except BadToken as bad:
            self._refuse(asker, "jwt", "expired" if bad.expired else "wrong", str(bad))

    def _refuse(self, asker: Asker, kind: str, outcome: str, message: str, **noted: str) -> Never:
        """Raises Unauthenticated; TooManyRequests when this address has had its failures."""
        self._check_attempts(asker, kind)
        self._attempts.failed(asker.address, self._now_s())
        metrics.ATTEMPTS.labels(kind, outcome).inc()
        log.warning("not authenticated", address=asker.address, kind=kind, reason=message, **noted)
        raise Unauthenticated(message, presented=True)

    def _check_attempts(self, asker: Asker, kind: str) -> None:
        wait_s = self._attempts.wait_s(asker.address, self._now_s())
        if wait_s > 0:
            metrics.ATTEMPTS.labels(kind, "limited").inc()
            raise TooManyRequests(
                "too many bad credentials came from this address", retry_after_s=math.ceil(wait_s)
            )


def _counted(kind: str, principal: Principal, needed: Scope) -> Principal:
    """The principal, if the scope is among its own. Raises PermissionDenied."""
    if not principal.may(needed):
        metrics.ATTEMPTS.labels(kind, "denied").inc()
        log.warning("not permitted", principal=principal.id, scope=needed.value)
        raise PermissionDenied(needed.value)
    metrics.ATTEMPTS.labels(kind, "ok").inc()
    return principal


def _bearer(authorization: Sequence[str]) -> str:
    """The credential in `Bearer …` (RFC 6750; the scheme in any case); empty: there is not exactly one."""
    if len(authorization) != 1:
        return ""
    scheme, _, text = authorization[0].strip().partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or not text.isascii() or not text.isprintable() or " " in text:
        return ""
    return text
