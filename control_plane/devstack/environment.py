"""The settings every child of the stack gets: the user's, completed with the stack's own addresses."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from control_plane.devstack.errors import StackError
from control_plane.devstack.options import StackOptions

# The stack's ports by name: the setting that moves each, if it has one, and the usual number.
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

# Settings whose default does not depend on a port (docs/seams.md).
DEFAULTS: dict[str, str] = {
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "INFO",
    "API_HOST": "127.0.0.1",
    "REDIS_PASSWORD": "",
    "REDIS_SESSION_TTL": "7200",
    "TEMPORAL_NAMESPACE": "default",
    "TWILIO_ACCOUNT_SID": "",
    "TWILIO_AUTH_TOKEN": "",
    "TWILIO_PHONE_NUMBER": "",
    "TWILIO_SHARED_KEY_ID": "",
    "TWILIO_SHARED_KEY_SECRET": "",
    "DTMF_TO_MODEL": "yes",
    "TWILIO_API_BASE_URL": "https://api.twilio.com",
    "TWILIO_CPS": "1",
    "DIALING_COUNTRIES": "",
    "DIALING_NUMBERS": "possible",
    "DIALING_DENY_PREFIXES": "",
    "DIALING_ALLOW_PREFIXES": "",
    "DIALING_QUIET_HOURS": "",
    "DIALING_CAPS_ACCOUNT": "concurrent=1000",
    "DIALING_CAPS_KEY": "concurrent=100 per_minute=120 per_day=5000 minutes_per_day=10000",
    "DIALING_CAPS_NUMBER": "concurrent=1 per_minute=3 per_day=20 minutes_per_day=240",
    "API_AUTH": "local",
    "API_METRICS": "guarded",
    "API_RATE_LIMIT": "6000",
    "CORS_ORIGINS": "",
    "TRUSTED_PROXIES": "",
    "JWT_ISSUER": "",
    "JWT_AUDIENCE": "",
    "JWT_JWKS_URL": "",
    "JWT_ALGORITHMS": "RS256",
    "JWT_SCOPE_CLAIM": "scope",
    "JWT_LEEWAY_S": "30",
    "GRPC_TLS_CERT": "",
    "GRPC_TLS_KEY": "",
    "GRPC_TLS_CLIENT_CA": "",
    "MEDIA_GRPC_TLS_CERT": "",
    "MEDIA_GRPC_TLS_KEY": "",
    "MEDIA_GRPC_TLS_CLIENT_CA": "",
    "MEDIA_GRPC_TLS_CA": "",
    "MEDIA_GRPC_TLS_CLIENT_CERT": "",
    "MEDIA_GRPC_TLS_CLIENT_KEY": "",
    "MEDIA_GRPC_TLS_NAME": "",
    "TOOL_SIGNING_SECRET": "",
    "WEBHOOK_SIGNING_SECRET": "",
    "TOOL_ALLOW_PRIVATE": "",
    "TOOL_PORTS": "443",
    "GEMINI_API_KEY": "",
    "GEMINI_BASE_URL": "https://generativelanguage.googleapis.com",
    "GEMINI_API_VERSION": "",
    "GEMINI_MODEL": "gemini-3.8-live",
    "GEMINI_VOICE": "Puck",
    "GEMINI_UNKNOWN_MODELS": "allow",
    "GEMINI_TELL_HEARD": "yes",
    "GEMINI_UPLINK_RATE": "16000",
    "GEMINI_VERTEX_PROJECT": "",
    "GEMINI_VERTEX_LOCATION": "us-central1",
    "GEMINI_VERTEX_CREDENTIALS": "",
    "GEMINI_SETUP_TIMEOUT_S": "10",
    "GEMINI_POOL_MAX": "16",
    "GEMINI_POOL_SOCKETS_MIN": "2",
    "GEMINI_POOL_SESSIONS_MIN": "0",
    "GEMINI_POOL_SESSIONS_MAX": "8",
    "GEMINI_POOL_OPENING": "4",
    "GEMINI_POOL_SOCKET_AGE_S": "30",
    "GEMINI_POOL_SESSION_AGE_S": "120",
    "GEMINI_POOL_WINDOW_S": "60",
    "GEMINI_SESSION_AGE_S": "3300",
    "GEMINI_RENEW_WITHIN_S": "15",
    "GREETING_SILENCE_S": "1.2",
    "STALL_WATCH": "yes",
    "STALL_WAIT_MIN_S": "2",
    "STALL_WAIT_MAX_S": "8",
    "STALL_GAP_S": "1.5",
    "STALL_THEN": "wait",
    "STALL_HOLD_LINE": "One moment, please.",
    "STALL_GOODBYE_LINE": "I am sorry, something is not working. Please call again later. Goodbye.",
    "MEDIA_WORKERS": "1",
    "MEDIA_HOST": "127.0.0.1",
    "MEDIA_CAPACITY": "400",
    "MEDIA_DRAIN_S": "5",
    "MEDIA_RESAMPLER": "kernel",
}

SERVERS = ("DATABASE_URL", "REDIS_URL", "REDIS_PASSWORD", "TEMPORAL_HOST", "TEMPORAL_NAMESPACE")
ADDRESSES = ("BASE_URL", "MEDIA_PUBLIC_WS_URL", "MEDIA_GRPC_ADVERTISE")

# Every setting of docs/seams.md. MEDIA_NODE_ID has no default here: each node makes up its own.
SETTINGS = frozenset(
    (*DEFAULTS, *SERVERS, *ADDRESSES, "MEDIA_NODE_ID", *(name for name, _ in PORTS.values() if name))
)

DATABASE = "voiceplane"
MAX_MEDIA_WORKERS = 128
SIMULATED_NUMBER = "+15005550006"  # the caller's number of Twilio's own test credentials


@dataclass(frozen=True)
class Given:
    """What the user set, and which of the two services outside are the real ones."""

    values: Mapping[str, str]
    real_gemini: bool
    real_twilio: bool


def given(options: StackOptions) -> Given:
    """The options' settings over the environment over `.env`; empty values count as not set."""
    values = dict(os.environ)
    if options.isolated:
        values = {name: value for name, value in values.items() if name not in SETTINGS}
    else:
        file = {name: value or "" for name, value in dotenv_values(Path(".env")).items()}
        values = file | {name: value for name, value in values.items() if value}
    values = {name: value for name, value in (values | dict(options.environ)).items() if value}
    real = not options.simulated
    return Given(
        values,
        real_gemini=real and ("GEMINI_API_KEY" in values or "GEMINI_VERTEX_PROJECT" in values),
        real_twilio=real and "TWILIO_ACCOUNT_SID" in values,
    )


