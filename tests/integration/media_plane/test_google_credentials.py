"""Access tokens of Google Cloud: there before they are needed, and new before the old ones end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from media_plane.errors import ModelFailure
from media_plane.io import google_credentials
from media_plane.io.google_credentials import GoogleCredentials
from tests.support.eventually import eventually
from tests.support.google_cloud import token_server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@asynccontextmanager
async def running(credentials: GoogleCredentials) -> AsyncIterator[None]:
    task = asyncio.create_task(credentials.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def bearer(credentials: GoogleCredentials, wanted: str) -> bool:
    try:
        return credentials.headers() == {"Authorization": f"Bearer {wanted}"}
    except ModelFailure:
        return False


async def test_before_the_first_token_a_connection_fails_and_may_be_tried_again(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        credentials = google_credentials.load(str(server.credentials))
        with pytest.raises(ModelFailure, match="no valid access token") as failure:
            credentials.headers()
        assert failure.value.retryable


async def test_a_token_is_fetched_once_while_it_is_valid_for_long(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        credentials = google_credentials.load(str(server.credentials))
        async with running(credentials):
            await eventually(lambda: bearer(credentials, "token-1"))
        assert len(server.asked) == 1


async def test_a_token_that_ends_soon_is_replaced(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        server.lifetime_s = 299
        credentials = google_credentials.load(str(server.credentials))
        async with running(credentials):
            await eventually(lambda: bearer(credentials, "token-2"))


async def test_a_refusal_is_tried_again_and_keeps_the_old_token(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        server.refusing = True
        credentials = google_credentials.load(str(server.credentials))
        with pytest.raises(ModelFailure, match="disabled"):
            await credentials.refresh()
        async with running(credentials):
            await eventually(lambda: asked(server.asked, 2))
            server.refusing = False
            await eventually(lambda: bearer(credentials, f"token-{len(server.asked)}"))
        server.refusing = True
        with pytest.raises(ModelFailure):
            await credentials.refresh()
        assert credentials.headers()["Authorization"].startswith("Bearer token-")


async def test_a_start_waits_for_the_first_token_but_not_for_ever(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        credentials = google_credentials.load(str(server.credentials))
        await credentials.start(within_s=10)
        assert await bearer(credentials, "token-1")
        async with running(credentials):
            server.refusing = True
            await google_credentials.load(str(server.credentials)).start(within_s=10)
        assert len(server.asked) == 2  # those of the two starts: a token that lives is not replaced


async def asked(times: list[float], count: int) -> bool:
    return len(times) >= count


def test_credentials_that_are_none_are_named_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{}")
    for name in (path, tmp_path / "missing.json"):
        with pytest.raises(ValueError, match=f"no Google Cloud credentials in {name}"):
            google_credentials.load(str(name))
