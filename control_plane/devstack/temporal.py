"""Temporal's dev server as a child, with its web interface, its state in one SQLite file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from control_plane.devstack import binaries
from control_plane.devstack.component import Component, NotYet
from control_plane.devstack.datadir import DataDir

DESCRIBE_NAMESPACE = "/temporal.api.workflowservice.v1.WorkflowService/DescribeNamespace"
# DescribeNamespaceRequest(namespace="default"), as it goes over the wire: the messages' classes come with the
# Temporal SDK, which takes longer to import than the server takes to start.
DEFAULT_NAMESPACE = b"\x0a\x07default"


def component(
    data_dir: DataDir, port: int, ui_port: int | None, environ: Mapping[str, str], log: Path
) -> Component:
    ui = ["--headless"] if ui_port is None else ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]

    async def probe() -> None:
        await _describe_namespace(port)

    return Component(
        name="temporal",
        argv=[
            *(str(binaries.temporal()), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)),
            *ui,
            *("--db-filename", str(data_dir.path / "temporal.db"), "--log-format", "json"),
            *("--disable-config-file", "--disable-config-env"),
        ],
        env=environ,
        log=log,
        probe=probe,
        address=f"127.0.0.1:{port}" + (f", http://127.0.0.1:{ui_port}" if ui_port else ""),
    )


async def _describe_namespace(port: int) -> None:
    """Pass when the frontend answers for the default namespace, which the dev server makes as it starts."""
    import grpc  # not before the servers start: it takes its time

    options = (("grpc.enable_http_proxy", 0),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        describe: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(DESCRIBE_NAMESPACE)
        try:
            await describe(DEFAULT_NAMESPACE, timeout=2.0)
        except grpc.aio.AioRpcError as error:
            raise NotYet(error.details()) from error
