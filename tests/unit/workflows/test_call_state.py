"""What signals and limits do to a call, without Temporal and without waiting."""

from __future__ import annotations

import itertools

import pytest

from workflows.call_state import (
    EXPIRED,
    FINAL,
    NEXT,
    PREPARED_FOR_S,
    STREAM_END,
    CallState,
    Deadline,
    Limit,
    Limits,
)
from workflows.contracts import CallStatus, EndReason, StreamEnded, StreamStarted, TwilioStatus

LIMITS = Limits(queue_s=100, ring_s=60, stream_s=20, final_callback_s=5)
NOON = 1_793_534_400.0  # 1 November 2026, 12:00 UTC
SEQUENCE = ["initiated", "ringing", "in-progress", "completed"]


def new_call() -> CallState:
    return CallState(max_duration_s=300, limits=LIMITS)


def callback(status: str, sid: str = "CA1", **rest: object) -> TwilioStatus:
    sequence = SEQUENCE.index(status) if status in SEQUENCE else 3
    return TwilioStatus(call_sid=sid, status=status, sequence=sequence, **rest)  # type: ignore[arg-type]


def started(source: str = "node-1") -> StreamStarted:
    return StreamStarted(stream_sid="MZ1", call_sid="CA1", source=source, at="")


def ended(reason: str, source: str = "node-1", detail: str = "") -> StreamEnded:
    return StreamEnded(reason=reason, detail=detail, source=source, at="")


def live_call() -> CallState:
    """Prepared at 0, dialed at 1, answered at 5, audio from 6."""
    call = new_call()
    call.prepared("node-1")
    call.dialed("CA1", 1)
    call.twilio_status(callback("in-progress"), 5)
    call.stream_started(started(), 6)
    return call


def test_a_call_goes_from_dialing_to_hang_up() -> None:
    call = new_call()
    assert call.deadline is None
    call.prepared("node-1")
    call.dialed("CA1", 1)
    assert call.deadline == Deadline(101, Limit.QUEUE)
    call.twilio_status(callback("initiated"), 2)
    assert call.deadline == Deadline(62, Limit.RING)
    call.twilio_status(callback("ringing"), 3)
    assert (call.status, call.deadline) == (CallStatus.RINGING, Deadline(62, Limit.RING))
    call.twilio_status(callback("in-progress"), 5)
    assert (call.status, call.deadline) == (CallStatus.IN_PROGRESS, Deadline(25, Limit.STREAM))
    call.stream_started(started(), 6)
    assert (call.stream_sid, call.deadline) == ("MZ1", Deadline(305, Limit.DURATION))
    call.stream_ended(ended("stop"), 65)
    assert (call.over, call.deadline) == (False, Deadline(70, Limit.FINAL_CALLBACK))
    call.twilio_status(callback("completed", duration_seconds=60), 66)
    assert (call.status, call.end_reason, call.error) == (
        CallStatus.COMPLETED,
        EndReason.CALLER_HANGUP,
        "",
    )
    assert call.duration_s == 60, "until the caller was gone, not until Twilio said so"
    assert not call.leg_may_be_up


@pytest.mark.parametrize("order", list(itertools.permutations(SEQUENCE)))
def test_callbacks_in_any_order_and_twice_end_the_same_way(order: tuple[str, ...]) -> None:
    call = new_call()
    call.dialed("CA1", 0)
    seen = [call.status]
    for status in (*order, *order):
        call.twilio_status(callback(status, duration_seconds=4), 10)
        if call.status is not seen[-1]:
            assert call.status in NEXT[seen[-1]]
            seen.append(call.status)
    assert (call.status, call.end_reason) == (CallStatus.COMPLETED, EndReason.CALLER_HANGUP)
    assert call.answered_at is not None
    assert call.leg_over
    assert call.strays == []


@pytest.mark.parametrize("late", ["initiated", "ringing"])
def test_a_late_callback_takes_no_status_back_and_starts_no_limit(late: str) -> None:
    call = live_call()
    call.twilio_status(callback(late), 7)
    assert (call.status, call.deadline) == (CallStatus.IN_PROGRESS, Deadline(305, Limit.DURATION))


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        ("busy", CallStatus.BUSY, EndReason.BUSY),
        ("no-answer", CallStatus.NO_ANSWER, EndReason.NO_ANSWER),
        ("failed", CallStatus.FAILED, EndReason.DIAL_FAILED),
        ("canceled", CallStatus.CANCELED, EndReason.CANCELED),
    ],
)
def test_twilios_final_word_is_ours(word: str, status: CallStatus, reason: EndReason) -> None:
    call = new_call()
    call.dialed("CA1", 0)
    call.twilio_status(callback("ringing"), 1)
    call.twilio_status(callback(word), 2)
    assert (call.status, call.end_reason) == (status, reason)
    assert call.duration_s == 0
    assert not call.leg_may_be_up


