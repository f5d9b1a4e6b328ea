"""Lists of calls, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.domain.listing import BadToken, Filters, PageTokens, Position, page_size
from control_plane.errors import InvalidField
from control_plane.service.ports import CallRepository, CallRow


@dataclass(frozen=True)
class Page:
    """Newest first. `next_token` empty: there are no more."""

    calls: Sequence[CallRow]
    next_token: str


class CallList:
    """Postgres knows a call as soon as its workflow has begun."""

    def __init__(self, repository: CallRepository, tokens: PageTokens) -> None:
        self._repository = repository
        self._tokens = tokens

    async def page(self, filters: Filters, *, size: int = 0, token: str = "") -> Page:
        """Raises InvalidField, DependencyUnavailable."""
        try:
            size = page_size(size)
        except ValueError as error:
            raise InvalidField({"page_size": str(error)}, where="query") from error
        try:
            after = self._tokens.read(filters, token) if token else None
        except BadToken as error:
            raise InvalidField({"page_token": str(error)}, where="query") from error
        rows = await self._repository.page(filters, after, size + 1)
        calls = rows[:size]
        if len(rows) <= size:
            return Page(calls, "")
        last = calls[-1]
        return Page(calls, self._tokens.issue(filters, Position(last.created_at, last.workflow_id)))
