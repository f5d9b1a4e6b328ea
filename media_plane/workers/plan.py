"""What each worker is told: its name, its ports, its addresses, its core. Pure.

Worker 0 has the ports of the settings, worker i those plus 100·i: 8081, 8181, 8281, …. The default ports of
everything in docs/seams.md differ from 8081, 50051 and 9102, and these three from each other, in their last
two digits, so that no worker's port is another's. Port 0 stays 0: any free one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from media_plane.settings import Settings
from media_plane.workers.cores import Cores

PORT_STEP = 100
_PORTS = ("MEDIA_WS_PORT", "MEDIA_GRPC_PORT", "MEDIA_METRICS_PORT")


class UnfitSettings(ValueError):
    """Settings that are right for one node and not for several. `faults` has (variable, sentence)."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{variable}: {sentence}" for variable, sentence in faults))
        self.faults = faults


@dataclass(frozen=True)
class Worker:
    """One worker to start. env: what its environment has over the supervisor's; core: None: not pinned."""

    index: int
    node_id: str
    core: int | None
    env: Mapping[str, str]


def worker_count(settings: Settings, cores: Cores) -> int:
    """How many workers the settings mean on this machine."""
    return cores.usable if settings.media_workers == "auto" else settings.media_workers


def make_plan(settings: Settings, count: int, cores: Cores) -> list[Worker]:
    """For `count` of at least two. Raises UnfitSettings. More workers than cores share them in turn."""
    addresses = {
        "MEDIA_PUBLIC_WS_URL": settings.media_public_ws_url,
        "MEDIA_GRPC_ADVERTISE": settings.media_grpc_advertise,
    }
    faults = [
        (
            variable,
            f"must contain {{worker}} or {{port}} with {count} workers: each has an address of its own",
        )
        for variable, address in addresses.items()
        if address and "{worker}" not in address and "{port}" not in address
    ]
    ports, port_faults = _ports(settings, count)
    faults += port_faults
    if len(settings.media_node_id) + len(f"-{count - 1}") > 128:
        faults.append(("MEDIA_NODE_ID", f"leaves no room for -{count - 1} in 128 characters"))
    if faults:
        raise UnfitSettings(faults)
    return [_worker(settings, index, ports[index], addresses, cores) for index in range(count)]


def _worker(
    settings: Settings, index: int, ports: Mapping[str, int], addresses: Mapping[str, str], cores: Cores
) -> Worker:
    node_id = f"{settings.media_node_id}-{index}"
    env = {"MEDIA_WORKERS": "1", "MEDIA_NODE_ID": node_id}
    env |= {variable: str(port) for variable, port in ports.items()}
    # {port} is left to the worker, which knows it even where the setting is 0.
    env |= {variable: address.replace("{worker}", str(index)) for variable, address in addresses.items()}
    return Worker(index, node_id, cores.pins[index % len(cores.pins)] if cores.pins else None, env)


def _ports(settings: Settings, count: int) -> tuple[list[dict[str, int]], list[tuple[str, str]]]:
    first = (settings.media_ws_port, settings.media_grpc_port, settings.media_metrics_port)
    faults: list[tuple[str, str]] = []
    owners: dict[int, str] = {}
    ports: list[dict[str, int]] = []
    for index in range(count):
        mine = {
            variable: port and port + PORT_STEP * index for variable, port in zip(_PORTS, first, strict=True)
        }
        for variable, port in mine.items():
            if port > 65535:
                faults.append((variable, f"worker {index} would need port {port}"))
            elif port and port in owners:
                faults.append((variable, f"worker {index} would need port {port}, as does {owners[port]}"))
            owners[port] = f"{variable} of worker {index}"
        if faults:
            break  # the others' sentences would be the same ones
        ports.append(mine)
    return ports, faults
