"""The command line: `voiceplane --help` lists its commands, docs/cli.md explains those about calls."""

from __future__ import annotations

from control_plane.cli.app import main

__all__ = ["main"]
