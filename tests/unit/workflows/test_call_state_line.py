"""What machines, keys, transfers and inbound calls do to a call, without Temporal and without waiting."""

from __future__ import annotations

import pytest

from workflows.call_state import Away, CallState, Deadline, Limit, Limits
from workflows.contracts import (
    CallStatus,
    EndReason,
    MachineDetected,
    OnVoicemail,
    StreamEnded,
    StreamStarted,
    TwilioStatus,
)

LIMITS = Limits(queue_s=100, ring_s=60, stream_s=20, final_callback_s=5, message_s=180)
LEAVE, HANG_UP, IGNORE = OnVoicemail.LEAVE_MESSAGE, OnVoicemail.HANG_UP, OnVoicemail.IGNORE


def stream(sid: str = "MZ1", at: float = 6) -> tuple[StreamStarted, float]:
    return StreamStarted(stream_sid=sid, call_sid="CA1", source="node-1", at=""), at


def stopped(reason: str = "stop") -> StreamEnded:
    return StreamEnded(reason=reason, detail="", source="node-1", at="")


def final(status: str = "completed") -> TwilioStatus:
    return TwilioStatus(call_sid="CA1", status=status, sequence=3)


def live_call(on_voicemail: str = "") -> CallState:
    """Dialed at 1, answered at 5, audio from 6."""
    call = CallState(max_duration_s=300, limits=LIMITS, on_voicemail=on_voicemail)
    call.prepared("node-1")
    call.dialed("CA1", 1)
    call.twilio_status(TwilioStatus(call_sid="CA1", status="in-progress", sequence=2), 5)
    call.stream_started(*stream())
    return call


@pytest.mark.parametrize(
    ("policy", "answered_by", "done"),
    [
        ("", "machine_end_beep", None),
        (HANG_UP, "human", None),
        (HANG_UP, "unknown", None),
        (LEAVE, "human", None),
        (LEAVE, "unknown", None),
        (HANG_UP, "machine_start", HANG_UP),
        (HANG_UP, "machine_end_silence", HANG_UP),
        (HANG_UP, "fax", HANG_UP),
        (IGNORE, "machine_end_beep", IGNORE),
        (IGNORE, "fax", IGNORE),
        (LEAVE, "machine_end_beep", LEAVE),
        (LEAVE, "machine_end_silence", LEAVE),
        (LEAVE, "machine_end_other", LEAVE),
        (LEAVE, "machine_start", HANG_UP),  # it is greeting: nothing would be recorded
        (LEAVE, "fax", HANG_UP),
    ],
)
def test_what_a_verdict_leads_to(policy: str, answered_by: str, done: OnVoicemail | None) -> None:
    call = live_call(policy)
    assert call.machine_detected(MachineDetected("CA1", answered_by), 9) is done
    assert call.answered_by == answered_by
    assert call.over is (done is HANG_UP)
    if call.over:
        assert (call.status, call.end_reason) == (CallStatus.COMPLETED, EndReason.VOICEMAIL)


def test_only_the_first_verdict_about_this_call_counts() -> None:
    call = live_call(HANG_UP)
    assert call.machine_detected(MachineDetected("CA2", "fax"), 8) is None
    assert call.machine_detected(MachineDetected("CA1", "human"), 9) is None
    assert call.machine_detected(MachineDetected("CA1", "machine_end_beep"), 10) is None
    assert not call.over


def test_a_verdict_after_the_end_changes_nothing() -> None:
    call = live_call(LEAVE)
    call.twilio_status(final(), 8)
    assert call.machine_detected(MachineDetected("CA1", "machine_end_beep"), 9) is None
    assert call.end_reason is EndReason.CALLER_HANGUP


