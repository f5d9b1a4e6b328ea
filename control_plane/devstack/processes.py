"""Our own processes as children; each says itself when it serves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from control_plane.devstack.component import Component
from control_plane.devstack.options import GeminiMode, StackOptions


def components(
    options: StackOptions,
    ports: Mapping[str, int],
    env: Mapping[str, str],
    log: Callable[[str], Path],
    *,
    gemini: bool,
    twilio: bool,
) -> list[Component]:
    """Migrations, the simulators asked for, media, control, worker."""

    def process(name: str, *argv: str, **rest: object) -> Component:
        return Component(name, [sys.executable, "-m", *argv], env, log(name), **rest)  # type: ignore[arg-type]

    def at(port: str) -> str:
        return f"127.0.0.1:{ports[port]}"

    found = [
        process(
            "migrations",
            *("control_plane.migrations", "upgrade"),
            after=frozenset({"postgres"}),
            uses=frozenset({"postgres"}),
            one_shot=True,
        ),
    ]
    if gemini:
        found.append(process("gemini-sim", *_gemini(options.gemini_mode, ports), address=at("gemini")))
    if twilio:
        found.append(process("twilio-sim", *_twilio(ports, env), address=at("twilio")))
    found += [
        process(
            "media",
            "media_plane",
            uses=frozenset({"valkey", "gemini-sim", "twilio-sim"}),
            address=f"ws {at('media_ws')}, grpc {at('media_grpc')}",
        ),
        process(
            "control",
            "control_plane",
            uses=frozenset({"postgres", "valkey", "temporal", "media", "twilio-sim"}),
            address=f"http://{at('rest')}, grpc {at('grpc')}",
        ),
        process(
            "worker",
            "workflows",
            uses=frozenset({"postgres", "valkey", "temporal", "media", "twilio-sim"}),
        ),
    ]
    return found


def _gemini(mode: GeminiMode, ports: Mapping[str, int]) -> list[str]:
    return [
        "bench.sim.gemini",
        *("--port", str(ports["gemini"]), "--admin-port", str(ports["gemini_admin"])),
        *("--mode", mode.value),
    ]


def _twilio(ports: Mapping[str, int], env: Mapping[str, str]) -> list[str]:
    return [
        "bench.sim.twilio",
        *("--port", str(ports["twilio"]), "--admin-port", str(ports["twilio_admin"])),
        *("--account-sid", env["TWILIO_ACCOUNT_SID"], "--auth-token", env["TWILIO_AUTH_TOKEN"]),
    ]
