"""The command line: `voiceplane up | down | status | db | keys | media | control | worker | demo | bench`."""

from __future__ import annotations

from control_plane.cli.app import main

__all__ = ["main"]