def test_a_message_ends_the_call_as_voicemail() -> None:
    call = live_call(LEAVE)
    call.leaves(Away.MESSAGE, 10)
    call.stream_ended(stopped(), 10.1)
    assert call.stream_over
    assert not call.over
    assert call.deadline == Deadline(190, Limit.MESSAGE)
    call.twilio_status(final(), 20)
    assert (call.status, call.end_reason) == (CallStatus.COMPLETED, EndReason.VOICEMAIL)


def test_a_message_whose_end_nobody_tells_ends_by_its_limit() -> None:
    call = live_call(LEAVE)
    call.leaves(Away.MESSAGE, 10)
    call.expired(Limit.MESSAGE, 190)
    assert call.end_reason is EndReason.VOICEMAIL


def test_while_keys_are_pressed_the_line_is_busy_until_the_stream_is_back() -> None:
    call = live_call()
    call.leaves(Away.KEYS, 10, within_s=25)
    assert call.live
    assert call.busy
    assert call.deadline == Deadline(35, Limit.STREAM)
    call.stream_started(*stream("MZ2", at=12))
    assert call.live
    assert not call.busy
    assert call.stream_sid == "MZ2"
    assert call.deadline == Deadline(305, Limit.DURATION)


def test_a_stream_that_does_not_come_back_ends_the_call() -> None:
    call = live_call()
    call.leaves(Away.KEYS, 10, within_s=25)
    call.expired(Limit.STREAM, 35)
    assert (call.status, call.end_reason) == (CallStatus.FAILED, EndReason.MEDIA_FAILED)


def test_a_caller_who_hangs_up_while_keys_are_pressed_has_hung_up() -> None:
    call = live_call()
    call.leaves(Away.KEYS, 10, within_s=25)
    call.twilio_status(final(), 11)
    assert (call.status, call.end_reason) == (CallStatus.COMPLETED, EndReason.CALLER_HANGUP)


def test_when_twilio_was_not_told_the_call_goes_on_as_it_was() -> None:
    call = live_call()
    call.leaves(Away.DIALING, 10, within_s=60)
    call.stays()
    assert call.live
    assert not call.busy
    assert call.deadline == Deadline(305, Limit.DURATION)


@pytest.mark.parametrize("reason", ["stop", "requested", "expired"])
def test_a_call_that_was_handed_over_ends_as_transferred_however_its_stream_did(reason: str) -> None:
    call = live_call()
    call.leaves(Away.DIALING, 10, within_s=60)
    call.handed_over()
    call.stream_ended(stopped(reason), 15)
    assert not call.over
    assert call.deadline == Deadline(305, Limit.DURATION)
    call.twilio_status(final(), 100)
    assert (call.status, call.end_reason) == (CallStatus.COMPLETED, EndReason.TRANSFERRED)


def test_a_ringing_person_keeps_the_line_busy() -> None:
    call = live_call()
    call.ringing_person = "CA9"
    assert call.live
    assert call.busy


def test_an_inbound_call_rings_until_its_stream_starts() -> None:
    call = CallState(max_duration_s=300, limits=LIMITS)
    call.arrived("CA1", 1)
    assert (call.status, call.call_sid) == (CallStatus.RINGING, "CA1")
    assert call.deadline == Deadline(61, Limit.RING)
    call.prepared("node-1")
    call.stream_started(*stream(at=3))
    assert call.status is CallStatus.IN_PROGRESS
    assert call.deadline == Deadline(303, Limit.DURATION)
    call.stream_ended(stopped(), 10)
    assert call.deadline == Deadline(15, Limit.FINAL_CALLBACK)
    call.expired(Limit.FINAL_CALLBACK, 15)
    assert (call.end_reason, call.duration_s) == (EndReason.CALLER_HANGUP, 7)


def test_a_caller_who_gives_up_while_it_rings_was_not_answered() -> None:
    call = CallState(max_duration_s=300, limits=LIMITS)
    call.arrived("CA1", 1)
    call.expired(Limit.RING, 61)
    assert (call.status, call.end_reason) == (CallStatus.NO_ANSWER, EndReason.NO_ANSWER)
