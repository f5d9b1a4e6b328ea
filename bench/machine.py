"""Where and with what a result was made."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("numba", "numpy", "picows", "uvloop", "google-genai", "soxr", "fastapi", "uvicorn", "websockets")


def about(command: str) -> dict[str, object]:
    """Machine, versions, commit and time, for a result file's head."""
    return {
        "command": command,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "load_average_before": load_average(),
        },
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {package: version(package) for package in ("voiceplane", *PACKAGES)},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


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
