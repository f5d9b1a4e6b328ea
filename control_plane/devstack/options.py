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
    """Options of `voiceplane up`, and more that the demo and the tests use.

    data_dir: the stack's folder; fresh: wipe it first.
    ui: serve Temporal's web interface.
    simulated: Gemini and Twilio are the simulators even where credentials are given.
    media_workers: worker processes of the media plane; None: as MEDIA_WORKERS says.
    usual_ports: ask for the ports of docs/seams.md; otherwise any free ones.
    isolated: ignore `.env` and the environment's settings, and so any credentials.
    only: start these components and no others; empty: all of them.
    environ: settings that win over the user's.
    """

    data_dir: Path = Path(".voiceplane")
    fresh: bool = False
    gemini_mode: GeminiMode = GeminiMode.SPEECH
    ui: bool = True
    simulated: bool = False
    media_workers: int | None = None
    usual_ports: bool = True
    isolated: bool = False
    only: frozenset[str] = frozenset()
    environ: Mapping[str, str] = field(default_factory=dict)
