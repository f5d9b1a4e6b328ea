"""API keys: how one is written, and what is kept of it. Pure.

`vp_`, 12 characters that name the key, `_`, 43 characters of secret: 256 random bits in base64url. Of the
whole, SHA-256 alone is kept. Slow and salted hashes are for secrets that people choose: they make guessing
expensive where few guesses would do. Nobody guesses 256 random bits: a slow hash would protect nothing, and
would let whoever sends wrong keys spend our CPU.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from control_plane.domain.principal import Principal, Scope

PREFIX = "vp_"
ID_LENGTH = 12
SECRET_BYTES = 32
MAX_NAME = 100

_ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is taken for another
_KEY = re.compile(rf"{PREFIX}([{_ID_CHARACTERS}]{{{ID_LENGTH}}})_[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key. `digest`: SHA-256 of its text, 32 bytes. Times are UTC; None: never."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"

    def is_of(self, text: str) -> bool:
        """Whether `text` is the whole key; takes as long whichever of its characters is wrong."""
        return hmac.compare_digest(self.digest, digest(text))

    @property
    def principal(self) -> Principal:
        return Principal(f"key:{self.id}", self.name, self.scopes)


def generate(
    name: str, scopes: frozenset[Scope], now: datetime, expires_at: datetime | None = None
) -> tuple[str, ApiKey]:
    """A new key: its text, to be shown once, and what is kept.

    Raises:
        ValueError: no name, too long a name, or no scope.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"the name must be 1 to {MAX_NAME} printable characters")
    if not scopes:
        raise ValueError("a key without a scope is good for nothing")
    key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(ID_LENGTH))
    text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return text, ApiKey(key_id, name, scopes, digest(text), now, expires_at)


def id_of(text: str) -> str:
    """The id in a key's text; empty: it is not written as a key is."""
    found = _KEY.fullmatch(text)
    return found[1] if found else ""


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