def test_a_failed_call_says_what_the_carrier_said() -> None:
    call = new_call()
    call.twilio_status(callback("failed", sip_code=404, error="unallocated number"), 2)
    assert call.error == "Twilio could not connect the call (unallocated number, SIP 404)"


def test_a_word_that_twilio_may_add_one_day_changes_nothing() -> None:
    call = new_call()
    call.dialed("CA1", 0)
    call.twilio_status(callback("teleported"), 1)
    assert (call.status, call.deadline) == (CallStatus.INITIATED, Deadline(100, Limit.QUEUE))


@pytest.mark.parametrize(
    ("limit", "status", "reason"),
    [
        (Limit.QUEUE, CallStatus.NO_ANSWER, EndReason.NO_ANSWER),
        (Limit.RING, CallStatus.NO_ANSWER, EndReason.NO_ANSWER),
        (Limit.STREAM, CallStatus.FAILED, EndReason.MEDIA_FAILED),
        (Limit.DURATION, CallStatus.COMPLETED, EndReason.MAX_DURATION),
        (Limit.FINAL_CALLBACK, CallStatus.COMPLETED, EndReason.CALLER_HANGUP),
    ],
)
def test_a_limit_that_passes_ends_the_call_and_leaves_a_leg_to_hang_up(
    limit: Limit, status: CallStatus, reason: EndReason
) -> None:
    call = new_call()
    call.prepared("node-1")
    call.dialed("CA1", 0)
    if limit is Limit.RING:
        call.twilio_status(callback("ringing"), 1)
    if limit in (Limit.STREAM, Limit.DURATION, Limit.FINAL_CALLBACK):
        call.twilio_status(callback("in-progress"), 1)
    if limit in (Limit.DURATION, Limit.FINAL_CALLBACK):
        call.stream_started(started(), 1)
    if limit is Limit.FINAL_CALLBACK:
        call.stream_ended(ended("socket_closed"), 2)
    deadline = call.deadline
    assert deadline is not None
    assert deadline.limit is limit
    call.expired(limit, deadline.at)
    assert (call.status, call.end_reason) == (status, reason)
    assert call.leg_may_be_up
    assert call.deadline is None


def test_a_limit_that_is_no_longer_waited_for_ends_nothing() -> None:
    call = live_call()
    call.expired(Limit.RING, 400)
    assert not call.over


def test_the_duration_counts_from_whichever_shows_the_answer_first() -> None:
    call = new_call()
    call.prepared("node-1")
    call.dialed("CA1", 0)
    call.stream_started(started(), 10)
    call.twilio_status(callback("in-progress"), 12)
    assert (call.answered_at, call.deadline) == (10, Deadline(310, Limit.DURATION))


@pytest.mark.parametrize(
    ("reason", "status", "end_reason"),
    [
        ("model_failed", CallStatus.FAILED, EndReason.MODEL_FAILED),
        ("expired", CallStatus.FAILED, EndReason.MEDIA_FAILED),
        ("drain", CallStatus.FAILED, EndReason.MEDIA_FAILED),
        ("requested", CallStatus.COMPLETED, EndReason.TERMINATED),
        ("7", CallStatus.FAILED, EndReason.MEDIA_FAILED),
    ],
)
def test_a_media_leg_that_is_lost_ends_the_call(
    reason: str, status: CallStatus, end_reason: EndReason
) -> None:
    call = live_call()
    call.stream_ended(ended(reason, detail="code 1011"), 9)
    assert (call.status, call.end_reason) == (status, end_reason)
    assert "1011" in call.error or reason == "7"
    assert call.leg_may_be_up
    assert call.stream_over


def test_a_session_abandoned_on_another_node_does_not_end_the_call() -> None:
    call = live_call()
    call.stream_ended(ended("expired", source="node-2"), 9)
    assert not call.over
    assert not call.stream_over


def test_the_end_of_a_stream_told_twice_waits_no_longer() -> None:
    call = live_call()
    call.stream_ended(ended("stop"), 9)
    call.stream_ended(ended("stop"), 13)
    assert call.deadline == Deadline(14, Limit.FINAL_CALLBACK)


def test_terminating_before_the_answer_cancels_and_after_it_completes() -> None:
    ringing = new_call()
    ringing.dialed("CA1", 0)
    ringing.twilio_status(callback("ringing"), 1)
    ringing.terminate(2)
    assert (ringing.status, ringing.end_reason) == (CallStatus.CANCELED, EndReason.TERMINATED)
    assert ringing.leg_may_be_up
    live = live_call()
    live.terminate(25)
    assert (live.status, live.end_reason) == (CallStatus.COMPLETED, EndReason.TERMINATED)
    assert live.duration_s == 20


