"""The dev stack for tests: the embedded servers, or everything, in a folder that is gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from control_plane.devstack.options import SERVERS, GeminiMode, StackOptions
from control_plane.devstack.stack import Stack


@dataclass(frozen=True)
class Servers:
    """PostgreSQL (with an empty, migrated database), Valkey and Temporal, on ports of their own."""

    database_url: str
    redis_url: str
    temporal_host: str

    @property
    def postgres_dsn(self) -> str:
        return self.database_url


def temporary_folder() -> Path:
    """A new folder that others may enter: root's PostgreSQL runs as another user and has to get in."""
    folder = Path(tempfile.mkdtemp(prefix="voiceplane-test-"))
    folder.chmod(0o755)
    return folder


@asynccontextmanager
async def running_stack(
    only: frozenset[str] = frozenset(), gemini_mode: GeminiMode = GeminiMode.SCRIPTED
) -> AsyncIterator[Stack]:
    """A stack on free ports that sees nothing of the developer's settings or credentials."""
    folder = temporary_folder()
    options = StackOptions(
        data_dir=folder / "data",
        gemini_mode=gemini_mode,
        ui=False,
        only=only,
        usual_ports=False,
        isolated=True,
    )
    try:
        async with Stack(options) as stack:
            yield stack
            if stack.failure is not None:
                raise stack.failure
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def running_servers() -> AsyncIterator[Servers]:
    async with running_stack(SERVERS | {"migrations"}) as stack:
        yield Servers(
            database_url=stack.env["DATABASE_URL"],
            redis_url=stack.env["REDIS_URL"],
            temporal_host=stack.env["TEMPORAL_HOST"],
        )
