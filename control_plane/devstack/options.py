"""What can be chosen about a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

SERVERS = frozenset({"postgres", "valkey", "temporal"})


class GeminiMode(StrEnum):
    """How the Gemini simulator makes replies: by really hearing and speaking, or from a script."""

    SPEECH = "speech"
    SCRIPTED = "scripted"


@dataclass(frozen=True)
class StackOptions:
    """Options of `voiceplane up`, and more that the tests use.

    only: start these components and no others; empty: all of them.
    usual_ports: ask for the ports of docs/seams.md; otherwise any free ones.
    real_services: use Gemini and Twilio themselves where credentials are given; otherwise always the simulators.
    env_file: settings to read beside the environment; None: none.
    environ: settings that win over both.
    """

    data_dir: Path = Path(".voiceplane")
    fresh: bool = False
    gemini_mode: GeminiMode = GeminiMode.SPEECH
    ui: bool = True
    only: frozenset[str] = frozenset()
    usual_ports: bool = True
    real_services: bool = True
    env_file: Path | None = Path(".env")
    environ: Mapping[str, str] = field(default_factory=dict)
