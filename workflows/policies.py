"""How long each activity may take and how it is retried, each with its reason."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from workflows.contracts import ERRORS


class Options(TypedDict, total=False):
    """Arguments of workflow.start_activity."""

    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


def _retry(first_s: float, max_s: float) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=first_s),
        maximum_interval=timedelta(seconds=max_s),
        backoff_coefficient=2.0,
        non_retryable_error_types=list(ERRORS.non_retryable),
    )


# An attempt that already runs is awaited when cancelled: its answer says what there is to clean up (a call
# that rings, a session that is open). One that waits for its next attempt is cancelled at once.
_LET_FINISH = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED

# Two or three nodes at 6 s each fit in an attempt; someone who answered waits for this, so it gives up early.
PREPARE_MEDIA = Options(
    start_to_close_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(seconds=45),
    retry_policy=_retry(0.25, 2),
    cancellation_type=_LET_FINISH,
)

# Up to 100 s in line (TWILIO_CPS), 12 s until an earlier attempt's request has settled, a request of 10 s and
# the reconciliation after it. Twilio being away or busy for a minute on top is worth waiting for (nobody
# hears it); a call placed later than that would surprise whoever asked for it. The heartbeat says whether the
# worker lives: its calls go on elsewhere soon after it died, not when an attempt's time is up.
DIAL = Options(
    start_to_close_timeout=timedelta(seconds=150),
    schedule_to_close_timeout=timedelta(seconds=210),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=_retry(1, 10),
    cancellation_type=_LET_FINISH,
)

# Somebody's phone is off the hook and costs money: try for long. Twilio's TimeLimit ends the call after that.
HANG_UP = Options(
    start_to_close_timeout=timedelta(seconds=15),
    schedule_to_close_timeout=timedelta(minutes=5),
    retry_policy=_retry(0.5, 10),
)

# Somebody waits for the answer, so this gives up early: the call then goes on as it was. The node lets the
# agent finish its sentence first, for 3 s.
EXPECT_STREAM = Options(
    start_to_close_timeout=timedelta(seconds=5),
    schedule_to_close_timeout=timedelta(seconds=8),
    retry_policy=_retry(0.25, 1),
)
STEER_CALL = Options(
    start_to_close_timeout=timedelta(seconds=11),
    schedule_to_close_timeout=timedelta(seconds=20),
    retry_policy=_retry(0.5, 2),
)
# One attempt, whatever becomes of its answer: a person must not be rung twice.
CALL_PERSON = Options(
    start_to_close_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(maximum_attempts=1),
)
TELL_AGENT = Options(
    start_to_close_timeout=timedelta(seconds=5),
    schedule_to_close_timeout=timedelta(seconds=10),
    retry_policy=_retry(0.5, 2),
)

# A node that doesn't answer for 20 s is dead, and its sessions with it.
END_MEDIA = Options(
    start_to_close_timeout=timedelta(seconds=5),
    schedule_to_close_timeout=timedelta(seconds=20),
    retry_policy=_retry(0.25, 2),
)

# One attempt: the workflow itself writes again, the state as it is by then. Short, because a newer state
# waits for the attempt that runs.
RECORD_STATUS = Options(
    start_to_close_timeout=timedelta(seconds=8),
    retry_policy=RetryPolicy(maximum_attempts=1),
)
# Each attempt adds some ten events to the workflow's history, which is limited to 51,200.
FIRST_RECORD_PAUSE = timedelta(seconds=0.5)
LAST_RECORD_PAUSE = timedelta(seconds=30)

# The result must not be lost because a database was away overnight.
FINISH_CALL = Options(
    start_to_close_timeout=timedelta(seconds=10),
    schedule_to_close_timeout=timedelta(hours=24),
    retry_policy=_retry(0.5, 30),
)

# Lives as long as the call, hence the heartbeat: a worker that dies is noticed within 15 s, and another one
# goes on from the last entry written. TRY_CANCEL: after a cancelled one, a second pass reads all of it again.
_FOLLOW_EVENTS = Options(
    heartbeat_timeout=timedelta(seconds=15),
    retry_policy=_retry(0.2, 5),
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

# Beyond a call's own limit: time to ring, and a database outage at its end.
_FOLLOW_SLACK = timedelta(hours=1)


def follow_options(max_duration_s: int) -> Options:
    return Options(start_to_close_timeout=timedelta(seconds=max_duration_s) + _FOLLOW_SLACK, **_FOLLOW_EVENTS)


# The second pass, after a follower that saw no end: it stops at the stream's last entry, so only a
# database outage can make it long.
DRAIN_EVENTS = Options(
    start_to_close_timeout=timedelta(minutes=10),
    schedule_to_close_timeout=timedelta(hours=2),  # the life of `events:*` in Redis
    heartbeat_timeout=timedelta(seconds=15),
    retry_policy=_retry(0.5, 10),
)

# When the caller hung up, the node hears it from Twilio too: leave it the moment it needs to end by itself,
# with its last transcripts.
STREAM_END_GRACE = timedelta(seconds=2)

# How long to wait for a follower to find the stream's end before reading once more what there is: longer than
# it takes to replace one whose worker died.
DRAIN_GRACE = timedelta(seconds=20)
