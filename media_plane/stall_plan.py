"""What is done about stalls in a call, from the node's settings, its agent's, and its model."""

from __future__ import annotations

from dataclasses import dataclass, field

from media_plane.call.stall import LADDER, Rung, StallBook, StallRules
from media_plane.settings import Settings
from media_plane.stall_desk import Lines, Stalls
from media_plane.wire.gemini_nudge import Nudging, nudging
from protos.gemini.models import bare, known
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, StallSettings

_MS = 1_000_000
_USUAL_SILENCE_MS = 800  # the service's own, which the least wait is made for


@dataclass(frozen=True, slots=True)
class StallPlan:
    """The node's part. `watches`: unless the agent says otherwise; `ends`: likewise, at the ladder's top."""

    watches: bool = True
    wait_min_ms: int = 2000
    wait_max_ms: int = 8000
    gap_ms: int = 1500
    ends: bool = False
    book: StallBook = field(default_factory=StallBook)

    @classmethod
    def from_settings(cls, settings: Settings) -> StallPlan:
        return cls(
            watches=settings.stall_watch == "yes",
            wait_min_ms=round(settings.stall_wait_min_s * 1000),
            wait_max_ms=round(settings.stall_wait_max_s * 1000),
            gap_ms=round(settings.stall_gap_s * 1000),
            ends=settings.stall_then == "end_call",
        )

    def of(self, model: str, settings: AgentSettings | None, lines: Lines | None = None) -> Stalls | None:
        """None: this call is not watched over."""
        asked = settings if settings is not None else AgentSettings()
        stalls = asked.stalls
        watches = stalls.watch if stalls.HasField("watch") else self.watches
        found = known(model)
        if not watches or (found is not None and not found.converses):
            return None
        how = nudging(model)
        rungs = tuple(rung for rung in LADDER if rung is not Rung.NUDGE or how is not Nudging.NEVER)
        ends = stalls.then == StallSettings.END_CALL if stalls.then else self.ends
        silence_ms = asked.turns.silence_duration_ms
        later_ms = max(silence_ms - _USUAL_SILENCE_MS, 0)
        wait_min_ms = stalls.wait_min_ms or self.wait_min_ms
        rules = StallRules(
            rungs=(*rungs, Rung.END) if ends else rungs,
            wait_min_ns=(wait_min_ms + later_ms) * _MS,
            wait_max_ns=max((stalls.wait_max_ms or self.wait_max_ms), wait_min_ms + later_ms) * _MS,
            gap_ns=self.gap_ms * _MS,
            may_stay_silent=asked.proactive_audio,
            more_turns=found is not None and found.more_turns,
        )
        return Stalls(rules, self.book, how, bare(model), silence_ms, lines)
