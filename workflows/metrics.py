"""What the worker counts, by Prometheus names. Served on WORKER_METRICS_PORT."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_ACTIVITY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CALL_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)

CALLS_FINISHED = Counter(
    "voiceplane_worker_calls_finished_total", "Calls whose result was written.", ["status", "end_reason"]
)
CALL_SECONDS = Histogram(
    "voiceplane_worker_call_seconds", "Answer to end, of calls that were answered.", buckets=_CALL_SECONDS
)
ACTIVITY_SECONDS = Histogram(
    "voiceplane_worker_activity_seconds",
    "Duration of one attempt of an activity, by outcome: ok, failed, cancelled.",
    ["activity", "outcome"],
    buckets=_ACTIVITY_SECONDS,
)
DIALS = Counter(
    "voiceplane_worker_dials_total",
    "Attempts to have Twilio place a call; reconciled: an earlier one turned out to have placed it.",
    ["outcome"],
)
FOLLOWERS = Gauge("voiceplane_worker_followers", "Event streams being followed: one for each call under way.")
EVENTS_READ = Counter("voiceplane_worker_events_read_total", "Entries read from event streams.")
WRITES_FAILED = Counter(
    "voiceplane_worker_event_writes_failed_total", "Batches of transcripts that must be written again."
)
WEBHOOKS = Counter(
    "voiceplane_worker_webhooks_total",
    "Attempts to deliver webhooks, and webhooks given up after a day or refused for good.",
    ["event", "outcome"],
)
