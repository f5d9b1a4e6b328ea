"""`voiceplane up --media-workers 2`: the stack's media plane as two nodes."""

from __future__ import annotations

import json
import shutil

from redis.asyncio import Redis

from control_plane.devstack.options import StackOptions
from control_plane.devstack.ports import STEP
from control_plane.devstack.stack import Stack
from tests.support.eventually import eventually
from tests.support.processes import family, until_gone
from tests.support.stack import temporary_folder


async def test_the_stack_starts_as_many_nodes_as_asked_and_leaves_none() -> None:
    folder = temporary_folder()
    options = StackOptions(
        data_dir=folder / "data",
        ui=False,
        usual_ports=False,
        isolated=True,
        only=frozenset({"valkey", "media"}),
        media_workers=2,
    )
    try:
        async with Stack(options) as stack, Redis.from_url(stack.endpoints["redis"]) as redis:
            processes = family(stack.states["media"].pid)
            assert len(processes) == 3

            async def entries() -> list[dict[str, str]]:
                found = [json.loads(await redis.get(key)) for key in await redis.keys("node:*")]
                return sorted(found, key=lambda entry: str(entry["id"])) if len(found) == 2 else []

            first, second = await eventually(entries)
            assert first["ws_url"] == stack.endpoints["media_ws"]
            assert first["grpc_address"] == stack.endpoints["media_grpc"]
            host, _, port = stack.endpoints["media_ws"].rpartition(":")
            assert second["ws_url"] == f"{host}:{int(port) + STEP}"
        await until_gone(processes)
    finally:
        shutil.rmtree(folder)
