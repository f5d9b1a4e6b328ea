"""Valkey as a child, keeping what it holds in an append-only file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from control_plane.devstack import binaries
from control_plane.devstack.component import Component, NotYet
from control_plane.devstack.datadir import DataDir


def component(data_dir: DataDir, port: int, environ: Mapping[str, str], log: Path) -> Component:
    folder = data_dir.path / "valkey"

    def prepare() -> tuple[()]:
        folder.mkdir(exist_ok=True)
        return ()

    async def probe() -> None:
        await _ping(port)

    return Component(
        name="valkey",
        argv=[
            str(binaries.valkey_server()),
            *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
            *("--appendonly", "yes", "--save", ""),
            *("--daemonize", "no"),
        ],
        env=environ,
        log=log,
        prepare=prepare,
        probe=probe,
        address=f"127.0.0.1:{port}",
    )


async def _ping(port: int) -> None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise NotYet(str(error)) from error
    try:
        writer.write(b"PING\r\n")
        answer = await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()
    if answer != b"+PONG\r\n":  # -LOADING, while it reads its file
        raise NotYet(answer.decode(errors="replace"))
