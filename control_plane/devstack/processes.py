"""Our own processes as children; each says itself when it serves."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from control_plane.devstack.component import Component
from control_plane.devstack.datadir import DataDir
from control_plane.devstack.environment import Given
from control_plane.devstack.options import StackOptions

STORES = frozenset({"postgres", "valkey", "temporal"})


def components(
    options: StackOptions,
    user: Given,
    ports: Mapping[str, int],
    env: Mapping[str, str],
    data_dir: DataDir,
) -> list[Component]:
    """Migrations, a simulator for each service that is not the real one, media, control, worker.

    Only the migrations wait for anything: the others bear with servers that are not there yet.
    """

    def python(*argv: str) -> list[str]:
        return [sys.executable, "-m", *argv]

    def at(port: str) -> str:
        return f"127.0.0.1:{ports[port]}"

    log = data_dir.log
    found = [
        Component(
            "migrations",
            python("control_plane.migrations", "upgrade"),
            env,
            log("migrations"),
            after=frozenset({"postgres"}),
            uses=frozenset({"postgres"}),
            one_shot=True,
        )
    ]
    if not user.real_gemini:
        argv = python(
            *("bench.sim.gemini", "--mode", options.gemini_mode.value),
            *("--port", str(ports["gemini"]), "--admin-port", str(ports["gemini_admin"])),
            *("--cache-dir", str(data_dir.path / "speech")),
        )
        found.append(Component("gemini-sim", argv, env, log("gemini-sim"), address=f"ws://{at('gemini')}"))
    if not user.real_twilio:
        argv = python(
            *("bench.sim.twilio", "--account-sid", env["TWILIO_ACCOUNT_SID"]),
            *("--auth-token", env["TWILIO_AUTH_TOKEN"], "--number", env["TWILIO_PHONE_NUMBER"]),
            *("--recordings", str(data_dir.path / "recordings")),
            *("--voice-url", f"{env['BASE_URL']}/twilio/voice"),
            *("--port", str(ports["twilio"]), "--admin-port", str(ports["twilio_admin"])),
        )
        found.append(Component("twilio-sim", argv, env, log("twilio-sim"), address=f"http://{at('twilio')}"))
    return [
        *found,
        Component(
            "media",
            python("media_plane"),
            env,
            log("media"),
            uses=frozenset({"valkey", "gemini-sim", "twilio-sim"}),
            address=f"ws://{at('media_ws')}, grpc {at('media_grpc')}",
        ),
        Component(
            "control",
            python("control_plane"),
            env,
            log("control"),
            uses=STORES | {"media", "twilio-sim"},
            address=f"http://{at('rest')}, grpc {at('grpc')}",
        ),
        Component("worker", python("workflows"), env, log("worker"), uses=STORES | {"media", "twilio-sim"}),
    ]
