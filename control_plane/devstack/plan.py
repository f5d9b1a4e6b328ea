"""What a stack consists of, once its options, the user's settings and the free ports are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.devstack import environment, postgres, processes, temporal, valkey
from control_plane.devstack.component import Component
from control_plane.devstack.datadir import DataDir
from control_plane.devstack.errors import StackError
from control_plane.devstack.options import StackOptions
from control_plane.devstack.ports import PortAllocator


@dataclass(frozen=True)
class Plan:
    """components: in the order of starting; env: the children's environment; settings: the part of it that is
    ours (docs/seams.md); notices: what the person at the terminal should know."""

    components: list[Component]
    env: Mapping[str, str]
    settings: Mapping[str, str]
    endpoints: Mapping[str, str]
    notices: list[str]


def make_plan(options: StackOptions, data_dir: DataDir, allocator: PortAllocator) -> Plan:
    """Choose ports and describe every component; nothing is started."""
    user = environment.given(options)
    workers = environment.media_workers(options, user)
    media_ports = ("media_ws", "media_grpc", "media_metrics")
    ports = allocator.allocate(
        environment.wanted_ports(options, user), copies=dict.fromkeys(media_ports, workers)
    )
    env = environment.child_environment(user, ports, media_workers=workers)
    notices = [
        f"port {usual} is taken: {name} is on {port}" for name, (usual, port) in allocator.moved.items()
    ]
    notices += environment.notices(user)
    log = data_dir.log
    database = postgres.component(data_dir, ports["postgres"], env, log("postgres"))
    if not database.notes["data"].startswith(f"{data_dir.path}/"):
        notices.append(
            f"PostgreSQL runs as {database.notes['user']}; its data is in {database.notes['data']}"
        )
    servers = [
        database,
        valkey.component(data_dir, ports["valkey"], env, log("valkey")),
        temporal.component(data_dir, ports["temporal"], ports.get("temporal_ui"), env, log("temporal")),
    ]
    everything = [*servers, *processes.components(options, user, ports, env, data_dir)]
    unknown = options.only - {component.name for component in everything}
    if unknown:
        raise StackError(f"no component is called {', '.join(sorted(unknown))}")
    return Plan(
        [component for component in everything if not options.only or component.name in options.only],
        env,
        {name: env[name] for name in sorted(environment.SETTINGS & env.keys())},
        environment.endpoints(env, ports),
        notices,
    )