def wanted_ports(options: StackOptions, user: Given) -> dict[str, int]:
    """The port to ask for, by name; 0: any. Those of components that will not run are left out."""
    names = [
        name
        for name in PORTS
        if not (name == "temporal_ui" and not options.ui)
        and not (name.startswith("gemini") and user.real_gemini)
        and not (name.startswith("twilio") and user.real_twilio)
    ]
    if not options.usual_ports:
        return dict.fromkeys(names, 0)
    return {name: _port(user, *PORTS[name]) for name in names}


def _port(user: Given, setting: str, usual: int) -> int:
    value = user.values.get(setting, str(usual))
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise StackError(f"{setting} is {value!r}; it must be a port, 1 to 65535")
    return int(value)


def media_workers(options: StackOptions, user: Given) -> int:
    """How many worker processes the media plane is to have."""
    if options.media_workers is not None:
        return options.media_workers
    value = user.values.get("MEDIA_WORKERS", "1")
    if not value.isdecimal() or not 1 <= int(value) <= MAX_MEDIA_WORKERS:
        raise StackError(
            f"MEDIA_WORKERS is {value!r}; the stack, which gives each worker its ports, needs a number, "
            f"1 to {MAX_MEDIA_WORKERS}"
        )
    return int(value)


def child_environment(user: Given, ports: Mapping[str, int], *, media_workers: int = 1) -> dict[str, str]:
    """Every variable of docs/seams.md, and whatever else the user's environment holds."""
    # Each of several workers puts in its own port.
    media_ws, media_grpc = (
        (str(ports["media_ws"]), str(ports["media_grpc"])) if media_workers == 1 else ("{port}", "{port}")
    )
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    env = DEFAULTS | dict(user.values)
    env |= {setting: str(ports[name]) for name, (setting, _) in PORTS.items() if setting}
    env["MEDIA_WORKERS"] = str(media_workers)
    # The servers are the stack's own, whatever the user's settings name: it never touches another database.
    env |= {
        "DATABASE_URL": f"postgresql://postgres@{at['postgres']}/{DATABASE}",
        "REDIS_URL": f"redis://{at['valkey']}/0",
        "REDIS_PASSWORD": "",
        "TEMPORAL_HOST": at["temporal"],
        "TEMPORAL_NAMESPACE": "default",
    }
    if not user.real_twilio:
        env |= {
            "BASE_URL": f"http://{at['rest']}",
            "MEDIA_PUBLIC_WS_URL": f"ws://127.0.0.1:{media_ws}",
            "TWILIO_API_BASE_URL": f"http://{at['twilio']}",
            "TWILIO_ACCOUNT_SID": "AC" + secrets.token_hex(16),
            "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
            "TWILIO_PHONE_NUMBER": SIMULATED_NUMBER,
            # Simulated calls cost nothing and ring nobody: a load test may call one number a thousand times.
            "DIALING_CAPS_KEY": user.values.get("DIALING_CAPS_KEY", ""),
            "DIALING_CAPS_NUMBER": user.values.get("DIALING_CAPS_NUMBER", ""),
            # Nobody outside creates calls on such a stack: a tool may be a program on this machine.
            "TOOL_ALLOW_PRIVATE": user.values.get("TOOL_ALLOW_PRIVATE", "127.0.0.1,localhost"),
        }
    if not user.real_gemini:
        env |= {
            "GEMINI_BASE_URL": f"http://{at['gemini']}",
            "GEMINI_API_KEY": "simulated",
            "GEMINI_VERTEX_PROJECT": "",
        }
    env.setdefault("BASE_URL", f"http://{at['rest']}")
    env.setdefault("MEDIA_PUBLIC_WS_URL", f"ws://{env['MEDIA_HOST']}:{media_ws}")
    env.setdefault("MEDIA_GRPC_ADVERTISE", f"{env['MEDIA_HOST']}:{media_grpc}")
    # What goes from one child to another must not pass through a proxy meant for the world outside.
    for variable in ("NO_PROXY", "no_proxy"):
        env[variable] = ",".join(filter(None, (env.get(variable), "127.0.0.1", "localhost")))
    return env


