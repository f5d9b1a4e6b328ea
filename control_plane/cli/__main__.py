"""`python -m control_plane.cli` is `voiceplane`."""

from __future__ import annotations

from control_plane.cli.app import main

main()
