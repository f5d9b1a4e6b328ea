"""Google Cloud's access tokens, from google-auth: fetched ahead of their end, in a thread.

google-auth blocks, and an access token lives an hour; a call must wait for neither.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from media_plane.errors import ModelFailure

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

log = structlog.get_logger(__name__)

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_AHEAD_S = 300.0  # google-auth itself takes a token for stale 225 s before its end
_RETRY_S = (1.0, 60.0)  # first, longest


class GoogleCredentials:
    """Let `run` run; `headers` are then those of a valid token. Implements `gemini_endpoint.Bearer`."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def headers(self) -> dict[str, str]:
        """Raises ModelFailure: no token could be had for longer than the last one lived."""
        if not self._credentials.token or _left_s(self._credentials) <= 0:
            raise ModelFailure(0, "no valid access token of Google Cloud", retryable=True)
        found = {"Authorization": f"Bearer {self._credentials.token}"}
        quota_project = getattr(self._credentials, "quota_project_id", None)
        if quota_project:
            found["x-goog-user-project"] = quota_project
        return found

    async def start(self, within_s: float) -> None:
        """Have a token, if one is to be had so soon; else `run` goes on asking."""
        try:
            async with asyncio.timeout(within_s):
                await self.refresh()
        except (ModelFailure, TimeoutError) as error:
            log.warning("no access token yet", reason=str(error) or "no answer in time")

    async def run(self) -> None:
        """Fetch a token whenever the last one is about to end, for ever."""
        retry_s = _RETRY_S[0]
        while True:
            await asyncio.sleep(_wait_s(self._credentials))
            try:
                await self.refresh()
            except ModelFailure as failure:
                log.warning("no access token", reason=failure.reason, again_in_s=retry_s)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _RETRY_S[1])
            else:
                retry_s = _RETRY_S[0]
                # A token that lives for less than that must not keep us busy.
                await asyncio.sleep(retry_s)

    async def refresh(self) -> None:
        """Fetch a token now. Raises ModelFailure."""
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            await asyncio.to_thread(self._credentials.refresh, Request())
        except GoogleAuthError as error:
            raise ModelFailure(0, f"Google Cloud gave no access token: {error}", retryable=True) from None


def load(path: str) -> GoogleCredentials:
    """The credentials of the service account whose JSON file is at `path`, or Application Default Credentials
    when that is empty.

    Reads files, and asks the metadata server on Google Cloud: for a process that is starting.

    Raises:
        ValueError: there are none, or they can't be read.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    try:
        if path:
            credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                path, scopes=[_SCOPE]
            )
        else:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
    except (GoogleAuthError, OSError, ValueError) as error:
        raise ValueError(f"no Google Cloud credentials{f' in {path}' if path else ''}: {error}") from None
    return GoogleCredentials(credentials)


def _wait_s(credentials: Credentials) -> float:
    """Until the next token must be fetched; a token without an end is asked about each hour."""
    if not credentials.token:
        return 0.0
    return min(max(_left_s(credentials) - _AHEAD_S, 0.0), 3600.0)


def _left_s(credentials: Credentials) -> float:
    """How long the token is valid; `expiry` is naive UTC, None: for ever."""
    expiry: datetime | None = credentials.expiry
    if expiry is None:
        return float("inf")
    return (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