def notices(user: Given) -> list[str]:
    """What the user's settings lead to, where it may surprise."""
    found = [
        f"{name} is ignored: the stack starts its own server"
        for name in ("DATABASE_URL", "REDIS_URL", "TEMPORAL_HOST")
        if name in user.values
    ]
    if user.real_twilio:
        found += [
            f"calls go through Twilio, which needs {name} to be an address it can reach"
            for name in ("BASE_URL", "MEDIA_PUBLIC_WS_URL")
            if name not in user.values
        ]
        if "BASE_URL" in user.values:
            found.append(
                "BASE_URL leads here from outside: the API asks for a key (`voiceplane keys create`)"
            )
    return found


def endpoints(env: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
    """Every address of the stack, as stack.json lists them."""
    forms = {
        "rest": "http://{}",
        "grpc": "{}",
        "media_ws": "ws://{}",
        "media_grpc": "{}",
        "control_metrics": "http://{}/metrics",
        "media_metrics": "http://{}/metrics",
        "worker_metrics": "http://{}/metrics",
        "temporal": "{}",
        "temporal_ui": "http://{}",
        "gemini_admin": "http://{}",
        "twilio_admin": "http://{}",
    }
    found = {name: form.format(f"127.0.0.1:{ports[name]}") for name, form in forms.items() if name in ports}
    return found | {
        "postgres": env["DATABASE_URL"],
        "redis": env["REDIS_URL"],
        "gemini": env["GEMINI_BASE_URL"],
        "twilio": env["TWILIO_API_BASE_URL"],
    }