def test_what_comes_after_the_end_changes_only_what_is_left_to_clean_up() -> None:
    call = live_call()
    call.terminate(10)
    call.twilio_status(callback("completed"), 11)
    call.stream_ended(ended("model_failed"), 12)
    call.stream_started(started("node-9"), 13)
    call.terminate(14)
    assert (call.status, call.end_reason, call.error) == (
        CallStatus.COMPLETED,
        EndReason.TERMINATED,
        "",
    )
    assert (call.node_id, call.ended_at) == ("node-1", 10)
    assert call.leg_over
    assert call.stream_over


def test_a_second_call_placed_for_us_is_remembered_to_be_hung_up_and_not_listened_to() -> None:
    call = new_call()
    call.dialed("CA1", 0)
    call.twilio_status(callback("completed", sid="CA2"), 1)
    call.twilio_status(callback("ringing", sid="CA2"), 2)
    assert (call.call_sid, call.strays, call.status) == ("CA1", ["CA2"], CallStatus.INITIATED)


def test_dialing_given_up_ends_the_call_unless_callbacks_show_that_it_was_placed() -> None:
    refused = new_call()
    refused.dial_failed("Twilio error 21211: this is no valid phone number", 1)
    assert (refused.status, refused.end_reason) == (CallStatus.FAILED, EndReason.DIAL_FAILED)
    assert "21211" in refused.error
    placed = new_call()
    placed.twilio_status(callback("ringing"), 1)
    placed.dial_failed("no answer from Twilio", 2)
    assert not placed.over


def test_preparation_that_fails_ends_the_call_for_its_reason() -> None:
    call = new_call()
    call.prepare_failed(EndReason.MODEL_FAILED, "the model refused the session", 1)
    assert (call.status, call.end_reason) == (CallStatus.FAILED, EndReason.MODEL_FAILED)


def test_a_completed_call_whose_answer_was_never_reported_has_twilios_duration() -> None:
    call = new_call()
    call.dialed("CA1", 0)
    call.twilio_status(callback("completed", duration_seconds=42), 100)
    assert call.duration_s == 42


def test_facts_heard_late_count_from_when_they_happened_and_limits_from_when_they_are_heard() -> None:
    call = new_call()
    call.prepared("node-1")
    call.dialed("CA1", NOON)
    answered = callback("in-progress", timestamp="Sun, 01 Nov 2026 12:00:10 +0000")
    call.twilio_status(answered, NOON + 40)
    assert call.answered_at == NOON + 10
    assert call.deadline == Deadline(NOON + 60, Limit.STREAM)
    call.stream_started(StreamStarted("MZ1", "CA1", "node-1", "2026-11-01T12:00:11+00:00"), NOON + 40)
    call.stream_ended(StreamEnded("stop", "", "node-1", "2026-11-01T12:00:30.500000+00:00"), NOON + 41)
    call.twilio_status(callback("completed"), NOON + 41)
    assert call.duration_s == 20.5


@pytest.mark.parametrize(
    "timestamp", ["", "Sun, 01 Nov 2026 11:59:59 +0000", "Sun, 01 Nov 2026 12:00:09 +0000", "2026-99", "soon"]
)
def test_a_time_of_just_now_of_the_future_or_of_no_form_is_now(timestamp: str) -> None:
    call = new_call()
    call.twilio_status(callback("in-progress", timestamp=timestamp), NOON)
    assert call.answered_at == NOON


@pytest.mark.parametrize("callback_first", [False, True])
def test_an_agent_that_ended_the_call_is_told_from_a_caller_who_hung_up(callback_first: bool) -> None:
    call = live_call()
    if callback_first:
        call.twilio_status(callback("completed"), 30)
        assert call.end_reason is EndReason.CALLER_HANGUP
    call.stream_ended(ended("agent_ended"), 31)
    assert (call.status, call.end_reason) == (CallStatus.COMPLETED, EndReason.AGENT_HANGUP)


def test_every_outcome_can_be_reached_from_every_status_that_is_not_final() -> None:
    outcomes = [*FINAL.values(), *EXPIRED.values(), *(o for o in STREAM_END.values() if o is not None)]
    for outcome in outcomes:
        assert outcome.status.final
        for status in CallStatus:
            assert (outcome.status in NEXT[status]) is not status.final


def test_a_prepared_session_outlives_the_longest_wait_for_an_answer() -> None:
    limits = Limits()
    assert limits.queue_s + limits.ring_s + limits.stream_s < PREPARED_FOR_S
