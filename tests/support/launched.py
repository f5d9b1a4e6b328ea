"""`voiceplane up` as a person runs it: a process of its own, watched from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import family, until


@dataclass
class Launched:
    """A running `voiceplane up`; `pids()` are its children and theirs."""

    process: asyncio.subprocess.Process
    data_dir: Path
    output: list[str]
    _reading: asyncio.Task[None]

    def pids(self) -> set[int]:
        return family(self.process.pid) - {self.process.pid}

    def state(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.data_dir / "stack.json").read_text())
        return content

    async def ready(self) -> None:
        await until((self.data_dir / "stack.json").exists, f"not ready: {self.output}")

    async def ended(self) -> int:
        status = await self.process.wait()
        await self._reading
        return status


@asynccontextmanager
async def launched(data_dir: Path, *only: str, options: Sequence[str] = ()) -> AsyncIterator[Launched]:
    """Start it with any free ports, waiting for nothing; kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "control_plane.cli", "up", "--any-ports", "--no-ui"),
        *("--data-dir", str(data_dir)),
        *(word for name in only for word in ("--only", name)),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200"},
    )
    output: list[str] = []
    assert process.stdout is not None
    reading = asyncio.ensure_future(_read(process.stdout, output))
    try:
        yield Launched(process, data_dir, output, reading)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await reading


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode().rstrip())
