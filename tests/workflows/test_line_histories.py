"""What the recorded calls asked of the world while they lived, and how they ended."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.record_histories import HISTORIES

BOOKKEEPING = {"follow_events", "record_status", "finish_call", "prepare_media", "dial"}


def events(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HISTORIES / f"{name}.json").read_text())["events"]
    return found


def decoded(payloads: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(payloads["payloads"][0]["data"]))


def asked(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Activities beside the bookkeeping, in their order, with their inputs."""
    found = []
    for event in events(name):
        scheduled = event.get("activityTaskScheduledEventAttributes")
        if scheduled and scheduled["activityType"]["name"] not in BOOKKEEPING:
            found.append((scheduled["activityType"]["name"], decoded(scheduled["input"])))
    return found


def end_reason(name: str) -> str:
    completed = events(name)[-1]["workflowExecutionCompletedEventAttributes"]
    return str(decoded(completed["result"])["end_reason"])


@pytest.mark.parametrize(
    ("name", "activities", "reason"),
    [
        ("inbound_call", ["hang_up"], "caller_hangup"),
        ("keys_pressed", ["expect_stream", "steer_call"], "caller_hangup"),
        ("message_left", ["steer_call"], "voicemail"),
        ("handed_over_cold", ["expect_stream", "steer_call", "end_media"], "transferred"),
        ("nobody_took_it_cold", ["expect_stream", "steer_call", "tell_agent"], "caller_hangup"),
        ("handed_over_warm", ["call_person", "steer_call"], "transferred"),
        ("declined_warm", ["call_person", "tell_agent"], "caller_hangup"),
        ("caller_gone_while_the_person_rings", ["call_person", "hang_up"], "caller_hangup"),
    ],
)
def test_what_a_call_asks_of_the_world(name: str, activities: list[str], reason: str) -> None:
    assert [each for each, _ in asked(name)] == activities
    assert end_reason(name) == reason


def test_nobody_is_dialed_for_a_call_that_came_in() -> None:
    kinds = [
        e["activityTaskScheduledEventAttributes"]["activityType"]["name"]
        for e in events("inbound_call")
        if "activityTaskScheduledEventAttributes" in e
    ]
    assert "dial" not in kinds


def test_keys_are_played_and_the_stream_comes_back_to_the_new_address() -> None:
    steer = dict(asked("keys_pressed"))["steer_call"]
    assert (steer["keys"], steer["call_sid"]) == ("1w2", "CA1")
    assert steer["stream_url"].endswith("/again")


def test_the_caller_joins_the_room_of_the_person() -> None:
    steer = dict(asked("handed_over_warm"))["steer_call"]
    assert steer["room"] == "call-handed_over_warm-1"


def test_a_person_who_still_rings_is_let_go_when_the_caller_is() -> None:
    assert dict(asked("caller_gone_while_the_person_rings"))["hang_up"]["call_sid"] == "CA2"


@pytest.mark.parametrize(
    ("name", "why"), [("nobody_took_it_cold", "the line is busy"), ("declined_warm", "did not take the call")]
)
def test_the_agent_is_told_why_the_caller_is_back(name: str, why: str) -> None:
    assert why in dict(asked(name))["tell_agent"]["text"]
