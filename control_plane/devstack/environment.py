"""The settings every child of the stack gets: what the user gave, completed with the stack's own addresses."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from dotenv import dotenv_values

from control_plane.devstack.options import StackOptions

# Where each port of the stack comes from: its setting, if it has one, and the usual port.
PORTS: dict[str, tuple[str, int]] = {
    "postgres": ("", 5432),
    "valkey": ("", 6379),
    "temporal": ("", 7233),
    "temporal_ui": ("", 8233),
    "gemini": ("", 8091),
    "gemini_admin": ("", 8092),
    "twilio": ("", 8093),
    "twilio_admin": ("", 8094),
    "media_ws": ("MEDIA_WS_PORT", 8081),
    "media_grpc": ("MEDIA_GRPC_PORT", 50051),
    "media_metrics": ("MEDIA_METRICS_PORT", 9102),
    "rest": ("API_PORT", 8000),
    "grpc": ("GRPC_PORT", 50050),
    "control_metrics": ("CONTROL_METRICS_PORT", 9101),
    "worker_metrics": ("WORKER_METRICS_PORT", 9103),
}

# Settings with a fixed default (docs/seams.md); MEDIA_NODE_ID is left to the node.
DEFAULTS: dict[str, str] = {
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "INFO",
    "API_HOST": "127.0.0.1",
    "REDIS_PASSWORD": "",
    "REDIS_SESSION_TTL": "7200",
    "TEMPORAL_NAMESPACE": "default",
    "TWILIO_API_BASE_URL": "https://api.twilio.com",
    "GEMINI_BASE_URL": "https://generativelanguage.googleapis.com",
    "GEMINI_API_VERSION": "v1beta",
    "GEMINI_MODEL": "gemini-3.8-live",
    "GEMINI_VOICE": "Puck",
    "MEDIA_HOST": "127.0.0.1",
    "MEDIA_CAPACITY": "400",
    "MEDIA_RESAMPLER": "kernel",
}

DATABASE = "voiceplane"
SIMULATED_NUMBER = "+15005550006"  # Twilio's own number for tests: valid as a caller, nobody's


@dataclass(frozen=True)
class Given:
    """What the user set, and which of the services outside are to be the real ones."""

    values: Mapping[str, str]
    real_gemini: bool
    real_twilio: bool


def given(options: StackOptions) -> Given:
    """The environment over the `.env` file; empty values count as not set."""
    values: dict[str, str] = {}
    if options.env_file is not None:
        values |= {key: value for key, value in dotenv_values(options.env_file).items() if value}
    values |= {key: value for key, value in os.environ.items() if value}
    values |= options.environ
    return Given(
        values,
        real_gemini=options.real_services and bool(values.get("GEMINI_API_KEY")),
        real_twilio=options.real_services and bool(values.get("TWILIO_ACCOUNT_SID")),
    )


def wanted_ports(options: StackOptions, values: Mapping[str, str]) -> dict[str, int]:
    """The port to ask for, by name; 0: any."""
    if not options.usual_ports:
        return dict.fromkeys(PORTS, 0)
    return {name: int(values.get(variable) or usual) for name, (variable, usual) in PORTS.items()}


def child_environment(user: Given, ports: Mapping[str, int]) -> dict[str, str]:
    """Every variable of docs/seams.md, and whatever else the user's environment holds."""
    env = DEFAULTS | dict(user.values)
    local = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    env |= {variable: str(ports[name]) for name, (variable, _) in PORTS.items() if variable}
    # The servers are the stack's own, whatever the user's settings name: nothing here touches another database.
    env |= {
        "DATABASE_URL": f"postgresql://postgres@{local['postgres']}/{DATABASE}",
        "REDIS_URL": f"redis://{local['valkey']}/0",
        "REDIS_PASSWORD": "",
        "TEMPORAL_HOST": local["temporal"],
        "TEMPORAL_NAMESPACE": "default",
    }
    if not user.real_twilio:
        env |= {
            "BASE_URL": f"http://{local['rest']}",
            "TWILIO_API_BASE_URL": f"http://{local['twilio']}",
            "TWILIO_ACCOUNT_SID": "AC" + secrets.token_hex(16),
            "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
            "TWILIO_PHONE_NUMBER": SIMULATED_NUMBER,
            "MEDIA_PUBLIC_WS_URL": f"ws://{local['media_ws']}",
        }
    if not user.real_gemini:
        env |= {"GEMINI_BASE_URL": f"http://{local['gemini']}", "GEMINI_API_KEY": "simulated"}
    env.setdefault("BASE_URL", f"http://{local['rest']}")
    env.setdefault("TWILIO_PHONE_NUMBER", "")
    env.setdefault("TWILIO_AUTH_TOKEN", "")
    env.setdefault("MEDIA_PUBLIC_WS_URL", f"ws://{env['MEDIA_HOST']}:{ports['media_ws']}")
    env.setdefault("MEDIA_GRPC_ADVERTISE", f"{env['MEDIA_HOST']}:{ports['media_grpc']}")
    return env


SETTINGS = frozenset(DEFAULTS) | {variable for variable, _ in PORTS.values() if variable} | {
    "BASE_URL",
    "DATABASE_URL",
    "REDIS_URL",
    "TEMPORAL_HOST",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_PHONE_NUMBER",
    "GEMINI_API_KEY",
    "MEDIA_PUBLIC_WS_URL",
    "MEDIA_GRPC_ADVERTISE",
}  # fmt: skip


def endpoints(env: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
    """Every address of the stack, as stack.json lists them."""
    local = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return {
        "rest": f"http://{local['rest']}",
        "grpc": local["grpc"],
        "media_ws": f"ws://{local['media_ws']}",
        "media_grpc": local["media_grpc"],
        "control_metrics": f"http://{local['control_metrics']}/metrics",
        "media_metrics": f"http://{local['media_metrics']}/metrics",
        "worker_metrics": f"http://{local['worker_metrics']}/metrics",
        "temporal": local["temporal"],
        "temporal_ui": f"http://{local['temporal_ui']}",
        "postgres": env["DATABASE_URL"],
        "redis": env["REDIS_URL"],
        "gemini": env["GEMINI_BASE_URL"],
        "gemini_admin": f"http://{local['gemini_admin']}",
        "twilio": env["TWILIO_API_BASE_URL"],
        "twilio_admin": f"http://{local['twilio_admin']}",
    }
