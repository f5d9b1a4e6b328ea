"""Which calls a list shows, and how one page leads to the next. Pure.

Pages follow (created_at, workflow_id), newest first: a call that is created or ends between two requests
moves no other one. The token of the next page is opaque to clients, holds only for the same filters, and is
refused when anything in it was changed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime

from workflows.contracts import CallStatus

DEFAULT_PAGE = 50
MAX_PAGE = 200
MAX_STATUSES = len(CallStatus)
MAX_TOKEN = 512  # characters

_TAG_BYTES = 16


@dataclass(frozen=True)
class Filters:
    """All of them must hold; empty or None: any."""

    statuses: tuple[CallStatus, ...] = ()
    phone_number: str = ""
    created_after: datetime | None = None  # inclusive
    created_before: datetime | None = None  # exclusive
    agent_name: str = ""


@dataclass(frozen=True)
class Position:
    """The last call of a page."""

    created_at: str  # ISO 8601
    workflow_id: str


class BadToken(ValueError):
    """No page token of ours for this list."""

    def __init__(self) -> None:
        super().__init__("must be the next_page_token of an earlier page of the same list")


def page_size(asked: int) -> int:
    """0: the default; more than the most is taken for the most. Raises ValueError below 0."""
    if asked < 0:
        raise ValueError("must not be negative")
    return min(asked or DEFAULT_PAGE, MAX_PAGE)


class PageTokens:
    """Issues tokens and reads them. `secret` must be the same wherever pages are served."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, filters: Filters, last: Position) -> str:
        position = f"{last.created_at} {last.workflow_id}".encode()
        return base64.urlsafe_b64encode(self._tag(filters, position) + position).decode().rstrip("=")

    def read(self, filters: Filters, token: str) -> Position:
        """Raises BadToken."""
        if len(token) > MAX_TOKEN or not token.isascii():
            raise BadToken
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            created_at, _, workflow_id = data[_TAG_BYTES:].decode().partition(" ")
        except ValueError as error:
            raise BadToken from error
        position = Position(created_at, workflow_id)
        # The whole token and not the tag alone: base64 has several texts for the same bytes.
        if not hmac.compare_digest(token, self.issue(filters, position)):
            raise BadToken
        return position

    def _tag(self, filters: Filters, position: bytes) -> bytes:
        shown = json.dumps(asdict(filters), sort_keys=True, default=str).encode()
        return hmac.digest(self._secret, hashlib.sha256(shown).digest() + position, "sha256")[:_TAG_BYTES]
