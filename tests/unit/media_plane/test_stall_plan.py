"""What is done about stalls in a call, by the node, its agent and its model; and the figures of it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from media_plane.call.stall import LADDER, Cause, Outcome, Rung
from media_plane.stall_metrics import StallCollector
from media_plane.stall_plan import StallPlan
from media_plane.wire.gemini_nudge import Nudging
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, StallSettings, TurnSettings

LIVE = "gemini-3.8-live"
S = 1_000_000_000


def test_a_call_without_settings_is_dealt_with_as_the_node_says() -> None:
    found = StallPlan(wait_min_ms=1500, wait_max_ms=5000, gap_ms=900).of(LIVE, None)
    assert found is not None
    assert found.rules.rungs == LADDER
    assert (found.rules.wait_min_ns, found.rules.wait_max_ns) == (1.5 * S, 5 * S)
    assert found.rules.gap_ns == 0.9 * S
    assert found.nudging is Nudging.CLIENT_CONTENT


@pytest.mark.parametrize(("node", "agent", "watched"), [(True, False, False), (False, True, True)])
def test_an_agent_may_differ_from_the_node(node: bool, agent: bool, watched: bool) -> None:
    settings = AgentSettings(stalls=StallSettings(watch=agent))
    assert (StallPlan(watches=node).of(LIVE, settings) is not None) == watched


def test_an_agent_s_waits_and_end_are_its_own() -> None:
    stalls = StallSettings(wait_min_ms=1000, wait_max_ms=3000, then=StallSettings.END_CALL)
    found = StallPlan().of(LIVE, AgentSettings(stalls=stalls))
    assert found is not None
    assert (found.rules.wait_min_ns, found.rules.wait_max_ns) == (S, 3 * S)
    assert found.rules.rungs == (*LADDER, Rung.END)
    found = StallPlan(ends=True).of(LIVE, AgentSettings(stalls=StallSettings(then=StallSettings.WAIT)))
    assert found is not None
    assert found.rules.rungs == LADDER


def test_who_gives_callers_longer_pauses_waits_longer() -> None:
    found = StallPlan().of(LIVE, AgentSettings(turns=TurnSettings(silence_duration_ms=9000)))
    assert found is not None
    assert found.rules.wait_min_ns == 10.2 * S
    assert found.rules.wait_max_ns == 10.2 * S


def test_models_are_told_apart() -> None:
    plan = StallPlan()
    unknown, thinking = plan.of("gemini-9-live", None), plan.of("gemini-3.8-live-extended-thinking", None)
    assert unknown is not None
    assert thinking is not None
    assert unknown.rules.rungs == LADDER[1:]
    assert thinking.rules.more_turns
    assert plan.of("gemini-3.5-live-translate-preview", None) is None


def test_who_lets_the_model_leave_things_unanswered_is_believed() -> None:
    found = StallPlan().of(LIVE, AgentSettings(proactive_audio=True))
    assert found is not None
    assert found.rules.may_stay_silent


def test_figures_are_told_by_cause_rung_and_outcome() -> None:
    plan = StallPlan()
    book = plan.book
    book.counts.stalls[Cause.NO_REPLY] += 2
    book.counts.rungs[Cause.NO_REPLY, Rung.NUDGE, Outcome.FALSE_ALARM] += 1
    book.counts.silent_ms = 4500
    book.times.of(LIVE, 0)
    registry = CollectorRegistry()
    registry.register(StallCollector(book))
    page = generate_latest(registry).decode()
    assert 'voiceplane_media_stalls_total{cause="no_reply"} 2.0' in page
    labels = 'cause="no_reply",outcome="false_alarm",rung="nudge"'
    assert f"voiceplane_media_stall_rungs_total{{{labels}}} 1.0" in page
    assert "voiceplane_media_stall_silence_seconds_total 4.5" in page
    assert 'voiceplane_media_normal_reply_seconds{kind="asked",model="gemini-3.8-live"} 2.5' in page
