"""What a media node imports before its ports are open, and what a supervisor does."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("media_plane.server", {"google.genai", "soxr", "av"}),
        ("media_plane.workers.supervisor", {"google.genai", "numba", "numpy", "grpc", "redis"}),
    ],
)
def test_what_is_not_needed_yet_is_not_imported(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
