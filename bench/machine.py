"""Where and with what a result was made."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("numba", "numpy", "picows", "uvloop", "google-genai", "soxr", "fastapi", "uvicorn", "websockets")


def command() -> str:
    """What was typed, near enough."""
    return " ".join(["voiceplane bench", *_arguments(sys.argv)])


def about(command: str) -> dict[str, object]:
    """Machine, versions, commit and time, for a result file's head."""
    return {
        **made(command),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {package: version(package) for package in ("voiceplane", *PACKAGES)},
    }


def made(command: str) -> dict[str, object]:
    """By what, when and of which source one part of a result was made."""
    return {
        "command": command,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average_before": load_average(),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _arguments(argv: list[str]) -> list[str]:
    """Those after `bench`, however it was started."""
    return argv[argv.index("bench") + 1 :] if "bench" in argv[:2] else argv[1:]


def load_average() -> float:
    """Processes that ran or waited to, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*command: str) -> str:
    """Empty outside a git checkout."""
    try:
        return subprocess.run(
            ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
