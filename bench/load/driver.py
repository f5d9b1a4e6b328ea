"""The load process as its parent sees it: started once, given one job after another."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path

from bench.load.generator import Job, LegResult, LoadFailed, RunResult
from bench.load.process import Child, ChildFailed


class Driver:
    def __init__(self, child: Child) -> None:
        self._child = child
        self.pid = child.pid
        self.gemini_url = f"http://127.0.0.1:{child.ready['port']}"
        self.gemini_tls_url = f"https://127.0.0.1:{child.ready['tls_port']}"

    async def run(self, job: Job) -> RunResult:
        """Raises LoadFailed with the load's own reason, ChildFailed when the load process is gone."""
        writer, reader = self._child.process.stdin, self._child.process.stdout
        assert writer is not None, "the load is started with pipes"
        assert reader is not None, "the load is started with pipes"
        writer.write(json.dumps(dataclasses.asdict(job)).encode() + b"\n")
        line = await reader.readline()
        if not line:
            raise ChildFailed("the load process died; see its log")
        answer = json.loads(line)
        if "error" in answer:
            raise LoadFailed(answer["error"]["why"])
        fields = answer["result"]
        return RunResult(**fields | {way: LegResult(**fields[way]) for way in ("up", "down")})


@contextlib.asynccontextmanager
async def started(core: int, logs: Path, *tls: Path) -> AsyncIterator[Driver]:
    """The load on `core`; `tls`: certificate and key for a second model server, at `gemini_tls_url`."""
    child = await Child.start(
        "bench.load",
        core=core,
        env={},
        log=logs / "load.log",
        args=[str(file) for file in tls],
        piped=True,
        priority=2,  # should it have to share its core
    )
    try:
        yield Driver(child)
    finally:
        await child.stop()
